import Base
import Testing

@testable import Replication

@Suite("Many members at once, and keys whose time is over")
struct ManyMembersTests {
    private let a = NodeID(1)

    @Test("SADD of 45,115 short members at once is taken by three replicas")
    func sadd() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE t n=3 conflict=crdt") == "+OK\r\n")
        let connection = ConnectionID(1)
        cluster.open(a, connection)
        let members = (0..<45_115).map { String($0) }
        #expect(cluster.ask(a, connection, ["SADD", "t:s"] + members) == ":45115\r\n")
        for node in cluster.ids {
            #expect(cluster.run(node, "SCARD t:s R 1") == ":45115\r\n")
            #expect(cluster.run(node, "SISMEMBER t:s 45114 R 1") == ":1\r\n")
        }
    }

    @Test(
        "DBSIZE counts no key for longer after its time than clocks may differ, and a heartbeat",
        arguments: ["lww", "siblings", "crdt"], [1, 3])
    func expired(conflict: String, nodes: Int) {
        let cluster = Cluster(nodes)
        #expect(cluster.run(a, "KEYSPACE CREATE k n=\(nodes) conflict=\(conflict)") == "+OK\r\n")
        for key in 0..<200 {
            #expect(cluster.run(a, "SET k:\(key) v PX 1000 W ALL") == "+OK\r\n")
        }
        #expect(cluster.run(a, "SET k:stays v W ALL") == "+OK\r\n")
        for node in cluster.ids { #expect(cluster.run(node, "DBSIZE") == ":201\r\n") }
        cluster.pass(milliseconds: 1_000 + (nodes == 1 ? 0 : 1_000) + 250)
        for node in cluster.ids {
            #expect(cluster.run(node, "DBSIZE") == ":1\r\n")
            #expect(cluster.run(node, "INFO keyspace").contains("db0:keys=1,expires=0,"))
        }
    }
}
