import Base
import Testing

@testable import Replication

private let (a, b, c) = (NodeID(1), NodeID(2), NodeID(3))

/// README: `ttl`, milliseconds after which a write expires.
@Suite("A keyspace's ttl")
struct KeyspaceTTLTests {
    static let policies = ["lww", "siblings"]
    /// What makes a key that is absent, and says nothing of when it expires.
    static let makers = [
        "SET t:k v", "SET t:k v KEEPTTL", "SET t:k v KEEPTTL GET", "SET t:k v NX", "SET t:k v GET",
        "SETNX t:k v", "GETSET t:k v", "APPEND t:k v", "MSET t:k v", "MSET t:k v t:j w",
        "QSET t:k v",
    ]

    private func cluster(_ policy: String, _ nodes: Int = 1) -> Cluster {
        let cluster = Cluster(nodes)
        let made = cluster.run(a, "KEYSPACE CREATE t n=1 r=1 w=1 ttl=500 conflict=\(policy)")
        #expect(made == "+OK\r\n")
        return cluster
    }

    private func left(_ cluster: Cluster, _ node: NodeID = a) -> Int? {
        Int(cluster.run(node, "PTTL t:k").dropFirst().filter { !$0.isNewline })
    }

    @Test("whatever makes a key gives it the time", arguments: policies, makers)
    func made(_ policy: String, _ line: String) throws {
        let cluster = cluster(policy, 3)
        for node in cluster.ids {
            let reply = cluster.run(node, line)
            #expect(!reply.hasPrefix("-"), "\(reply)")
            #expect(1...500 ~= (try #require(left(cluster, node))))
            // What has just expired is absent.
            cluster.pass(milliseconds: 600, by: 50)
            #expect(left(cluster) == -2)
        }
    }

    @Test("so it does with an id and in a transaction", arguments: policies, makers)
    func doors(_ policy: String, _ line: String) throws {
        let cluster = cluster(policy)
        #expect(cluster.run(a, "MULTI") == "+OK\r\n")
        #expect(cluster.run(a, line) == "+QUEUED\r\n")
        _ = cluster.run(a, "EXEC")
        #expect(1...500 ~= (try #require(left(cluster))))
        cluster.pass(milliseconds: 600, by: 50)
        if line.contains("t:j") { return }
        let reply = cluster.run(a, "IDEMPOTENCY x \(line)")
        #expect(!reply.hasPrefix("-"), "\(reply)")
        #expect(1...500 ~= (try #require(left(cluster))))
    }

    @Test("what keeps a key's time keeps that, and none", arguments: policies)
    func kept(_ policy: String) throws {
        for line in ["SET t:k v KEEPTTL", "SET t:k v KEEPTTL XX", "APPEND t:k v"] {
            let cluster = cluster(policy)
            #expect(cluster.run(a, "SET t:k v PX 100000") == "+OK\r\n")
            _ = cluster.run(a, line)
            #expect(99_000...100_000 ~= (try #require(left(cluster))), "\(line)")
            #expect(cluster.run(a, "PERSIST t:k") == ":1\r\n")
            _ = cluster.run(a, line)
            #expect(left(cluster) == -1, "\(line)")
        }
    }

    @Test("typed values take none")
    func typed() {
        let cluster = Cluster(1)
        let made = cluster.run(a, "KEYSPACE CREATE t conflict=crdt ttl=1")
        #expect(made.hasPrefix("-ERR ttl is not"))
        #expect(cluster.run(a, "KEYSPACE CREATE t ttl=1") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE ALTER t conflict=crdt").hasPrefix("-ERR ttl is not"))
    }
}
