import Base
import Coding
import Membership
import RESP
import Ring

// `CLUSTER`, as cluster-aware clients read it, and `INFO`.
extension Node {
    mutating func cluster(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        try request.checkSubcommand(of: .cluster)
        if request.matches(1, "SLOTS") {
            writeSlots(&effects)
        } else if request.matches(1, "SHARDS") {
            writeShards(&effects)
        } else if request.matches(1, "NODES") {
            effects.bytes.writeBulk(text: nodeLines)
        } else if request.matches(1, "INFO") {
            effects.bytes.writeBulk(text: clusterInfo)
        } else if request.matches(1, "KEYSLOT") {
            effects.bytes.writeInteger(Int(Slot(key: request[2]).rawValue))
        } else if isOne(of: ["MYID", "MYSHARDID"], 1) {
            effects.bytes.writeBulk(text: nodeName(configuration.node))
        } else if isOne(of: ["REPLICAS", "SLAVES"], 1) {
            // To clients every node is a master.
            effects.bytes.writeArrayHeader(count: 0)
        } else if request.matches(1, "COUNTKEYSINSLOT") {
            effects.bytes.writeInteger(try keys(inSlot: 2, limit: .max).count)
        } else if request.matches(1, "GETKEYSINSLOT") {
            try writeKeysInSlot(&effects)
        } else {
            try refill(target, &effects)
        }
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
        let runs = topology.runs
        effects.bytes.writeArrayHeader(count: runs.count)
        for run in runs {
            effects.bytes.writeArrayHeader(count: 3)
            effects.bytes.writeInteger(run.slots.lowerBound)
            effects.bytes.writeInteger(run.slots.upperBound - 1)
            effects.bytes.writeArrayHeader(count: 4)
            effects.bytes.writeBulk(text: member(run.node)?.host ?? "")
            effects.bytes.writeInteger(Int(member(run.node)?.clientPort ?? 0))
            effects.bytes.writeBulk(text: nodeName(run.node))
            effects.bytes.writeArrayHeader(count: 0)
        }
    }

    /// One shard a node.
    private func writeShards(_ effects: inout Effects) {
        let (runs, members) = (topology.runs, listedMembers)
        effects.bytes.writeArrayHeader(count: members.count)
        for member in members {
            let slots = runs.filter { $0.node == member.member.node }
            effects.bytes.writeMapHeader(pairs: 2, client.dialect)
            effects.bytes.writeBulk("slots")
            effects.bytes.writeArrayHeader(count: slots.count * 2)
            for run in slots {
                effects.bytes.writeInteger(run.slots.lowerBound)
                effects.bytes.writeInteger(run.slots.upperBound - 1)
            }
            effects.bytes.writeBulk("nodes")
            effects.bytes.writeArrayHeader(count: 1)
            writeShardNode(member, &effects)
        }
    }

    private func writeShardNode(_ member: ClusterMember, _ effects: inout Effects) {
        effects.bytes.writeMapHeader(pairs: 7, client.dialect)
        for (name, value) in [
            ("id", nodeName(member.member.node)), ("ip", member.host), ("endpoint", member.host),
            ("role", "master"), ("health", isLiving(member.member.node) ? "online" : "fail"),
        ] {
            effects.bytes.writeBulk(text: name)
            effects.bytes.writeBulk(text: value)
        }
        effects.bytes.writeBulk("port")
        effects.bytes.writeInteger(Int(member.clientPort))
        effects.bytes.writeBulk("replication-offset")
        effects.bytes.writeInteger(0)
    }

    /// One line a node, with its slots.
    private var nodeLines: String {
        let runs = topology.runs
        return listedMembers.map { member in
            let node = member.member.node
            let isSelf = node == configuration.node
            let slots = runs.filter { $0.node == node }.map {
                $0.slots.count == 1
                    ? " \($0.slots.lowerBound)"
                    : " \($0.slots.lowerBound)-\($0.slots.upperBound - 1)"
            }.joined()
            return "\(nodeName(node)) \(member.host):\(member.clientPort)@\(member.linkPort) "
                + (isSelf ? "myself,master" : "master" + failure(of: node))
                + " - 0 0 \(ring.epoch) " + (isLiving(node) ? "connected" : "disconnected")
                + slots + "\n"
        }.joined()
    }

    /// As Redis flags it: `fail?` for a node that this one does not reach, `fail` for one that the
    /// members have declared dead.
    private func failure(of node: NodeID) -> String {
        switch membership.member(node)?.record.state {
        case .dead, .left, .removed: isLiving(node) ? "" : ",fail"
        case .alive, .suspect, nil: isLiving(node) ? "" : ",fail?"
        }
    }

    /// As Redis has it, `fail` when some slot is not served: when too few replicas are in reach for
    /// the default keyspace's reads or writes.
    private var clusterInfo: String {
        let served = slotsServed
        let fields: [(String, String)] = [
            ("cluster_enabled", links.count > 1 ? "1" : "0"),
            ("cluster_state", served == Slot.count ? "ok" : "fail"),
            ("cluster_slots_assigned", "\(Slot.count)"), ("cluster_slots_ok", "\(served)"),
            ("cluster_slots_pfail", "0"), ("cluster_slots_fail", "\(Slot.count - served)"),
            ("cluster_known_nodes", "\(listedMembers.count)"),
            ("cluster_size", "\(listedMembers.count { isLiving($0.member.node) })"),
            ("cluster_current_epoch", "\(ring.epoch)"), ("cluster_my_epoch", "\(ring.epoch)"),
        ]
        return fields.map { "\($0.0):\($0.1)\r\n" }.joined()
    }

    private var slotsServed: Int {
        let active = catalog.active[0]
        let needed = max(active.reads.readQuorum, active.writes.writeQuorum)
        let living = links.count { isLiving($0.node) }
        return KeyRange.all.reduce(0) {
            let holders = active.settings.isSloppy ? living : reachableReplicas(of: $1, active.n)
            return $0 + (holders >= needed ? $1.slots.count : 0)
        }
    }

    /// Keys of a slot that this node holds, at most `limit`.
    private func keys(inSlot index: Int, limit: Int) throws(CommandError) -> [[UInt8]] {
        let wanted = try request.integer(index)
        guard let number = UInt16(exactly: wanted), Int(number) < Slot.count else {
            throw .invalidSlot
        }
        let slot = Slot(number)
        var keys: [[UInt8]] = []
        store.visit(KeyRange(slot), 0...UInt64.max) { _, record in
            guard keys.count < limit, isShown(record), Slot(key: record.key) == slot else {
                return
            }
            keys.append(Array(record.key))
        }
        return keys
    }

    private func writeKeysInSlot(_ effects: inout Effects) throws(CommandError) {
        let limit = try request.integer(3)
        guard limit >= 0 else { throw .value(.outOfRange) }
        let keys = try keys(inSlot: 2, limit: Int(limit))
        effects.bytes.writeArrayHeader(count: keys.count)
        for key in keys { key.withUnsafeBytes { effects.bytes.writeBulk($0) } }
    }

    private static let wholeInfo = ["all", "default", "everything"]

    private var infoSections: [(String, [(String, String)])] {
        let total = holdings.keys
        var keys = [("records", "\(store.count)")]
        if total > 0 {
            // As Redis before it has sampled any time to live: nobody averages them here, and
            // clients look for all three.
            keys.append(("db0", "keys=\(total),expires=\(holdings.expiring),avg_ttl=0"))
        }
        return [
            ("Server", serverFields),
            ("Clients", [("connected_clients", "\(openSessions)"), ("blocked_clients", "0")]),
            ("Memory", memoryFields),
            ("Replication", replicationFields),
            ("Persistence", [("loading", "0"), ("disk_full", isDiskShort ? "1" : "0")]),
            ("Clock", clockFields), ("Refill", refillFields),
            ("Collection", collectionFields + nameFields),
            ("Stats", statistics.fields(counters)),
            ("Cluster", [("cluster_enabled", links.count > 1 ? "1" : "0")]),
            ("Members", memberFields), ("Latency", latencyFields),
            ("Operations", outcomeFields), ("Staleness", stalenessFields), ("Hints", hintFields),
            ("Keyspace", keys + contentsFields), ("Configuration", configurationFields),
        ]
    }

    private var serverFields: [(String, String)] {
        [
            ("redis_version", Node.redisVersion.description), ("server_name", "quorate"),
            ("quorate_version", Node.release), ("redis_mode", "\(redisMode)"),
            ("tcp_port", "\(member(configuration.node)?.clientPort ?? 0)"),
            ("uptime_in_seconds", "\(statistics.uptimeSeconds(now))"),
            ("uptime_in_days", "\(statistics.uptimeSeconds(now) / 86_400)"),
            ("node", "\(configuration.node.rawValue)"), ("identity", "\(identity)"),
        ]
    }

    private var memoryFields: [(String, String)] {
        [
            ("used_memory", "\(memoryAccount.total)"),
            ("maxmemory", "\(configuration.memoryBytesMax)"),
        ] + memoryAccount.named.map { ("memory_\($0.name)", "\($0.bytes)") }
    }

    private var replicationFields: [(String, String)] {
        [
            ("role", "master"), ("connected_slaves", "0"), ("links_up", "\(linksUp)"),
            ("links", "\(links.count - 1)"),
            ("operations", "\(writes.count + reads.count + forwards.count)"),
        ]
    }

    func writeInfo(_ effects: inout Effects) {
        let named = (1..<max(1, request.count)).map {
            String(decoding: request[$0], as: UTF8.self).lowercased()
        }
        let isWhole = named.isEmpty || named.contains { Node.wholeInfo.contains($0) }
        let chosen = infoSections.filter { isWhole || named.contains($0.0.lowercased()) }
        let text = chosen.map { section in
            "# \(section.0)\r\n" + section.1.map { "\($0.0):\($0.1)\r\n" }.joined()
        }.joined(separator: "\r\n")
        effects.bytes.writeBulk(text: text)
    }
}
