import Base
import Ring

/// Key ranges whose former replicas are all left out of the list of members: who of the new list
/// was none of them has nothing to hand over, so what they held would be lost.
public struct LeftOutRanges: Equatable, Sendable, CustomStringConvertible {
    /// A keyspace that they are part of.
    public let keyspace: String
    public let replicationFactor: Int
    public let count: Int
    /// All their former replicas, ascending.
    public let nodes: [NodeID]

    public var description: String {
        let names = nodes.map { "\($0.rawValue)" }.joined(separator: ", ")
        return "the list of members leaves out every node that has \(count) of "
            + "\(KeyRange.count) key ranges of keyspace \(keyspace) (n=\(replicationFactor)): "
            + "put back enough of the nodes \(names), let them hand over, and leave out fewer at "
            + "once; or start each node with --members-lost as well, and what only they hold is "
            + "lost"
    }
}

extension Node {
    /// What the list of members leaves out of the one whose replicas have everything, which is the
    /// last that closed; after the journal was read, and before `takeUpConfiguration`: what counts
    /// is how many replicas keyspaces had.
    ///
    /// - Returns: the worst keyspace's; nil when each range has a former replica left.
    /// - Complexity: O(ranges · members · log members).
    public func leftOutRanges() -> LeftOutRanges? {
        let former = generation.settledBefore
        guard former.contains(where: { !isMember($0.node) }) else { return nil }
        let before = Ring(members: former, epoch: ring.epoch)
        var worst: LeftOutRanges?
        for definition in catalog.definitions {
            guard let settings = definition.settings else { continue }
            let n = settings.replicationFactor
            var nodes = OrderedNodes()
            var count = 0
            for range in KeyRange.all {
                let replicas = before.primaries(of: range, replicationFactor: n)
                guard !replicas.contains(where: { isMember($0) }) else { continue }
                count += 1
                nodes.add(replicas)
            }
            guard count > worst?.count ?? 0 else { continue }
            worst = LeftOutRanges(
                keyspace: String(decoding: definition.name, as: UTF8.self), replicationFactor: n,
                count: count, nodes: nodes.all)
        }
        return worst
    }

    private func isMember(_ node: NodeID) -> Bool {
        ring.members.contains { $0.node == node }
    }
}

/// Nodes, each once, ascending.
private struct OrderedNodes {
    private(set) var all: [NodeID] = []

    mutating func add(_ nodes: ArraySlice<NodeID>) {
        for node in nodes where !all.contains(node) { all.append(node) }
        all.sort()
    }
}
