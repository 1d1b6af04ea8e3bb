import Base

/// News that ride on whatever is sent next: the newest update of each node, a bounded number of
/// times.
///
/// New ones go first, then all take turns. Invariant: one entry per node.
///
/// Source: SWIM (2002), §4.1 and §5 (λ log n retransmissions).
struct UpdateQueue {
    private struct Entry {
        let update: MemberUpdate
        var transmissions = 0
    }

    private var entries: [Entry] = []

    var count: Int { entries.count }

    /// - Complexity: O(entries).
    mutating func put(_ update: MemberUpdate) {
        let node = update.record.node
        if let index = entries.firstIndex(where: { $0.update.record.node == node }) {
            entries.remove(at: index)
        }
        entries.insert(Entry(update: update), at: 0)
    }

    /// The next updates for a message.
    ///
    /// - Parameter transmissionsMax: after which an update is old news.
    mutating func take(_ countMax: Int, transmissionsMax: Int) -> [MemberUpdate] {
        guard !entries.isEmpty, countMax > 0 else { return [] }
        let taken = Array(entries.prefix(countMax))
        entries.removeFirst(taken.count)
        for var entry in taken {
            entry.transmissions += 1
            if entry.transmissions < transmissionsMax { entries.append(entry) }
        }
        return taken.map(\.update)
    }

    mutating func removeAll() { entries.removeAll() }

    func checkInvariants() {
        let nodes = entries.map(\.update.record.node).sorted()
        precondition(
            zip(nodes, nodes.dropFirst()).allSatisfy { $0 < $1 }, "one update per node")
    }
}
