import Base
import Testing

@testable import Replication

@Suite("Keyspaces are defined, changed and dropped at run time")
struct KeyspaceTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    @Test("a definition made on one node holds on all")
    func spreads() {
        let cluster = Cluster(3)
        let create = "KEYSPACE CREATE orders r=1 w=all durability=interval(50)"
        #expect(cluster.run(a, create) == "+OK\r\n")
        #expect(cluster.run(c, "KEYSPACE GET orders").contains("interval(50)"))
        #expect(cluster.run(b, "KEYSPACE ALTER orders r=quorum") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE LIST").contains("orders"))
        #expect(cluster.run(c, "SET orders:1 x") == "+OK\r\n")
        #expect(cluster.run(b, "KEYSPACE DROP orders") == "+OK\r\n")
        #expect(cluster.run(a, "GET orders:1 R ALL") == "$-1\r\n")
        #expect(cluster.run(a, "KEYSPACE GET orders").hasPrefix("-ERR no such keyspace"))
    }

    @Test("what was dropped stays gone, under every later definition of its prefix")
    func dropped() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:1 old") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE DROP k") == "+OK\r\n")
        #expect(cluster.run(b, "GET k:1") == "$-1\r\n")
        #expect(cluster.run(b, "DBSIZE") == ":0\r\n")
        #expect(cluster.run(c, "SET k:2 by-default") == "+OK\r\n")
        #expect(cluster.run(a, "GET k:2") == "$10\r\nby-default\r\n")
        #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n")
        #expect(cluster.run(b, "GET k:1") == "$-1\r\n")
        #expect(cluster.run(b, "GET k:2") == "$10\r\nby-default\r\n")
        #expect(cluster.run(a, "SET late:1 v") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE DROP k") == "+OK\r\n")
        #expect(cluster.run(a, "FLUSHALL") == "+OK\r\n")
        #expect(cluster.run(b, "KEYSPACE CREATE late") == "+OK\r\n")
        #expect(cluster.run(c, "GET late:1") == "$-1\r\n")
        #expect(cluster.run(c, "GET k:2") == "$-1\r\n")
    }

    @Test("what cannot be honoured is refused with what would be right")
    func refusals() {
        let cluster = Cluster(3)
        for (settings, text) in [
            ("n=4", "n=4 exceeds the cluster's 3 nodes"), ("r=9", "r=9 is outside 1..n"),
            ("r=1 w=1 floor=strong", "floor=strong needs r+w>n"), ("x=1", "unknown setting 'x'"),
            ("conflict=maybe", "conflict is lww, siblings or crdt"), ("n", "not field=value"),
            ("r=3 w=1 floor=strong", "needs 2w>n"), ("durability=interval(0)", "interval must be"),
            ("durability=memory dw=1", "dw needs durability"), ("r=1 floor=2", "below floor=2"),
            ("ttl=5 TTL=0", "ttl is given twice"), ("valuebytes=8388609", "must be 1 to 8388608"),
            ("valuebytes=99999999999", "valuebytes must be 1 to 8388608"),
            ("ttl=18446744073709551615", "ttl must be 0 to"), ("ttl=-1", "ttl is a number"),
        ] {
            let reply = cluster.run(a, "KEYSPACE CREATE k \(settings)")
            #expect(reply.hasPrefix("-ERR") && reply.contains(text), "\(settings): \(reply)")
        }
        #expect(cluster.run(a, "KEYSPACE CREATE f floor=quorum") == "+OK\r\n")
        #expect(cluster.run(a, "GET f:1 R 1").hasPrefix("-CONSISTENCY R=1 is below"))
        #expect(cluster.run(a, "SET f:1 v W 1").hasPrefix("-CONSISTENCY W=1 is below"))
        #expect(cluster.run(a, "SET f:1 v W 9").hasPrefix("-CONSISTENCY W=9 exceeds"))
        #expect(cluster.run(a, "SET f:1 v R 1").hasPrefix("-CONSISTENCY R=1 is below"))
        #expect(cluster.run(a, "SET f:1 v R 9").hasPrefix("-CONSISTENCY R=9 exceeds"))
        #expect(cluster.run(a, "SET f:1 v PR 9").hasPrefix("-CONSISTENCY PR=9 exceeds"))
        #expect(cluster.run(a, "SET f:1 v R 2 PR 1") == "+OK\r\n")
    }

    @Test("changes on both sides of a partition meet at the safer of each setting, and are told")
    func bothSides() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k r=1 w=1 durability=memory") == "+OK\r\n")
        cluster.unlink(a, b)
        cluster.unlink(a, c)
        #expect(cluster.run(a, "KEYSPACE ALTER k conflict=siblings r=2 w=1") == "+OK\r\n")
        #expect(cluster.run(b, "KEYSPACE ALTER k durability=fsync r=1 w=3") == "+OK\r\n")
        for (x, y) in [(a, b), (b, a), (a, c), (c, a)] { cluster.link(x, y) }
        cluster.settle()
        cluster.pass(milliseconds: 500)
        for node in [a, b, c] {
            let settings = cluster.with(node) { node in
                node.catalog.index(named: "k").map { node.catalog.active[$0].settings }
            }
            #expect(settings?.conflict == .siblings)
            #expect(settings?.durability == .fsync)
            #expect(settings?.readQuorum == .count(2))
            #expect(settings?.writeQuorum == .count(3))
            #expect(cluster.run(node, "KEYSPACE GET k").contains("conflicted\r\n$3\r\nyes"))
        }
        #expect(cluster.run(c, "KEYSPACE ALTER k r=quorum w=quorum") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE GET k").contains("conflicted\r\n$2\r\nno"))
    }

    @Test("a drop and FLUSHALL need every node, so that no side keeps writing into what is gone")
    func dropNeedsAll() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:1 v") == "+OK\r\n")
        cluster.unlink(a, c)
        #expect(cluster.run(a, "KEYSPACE DROP k").hasPrefix("-UNAVAILABLE"))
        #expect(cluster.run(a, "FLUSHALL").hasPrefix("-UNAVAILABLE"))
        #expect(cluster.run(a, "GET k:1") == "$1\r\nv\r\n")
    }

    @Test("nothing is written under the old n between the survey and the change")
    func writeDuringSurvey() {
        for command in ["KEYSPACE ALTER k n=3 r=quorum w=quorum", "KEYSPACE ALTER k n=2 r=1 w=2"] {
            let cluster = Cluster(3)
            #expect(cluster.run(a, "KEYSPACE CREATE k n=1 r=1 w=1") == "+OK\r\n")
            cluster.cut = [[c, a]]
            #expect(cluster.run(a, command) == "")
            for key in 0..<10 {
                #expect(cluster.run(b, "SET k:\(key) v").hasPrefix("-UNAVAILABLE"))
                #expect(cluster.run(b, "SET other:\(key) v") == "+OK\r\n")
            }
            cluster.cut = []
            cluster.deliver(
                HostileMessage.bytes(
                    11, number: 3 << 32 | 5 << 28, HostileMessage.little(UInt64(0))),
                from: c, to: a)
            #expect(cluster.reply(a) == "+OK\r\n")
            for key in 0..<10 {
                #expect(cluster.run(b, "SET k:\(key) v") == "+OK\r\n")
                for node in [a, b, c] {
                    #expect(cluster.run(node, "GET k:\(key)") == "$1\r\nv\r\n")
                }
            }
        }
    }

    @Test("a change of n that does not come about leaves the keyspace writable")
    func surveyWithoutChange() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k n=1 r=1 w=1") == "+OK\r\n")
        cluster.cut = [[c, a]]
        #expect(cluster.run(a, "KEYSPACE ALTER k n=3") == "")
        #expect(cluster.run(b, "SET k:1 v").hasPrefix("-UNAVAILABLE"))
        cluster.pass(milliseconds: 5_010)
        #expect(cluster.reply(a).hasPrefix("-UNAVAILABLE a node did not answer"))
        cluster.cut = []
        #expect(cluster.run(b, "SET k:1 v") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE ALTER k n=3").hasPrefix("-ERR n can only change"))
        for key in 0..<10 { #expect(cluster.run(c, "SET k:\(key) v") == "+OK\r\n") }
    }

    @Test("a fence ends by itself when the node that asked is gone")
    func forgottenSurvey() {
        let cluster = Cluster(3)
        let name = Array("k".utf8)
        cluster.deliver(HostileMessage.bytes(10, number: 9, name), from: b, to: a)
        #expect(cluster.run(a, "SET k:1 v W 1").hasPrefix("-UNAVAILABLE the keyspace is being"))
        cluster.pass(milliseconds: 6_000)
        #expect(cluster.run(a, "SET k:1 v W 1") == "+OK\r\n")
    }

    @Test("a fence ends when a later life of the node that asked knows the same keyspaces")
    func outlivedSurvey() throws {
        for command in ["KEYSPACE ALTER k n=2 r=1 w=2", "KEYSPACE DROP k"] {
            let cluster = Cluster(3)
            #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n")
            cluster.cut = [[c, a]]
            #expect(cluster.run(a, command) == "")
            cluster.cut = []
            #expect(cluster.run(b, "SET k:1 v").hasPrefix("-UNAVAILABLE the keyspace is being"))
            try cluster.restart(a, epoch: 2, on: cluster.journals[a, default: []], after: 1)
            cluster.pass(milliseconds: 500)
            #expect(cluster.run(b, "SET k:1 v") == "+OK\r\n")
        }
    }

    @Test("a fence stays while a later life of the node that asked knows of its change alone")
    func outlivedChange() throws {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n")
        cluster.lostKinds = [7]
        #expect(cluster.run(a, "KEYSPACE ALTER k n=2 r=1 w=2") == "")
        try cluster.restart(a, epoch: 2, on: cluster.journals[a, default: []], after: 1)
        cluster.pass(milliseconds: 500)
        #expect(cluster.run(b, "SET k:1 v").hasPrefix("-UNAVAILABLE the keyspace is being"))
        cluster.lostKinds = []
        cluster.pass(milliseconds: 500)
        #expect(cluster.run(b, "SET k:1 v") == "+OK\r\n")
        #expect(cluster.run(b, "KEYSPACE GET k").contains("\r\nn\r\n$1\r\n2\r\n"))
    }

    @Test("n changes only while the keyspace is empty everywhere")
    func replicationFactorOfData() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE ALTER k n=1 r=1 w=1") == "+OK\r\n")
        #expect(cluster.run(b, "SET k:1 v") == "+OK\r\n")
        let altered = cluster.run(c, "KEYSPACE ALTER k n=3")
        #expect(altered.hasPrefix("-ERR n can only change in an empty keyspace"))
        #expect(cluster.run(a, "SET late:1 v") == "+OK\r\n")
        let refusal = cluster.run(a, "KEYSPACE CREATE late n=1 r=1 w=1")
        #expect(refusal.contains("nodes hold 3 such records"))
        #expect(cluster.run(a, "KEYSPACE CREATE late") == "+OK\r\n")
        #expect(cluster.run(b, "GET late:1") == "$1\r\nv\r\n")
    }

    @Test("a keyspace with more replicas than the list has members now can be changed")
    func shortList() throws {
        let four = Cluster(4)
        #expect(four.run(a, "KEYSPACE CREATE k n=4 w=all") == "+OK\r\n")
        #expect(four.run(a, "SET k:1 v") == "+OK\r\n")
        let three = Cluster(3) { $0.takesOtherMembers = true }
        for id in three.ids {
            try three.restart(id, epoch: 2, on: four.journals[id, default: []], after: 1)
        }
        three.pass(milliseconds: 5_000, by: 20)
        #expect(three.run(b, "SET k:1 w").hasPrefix("-UNAVAILABLE 3 of 4 replicas reachable"))
        #expect(three.run(b, "KEYSPACE ALTER k n=4").hasPrefix("-ERR n=4 exceeds the cluster's 3"))
        #expect(three.run(b, "KEYSPACE ALTER k r=2 w=3") == "+OK\r\n")
        #expect(three.run(b, "SET k:1 w") == "+OK\r\n")
        #expect(three.run(c, "GET k:1") == "$1\r\nw\r\n")
    }

    @Test("meeting at the safer of each is commutative, associative and idempotent")
    func saferIsAJoin() {
        var random = PRNG(seed: 3)
        func drawn() -> KeyspaceSettings {
            var settings = KeyspaceSettings()
            settings.replicationFactor = 1 + random.below(5)
            settings.readQuorum = [.one, .quorum, .all, .count(2)][random.below(4)]
            settings.writeQuorum = [.one, .quorum, .all, .count(3)][random.below(4)]
            settings.floor = [.none, .strong, .level(.quorum)][random.below(3)]
            settings.conflict = random.chance(perMille: 500) ? .lww : .siblings
            settings.durability = [.memory, .fsync, .interval(milliseconds: 9)][random.below(3)]
            settings.ttlMilliseconds = UInt64(random.below(3))
            return settings
        }
        for _ in 0..<3_000 {
            let (x, y, z) = (drawn(), drawn(), drawn())
            #expect(x.saferOf(x) == x)
            #expect(x.saferOf(y) == y.saferOf(x))
            #expect(x.saferOf(y).saferOf(z) == x.saferOf(y.saferOf(z)))
            guard x.objection == nil, y.objection == nil else { continue }
            var both = x.saferOf(y)
            both.keepFloor()
            #expect(both.objection == nil)
            for (level, of) in [(x.readQuorum, x), (y.readQuorum, y)] {
                #expect(both.count(both.readQuorum) >= of.count(level))
            }
        }
    }
}

extension KeyspaceCatalog {
    func index(named name: String) -> Int? {
        Array(name.utf8).withUnsafeBytes { index(named: $0) }
    }
}
