import Base
import Coding

/// One thing the node wants done, in the order in which it became true. Ranges are into
/// `Effects.bytes`.
public enum Effect: Equatable, Sendable {
    /// Answer bytes for a client, in RESP.
    case reply(ConnectionID, Range<Int>)
    /// Close a client's connection once what was replied before has been written.
    case close(ConnectionID)
    /// There is more for a client, or its requests may go on: give `.drained` back, and offer the
    /// bytes of a stalled connection again, when it has taken what it was sent before.
    case more(ConnectionID)
    /// A message for another node, framed: `Frame` header and payload.
    case send(NodeID, Range<Int>)
    /// A record for the journal; it must be durable before any later effect of the same step
    /// becomes visible.
    case persist(Range<Int>)
    /// A record for the journal that becomes durable within its keyspace's interval; nothing waits
    /// for it.
    case append(Range<Int>)
    /// Give `.reached(token)` back as an input, once what the step persisted before it is durable.
    case notify(UInt64)
    /// Break the link to a node: what it sent cannot be followed or must not be.
    case disconnect(NodeID)
    /// Begin another life of this node, with an identity above this epoch: end the process in good
    /// order and start anew on what the disk has.
    case beginLife(above: UInt64)
}

/// The node's effect sink: small plain records plus the bytes that they carry, each encoded once,
/// reused turn after turn.
///
/// The durability contract: within one step, whatever follows a `persist` is `gated`; it may leave
/// only when every record that was handed over up to then is durable. Effects of other steps do not
/// wait.
///
/// What one step does for several requests that know nothing of each other are scopes: a `persist`
/// outside does not gate what is inside, and nothing gates what belongs to another scope. Behind a
/// scope everything is gated that its own `persist` or an earlier one gated: a scope that ends
/// takes no gate away.
public struct Effects: ~Copyable {
    /// One effect, and whether it has to wait for the disk.
    public struct Entry: Equatable, Sendable {
        public let effect: Effect
        /// True when a `persist` of the same step precedes it.
        public let gated: Bool
    }

    public var bytes = ByteBuffer(capacity: 64 * 1024)
    public private(set) var entries: [Entry] = []
    /// How many bytes of the last `received` input were used up; the rest must be offered again,
    /// with more behind it, or, when `stalled`, after the next reply to that connection.
    public internal(set) var consumed = 0
    /// The connection has as many requests under way as it may have: keep its unread bytes and read
    /// no more.
    public internal(set) var stalled = false
    /// It is stalled because this turn has done enough: its bytes are to be offered again in a
    /// later one, behind those of all that have waited for longer, without waiting for a reply.
    public internal(set) var isOutOfTurn = false
    /// Milliseconds within which appended records must be synced; nil when none was appended since
    /// `removeAll`.
    public internal(set) var syncWithinMilliseconds: UInt64?
    private var persisted = false
    private var depth = 0

    /// What is to be gated again when a scope ends.
    struct Scope {
        fileprivate let persisted: Bool
        fileprivate let depth: Int
    }

    public init() {
        entries.reserveCapacity(256)
    }

    /// Starts a step: what was persisted before no longer gates what follows.
    mutating func beginStep() {
        precondition(depth == 0, "a scope ends within its step")
        persisted = false
    }

    /// Starts what does not depend on anything that this step has done so far.
    @inline(__always)
    mutating func beginScope() -> Scope {
        defer {
            persisted = false
            depth += 1
        }
        return Scope(persisted: persisted, depth: depth)
    }

    /// - Parameter scope: the innermost one that has not ended.
    @inline(__always)
    mutating func endScope(_ scope: Scope) {
        depth -= 1
        precondition(depth == scope.depth, "scopes end in the order in which they nest")
        persisted = persisted || scope.persisted
    }

    /// Does in a scope of its own what depends on nothing that this step has done so far.
    @inline(__always)
    mutating func inScope(_ body: (inout Effects) -> Void) {
        let scope = beginScope()
        body(&self)
        endScope(scope)
    }

    /// A record for the journal that must be durable before what follows becomes visible.
    mutating func persist(_ write: (inout ByteBuffer) -> Void) {
        let start = bytes.count
        write(&bytes)
        add(.persist(start..<bytes.count))
    }

    /// A record for the journal for which nothing waits.
    mutating func append(_ write: (inout ByteBuffer) -> Void) {
        let start = bytes.count
        write(&bytes)
        add(.append(start..<bytes.count))
    }

    mutating func add(_ effect: Effect) {
        entries.append(Entry(effect: effect, gated: persisted))
        if case .persist = effect { persisted = true }
    }

    /// Adds reply bytes, joined to the entry before when both go to one connection without a gap.
    mutating func reply(_ connection: ConnectionID, _ range: Range<Int>) {
        if let last = entries.last, last.gated == persisted,
            case .reply(connection, let before) =
                last.effect, before.upperBound == range.lowerBound
        {
            entries[entries.count - 1] = Entry(
                effect: .reply(connection, before.lowerBound..<range.upperBound), gated: persisted)
        } else {
            add(.reply(connection, range))
        }
    }

    /// What was appended is to be synced within so many milliseconds; the shortest demand counts.
    mutating func syncWithin(_ milliseconds: UInt32) {
        syncWithinMilliseconds = min(syncWithinMilliseconds ?? .max, UInt64(milliseconds))
    }

    /// Forgets everything after a turn.
    public mutating func removeAll() {
        entries.removeAll(keepingCapacity: true)
        bytes.removeAll()
        bytes.shrink(to: 1 << 20)
        syncWithinMilliseconds = nil
        persisted = false
    }
}
