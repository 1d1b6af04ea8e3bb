import Base
import Ring
import Testing

@testable import Replication

/// What cluster-aware clients are told, and what they find there.
@Suite("the topology that clients see")
struct TopologyTests {
    /// Ports of the nodes that `CLUSTER SLOTS` names, in the order of the slots.
    private func owners(
        _ cluster: Cluster, _ asked: NodeID
    ) -> [(slots: ClosedRange<Int>, port: Int)] {
        let lines = cluster.run(asked, "CLUSTER SLOTS").split(separator: "\r\n").map(String.init)
        var owners: [(slots: ClosedRange<Int>, port: Int)] = []
        for index in lines.indices where lines[index] == "$9" {
            // *3 :first :last *4 $9 host :port
            guard let first = Int(lines[index - 3].dropFirst()),
                let last = Int(lines[index - 2].dropFirst()),
                let port = Int(lines[index + 2].dropFirst())
            else { continue }
            owners.append((first...last, port))
        }
        return owners
    }

    private func covers(_ owners: [(slots: ClosedRange<Int>, port: Int)]) -> Bool {
        var next = 0
        for owner in owners {
            guard owner.slots.lowerBound == next else { return false }
            next = owner.slots.upperBound + 1
        }
        return next == Slot.count
    }

    private func isolated(_ change: @escaping (inout NodeConfiguration) -> Void) -> Bool {
        let cluster = Cluster(3, change)
        for other in [NodeID(1), NodeID(2)] { cluster.unlink(NodeID(3), other) }
        let owners = owners(cluster, NodeID(1))
        return covers(owners) && !owners.contains { $0.port == 7_003 }
    }

    @Test("every slot names one living node, and each node is a master and nothing else")
    func slots() {
        for count in [1, 2, 3, 5] {
            let cluster = Cluster(count)
            for asked in cluster.ids {
                let found = owners(cluster, asked)
                #expect(covers(found))
                #expect(Set(found.map(\.port)) == Set(cluster.ids.map { 7_000 + Int($0.rawValue) }))
            }
            let nodes = cluster.run(NodeID(1), "CLUSTER NODES")
            #expect(nodes.split(separator: "\n").count { $0.contains("master") } == count)
            #expect(!nodes.contains("slave"))
            let shards = cluster.run(NodeID(1), "CLUSTER SHARDS")
            #expect(shards.hasPrefix("*\(count)\r\n"))
            #expect(!shards.contains("replica\r\n"))
        }
    }

    @Test("a node whose link is down is named by no slot, and again when it is back")
    func lost() {
        #expect(isolated { _ in })
        let cluster = Cluster(3)
        for other in [NodeID(1), NodeID(2)] { cluster.unlink(NodeID(3), other) }
        let nodes = cluster.run(NodeID(1), "CLUSTER NODES").split(separator: "\n")
        let down = nodes.filter { $0.contains("127.0.0.1:7003") }
        #expect(down.count == 1 && down.allSatisfy { $0.contains("fail?") })
        #expect(down.allSatisfy { $0.hasSuffix("disconnected") })
        #expect(cluster.run(NodeID(1), "CLUSTER INFO").contains("cluster_state:ok"))
        cluster.link(NodeID(3), NodeID(1))
        cluster.link(NodeID(1), NodeID(3))
        #expect(owners(cluster, NodeID(1)).contains { $0.port == 7_003 })
    }

    /// What a reply of `CLUSTER` says: slots by client port, and the ports of nodes told to serve.
    private struct Told: Equatable {
        var owners: [Int: Int] = [:]
        var serving: [Int] = []

        mutating func take(_ slots: ClosedRange<Int>, of port: Int) {
            for slot in slots {
                #expect(owners[slot] == nil, "slot \(slot) has one owner")
                owners[slot] = port
            }
        }
    }

    private func slotsTold(_ cluster: Cluster, _ asked: NodeID) -> Told {
        var told = Told()
        for owner in owners(cluster, asked) { told.take(owner.slots, of: owner.port) }
        told.serving = Set(told.owners.values).sorted()
        return told
    }

    private func shardsTold(_ cluster: Cluster, _ asked: NodeID) -> Told {
        var told = Told()
        let lines = cluster.run(asked, "CLUSTER SHARDS").split(separator: "\r\n").map(String.init)
        var (bounds, health): ([Int], String) = ([], "")
        for index in lines.indices.dropLast(2) {
            switch lines[index] {
            case "slots":
                let count = Int(lines[index + 1].dropFirst()) ?? 0
                bounds = lines[(index + 2)...].prefix(count).compactMap { Int($0.dropFirst()) }
            case "health": health = lines[index + 2]
            case "port":
                let port = Int(lines[index + 1].dropFirst()) ?? 0
                for pair in stride(from: 0, to: bounds.count, by: 2) {
                    told.take(bounds[pair]...bounds[pair + 1], of: port)
                }
                if health == "online" { told.serving.append(port) }
            default: break
            }
        }
        return told
    }

    private func nodesTold(_ cluster: Cluster, _ asked: NodeID) -> Told {
        var told = Told()
        for line in cluster.run(asked, "CLUSTER NODES").split(separator: "\n") {
            // id host:port@link flags - 0 0 epoch state slots…
            let words = line.split(separator: " ").map { $0.filter { $0 != "\r" } }
            guard words.count >= 8, let port = Int(words[1].dropFirst(10).prefix(4)) else {
                continue
            }
            for word in words.dropFirst(8) {
                let bounds = word.split(separator: "-").compactMap { Int($0) }
                told.take(bounds[0]...(bounds.last ?? 0), of: port)
            }
            if words[7] == "connected", !words[2].contains("fail") { told.serving.append(port) }
        }
        return told
    }

    /// Whether all three replies of each living node tell that these nodes have all slots.
    private func tellsAlike(_ cluster: Cluster, living: [NodeID]) -> Bool {
        living.allSatisfy { asked in
            let told = slotsTold(cluster, asked)
            return told.owners.count == Slot.count
                && told.serving == living.map { 7_000 + Int($0.rawValue) }
                && shardsTold(cluster, asked) == told && nodesTold(cluster, asked) == told
        }
    }

    @Test(
        "SLOTS, SHARDS and NODES name a living node a slot before, while and after one is dead",
        arguments: [3, 5], [1, 2, 3])
    func alike(count: Int, dead: UInt16) {
        let cluster = Cluster(count)
        let (dead, living) = (NodeID(dead), cluster.ids.filter { $0 != NodeID(dead) })
        #expect(tellsAlike(cluster, living: cluster.ids))
        cluster.isolate(dead)
        for other in living { cluster.unlink(dead, other) }
        #expect(tellsAlike(cluster, living: living))
        cluster.pass(milliseconds: 15_000, by: 20)
        for asked in living {
            #expect(cluster.run(asked, "CLUSTER NODES").contains("master,fail "))
        }
        #expect(tellsAlike(cluster, living: living))
        cluster.cut = []
        cluster.meet(dead)
        cluster.pass(milliseconds: 2_000, by: 20)
        #expect(tellsAlike(cluster, living: cluster.ids))
    }

    @Test("a node that falls silent leaves the topology once the members have declared it dead")
    func silent() {
        let cluster = Cluster(3)
        cluster.isolate(NodeID(3))
        cluster.pass(milliseconds: 15_000, by: 20)
        #expect(!owners(cluster, NodeID(1)).contains { $0.port == 7_003 })
        #expect(cluster.run(NodeID(1), "CLUSTER NODES").contains("master,fail "))
    }

    @Test("cluster_state is fail when some slot has too few replicas for the default keyspace")
    func state() {
        let cluster = Cluster(3)
        #expect(cluster.run(NodeID(1), "CLUSTER INFO").contains("cluster_state:ok\r\n"))
        for other in [NodeID(2), NodeID(3)] { cluster.unlink(NodeID(1), other) }
        let info = cluster.run(NodeID(1), "CLUSTER INFO")
        #expect(info.contains("cluster_state:fail\r\n"))
        #expect(info.contains("cluster_slots_fail:16384\r\n"))
    }

    @Test("the planted bug topology-stale is found: slots that name a node that is down")
    func planted() {
        #expect(!isolated { $0.plantedBug = .topologyStale })
    }

    @Test("SCAN over all living masters tells every key, whichever nodes are down")
    func scan() {
        let cluster = Cluster(5)
        for number in 0..<300 {
            #expect(cluster.run(NodeID(1), "SET key:\(number) v") == "+OK\r\n")
        }
        for down in [nil, NodeID(2), NodeID(5)] {
            if let down {
                for other in cluster.ids where other != down { cluster.unlink(down, other) }
            }
            var found: Set<String> = []
            for id in cluster.ids where id != down { found.formUnion(scanAll(cluster, id)) }
            #expect(found.count == 300)
            if let down {
                for other in cluster.ids where other != down {
                    cluster.link(down, other)
                    cluster.link(other, down)
                }
                cluster.settle()
            }
        }
    }

    @Test("cursors of SCAN and SSCAN stay below 2⁵³")
    func cursors() {
        let cluster = Cluster(1)
        for number in 0..<300 { _ = cluster.run(NodeID(1), "SET key:\(number) v") }
        #expect(scanAll(cluster, NodeID(1)).count == 300)
        #expect(cluster.run(NodeID(1), "SCAN 9007199254740992") == "-ERR invalid cursor\r\n")
        #expect(cluster.run(NodeID(1), "KEYSPACE CREATE c conflict=crdt") == "+OK\r\n")
        for number in 0..<200 {
            let member = "\(UnicodeScalar(UInt8(40 + number % 80)))\(number)member"
            _ = cluster.run(NodeID(1), "SADD c:s \(member)")
        }
        var cursor = "0"
        var members: Set<String> = []
        repeat {
            let lines = cluster.run(NodeID(1), "SSCAN c:s \(cursor)").split(separator: "\r\n")
            cursor = String(lines[2])
            #expect(Int64(cursor).map { $0 < 1 << 53 } == true)
            for index in stride(from: 5, to: lines.count, by: 2) {
                members.insert(String(lines[index]))
            }
        } while cursor != "0"
        #expect(members.count == 200)
    }

    private func scanAll(_ cluster: Cluster, _ id: NodeID) -> Set<String> {
        var cursor = "0"
        var keys: Set<String> = []
        repeat {
            let lines = cluster.run(id, "SCAN \(cursor) COUNT 30").split(separator: "\r\n")
            cursor = String(lines[2])
            #expect(Int64(cursor).map { $0 < 1 << 53 } == true)
            for index in stride(from: 5, to: lines.count, by: 2) {
                keys.insert(String(lines[index]))
            }
        } while cursor != "0"
        return keys
    }

    @Test("COUNTKEYSINSLOT and GETKEYSINSLOT tell what the node holds of a slot")
    func keysInSlot() {
        let cluster = Cluster(3)
        for number in 0..<5 { _ = cluster.run(NodeID(1), "SET {one}\(number) v") }
        let slot = cluster.run(NodeID(1), "CLUSTER KEYSLOT {one}").dropFirst().dropLast()
        #expect(cluster.run(NodeID(2), "CLUSTER COUNTKEYSINSLOT \(slot)") == ":5\r\n")
        #expect(cluster.run(NodeID(2), "CLUSTER GETKEYSINSLOT \(slot) 2").hasPrefix("*2\r\n"))
        #expect(cluster.run(NodeID(2), "CLUSTER COUNTKEYSINSLOT 16384") == "-ERR Invalid slot\r\n")
    }
}
