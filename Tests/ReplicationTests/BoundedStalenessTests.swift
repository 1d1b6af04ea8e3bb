import Base
import Causality
import Coding
import Testing

@testable import Replication

@Suite("Reads with a bound on staleness")
struct BoundedStalenessTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    private func cluster(
        _ settings: String = "r=1 w=1", bug: NodeConfiguration.PlantedBug? = nil
    ) -> Cluster {
        let cluster = Cluster(3) { $0.plantedBug = bug }
        let made = cluster.run(a, "KEYSPACE CREATE k n=3 timeout=300 readrepair=0 \(settings)")
        #expect(made == "+OK\r\n")
        cluster.pass(milliseconds: 1_000)
        return cluster
    }

    private func wait(_ cluster: Cluster, _ node: NodeID, _ line: String) -> String {
        var answer = cluster.run(node, line)
        var waited: UInt64 = 0
        while answer.isEmpty, waited < 2_000 {
            cluster.pass(milliseconds: 5)
            waited += 5
            answer = cluster.reply(node)
        }
        return answer
    }

    private func age(_ cluster: Cluster, _ node: NodeID, _ key: String = "k:1") -> UInt64? {
        cluster.with(node) { node in
            Array(key.utf8).withUnsafeBytes {
                node.age(
                    of: node.place(of: $0).address.range, node.place(of: $0).keyspace)
            }
        }
    }

    @Test("a replica that hears from all others answers alone, and says how old its copy may be")
    func here() {
        let cluster = cluster()
        #expect(cluster.run(a, "SET k:1 value") == "+OK\r\n")
        _ = cluster.run(b, "RECEIPT ON")
        #expect(cluster.run(b, "GET k:1 STALENESS 500ms") == "$5\r\nvalue\r\n")
        let receipt = cluster.run(b, "RECEIPT LAST")
        #expect(receipt.contains("way\r\n$4\r\nhere\r\n"))
        #expect(!receipt.contains("unknown"))
        #expect(cluster.counters(b).boundedReadsHere == 1)
        for id in cluster.ids {
            let age = age(cluster, id)
            #expect(age.map { $0 <= .nanoseconds(milliseconds: 410) } ?? false)
        }
    }

    @Test("a copy that missed something goes elsewhere for what is fresh enough")
    func elsewhere() {
        let cluster = cluster()
        #expect(cluster.run(a, "SET k:1 old") == "+OK\r\n")
        cluster.cut = [[a, c]]
        cluster.lostKinds = [12]
        #expect(cluster.run(a, "SET k:1 new") == "+OK\r\n")
        cluster.pass(milliseconds: 600)
        #expect(cluster.run(c, "GET k:1") == "$3\r\nold\r\n")
        cluster.cut = []
        cluster.pass(milliseconds: 600)
        // The link is whole again, and what was lost on it is still lost.
        #expect(cluster.run(c, "GET k:1") == "$3\r\nold\r\n")
        #expect(cluster.run(c, "GET k:1 STALENESS 500") == "$3\r\nnew\r\n")
        #expect(cluster.counters(c).boundedReadsElsewhere == 1)
        #expect(age(cluster, c).map { $0 > .nanoseconds(milliseconds: 1_000) } ?? false)
        cluster.lostKinds = []
        cluster.pass(milliseconds: 8_000)
        #expect(age(cluster, c).map { $0 < .nanoseconds(milliseconds: 500) } ?? false)
        #expect(cluster.run(c, "GET k:1") == "$3\r\nnew\r\n")
    }

    @Test("a cut-off replica refuses in time, and says what age could be had")
    func refused() {
        let cluster = cluster()
        #expect(cluster.run(a, "SET k:1 old") == "+OK\r\n")
        cluster.isolate(c)
        #expect(cluster.run(a, "SET k:1 new") == "+OK\r\n")
        cluster.pass(milliseconds: 1_000)
        let refusal = wait(cluster, c, "GET k:1 STALENESS 500ms")
        #expect(refusal.hasPrefix("-STALE what this node has may be 1"), "was: \(refusal)")
        #expect(wait(cluster, c, "GET k:1 STALENESS 10s") == "$3\r\nold\r\n")
        #expect(cluster.counters(c).staleRefusals == 1)
    }

    @Test("a read waits for a copy that becomes fresh within its time")
    func waited() {
        let cluster = cluster()
        for other in cluster.ids {
            for id in cluster.ids where id != other {
                if id == c || other == c { cluster.cut.insert([id, other]) }
            }
        }
        cluster.pass(milliseconds: 1_000)
        _ = cluster.run(c, "RECEIPT ON")
        #expect(cluster.run(c, "GET k:1 STALENESS 50ms") == "")
        cluster.cut = []
        cluster.pass(milliseconds: 100)
        #expect(cluster.reply(c) == "$-1\r\n")
        #expect(cluster.run(c, "RECEIPT LAST").contains("way\r\n$6\r\nwaited\r\n"))
    }

    @Test("reports on a link that broke count only when the trees were found equal on it")
    func brokenLink() {
        for bug in [nil, NodeConfiguration.PlantedBug.closedAcrossBrokenLink] {
            let cluster = cluster(bug: bug)
            #expect(cluster.run(a, "SET k:1 old") == "+OK\r\n")
            cluster.lostKinds = [12]
            cluster.unlink(a, c)
            #expect(cluster.run(a, "SET k:1 new") == "+OK\r\n")
            cluster.link(a, c)
            cluster.link(c, a)
            cluster.pass(milliseconds: 600)
            #expect(cluster.run(c, "GET k:1") == "$3\r\nold\r\n")
            let answer = wait(cluster, c, "GET k:1 STALENESS 500ms")
            #expect(answer == (bug == nil ? "$3\r\nnew\r\n" : "$3\r\nold\r\n"))
            cluster.lostKinds = []
            cluster.pass(milliseconds: 8_000)
            #expect(age(cluster, c).map { $0 < .nanoseconds(milliseconds: 500) } ?? false)
        }
    }

    @Test("what a replica refused is missing, though the link never broke")
    func refusedWrite() {
        let cluster = cluster()
        #expect(cluster.run(a, "SET k:1 old") == "+OK\r\n")
        cluster.lostKinds = [12]
        cluster.step(c, .disk(.deletions))
        #expect(cluster.run(a, "SET k:1 new") == "+OK\r\n")
        cluster.step(c, .disk(.free))
        cluster.pass(milliseconds: 600)
        #expect(cluster.run(c, "GET k:1") == "$3\r\nold\r\n")
        #expect(wait(cluster, c, "GET k:1 STALENESS 500ms") == "$3\r\nnew\r\n")
    }

    @Test("when a process is replaced, equal trees are found anew with every replica")
    func restarted() throws {
        let cluster = cluster("r=1 w=1 durability=memory")
        // Node 2 has a write of node 1 that node 3 missed; then node 1 forgets it.
        cluster.cut = [[a, c]]
        #expect(cluster.run(a, "SET k:1 new W 2") == "+OK\r\n")
        cluster.cut = []
        cluster.lostKinds = [12]
        try cluster.restart(a, epoch: 2_000, on: cluster.journals[a] ?? [])
        cluster.pass(milliseconds: 600)
        #expect(cluster.run(c, "GET k:1") == "$-1\r\n")
        #expect(wait(cluster, c, "GET k:1 STALENESS 500ms") == "$3\r\nnew\r\n")
        cluster.lostKinds = []
        cluster.pass(milliseconds: 8_000)
        #expect(cluster.run(c, "GET k:1") == "$3\r\nnew\r\n")
        #expect(age(cluster, c).map { $0 < .nanoseconds(milliseconds: 500) } ?? false)
    }

    @Test("a bound is no way below the floor, and not beside a level")
    func floor() {
        let cluster = cluster("r=2 w=2 floor=2")
        #expect(cluster.run(a, "SET k:1 value") == "+OK\r\n")
        #expect(cluster.run(b, "GET k:1 STALENESS 500ms") == "$5\r\nvalue\r\n")
        #expect(cluster.counters(b).boundedReadsHere == 0)
        #expect(cluster.run(b, "GET k:1 R 2 STALENESS 500ms").hasPrefix("-CONSISTENCY STALENESS"))
        #expect(cluster.run(b, "CONSISTENCY R 2 STALENESS 500ms").hasPrefix("-CONSISTENCY"))
    }

    @Test("a connection's bound holds for its reads, several keys at once included")
    func connection() {
        let cluster = cluster()
        #expect(cluster.run(a, "MSET k:1 x k:2 y") == "+OK\r\n")
        #expect(cluster.run(b, "CONSISTENCY STALENESS 2s") == "+OK\r\n")
        #expect(cluster.run(b, "CONSISTENCY").contains("staleness\r\n$4\r\n2000\r\n"))
        #expect(cluster.run(b, "MGET k:1 k:2") == "*2\r\n$1\r\nx\r\n$1\r\ny\r\n")
        #expect(cluster.counters(b).boundedReadsHere == 2)
        #expect(cluster.run(b, "GET k:1 R 1") == "$1\r\nx\r\n")
        #expect(cluster.counters(b).boundedReadsHere == 2)
        #expect(cluster.run(b, "EXPIRE k:1 100") == ":1\r\n")
    }
}
