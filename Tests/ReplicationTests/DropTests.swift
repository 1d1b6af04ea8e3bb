import Base
import Testing

@testable import Replication

@Suite("A dropped keyspace takes with it all that was written to it")
struct DropTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    /// Three nodes of which c alone has not heard that k was dropped, and hears nothing.
    ///
    /// - Parameter settings: of k.
    private func unheard(_ settings: String) -> Cluster {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k r=1 w=1 " + settings) == "+OK\r\n")
        cluster.lostKinds = [7]
        #expect(cluster.run(a, "KEYSPACE DROP k") == "")
        cluster.pass(milliseconds: 5_010)
        #expect(cluster.reply(a).hasPrefix("-UNKNOWN"))
        cluster.cut = [[a, c], [b, c]]
        cluster.lostKinds = []
        cluster.pass(milliseconds: 1_500)
        #expect(cluster.run(b, "KEYSPACE GET k") == "-ERR no such keyspace\r\n")
        #expect(cluster.run(c, "KEYSPACE GET k") != "-ERR no such keyspace\r\n")
        return cluster
    }

    private func expectNothing(_ cluster: Cluster, _ keys: [String]) {
        for node in [a, b, c] {
            for key in keys {
                #expect(cluster.run(node, "EXISTS \(key) R 1") == ":0\r\n", "\(node) \(key)")
            }
            #expect(cluster.run(node, "DBSIZE") == ":0\r\n", "\(node)")
            cluster.with(node) { $0.checkInvariants(recounting: true) }
            #expect(cluster.counters(node).malformedMessages == 0)
        }
    }

    @Test("no write begins between the time that a node has told and the drop")
    func fence() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k conflict=crdt r=1 w=1") == "+OK\r\n")
        cluster.lostKinds = [11]
        #expect(cluster.run(a, "KEYSPACE DROP k") == "")
        for node in [b, c] {
            #expect(cluster.run(node, "SADD k:s x").hasPrefix("-UNAVAILABLE the keyspace is being"))
            #expect(cluster.run(node, "SADD k:s x y z").hasPrefix("-UNAVAILABLE"))
            #expect(cluster.run(node, "SMEMBERS k:s") == "*0\r\n")
            #expect(cluster.run(node, "SET other:1 v") == "+OK\r\n")
        }
        cluster.pass(milliseconds: 5_010)
        #expect(cluster.reply(a).hasPrefix("-UNAVAILABLE a node did not answer"))
        #expect(cluster.run(b, "SADD k:s x") == ":1\r\n")
        cluster.lostKinds = []
        #expect(cluster.run(c, "KEYSPACE DROP k") == "+OK\r\n")
        #expect(cluster.run(b, "SET k:s v") == "+OK\r\n")
    }

    @Test(
        "what a node that has not heard of a drop takes goes with the keyspace",
        arguments: ["conflict=crdt", "conflict=lww", "conflict=siblings", "conflict=crdt n=1"])
    func unheardWrites(settings: String) {
        let cluster = unheard(settings)
        let isTyped = settings.contains("crdt")
        for number in 0..<20 {
            let line = isTyped ? "SADD k:\(number) x" : "SET k:\(number) x"
            let large = String(repeating: "y", count: number * 1_000)
            #expect(!cluster.run(c, line + large).hasPrefix("-"))
        }
        cluster.pass(milliseconds: 1_000)
        let keys = (0..<20).map { "k:\($0)" }
        for node in [a, b] {
            for key in keys { #expect(cluster.run(node, "GET \(key) R 1") == "$-1\r\n") }
        }
        cluster.cut = []
        cluster.pass(milliseconds: 3_000)
        expectNothing(cluster, keys)
        #expect(cluster.run(c, "KEYSPACE CREATE k conflict=crdt") == "+OK\r\n")
        #expect(cluster.run(b, "SADD k:1 z") == ":1\r\n")
        #expect(cluster.run(a, "SMEMBERS k:1") == "*1\r\n$1\r\nz\r\n")
    }

    @Test("nor does it enter a keyspace that is made under the same name meanwhile")
    func madeAgain() throws {
        for kind in ["lww", "siblings"] {
            let cluster = unheard("conflict=\(kind)")
            #expect(cluster.run(a, "KEYSPACE CREATE k r=2 w=2") == "")
            cluster.pass(milliseconds: 5_010)
            #expect(cluster.run(b, "SET k:new v") == "+OK\r\n")
            #expect(cluster.run(c, "SET k:old v") == "+OK\r\n")
            #expect(cluster.run(c, "SET k:new old") == "+OK\r\n")
            cluster.pass(milliseconds: 500)
            #expect(cluster.run(a, "GET k:old R 1") == "$-1\r\n")
            #expect(cluster.counters(a).refusedDropped > 0)
            cluster.cut = []
            cluster.pass(milliseconds: 10_000)
            for node in [a, b, c] {
                #expect(cluster.run(node, "GET k:old R 1") == "$-1\r\n")
                #expect(cluster.run(node, "GET k:new R 1") == "$1\r\nv\r\n")
                cluster.with(node) { $0.checkInvariants(recounting: true) }
            }
            try cluster.restart(c, epoch: 9, on: cluster.journals[c] ?? [])
            cluster.pass(milliseconds: 10)
            #expect(cluster.run(c, "GET k:old R 1") == "$-1\r\n")
            cluster.with(c) { $0.checkInvariants(recounting: true) }
        }
    }

    @Test("a journal that holds such writes ends with the same as the node had")
    func replay() throws {
        let cluster = unheard("conflict=crdt n=3")
        #expect(cluster.run(c, "SADD k:1 x") == ":1\r\n")
        #expect(cluster.run(c, "SADD k:2 x") == ":1\r\n")
        cluster.cut = []
        cluster.pass(milliseconds: 3_000)
        #expect(cluster.run(a, "SET k:1 v W ALL") == "+OK\r\n")
        try cluster.restartAlone(c, epoch: 9)
        cluster.pass(milliseconds: 300)
        #expect(cluster.run(c, "DBSIZE") == ":1\r\n")
        cluster.with(c) { $0.checkInvariants(recounting: true) }
        cluster.meet(c)
        cluster.pass(milliseconds: 3_000)
        #expect(cluster.run(c, "GET k:1 R 1") == "$1\r\nv\r\n")
        #expect(cluster.run(c, "GET k:2") == "$-1\r\n")
    }

    @Test("what is under way when the drop is heard of ends with an error that says so")
    func underWay() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k conflict=crdt r=1 w=all") == "+OK\r\n")
        cluster.lostKinds = [2]
        #expect(cluster.run(b, "SADD k:s x") == "")
        cluster.lostKinds = []
        #expect(cluster.run(a, "KEYSPACE DROP k") == "+OK\r\n")
        #expect(cluster.reply(b).hasPrefix("-UNKNOWN the keyspace was dropped meanwhile"))
        expectNothing(cluster, ["k:s"])
    }

    @Test("a read that began before the drop tells nothing of what came after it")
    func readUnderWay() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k conflict=crdt r=all w=1") == "+OK\r\n")
        #expect(cluster.run(b, "SADD k:s x") == ":1\r\n")
        cluster.lostKinds = [4]
        #expect(cluster.run(b, "SADD k:s y") == "")
        cluster.lostKinds = []
        #expect(cluster.run(a, "KEYSPACE DROP k") == "+OK\r\n")
        cluster.pass(milliseconds: 1_100)
        #expect(cluster.reply(b).hasPrefix("-UNAVAILABLE"), "\(cluster.reply(b))")
        expectNothing(cluster, ["k:s"])
    }
}
