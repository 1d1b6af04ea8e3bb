import Base

/// One node of a local cluster at a moment.
public struct NodeStatus: Equatable, Sendable {
    public let node: ClusterState.Node
    public let condition: NodeProcess.Condition
    /// Nil unless the process is alive.
    public let health: NodeHealth?

    /// The status as a machine reads it.
    public var json: JSON {
        [
            "id": .integer(Int(node.id.rawValue)),
            "condition": .text(condition.rawValue),
            "pid": condition == .alive
                ? node.process.map { .integer(Int($0.number)) } ?? .null : .null,
            "client": .text(node.client.description),
            "link": .text(node.link.description),
            "metrics": node.metrics.map { .text($0.description) } ?? .null,
            "answers": .bool(health?.answers ?? false),
            "linksUp": health?.linksUp.map(JSON.integer) ?? .null,
            "refill": health?.refill.map { refill in
                [
                    "ranges": .integer(refill.ranges), "wholeRanges": .integer(refill.wholeRanges),
                    "waitsFor": .text(refill.waitsFor),
                ]
            } ?? .null,
            "keys": health?.keys.map(JSON.integer) ?? .null,
            "readP99Microseconds": health?.readP99.map(JSON.integer) ?? .null,
            "readsCompared": health?.readsCompared.map(JSON.integer) ?? .null,
            "readsStale": health?.readsStale.map(JSON.integer) ?? .null,
            "hints": health?.hints.map(JSON.integer) ?? .null,
            "oldestHintMilliseconds": health?.oldestHint.map(JSON.integer) ?? .null,
            "tombstonesWaitFor": health?.tombstonesWaitFor.map(JSON.text) ?? .null,
            "writeP99Microseconds": health?.writeP99.map(JSON.integer) ?? .null,
        ]
    }
}

extension LocalCluster {
    /// Looks at every node's process and asks the living ones.
    public func status() -> [NodeStatus] {
        state.nodes.map { node in
            let condition = node.process?.condition ?? .dead
            return NodeStatus(
                node: node, condition: condition,
                health: condition == .alive ? NodeHealth(asking: node.client) : nil)
        }
    }
}
