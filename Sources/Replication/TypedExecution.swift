import Base
import CRDT
import Causality
import Coding
import RESP
import Secrets

/// Why a command on a typed value is refused; nothing has changed.
enum TypedRefusal: Error {
    case command(CommandError)
    case text(StaticString)
    case sentence(String)
    /// It reads and writes in one step, and others have the key as well.
    case inOneStep
    /// It would take away more than one step does: this is what there is to be done.
    case inPieces(CommandPieces.Work)

    static let wrongType = TypedRefusal.command(.value(.wrongType))

    /// In the words of Redis, for a mutation's own refusal.
    init(_ refusal: CRDTRefusal) {
        self =
            switch refusal {
            case .wrongType: .wrongType
            case .notANumber: .command(.notAnInteger)
            case .overflow: .command(.value(.overflow))
            case .absent: .command(.value(.noSuchKey))
            case .tooLarge: .text("ERR value exceeds its limit")
            case .tooMany: .text("ERR the key would have more elements than its limit")
            case .insufficientRights:
                .text("RIGHTS this node's share does not cover the amount; see QBOUND RIGHTS")
            }
    }
}

/// One command at work on the state of one key: what it answers, and the delta that it leaves.
///
/// It knows no keyspace, no replica and no clock but the dot it was given; the same state, request
/// and dot lead to the same delta.
///
/// Reading order: this, then a file a family: `TypedExecution+Strings`, `+Keys`, `+Counters`,
/// `+Sets`, `+Hashes`, `+SortedSets`, `+Lists`.
struct TypedExecution: ~Copyable {
    var held: HeldState
    /// The key's place among the arguments.
    let keyIndex: Int
    /// Nobody else has the key: what reads and writes in one step is allowed.
    let isAlone: Bool
    /// Wall-clock milliseconds since 1970.
    let now: UInt64
    var dialect = Dialect.resp2
    var random: PRNG
    /// The write's name; minted for commands that write.
    var dot = Dot(identity: ReplicaIdentity(rawValue: 0), stamp: Stamp(rawValue: 0))
    /// Every other replica was heard after this; zero while one is away.
    var heard = Stamp(rawValue: 0)
    /// For commands on bounded counters.
    var bounded: BoundedCounterContext?
    /// For `QGET`.
    var contexts: Seal?
    /// In RESP.
    var reply = ByteBuffer(capacity: 64)
    /// What follows it, in a long reply.
    private(set) var rest = ReplyElements()
    /// Bytes of a reply that are written at once; what goes beyond is kept as elements.
    var writtenBytesMax = 16 << 10
    /// A query that goes on in later steps, in the place of a reply.
    private(set) var walk: ElementWalk?
    /// What was done; nil for nothing.
    var delta: Delta?
    /// Elements that were taken away because of where they are, or by chance.
    private(set) var taken = 0
    /// What was removed before, because it had expired.
    private var removal: Delta?
    /// A planted defect: a change of an expiry writes the value again.
    var carriesValue = false

    init(
        _ held: consuming HeldState, keyIndex: Int, isAlone: Bool, now: UInt64, random: PRNG
    ) {
        self.held = held
        self.keyIndex = keyIndex
        self.isAlone = isAlone
        self.now = now
        self.random = random
    }

    /// Runs a command. What it adds to a key that expires as a whole expires with it.
    mutating func run(
        _ name: CommandName, _ request: borrowing Arguments
    ) throws(TypedRefusal) {
        let isUnlimited = held.state.nextExpiry == 0 || !name.writes(request)
        let inherited = isUnlimited ? nil : held.state.inheritance(now: now)
        let before = isUnlimited || inherited != nil ? nil : held.state
        try execute(name, request)
        guard var done = delta else {
            delta = removal
            return
        }
        if let inherited { held.state.cover(&done, by: inherited) }
        if let before { held.state.keepApart(&done, from: before) }
        guard var both = removal else {
            delta = done
            return
        }
        precondition(both.append(done), "what follows a removal empties nothing else")
        delta = both
    }

    private mutating func execute(
        _ name: CommandName, _ request: borrowing Arguments
    ) throws(TypedRefusal) {
        switch CommandTable.description(of: name).group {
        case .string: try runString(name, request)
        case .generic: try runKey(name, request)
        case .set: try runSet(name, request)
        case .hash: try runHash(name, request)
        case .sortedSet: try runSortedSet(name, request)
        case .list: try runList(name, request)
        case .quorate where name == .qget: try siblings(of: request[1])
        case .quorate where name == .qflag: try flag(request)
        case .quorate where name == .qbound:
            guard let bounded else { preconditionFailure("a bounded counter knows its nodes") }
            try bound(request, bounded)
        case .connection, .server, .transactions, .cluster, .quorate:
            throw .text(Node.typedOnly)
        }
    }
}

// What the families share
extension TypedExecution {
    /// The visible type; nil for an absent key.
    var type: CRDTType? { held.state.type(now: now) }

    /// Whether something of the key has expired and is still here.
    var isElapsing: Bool { held.state.hasElapsed(now: now) }

    /// Leaves out what has expired, for a query.
    mutating func hideElapsed() {
        if isElapsing, type != nil { held.state = held.state.withoutElapsed(now: now) }
    }

    /// Removes what has expired, before a command changes anything.
    ///
    /// - Returns: whether that took the command's dot.
    mutating func removeElapsed() -> Bool {
        removal = held.state.removeElapsed(dot: dot, now: now)
        return removal != nil
    }

    /// - Throws: `wrongType` when the key holds another type.
    func check(_ expected: CRDTType) throws(TypedRefusal) {
        guard let type, type != expected else { return }
        throw type == .boundedCounter ? .command(.value(.boundedCounter)) : .wrongType
    }

    /// Runs a mutation, in the words of commands.
    mutating func change<Result>(
        _ body: (inout TypedExecution) throws(CRDTRefusal) -> Result
    ) throws(TypedRefusal) -> Result {
        do throws(CRDTRefusal) { return try body(&self) } catch { throw TypedRefusal(error) }
    }

    /// Elements are about to be taken away.
    ///
    /// - Parameter work: what the command asks for, where that is too much for one step.
    mutating func take(_ count: Int, orElse work: CommandPieces.Work) throws(TypedRefusal) {
        guard count <= CommandPieces.atOnceMax else { throw .inPieces(work) }
        taken = count
    }

    /// Reads what a request says.
    func parsed<Value>(
        _ body: () throws(CommandError) -> Value
    ) throws(TypedRefusal) -> Value {
        do throws(CommandError) { return try body() } catch { throw .command(error) }
    }

    /// Whether the next element of the reply is written at once.
    private var isWritten: Bool { reply.count < writtenBytesMax && rest.isEmpty }

    mutating func writeBulk(_ bytes: Bytes) {
        guard isWritten else { return rest.append(.bulk(bytes)) }
        bytes.array.withUnsafeBytes { reply.writeBulk($0) }
    }

    mutating func write(_ value: StringValue?) {
        switch value {
        case nil: isWritten ? reply.writeNull(dialect) : rest.append(.null)
        case .bytes(let bytes): writeBulk(bytes)
        case .number(let number): writeBulk(Bytes(number.text))
        }
    }

    mutating func writeScoreElement(_ score: Double) {
        isWritten ? reply.writeDouble(score, dialect) : rest.append(.score(score))
    }

    mutating func write(encoded bytes: UnsafeRawBufferPointer) {
        isWritten ? reply.append(bytes) : rest.append(.encoded(Array(bytes)))
    }

    mutating func writePairHeader() {
        isWritten ? reply.writePairHeader(dialect) : rest.append(.pair)
    }

    /// Writes elements of the value, the last of the reply: a few at once, the others as they
    /// leave.
    ///
    /// - Parameters:
    ///   - total: how many the value has.
    ///   - byteCount: of their written form, where it is not about their share of the value.
    mutating func write(
        _ elements: Elements, as form: ReplyPieces.Form, of total: Int, byteCount: Int? = nil
    ) {
        var pieces = ReplyPieces(elements, form)
        if rest.isEmpty, pieces.write(until: writtenBytesMax, into: &reply, dialect) { return }
        let left = pieces.count
        let share = held.bytes / max(1, total) * left + 24 * left
        rest.append(pieces, byteCount: byteCount ?? share)
    }

    /// Looks at the value's elements: at once where they are not many.
    mutating func begin(_ walk: consuming ElementWalk) {
        guard walk.advance() else {
            self.walk = walk
            return
        }
        reply.append(walk.head(dialect))
        if !walk.told.isTooLong { rest = walk.told }
    }

    /// The whole reply, in RESP.
    var wholeReply: [UInt8] {
        guard !rest.isEmpty else { return Array(reply.bytes) }
        var buffer = ByteBuffer(capacity: reply.count + rest.byteCount)
        Reply(Array(reply.bytes), rest, dialect).writeAll(into: &buffer)
        return Array(buffer.bytes)
    }
}

extension StringValue {
    /// As clients see it.
    var text: [UInt8] {
        switch self {
        case .bytes(let bytes): bytes.array
        case .number(let number): number.text
        }
    }
}

extension CRDTType {
    /// As `TYPE` tells it.
    var text: StaticString {
        switch self {
        case .string: "string"
        case .flag: "flag"
        case .set: "set"
        case .hash: "hash"
        case .sortedSet: "zset"
        case .list: "list"
        case .boundedCounter: "boundedcounter"
        }
    }
}
