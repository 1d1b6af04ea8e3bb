/// When was another replica last found to hold of a key range exactly what this node holds?
///
/// Two replicas are equal when the roots of their hash trees are. That is found out in passing, by
/// every exchange: one node says its roots and the moment at which it read them, the other compares
/// them with its own and says which are the same; both then note that moment. It stands for the
/// clock of the node that began, and this is what an entry means on either side:
///
///     at some time after `moment`, both held what the one that began held at `moment`
///
/// So whatever either of the two held by then, the other holds as well, and goes on holding: states
/// only grow, and what gives way gives way to something later. A replica that has been equal to all
/// others since it lost its disk lacks nothing; a tombstone stamped before the moments of all
/// replicas is known to all of them; a replica equal to another at a moment is no staler than since
/// then.
///
/// What it does not say: that two replicas differ. Under a steady stream of writes roots differ
/// whenever one looks although nothing is missing; who must know then asks leaf by leaf
/// (`Coverage`).
///
/// It holds for the lives of both processes: an entry is forgotten when the other node returns
/// under a new identity, and all are with this one.
///
/// Invariant: moments of one entry ascend.
public struct EqualityLedger: Sendable {
    /// One time that two replicas were equal.
    public struct Entry: Equatable, Sendable {
        /// A hybrid logical clock stamp of the node that began the comparison.
        public let moment: UInt64
        /// When this node learned of it: nanoseconds of its monotonic clock.
        public let learnedAt: UInt64

        public init(moment: UInt64, learnedAt: UInt64) {
            self.moment = moment
            self.learnedAt = learnedAt
        }
    }

    private struct Row {
        let link: Int
        let replicationFactor: Int
        var entries: [Entry?]
    }

    /// One for each link and n with an entry.
    private var rows: [Row] = []

    public init() {}

    /// Ranges were found equal.
    ///
    /// - Parameters:
    ///   - link: which other node, by any number that does not change.
    ///   - replicationFactor: of the trees.
    ///   - entry: one that is older than what is known changes nothing.
    public mutating func note(
        _ ranges: RangeSet, _ entry: Entry, link: Int, replicationFactor: Int
    ) {
        let row = rows.firstIndex { $0.link == link && $0.replicationFactor == replicationFactor }
        if row == nil {
            rows.append(
                Row(
                    link: link, replicationFactor: replicationFactor,
                    entries: Array(repeating: nil, count: 256)))
        }
        let index = row ?? rows.count - 1
        for range in UInt8.min...UInt8.max where ranges.contains(range) {
            let known = rows[index].entries[Int(range)]?.moment ?? 0
            if known < entry.moment { rows[index].entries[Int(range)] = entry }
        }
    }

    /// The last time that the other replica was equal in a range; nil for never in this life.
    public func last(link: Int, replicationFactor: Int, range: UInt8) -> Entry? {
        rows.first { $0.link == link && $0.replicationFactor == replicationFactor }?
            .entries[Int(range)]
    }

    /// The other node has begun a new life.
    public mutating func forget(link: Int) { rows.removeAll { $0.link == link } }
}
