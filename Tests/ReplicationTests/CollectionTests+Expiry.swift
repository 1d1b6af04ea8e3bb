import Ring
import Testing

@testable import Replication

extension CollectionTests {
    @Test("a counter that expired and was forgotten elsewhere ends up the same everywhere")
    func expiredApart() throws {
        let cluster = cluster()
        #expect(cluster.run(a, "KEYSPACE CREATE t conflict=crdt r=1 w=1") == "+OK\r\n")
        for node in cluster.ids { #expect(cluster.run(node, "INCRBY t:k 5 W ALL").hasPrefix(":")) }
        #expect(cluster.run(b, "PEXPIRE t:k 500") == ":1\r\n")
        cluster.pass(milliseconds: 200, by: 20)
        let journal = cluster.journals[a] ?? []
        settle(cluster)
        for node in [b, c] { #expect(cluster.with(node) { $0.store.count } == 0) }
        // Its own removal was not on the disk yet.
        try cluster.restart(a, epoch: 2_000, on: journal, after: 1)
        #expect(cluster.with(a) { $0.store.count } == 1)
        #expect(cluster.run(a, "INCR t:k") == ":1\r\n")
        cluster.pass(milliseconds: 2_000, by: 20)
        let digests = cluster.ids.map { id in
            cluster.with(id) { node in KeyRange.all.map { node.tree(3, $0).root } }
        }
        #expect(digests[0] == digests[1] && digests[1] == digests[2])
    }

    private static let hour: UInt64 = 3_600_000

    private func step(_ cluster: Cluster, hours: Int64) {
        for id in cluster.ids {
            let wall = Int64(cluster.wall[id] ?? 0) + hours * Int64(CollectionTests.hour)
            cluster.wall[id] = UInt64(wall)
        }
    }

    private func counts(_ cluster: Cluster) -> [Int] {
        cluster.ids.map { id in cluster.with(id) { $0.store.count } }
    }

    @Test(
        "what some forgot by clocks that were set back they take again from who still has it",
        arguments: ["lww", "siblings"])
    func setBack(_ policy: String) throws {
        let cluster = cluster()
        #expect(cluster.run(a, "KEYSPACE CREATE k conflict=\(policy)") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:1 v EX 3600 W ALL") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:2 v EX 36000 W ALL") == "+OK\r\n")
        cluster.pass(milliseconds: 600, by: 20)
        step(cluster, hours: 2)
        settle(cluster)
        #expect(counts(cluster) == [1, 1, 1])
        step(cluster, hours: -2)
        // That it has forgotten the key was not on its disk yet.
        let journal = (cluster.journals[c] ?? []).prefix {
            $0.first != JournalKind.removal.rawValue
        }
        try cluster.restart(c, epoch: 2_000, on: Array(journal), after: 1)
        #expect(counts(cluster) == [1, 1, 2])
        settle(cluster)
        #expect(counts(cluster) == [2, 2, 2])
        for id in cluster.ids {
            for key in ["k:1", "k:2"] {
                #expect(cluster.run(id, "GET \(key) R 1") == "$1\r\nv\r\n")
            }
            cluster.with(id) { $0.checkInvariants(recounting: true) }
        }
        step(cluster, hours: 2)
        settle(cluster)
        #expect(counts(cluster) == [1, 1, 1])
    }

    @Test(
        "a replica that was away is told what the others spent by clocks that were set back",
        arguments: ["lww", "siblings"])
    func spentApart(_ policy: String) {
        let cluster = cluster()
        #expect(cluster.run(a, "KEYSPACE CREATE k conflict=\(policy)") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:1 v EX 3600 W ALL") == "+OK\r\n")
        cluster.pass(milliseconds: 600, by: 20)
        cluster.isolate(c)
        step(cluster, hours: 2)
        cluster.pass(milliseconds: 3_000, by: 20)
        #expect(cluster.ids.map { cluster.counters($0).expiredSpent } == [1, 1, 0])
        step(cluster, hours: -2)
        cluster.cut = []
        settle(cluster)
        for id in cluster.ids {
            #expect(cluster.run(id, "GET k:1 R 1") == "$-1\r\n")
            cluster.with(id) { $0.checkInvariants(recounting: true) }
        }
    }

    @Test(
        "a node that starts alone, its clock ahead, forgets nothing that has a time to live",
        arguments: ["n=1", "n=1 conflict=crdt", "n=3", "n=3 conflict=siblings"])
    func aheadAlone(_ settings: String) throws {
        let cluster = cluster()
        // What is stamped, and settled, is ahead of the time from now on.
        step(cluster, hours: 72)
        cluster.pass(milliseconds: 1_000, by: 20)
        #expect(cluster.run(a, "KEYSPACE CREATE k \(settings) durability=fsync") == "+OK\r\n")
        step(cluster, hours: -72)
        cluster.pass(milliseconds: 1_000, by: 20)
        for number in 0..<20 {
            #expect(cluster.run(a, "SET k:\(number) v EX 7000") == "+OK\r\n")
        }
        settle(cluster)
        let before = counts(cluster)
        #expect(before.reduce(0, +) >= 20)
        try cluster.restartAlone(c, epoch: 2_000, ahead: 24 * CollectionTests.hour)
        settle(cluster)
        #expect(counts(cluster) == before)
        cluster.wall[c, default: 0] -= 24 * CollectionTests.hour
        cluster.meet(c)
        settle(cluster)
        #expect(counts(cluster) == before)
        for number in 0..<20 {
            for id in cluster.ids { #expect(cluster.run(id, "GET k:\(number)") == "$1\r\nv\r\n") }
        }
    }
}
