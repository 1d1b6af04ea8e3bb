/// When was another replica last found to hold of a key range exactly what this node holds?
///
/// Two replicas are equal when the roots of their hash trees are. That is found out in passing, by
/// every exchange: one node says its roots, the other compares them with its own and says which are
/// the same. Each then notes when that was by its own clock: the one that began, when it read its
/// roots; the other, when it compared. This is what an entry means:
///
///     what this node held at `moment` the other one held as well, then or a little later
///
/// It goes on holding it: states only grow, and what gives way gives way to something later. So all
/// that this node had stamped by then is known to the other, and what it stamps from then on is
/// later than the moment; tombstone collection stands upon that (`Node+Collection`).
///
/// What it does not say: that two replicas differ. Under a steady stream of writes roots differ
/// whenever one looks although nothing is missing; who must know then asks leaf by leaf
/// (`Coverage`).
///
/// It holds for the lives of both processes, and as long as this one's clock does not go back: an
/// entry is forgotten when the other node returns under a new identity, and all are with this
/// one's.
///
/// Invariant: moments of one link, n and range ascend.
public struct EqualityLedger: Sendable {
    private struct Row: Sendable {
        let link: Int
        let replicationFactor: Int
        var moments = RangeStamps()
    }

    /// One for each link and n with an entry.
    private var rows: [Row] = []

    public init() {}

    /// Ranges were found equal.
    ///
    /// - Parameters:
    ///   - moment: a hybrid logical clock stamp of this node; one that is older than what is known
    ///     changes nothing.
    ///   - link: which other node, by any number that does not change.
    ///   - replicationFactor: of the trees.
    public mutating func note(
        _ ranges: RangeSet, at moment: UInt64, link: Int, replicationFactor: Int
    ) {
        var index = position(link, replicationFactor)
        if index == nil {
            rows.append(Row(link: link, replicationFactor: replicationFactor))
            index = rows.count - 1
        }
        guard let index else { return }
        for range in UInt8.min...UInt8.max where ranges.contains(range) {
            rows[index].moments.raise(range, to: moment)
        }
    }

    private func position(_ link: Int, _ replicationFactor: Int) -> Int? {
        rows.firstIndex { $0.link == link && $0.replicationFactor == replicationFactor }
    }

    /// When the other replica was last equal in a range; 0 for never in these lives.
    public func last(link: Int, replicationFactor: Int, range: UInt8) -> UInt64 {
        position(link, replicationFactor).map { rows[$0].moments[range] } ?? 0
    }

    /// The other node has begun a new life.
    public mutating func forget(link: Int) { rows.removeAll { $0.link == link } }

    /// This node's clock went back.
    public mutating func forgetAll() { rows = [] }
}
