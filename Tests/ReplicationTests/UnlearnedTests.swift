import Base
import Ring
import Testing

@testable import Replication

@Suite("A node with an empty disk that has heard nobody")
struct UnlearnedTests {
    private let a = NodeID(1)
    private let b = NodeID(2)
    private let c = NodeID(3)

    @Test("it does not take every key for one of default, whose settings it does not know either")
    func refuses() throws {
        let cluster = Cluster(3)
        cluster.pass(milliseconds: 2_000, by: 10)
        #expect(cluster.run(a, "KEYSPACE CREATE s conflict=siblings r=1 w=1") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE CREATE t conflict=crdt") == "+OK\r\n")
        cluster.journals[c] = []
        try cluster.restartAlone(c, epoch: 2_000)
        cluster.pass(milliseconds: 1_000, by: 10)
        for line in [
            "QSET s:k v W 1", "SET k v W 1", "GET k R 1", "DEL k W 1", "SADD t:x y", "MGET a b",
            "IDEMPOTENCY n SET s:k v",
        ] {
            let reply = cluster.run(c, line)
            #expect(reply.hasPrefix("-UNAVAILABLE this node has an empty disk"), "\(line)")
        }
        #expect(cluster.run(c, "PING") == "+PONG\r\n")
        cluster.meet(c)
        cluster.pass(milliseconds: 3_000, by: 10)
        #expect(cluster.run(c, "SADD t:x y") == ":1\r\n")
        for value in ["one", "two"] { #expect(!cluster.run(c, "QSET s:k \(value)").hasPrefix("-")) }
        #expect(cluster.run(b, "GET s:k R 3").hasPrefix("-SIBLINGS"))
    }
}
