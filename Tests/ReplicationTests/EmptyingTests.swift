import Base
import Testing

@testable import Replication

@Suite("Keyspaces are emptied and changed while other nodes do something else")
struct EmptyingTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    @Test("what was emptied away does not come back beside a sibling that was written later")
    func siblings() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k conflict=siblings readrepair=0") == "+OK\r\n")
        #expect(cluster.run(b, "QSET k:1 before") == "+OK\r\n")
        cluster.lostKinds = [7]
        #expect(cluster.run(a, "FLUSHALL") == "")
        cluster.wall[b, default: 0] += 5
        #expect(cluster.run(b, "QSET k:1 after") == "+OK\r\n")
        cluster.lostKinds = []
        cluster.pass(milliseconds: 5_010)
        #expect(cluster.reply(a).hasPrefix("-UNKNOWN"))
        for node in [a, b, c] {
            let answer = cluster.run(node, "QGET k:1 R 1")
            #expect(answer.contains("after") && !answer.contains("before"), "\(node): \(answer)")
        }
    }

    @Test("a read while a keyspace is being emptied shows a value or nothing, never an older value")
    func halfEmptied() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k readrepair=0") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:1 old W ALL") == "+OK\r\n")
        cluster.cut = [[a, c], [c, a], [b, c], [c, b]]
        #expect(cluster.run(a, "SET k:1 new") == "+OK\r\n")
        cluster.cut = []
        cluster.lostKinds = [7]
        #expect(cluster.run(a, "FLUSHALL") == "")
        #expect(cluster.run(b, "FLUSHALL") == "")
        #expect(cluster.run(c, "GET k:1 R 2") == "$-1\r\n")
    }

    @Test("a keyspace whose n is about to change takes no other change")
    func changeDuringSurvey() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k n=3") == "+OK\r\n")
        cluster.cut = [[c, a]]
        #expect(cluster.run(a, "KEYSPACE ALTER k n=1 r=1 w=1") == "")
        for line in [
            "KEYSPACE ALTER k readrepair=7", "KEYSPACE ALTER k n=2", "KEYSPACE DROP k", "FLUSHALL",
        ] {
            let answer = cluster.run(b, line)
            #expect(answer.hasPrefix("-UNAVAILABLE a keyspace is being changed"), "\(answer)")
        }
        #expect(cluster.run(b, "KEYSPACE ALTER default readrepair=7") == "+OK\r\n")
        cluster.cut = []
        cluster.pass(milliseconds: 5_010)
        #expect(cluster.run(b, "KEYSPACE ALTER k readrepair=7") == "+OK\r\n")
    }

    @Test("a drop that loses against a change made elsewhere at the same time is not told as done")
    func lostDrop() throws {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:1 v") == "+OK\r\n")
        #expect(cluster.run(b, "PING") == "+PONG\r\n")
        // Nobody else hears that it is about to be dropped.
        cluster.lostKinds = [10]
        #expect(cluster.run(a, "KEYSPACE DROP k") == "")
        let id = try #require(cluster.with(a) { $0.administrations.id(at: 0) })
        let time = HostileMessage.little(cluster.with(a) { $0.clock.last.rawValue })
        let told = HostileMessage.bytes(11, flag: 1, number: id.rawValue, time)
        cluster.lostKinds = []
        cluster.deliver(told, from: c, to: a)
        cluster.open(b, ConnectionID(1))
        cluster.send(b, ConnectionID(1), Array("KEYSPACE ALTER k readrepair=7\r\n".utf8))
        cluster.deliver(told, from: b, to: a)
        #expect(cluster.reply(b, ConnectionID(1)) == "+OK\r\n")
        #expect(cluster.reply(a).hasPrefix("-UNKNOWN the keyspace is emptied"))
        for node in [a, b, c] {
            #expect(cluster.run(node, "GET k:1 R 1") == "$-1\r\n")
            #expect(cluster.run(node, "KEYSPACE GET k").contains("readrepair"))
        }
    }

    @Test("what a read gathered before its key came to a new keyspace is counted there")
    func gatheredBefore() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE ALTER default readrepair=1000") == "+OK\r\n")
        cluster.isolate(b)
        #expect(cluster.run(b, "CONSISTENCY R 1 W 1") == "+OK\r\n")
        #expect(cluster.run(b, "SET later:k v") == "+OK\r\n")
        cluster.cut = []
        cluster.slow = [[b, c]: 50]
        #expect(cluster.run(c, "GET later:k R 2") == "$-1\r\n")
        // Its answer to the read is on its way.
        cluster.slow = [:]
        #expect(cluster.run(a, "KEYSPACE CREATE later") == "+OK\r\n")
        cluster.pass(milliseconds: 60, by: 10)
        let keys = cluster.with(c) { node in node.keyspaceFigures.map { ($0.name, $0.keys) } }
        #expect(keys.first { $0.0 == "default" }?.1 == 0)
        cluster.pass(milliseconds: 2_000, by: 20)
        #expect(cluster.run(c, "GET later:k R 1") == "$1\r\nv\r\n")
    }
}
