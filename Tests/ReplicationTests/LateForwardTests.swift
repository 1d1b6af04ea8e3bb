import Base
import Ring
import Testing

@testable import Replication

@Suite("A write that reaches its replica late")
struct LateForwardTests {
    /// Four nodes, a key of which one of them has no replica, and a client of that one which has
    /// given up a write that is still on its way.
    private struct Fixture {
        let cluster: Cluster
        let key = "k:key"
        let outside: NodeID
        let client = ConnectionID(7)

        /// - Parameter milliseconds: how long the write is on its way.
        init(_ policy: String, session: Bool, late milliseconds: UInt64) {
            cluster = Cluster(4)
            let settings = "n=3 conflict=\(policy) timeout=1000"
            #expect(cluster.run(NodeID(1), "KEYSPACE CREATE k \(settings)") == "+OK\r\n")
            let text = key
            let list = cluster.with(NodeID(1)) { node in
                Array(text.utf8).withUnsafeBytes {
                    Array(node.ring.preferenceList(of: KeyRange(Slot(key: $0))))
                }
            }
            outside = list[3]
            cluster.open(outside, client)
            if session { #expect(send("SESSION ON") == "+OK\r\n") }
            cluster.slow[[outside, list[0]]] = milliseconds
            #expect(send("SET \(key) early") == "")
            cluster.slow = [:]
            cluster.pass(milliseconds: 1_110)
            #expect(cluster.reply(outside, client).hasPrefix("-UNKNOWN "))
        }

        func send(_ line: String) -> String {
            cluster.replies[outside]?[client] = nil
            cluster.send(outside, client, Array("\(line)\r\n".utf8))
            cluster.settle()
            return cluster.reply(outside, client)
        }
    }

    @Test(
        "nothing comes of it long after the client has given it up",
        arguments: ["lww", "siblings", "crdt"])
    func givenUp(_ policy: String) {
        let fixture = Fixture(policy, session: false, late: 5_000)
        #expect(fixture.send("SET k:key later").hasSuffix("+OK\r\n"))
        fixture.cluster.pass(milliseconds: 8_000, by: 2)
        for id in fixture.cluster.ids {
            #expect(fixture.cluster.run(id, "GET k:key") == "$5\r\nlater\r\n")
        }
    }

    @Test(
        "what a session writes after it wins, and is no later than its time",
        arguments: ["lww", "crdt"], [1_120, 1_180])
    func session(_ policy: String, late milliseconds: UInt64) {
        let fixture = Fixture(policy, session: true, late: milliseconds)
        let ahead = fixture.cluster.with(fixture.outside) { node in
            Int(node.clock.latest.milliseconds) - Int(node.now.wallMilliseconds)
        }
        #expect(ahead < 20)
        #expect(fixture.send("SET k:key later").hasSuffix("+OK\r\n"))
        fixture.cluster.pass(milliseconds: 3_000, by: 2)
        for id in fixture.cluster.ids {
            #expect(fixture.cluster.run(id, "GET k:key") == "$5\r\nlater\r\n")
        }
    }
}
