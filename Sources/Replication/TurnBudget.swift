import Base
import Coding
import RESP

/// What requests and messages may do in one turn before all others get theirs.
///
/// A small request can ask for much: what counts is not how many there are nor how long they are,
/// but what they look at, tell and take, in units of about a microsecond. Once the budget is spent,
/// a request that takes more than a few units waits, and so do those behind it; the driver offers
/// them again in a later turn, other connections first (`Effects.isOutOfTurn`). Requests that take
/// little are answered in any case, some of each connection a turn.
///
/// Steps with one `now` are one turn. It lasts as long as the budget and its last command, or the
/// last piece of a command on many elements (`CommandPieces`).
struct TurnBudget {
    static let unitsMax = 3_000
    /// What a connection may do in a turn that was spent before it was looked at.
    static let unitsOfLate = 32

    private var at: Deadline = 0
    private(set) var spent = 0

    var isSpent: Bool { spent >= TurnBudget.unitsMax }

    /// - Parameter now: when a step happens.
    @inline(__always)
    mutating func begin(at now: Deadline) {
        guard now != at else { return }
        at = now
        spent = 0
    }

    /// Whether a connection may go on.
    ///
    /// - Parameter before: what was spent before it was looked at.
    @inline(__always)
    func admits(since before: Int) -> Bool {
        spent < TurnBudget.unitsMax || spent - before < TurnBudget.unitsOfLate
    }

    @inline(__always)
    mutating func spend(_ units: Int) { spent += units }

    /// Arguments of a request are taken.
    mutating func spend(arguments: Int) { spent += arguments / 8 }
    /// Elements of a mergeable value are added, removed or looked up, each in its place.
    mutating func spend(elementsSought: Int) { spent += elementsSought }
    /// Elements of a value, or keys, are looked at.
    mutating func spend(elements: Int) { spent += elements / 16 }
    /// A request or a message is taken: its bytes are read, kept and passed on.
    @inline(__always)
    mutating func spend(bytesTaken: Int) { spent += 1 + bytesTaken / 1_024 }
    /// Keys are compared with another node's, or records sent to it.
    mutating func spend(exchanged: Int) { spent += 1 + exchanged / 2 }
    /// Bytes of a reply are put together of elements.
    mutating func spend(bytesTold: Int) { spent += bytesTold / 512 }
    /// Bytes are copied.
    mutating func spend(bytesCopied: Int) { spent += bytesCopied / 4_096 }
    /// Bytes of an encoded state, or of a change of one, are read or written.
    mutating func spend(bytesCoded: Int) { spent += bytesCoded / 128 }
}

extension Node {
    /// A turn begins: steps with this `now` belong to it.
    public mutating func beginTurn(at now: Instant) { turn.begin(at: now.monotonic) }

    /// Whether what takes much has to wait for the next turn.
    public var isTurnSpent: Bool { turn.isSpent }
    /// After how many units a turn is spent.
    public static let turnUnitsMax = TurnBudget.unitsMax
    /// What this turn has spent, in units of about a microsecond.
    public var turnUnits: Int { turn.spent }

    /// Arguments of a request that takes little.
    private static let argumentsOfBrief = 16

    /// Whether the parsed request takes little, whatever the values of its keys.
    func isBrief() -> Bool {
        guard request.count <= Node.argumentsOfBrief, let name = CommandName(request[0]) else {
            return false
        }
        let description = CommandTable.description(of: name)
        switch description.group {
        case .string, .generic, .set, .hash, .sortedSet, .list: break
        case .connection, .server: return Node.introspectionWork(of: name) <= Node.unitsOfBrief
        case .transactions, .cluster, .quorate: return false
        }
        switch name {
        case .scan, .keys, .sunion, .sinter, .sdiff, .sintercard, .ltrim: return false
        case .spop, .lpop, .rpop, .zpopmin, .zpopmax: return request.count == 2
        default: break
        }
        let key = description.keys.first
        guard name.walksWhole, key > 0, key < request.count else { return true }
        return !isTyped(catalog.index(of: request[key]))
    }

    private static let unitsOfBrief = 5

    /// What a command about the node takes.
    static func introspectionWork(of name: CommandName) -> Int {
        switch name {
        case .ping, .echo, .select: 0
        case .quit, .readonly, .readwrite, .auth, .hello, .reset, .time, .dbsize, .wait, .scan,
            .client:
            unitsOfBrief
        default: 200
        }
    }
}
