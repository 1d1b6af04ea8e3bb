import Base
import Coding
import Membership
import RESP
import Ring

// `CLUSTER`, as cluster-aware clients read it, and `INFO`.
extension Node {
    mutating func cluster(_ effects: inout Effects) throws(CommandError) {
        if request.matches(1, "SLOTS") {
            writeSlots(&effects)
        } else if request.matches(1, "SHARDS") {
            writeShards(&effects)
        } else if request.matches(1, "NODES") {
            effects.bytes.writeBulk(text: nodeLines)
        } else if request.matches(1, "INFO") {
            effects.bytes.writeBulk(text: clusterInfo)
        } else if request.matches(1, "KEYSLOT"), request.count == 3 {
            effects.bytes.writeInteger(Int(Slot(key: request[2]).rawValue))
        } else if request.matches(1, "MYID") {
            effects.bytes.writeBulk(text: nodeName(configuration.node))
        } else if request.matches(1, "COUNTKEYSINSLOT"), request.count == 3 {
            effects.bytes.writeInteger(0)
        } else if request.matches(1, "REFILL") {
            try refill(&effects)
        } else {
            throw .unknownSubcommand(.cluster)
        }
    }

    /// Runs of slots with one preference list for the default keyspace, merged where neighbours
    /// agree.
    private var slotRuns: [(first: Int, last: Int, nodes: ArraySlice<NodeID>)] {
        let n = catalog.active[0].n
        var runs: [(first: Int, last: Int, nodes: ArraySlice<NodeID>)] = []
        for range in KeyRange.all {
            let nodes = ring.primaries(of: range, replicationFactor: n)
            if let last = runs.last, last.nodes.elementsEqual(nodes) {
                runs[runs.count - 1].last = range.slots.upperBound - 1
            } else {
                runs.append((range.slots.lowerBound, range.slots.upperBound - 1, nodes))
            }
        }
        return runs
    }

    private func member(_ node: NodeID) -> ClusterMember? {
        configuration.members.first { $0.member.node == node }
    }

    /// 40 hexadecimal digits, as clients expect.
    private func nodeName(_ node: NodeID) -> String {
        let digits = String(node.rawValue, radix: 16)
        return String(repeating: "0", count: 40 - digits.count) + digits
    }

    private func writeSlots(_ effects: inout Effects) {
        let runs = slotRuns
        effects.bytes.writeArrayHeader(count: runs.count)
        for run in runs {
            effects.bytes.writeArrayHeader(count: 2 + run.nodes.count)
            effects.bytes.writeInteger(run.first)
            effects.bytes.writeInteger(run.last)
            for node in run.nodes {
                effects.bytes.writeArrayHeader(count: 3)
                effects.bytes.writeBulk(text: member(node)?.host ?? "")
                effects.bytes.writeInteger(Int(member(node)?.clientPort ?? 0))
                effects.bytes.writeBulk(text: nodeName(node))
            }
        }
    }

    private func writeShards(_ effects: inout Effects) {
        let runs = slotRuns
        effects.bytes.writeArrayHeader(count: runs.count)
        for run in runs {
            effects.bytes.writeMapHeader(pairs: 2, client.dialect)
            effects.bytes.writeBulk("slots")
            effects.bytes.writeArrayHeader(count: 2)
            effects.bytes.writeInteger(run.first)
            effects.bytes.writeInteger(run.last)
            effects.bytes.writeBulk("nodes")
            effects.bytes.writeArrayHeader(count: run.nodes.count)
            for (index, node) in run.nodes.enumerated() {
                writeShardNode(node, isFirst: index == 0, &effects)
            }
        }
    }

    private func writeShardNode(_ node: NodeID, isFirst: Bool, _ effects: inout Effects) {
        let host = member(node)?.host ?? ""
        effects.bytes.writeMapHeader(pairs: 7, client.dialect)
        for (name, value) in [
            ("id", nodeName(node)), ("ip", host), ("endpoint", host),
            ("role", isFirst ? "master" : "replica"),
            ("health", node == configuration.node || isReachable(node) ? "online" : "fail"),
        ] {
            effects.bytes.writeBulk(text: name)
            effects.bytes.writeBulk(text: value)
        }
        effects.bytes.writeBulk("port")
        effects.bytes.writeInteger(Int(member(node)?.clientPort ?? 0))
        effects.bytes.writeBulk("replication-offset")
        effects.bytes.writeInteger(0)
    }

    /// One line a node; a run of slots stands with the first node of its preference list.
    private var nodeLines: String {
        let runs = slotRuns
        return configuration.members.map { member in
            let node = member.member.node
            let isSelf = node == configuration.node
            let slots = runs.filter { $0.nodes.first == node }
                .map { " \($0.first)-\($0.last)" }.joined()
            return "\(nodeName(node)) \(member.host):\(member.clientPort)@\(member.linkPort) "
                + (isSelf ? "myself,master" : "master" + failure(of: node))
                + " - 0 0 \(ring.epoch) "
                + (isSelf || isReachable(node) ? "connected" : "disconnected") + slots + "\n"
        }.joined()
    }

    /// As Redis flags it: `fail?` for a suspect, `fail` for a node that is dead or gone.
    private func failure(of node: NodeID) -> String {
        switch membership.member(node)?.record.state {
        case .alive, nil: ""
        case .suspect: ",fail?"
        case .dead, .left, .removed: ",fail"
        }
    }

    private var clusterInfo: String {
        let isWhole = links.allSatisfy { $0.isUp || $0.node == configuration.node }
        let fields: [(String, String)] = [
            ("cluster_enabled", links.count > 1 ? "1" : "0"),
            ("cluster_state", isWhole ? "ok" : "degraded"),
            ("cluster_slots_assigned", "16384"), ("cluster_slots_ok", "16384"),
            ("cluster_known_nodes", "\(links.count)"), ("cluster_size", "\(links.count)"),
            ("cluster_current_epoch", "\(ring.epoch)"),
        ]
        return fields.map { "\($0.0):\($0.1)\r\n" }.joined()
    }

    private static let wholeInfo = ["all", "default", "everything"]

    func writeInfo(_ effects: inout Effects) {
        var sections: [(String, [(String, String)])] = [
            ("Server", [
                ("redis_version", Node.redisVersion.description), ("redis_mode", "\(redisMode)"),
                ("node", "\(configuration.node.rawValue)"), ("identity", "\(identity)"),
            ]),
            ("Clients", [("connected_clients", "\(openSessions)")]),
            ("Memory", [
                ("used_memory", "\(memoryAccount.total)"),
                ("maxmemory", "\(configuration.memoryBytesMax)"),
            ] + memoryAccount.named.map { ("memory_\($0.name)", "\($0.bytes)") }),
            ("Replication", [
                ("role", "master"), ("connected_slaves", "0"), ("links_up", "\(linksUp)"),
                ("links", "\(links.count - 1)"),
                ("operations", "\(writes.count + reads.count + forwards.count)"),
            ]),
            ("Persistence", [("loading", "0"), ("disk_full", diskRoom.isFull ? "1" : "0")]),
        ]
        sections += [
            ("Clock", clockFields), ("Refill", refillFields), ("Collection", collectionFields),
        ]
        sections.append(("Stats", counters.named.map { ($0.name, "\($0.value)") }))
        let total = keyCounts.reduce(0, +)
        var keys = [("records", "\(store.count)")]
        if total > 0 { keys.append(("db0", "keys=\(total),expires=0,avg_ttl=0")) }
        sections.append(("Cluster", [("cluster_enabled", links.count > 1 ? "1" : "0")]))
        sections.append(("Members", memberFields))
        sections.append(("Latency", latencyFields))
        sections.append(("Operations", outcomeFields))
        sections.append(("Staleness", stalenessFields))
        sections.append(("Hints", hintFields))
        sections.append(("Keyspace", keys + contentsFields))
        let named = (1..<max(1, request.count)).map {
            String(decoding: request[$0], as: UTF8.self).lowercased()
        }
        let isWhole = named.isEmpty || named.contains { Node.wholeInfo.contains($0) }
        let chosen = sections.filter { isWhole || named.contains($0.0.lowercased()) }
        let text = chosen.map { section in
            "# \(section.0)\r\n" + section.1.map { "\($0.0):\($0.1)\r\n" }.joined()
        }.joined(separator: "\r\n")
        effects.bytes.writeBulk(text: text)
    }
}
