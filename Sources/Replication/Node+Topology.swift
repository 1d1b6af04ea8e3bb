import Base
import Ring

/// Which node clients are told to ask for each slot.
struct ClientTopology {
    /// Neighbouring slots of one node.
    struct Run {
        var slots: Range<Int>
        let node: NodeID
    }

    private(set) var runs: [Run] = []

    /// - Parameter owner: of a key range.
    init(_ owner: (KeyRange) -> NodeID) {
        for range in KeyRange.all {
            let node = owner(range)
            if let last = runs.last, last.node == node {
                runs[runs.count - 1].slots = last.slots.lowerBound..<range.slots.upperBound
            } else {
                runs.append(Run(slots: range.slots, node: node))
            }
        }
    }
}

// What cluster-aware clients see: every node is a master without replicas, and every slot names a
// living node, the first one of its preference list. Since any node takes any key, two nodes that
// see different ones alive mislead nobody; a client that was told of a node that has died since
// asks again when it does not reach it.
extension Node {
    var topology: ClientTopology {
        ClientTopology { range in
            let nodes = ring.primaries(of: range, replicationFactor: links.count)
            if configuration.plantedBug == .topologyStale, let first = nodes.first { return first }
            return nodes.first { isLiving($0) } ?? configuration.node
        }
    }

    /// Whether clients may be sent to a node.
    func isLiving(_ node: NodeID) -> Bool { node == configuration.node || isReachable(node) }

    /// All members but those that were taken out for good.
    var listedMembers: [ClusterMember] {
        configuration.members.filter {
            membership.member($0.member.node)?.record.state != .removed
        }
    }
}
