import Base
import Ring
import Testing

@testable import Replication

@Suite("Reads of typed values through a node that has no replica of the key")
struct ForwardedReadTests {
    /// Four nodes, and a key of which one of them has no replica.
    private struct Fixture {
        let cluster: Cluster
        let key: String
        /// In the order of the preference list.
        let replicas: [NodeID]
        let outside: NodeID

        init(_ settings: String) {
            cluster = Cluster(4)
            let reply = cluster.run(NodeID(1), "KEYSPACE CREATE t n=3 conflict=crdt \(settings)")
            #expect(reply == "+OK\r\n")
            key = "t:key"
            let text = key
            let list = cluster.with(NodeID(1)) { node in
                Array(text.utf8).withUnsafeBytes {
                    Array(node.ring.preferenceList(of: KeyRange(Slot(key: $0))))
                }
            }
            replicas = Array(list.prefix(3))
            outside = list[3]
            #expect(cluster.run(list[0], "SADD \(key) a") == ":1\r\n")
        }

        /// Begins a command whose reply does not come at once.
        func begin(_ connection: UInt32, _ line: String) {
            cluster.open(outside, ConnectionID(connection))
            cluster.send(outside, ConnectionID(connection), Array("\(line)\r\n".utf8))
            cluster.settle()
        }

        func reply(_ connection: UInt32) -> String {
            cluster.reply(outside, ConnectionID(connection))
        }

        func relieve(_ node: NodeID) {
            cluster.step(node, .relieved(outside))
            cluster.settle()
        }
    }

    @Test("a replica that is being refilled declines, and the next one answers")
    func declined() {
        let fixture = Fixture("r=1 w=3")
        let (cluster, key) = (fixture.cluster, fixture.key)
        cluster.with(fixture.replicas[0]) { $0.distrustMemory() }
        #expect(cluster.run(fixture.outside, "SMEMBERS \(key)").contains("a\r\n"))
        #expect(cluster.run(fixture.outside, "SCARD \(key)") == ":1\r\n")
        cluster.with(fixture.replicas[1]) { $0.distrustMemory() }
        #expect(cluster.run(fixture.outside, "SMEMBERS \(key)").contains("a\r\n"))
        cluster.with(fixture.replicas[2]) { $0.distrustMemory() }
        #expect(cluster.run(fixture.outside, "SMEMBERS \(key)").hasPrefix("-UNAVAILABLE"))
        // With two replicas the first one asks the others.
        cluster.pass(milliseconds: 3_000, by: 20)
        #expect(cluster.run(fixture.outside, "SMEMBERS \(key)").contains("a\r\n"))
    }

    @Test("a replica that is gone while it is asked: the next one answers")
    func lost() {
        let fixture = Fixture("r=1 w=3")
        let cluster = fixture.cluster
        cluster.cut = [[fixture.replicas[0], fixture.outside]]
        fixture.begin(5, "SMEMBERS \(fixture.key)")
        #expect(fixture.reply(5).isEmpty)
        cluster.unlink(fixture.replicas[0], fixture.outside)
        #expect(fixture.reply(5).contains("a\r\n"))
    }

    @Test("long replies wait until the link has room, and are counted meanwhile")
    func owed() {
        let fixture = Fixture("r=1 w=3 timeout=1000")
        let (cluster, replica) = (fixture.cluster, fixture.replicas[0])
        let filling = String(repeating: "x", count: 1_000)
        for number in 0..<100 {
            let reply = cluster.run(replica, "SADD \(fixture.key) \(number)\(filling)")
            #expect(reply == ":1\r\n")
        }
        cluster.with(replica) { $0.noteBacklog(of: fixture.outside) }
        for connection in 5..<65 as Range<UInt32> {
            fixture.begin(connection, "SMEMBERS \(fixture.key) TIMEOUT 5000")
        }
        // The others of three replicas answer.
        #expect((5..<65).count { fixture.reply($0).isEmpty } == AnswerWindow.queriesMin)
        let held = cluster.with(replica) { $0.memoryAccount.replies }
        #expect(held >= AnswerWindow.queriesMin * 100_000)
        // Short ones go on.
        #expect(cluster.run(fixture.outside, "SCARD \(fixture.key)") == ":101\r\n")
        fixture.relieve(replica)
        #expect((5..<65).allSatisfy { fixture.reply($0).utf8.count > 100_000 })
        #expect(cluster.with(replica) { $0.memoryAccount.replies } == 0)
        cluster.with(replica) { $0.checkInvariants(recounting: true) }
    }

    @Test("a few begin at a time, and the time of those that wait has not begun")
    func admitted() {
        let fixture = Fixture("r=1 w=3 timeout=500")
        let (cluster, outside) = (fixture.cluster, fixture.outside)
        let filling = String(repeating: "x", count: 10_000)
        for number in 0..<20 {
            let reply = cluster.run(fixture.replicas[0], "SADD \(fixture.key) \(number)\(filling)")
            #expect(reply == ":1\r\n")
        }
        for replica in fixture.replicas { cluster.with(replica) { $0.noteBacklog(of: outside) } }
        for connection in 5..<65 as Range<UInt32> {
            cluster.open(outside, ConnectionID(connection))
        }
        var unread = Array(5..<65 as Range<UInt32>)
        func ask() {
            let command = Array("SMEMBERS \(fixture.key)\r\n".utf8)
            unread.removeAll { cluster.send(outside, ConnectionID($0), command) > 0 }
            cluster.settle()
        }
        ask()
        #expect(cluster.with(outside) { $0.forwards.count } == 3 * AnswerWindow.queriesMin)
        var most = 0
        for _ in 0..<30 where (5..<65).contains(where: { fixture.reply($0).isEmpty }) {
            // In all longer than any of them may take.
            cluster.pass(milliseconds: 200, by: 20)
            // A step gives a MiB.
            for replica in Array(repeating: fixture.replicas, count: 6).joined() {
                fixture.relieve(replica)
                cluster.with(replica) { $0.noteBacklog(of: outside) }
            }
            ask()
            most = max(most, cluster.with(outside) { $0.forwards.count })
            cluster.with(outside) { $0.checkInvariants(recounting: true) }
        }
        #expect((5..<65).allSatisfy { fixture.reply($0).utf8.count > 200_000 })
        // Replies of 200 KB: no more than the window has room for, and one for each replica.
        #expect(most <= 3 * (AnswerWindow.bytesMax / 200_000 + 1))
    }

    @Test("a read whose reply does not come in time is no write: nothing is unknown")
    func late() {
        let fixture = Fixture("r=1 w=3 timeout=500")
        let (cluster, replica) = (fixture.cluster, fixture.replicas[0])
        let filling = String(repeating: "x", count: 6_000)
        #expect(cluster.run(replica, "SADD \(fixture.key) \(filling)") == ":1\r\n")
        cluster.with(replica) { $0.noteBacklog(of: fixture.outside) }
        fixture.begin(5, "SMEMBERS \(fixture.key)")
        cluster.pass(milliseconds: 1_000, by: 20)
        #expect(fixture.reply(5).hasPrefix("-UNAVAILABLE"))
        // Nobody waits for it any more.
        cluster.frames = []
        fixture.relieve(replica)
        #expect((cluster.frames ?? []).allSatisfy { $0.count < 6_000 })
        #expect(cluster.with(replica) { $0.memoryAccount.replies } == 0)
        #expect(cluster.with(fixture.outside) { $0.counters.unknown } == 0)
    }
}

@Suite("Lists of sides that hear of each other one way")
struct OneWayListTests {
    @Test(
        "what one side pushes in turn stays together, though it hears the other",
        arguments: ["RPUSH", "LPUSH"])
    func together(_ push: String) {
        let cluster = Cluster(4)
        let nodes = (1...4).map { NodeID($0) }
        #expect(
            cluster.run(nodes[0], "KEYSPACE CREATE t n=4 r=1 w=1 conflict=crdt readrepair=0")
                == "+OK\r\n")
        _ = cluster.run(nodes[0], "\(push) t:l x")
        cluster.pass(milliseconds: 3_000, by: 20)
        for from in nodes[..<2] { for to in nodes[2...] { cluster.cut.insert([from, to]) } }
        // Longer than heartbeats are apart, so that the other side is heard after each push.
        for number in 0..<30 {
            _ = cluster.run(nodes[number % 2], "\(push) t:l a\(number)")
            cluster.pass(milliseconds: 220, by: 20)
        }
        for number in 0..<5 { _ = cluster.run(nodes[2 + number % 2], "\(push) t:l c\(number)") }
        cluster.cut = []
        cluster.pass(milliseconds: 8_000, by: 20)
        let replies = nodes.map { cluster.run($0, "LRANGE t:l 0 -1") }
        #expect(Set(replies).count == 1)
        let elements = replies[0].split(separator: "\r\n").filter {
            "axc".contains($0.first ?? "-")
        }
        #expect(elements.count == 36)
        let own = elements.indices.filter { elements[$0].first == "a" }
        #expect(own.count == 30 && (own.last ?? 0) - (own.first ?? 0) == 29, "\(elements)")
    }
}
