import Base
import Coding

/// How concurrent writes of one key meet.
public enum ConflictPolicy: UInt8, Sendable {
    /// The newest write wins; the others are dropped, and counted where that can be told.
    case lww = 0
    /// All concurrent values are kept until a write that has seen them replaces them.
    case siblings = 1
    /// Typed values merge, by the rules of the `CRDT` target.
    case crdt = 2
}

/// What becomes of a stored record when another state of its key arrives.
public enum MergeOutcome: Equatable, Sendable {
    /// The incoming record adds nothing.
    case keepStored
    /// The incoming record replaces the stored one.
    case takeIncoming
    /// Neither: the new record stands at this range of the buffer.
    case merged(Range<Int>)
    /// The union exceeds the limits of `SiblingSet`: the incoming record must be refused.
    case refused
}

/// The algebra of causality on encoded records: what a replica does with a record that arrives.
///
/// `lww` and `siblings` are merged here. Both are commutative, associative and idempotent over
/// every mix of forms. `lww` reduces what it merges to the newest write, also where that is a
/// deletion: sibling sets that a mode change left behind end as if last-writer-wins had ruled all
/// along, and what was deleted stays deleted.
///
/// A change of an expiry is no such write: it never wins over a value that it has not seen, however
/// late it came. Two records of one write are ordered by who gave the expiry last (see
/// `SiblingSet`), so that a record is ordered by two dots, first the write's, then the expiry's;
/// the newest dot that was seen of the key is carried along beside them, for clocks and for what is
/// settled. Example: A sets v at 5, B lets it expire at 20, C sets w at 15, and B's record reaches
/// C: w stays, and has seen 20.
///
/// Merging takes a record's history as it stands in the bytes. Whether a stamp may be believed is
/// decided before, by `HybridLogicalClock.observe`.
public struct RecordMerge: Equatable, Sendable {
    public let outcome: MergeOutcome
    /// Under `lww`, how many values were dropped that are known to be concurrent with what is left.
    /// Two plain records do not tell, as the context of each is only itself.
    public let droppedValues: Int

    init(_ outcome: MergeOutcome, droppedValues: Int = 0) {
        self.outcome = outcome
        self.droppedValues = droppedValues
    }

    /// Merges two states of one key. Under `lww` two plain records are compared by their headers.
    ///
    /// - Parameters:
    ///   - stored: what this node has; nil for nothing.
    ///   - incoming: of the same key.
    ///   - buffer: takes the new record if there is one; must not hold either of the two.
    public static func merge(
        stored: Record?, incoming: Record, policy: ConflictPolicy, into buffer: inout ByteBuffer
    ) -> RecordMerge {
        guard let stored else {
            let isExact = policy == .siblings || !incoming.isSiblingSet
            return isExact ? RecordMerge(.takeIncoming) : join(nil, incoming, policy, &buffer)
        }
        if arePlain(stored, incoming), let newer = newer(stored, incoming, policy) {
            let winner = newer == 0 ? stored : incoming
            let newest = max(stored.dot, incoming.dot)
            guard winner.dot == newest else {
                return RecordMerge(.merged(winner.encode(seeing: newest, into: &buffer)))
            }
            return RecordMerge(newer == 0 ? .keepStored : .takeIncoming)
        }
        if policy == .siblings && stored.isEqual(to: incoming) { return RecordMerge(.keepStored) }
        return join(stored, incoming, policy, &buffer)
    }

    private static func arePlain(_ a: Record, _ b: Record) -> Bool {
        !a.isSiblingSet && !b.isSiblingSet
    }

    /// Which of two plain records, 0 or 1, is the whole of the two; nil when they are concurrent.
    private static func newer(_ a: Record, _ b: Record, _ policy: ConflictPolicy) -> Int? {
        let isOrdered = a.dot.identity == b.dot.identity && !a.isLayered && !b.isLayered
        guard policy == .lww || isOrdered else { return nil }
        return b.supersedes(a) ? 1 : 0
    }

    private static func join(
        _ stored: Record?, _ incoming: Record, _ policy: ConflictPolicy, _ buffer: inout ByteBuffer
    ) -> RecordMerge {
        let before = stored.map { SiblingSet(valid: $0) } ?? SiblingSet()
        let added = SiblingSet(valid: incoming)
        var result = before
        result.join(added)
        let dropped = policy == .lww ? result.keepNewest() : 0
        if result == before { return RecordMerge(.keepStored, droppedValues: dropped) }
        if result == added { return RecordMerge(.takeIncoming, droppedValues: dropped) }
        guard result.isWithinLimits else { return RecordMerge(.refused) }
        let range = result.encodeRecord(key: incoming.key, into: &buffer)
        return RecordMerge(.merged(range), droppedValues: dropped)
    }
}

extension SiblingSet {
    /// The set of a record that was validated or encoded here.
    public init(valid record: Record) {
        do throws(DecodeError) {
            try self.init(record: record)
        } catch {
            preconditionFailure("a record is validated before it is merged")
        }
    }

    /// Reduces the set to its newest write, as last-writer-wins sees it.
    ///
    /// - Returns: how many values that dropped.
    @discardableResult
    public mutating func keepNewest() -> Int {
        guard let written = context.newest, let newest else { return 0 }
        let before = siblings.reduce(0) { $0 + ($1.isSpent ? 0 : 1) }
        siblings.removeAll { $0.dot != written }
        context = CausalContext(written)
        expiries = VersionVector()
        if written < newest { expiries.insert(newest) }
        dropCoveredExpiries()
        return before - siblings.reduce(0) { $0 + ($1.isSpent ? 0 : 1) }
    }
}
