import Base
import Membership
import Testing

@testable import Replication

/// Three nodes whose members watch each other quickly.
private func watched() -> Cluster {
    Cluster(3) { configuration in
        configuration.membership.probeIntervalMilliseconds = 100
        configuration.membership.probeTimeoutMilliseconds = 50
        configuration.membership.exchangeIntervalMilliseconds = 200
    }
}

private let (a, b, c) = (NodeID(1), NodeID(2), NodeID(3))

@Suite("Members of a cluster watch each other over their links")
struct MemberTests {
    private func state(_ cluster: Cluster, _ node: NodeID, of other: NodeID) -> MemberState? {
        cluster.with(node) { $0.membership.member(other)?.record.state }
    }

    @Test("nodes that are linked know each other, and one that falls silent is declared dead")
    func silence() {
        let cluster = watched()
        cluster.pass(milliseconds: 500)
        #expect(
            cluster.ids.allSatisfy { node in
                cluster.ids.allSatisfy { state(cluster, node, of: $0) == .alive }
            })
        for other in [a, b] { cluster.cut.formUnion([[c, other], [other, c]]) }
        cluster.pass(milliseconds: 6_000)
        #expect(state(cluster, a, of: c) == .dead && state(cluster, b, of: c) == .dead)
        #expect(cluster.with(a) { $0.linksUp } == 1)
        // The link is up, but nothing is asked of the dead node any more.
        #expect(cluster.run(a, "SET k v W 3").hasPrefix("-UNAVAILABLE"))
        #expect(cluster.run(a, "SET k v W 2") == "+OK\r\n")
        cluster.cut = []
        cluster.pass(milliseconds: 2_000)
        #expect(state(cluster, a, of: c) == .alive && state(cluster, c, of: a) == .alive)
        #expect(cluster.run(a, "SET k v W 3") == "+OK\r\n")
    }

    @Test("a node that stops in good order has left, and its next life is welcome")
    func leaving() throws {
        let cluster = watched()
        cluster.pass(milliseconds: 500)
        cluster.step(c, .stopping)
        cluster.settle()
        #expect(state(cluster, a, of: c) == .left && state(cluster, b, of: c) == .left)
        try cluster.restart(c, epoch: 2, on: cluster.journals[c] ?? [])
        cluster.pass(milliseconds: 1_000)
        #expect(state(cluster, a, of: c) == .alive)
    }

    @Test("what waits for a node is told UNKNOWN when the members declare it dead, link or not")
    func declaredDead() {
        let cluster = Cluster(3)
        cluster.pass(milliseconds: 2_000)
        cluster.isolate(NodeID(3))
        let waiting = ConnectionID(5)
        cluster.open(NodeID(1), waiting)
        cluster.send(NodeID(1), waiting, Array("SET k v W ALL TIMEOUT 600000\r\n".utf8))
        for _ in 0..<60 where cluster.reply(NodeID(1), waiting).isEmpty {
            cluster.pass(milliseconds: 1_000)
        }
        #expect(cluster.reply(NodeID(1), waiting).hasPrefix("-UNKNOWN 2 of 3"))
        #expect(cluster.run(NodeID(1), "KEYSPACE CREATE late n=3") == "+OK\r\n")
        cluster.cut = []
        cluster.pass(milliseconds: 7_000)
        #expect(cluster.run(NodeID(3), "SET late:k v W 3") == "+OK\r\n")
    }

    @Test("nobody is taken out without being asked twice where no quorum of the others is left")
    func noQuorumLeft() {
        let cluster = watched()
        cluster.pass(milliseconds: 500)
        #expect(cluster.run(a, "CLUSTER FORGET 3 now").hasPrefix("-ERR syntax error"))
        #expect(cluster.run(a, "CLUSTER FORGET 3") == "+OK\r\n")
        let refusal = cluster.run(a, "CLUSTER FORGET 2")
        #expect(refusal.contains("too few replicas") && refusal.contains("FORGET 2 FORCE"))
        #expect(state(cluster, a, of: b) == .alive)
        #expect(cluster.run(a, "CLUSTER FORGET 1").hasPrefix("-ERR I tried hard"))
        #expect(cluster.run(a, "CLUSTER FORGET 2 force") == "+OK\r\n")
        #expect(state(cluster, a, of: b) == .removed)
    }

    @Test("a node that was forgotten is out everywhere, in whatever life, until it is readmitted")
    func removal() throws {
        let cluster = watched()
        cluster.pass(milliseconds: 500)
        #expect(cluster.run(a, "CLUSTER FORGET 1").hasPrefix("-ERR I tried hard"))
        #expect(cluster.run(a, "CLUSTER FORGET 9").hasPrefix("-ERR Unknown node"))
        #expect(cluster.run(a, "CLUSTER FORGET 3") == "+OK\r\n")
        cluster.pass(milliseconds: 2_000)
        #expect(state(cluster, b, of: c) == .removed)
        #expect(cluster.run(c, "GET k").hasPrefix("-REMOVED"))
        // What is emptied needs the nodes that are members; another n needs whoever may return.
        #expect(cluster.run(a, "SET k v") == "+OK\r\n")
        let refusal = cluster.run(a, "KEYSPACE ALTER default n=2")
        #expect(refusal.contains("taken out by CLUSTER FORGET"))
        #expect(cluster.run(a, "FLUSHALL") == "+OK\r\n")
        #expect(cluster.run(b, "GET k") == "$-1\r\n")
        // The journal remembers it, and no later life is greeted.
        try cluster.restart(b, epoch: 2, on: cluster.journals[b] ?? [])
        #expect(state(cluster, b, of: c) == .removed)
        cluster.pass(milliseconds: 2_000)
        let later = Hello(
            clusterID: 7, identity: ReplicaIdentity(node: c, epoch: 9), recipient: b,
            ringDigest: cluster.with(c) { $0.hello(to: b).ringDigest })
        _ = cluster.with(b) { node in
            #expect(throws: LinkRefusal.removed(c)) { try node.admit(later, dialled: nil) }
        }
        #expect(cluster.run(b, "CLUSTER READMIT 3").hasPrefix("+OK node 3 is let in again"))
        cluster.with(b) { node in
            #expect(throws: Never.self) { try node.admit(later, dialled: nil) }
        }
        #expect(cluster.run(b, "CLUSTER READMIT 3").hasPrefix("-ERR node 3 was not forgotten"))
    }
}
