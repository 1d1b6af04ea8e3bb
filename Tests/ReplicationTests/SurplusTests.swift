import Base
import Ring
import Testing

@testable import Replication

@Suite("what a node no longer replicates is handed over, then dropped")
struct SurplusTests {
    /// Three nodes with keys, started again as members of a cluster of four.
    private func grown(keyspace: String = "") throws -> Cluster {
        let three = Cluster(3)
        let prefix = keyspace.isEmpty ? "" : "s:"
        if !keyspace.isEmpty {
            #expect(three.run(NodeID(1), "KEYSPACE CREATE s \(keyspace)") == "+OK\r\n")
        }
        for number in 0..<200 {
            #expect(three.run(NodeID(1), "SET \(prefix)key:\(number) v") == "+OK\r\n")
        }
        let four = Cluster(4)
        for id in three.ids {
            try four.restart(id, epoch: 2, on: three.journals[id, default: []], after: 1)
        }
        four.pass(milliseconds: 20_000, by: 20)
        return four
    }

    private func size(_ cluster: Cluster, _ id: NodeID) -> Int {
        Int(cluster.run(id, "DBSIZE").dropFirst().dropLast()) ?? -1
    }

    private func replicated(_ cluster: Cluster, _ id: NodeID, _ prefix: String) -> Int {
        cluster.with(id) { node in
            (0..<200).count { number in
                Array("\(prefix)key:\(number)".utf8).withUnsafeBytes {
                    node.isReplica(of: node.place(of: $0))
                }
            }
        }
    }

    @Test("a member more: DBSIZE is what each node replicates, and every key is there")
    func grow() throws {
        for (keyspace, prefix) in [
            ("", ""), ("n=1", "s:"), ("conflict=crdt", "s:"), ("conflict=siblings", "s:"),
        ] {
            let cluster = try grown(keyspace: keyspace)
            for id in cluster.ids {
                #expect(size(cluster, id) == replicated(cluster, id, prefix), "\(keyspace) \(id)")
            }
            #expect(cluster.ids.reduce(0) { $0 + cluster.counters($1).surplusDropped } > 30)
            for number in 0..<200 {
                #expect(cluster.run(NodeID(4), "GET \(prefix)key:\(number)") == "$1\r\nv\r\n")
            }
        }
    }

    @Test("a dropped record stays dropped after a restart")
    func restart() throws {
        let cluster = try grown()
        try cluster.restart(
            NodeID(1), epoch: 3, on: cluster.journals[NodeID(1), default: []], after: 2)
        #expect(size(cluster, NodeID(1)) == replicated(cluster, NodeID(1), ""))
    }

    @Test("nothing is dropped while a replica of it is away")
    func away() throws {
        let three = Cluster(3)
        for number in 0..<200 { _ = three.run(NodeID(1), "SET key:\(number) v") }
        let four = Cluster(4)
        for id in three.ids {
            try four.restart(id, epoch: 2, on: three.journals[id, default: []], after: 1)
            four.unlink(id, NodeID(4))
        }
        four.pass(milliseconds: 10_000, by: 20)
        for id in three.ids { #expect(four.counters(id).surplusDropped == 0) }
    }

    @Test(
        "all is deleted and collected: no node counts a ghost, and nothing comes back",
        arguments: ["conflict=lww", "conflict=siblings", "conflict=crdt"])
    func collected(_ keyspace: String) throws {
        let cluster = try grown(keyspace: keyspace)
        for number in 0..<200 {
            #expect(cluster.run(NodeID(2), "DEL s:key:\(number)") == ":1\r\n")
        }
        cluster.pass(milliseconds: 90_000, by: 50)
        for id in cluster.ids {
            #expect(size(cluster, id) == 0)
            #expect(cluster.run(id, "SCAN 0 COUNT 1000").hasSuffix("*0\r\n"))
        }
        for number in 0..<200 {
            #expect(cluster.run(NodeID(3), "GET s:key:\(number) R ALL") == "$-1\r\n")
        }
    }

    @Test(
        "a member less: DBSIZE is what each node replicates now, and every key is there",
        arguments: ["conflict=lww", "conflict=siblings", "conflict=crdt"])
    func shrunk(_ keyspace: String) throws {
        let four = Cluster(4)
        #expect(four.run(NodeID(1), "KEYSPACE CREATE s \(keyspace)") == "+OK\r\n")
        for number in 0..<200 {
            #expect(four.run(NodeID(1), "SET s:key:\(number) v") == "+OK\r\n")
        }
        let three = Cluster(3)
        for id in three.ids {
            try three.restart(id, epoch: 2, on: four.journals[id, default: []], after: 1)
        }
        three.pass(milliseconds: 20_000, by: 20)
        for id in three.ids {
            #expect(size(three, id) == 200, "\(keyspace) \(id)")
            for number in 0..<200 {
                #expect(three.run(id, "GET s:key:\(number)") == "$1\r\nv\r\n", "\(keyspace)")
            }
        }
    }

    @Test("a walk that drops the last record a node had ends, and the node rests")
    func lastRecord() throws {
        let five = Ring(members: (1...5).map { Member(NodeID($0)) }, epoch: 1)
        let key = try #require(
            (0..<100).map { "key:\($0)" }.first {
                // One turn comes past this range, and not to the end of the walk.
                let range = Array($0.utf8).withUnsafeBytes { KeyRange(Slot(key: $0)) }
                return range.rawValue < 128
                    && !five.primaries(of: range, replicationFactor: 3).contains(NodeID(1))
            })
        let former = Cluster(3)
        #expect(former.run(NodeID(1), "SET \(key) v") == "+OK\r\n")
        let cluster = Cluster(5) { $0.workUnitsMax = 256 }
        for id in former.ids {
            try cluster.restart(id, epoch: 2, on: former.journals[id, default: []], after: 1)
        }
        cluster.pass(milliseconds: 20_000, by: 20)
        #expect(size(cluster, NodeID(1)) == 0)
        for id in cluster.ids {
            #expect(cluster.with(id) { $0.nextDeadline.map { $0 > cluster.time + 1 } } == true)
        }
    }
}
