import Base
import Causality
import Testing

@testable import Replication

/// Sessions where values merge, and what is refused by name.
@Suite("Sessions on crdt keyspaces")
struct TypedSessionTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)
    let d = NodeID(4)
    let client = ConnectionID(5)

    /// Everything is read from and written to one replica, and nothing is exchanged by itself.
    private func cluster(
        _ settings: String = "conflict=crdt", nodes: Int = 3
    ) -> Cluster {
        let cluster = Cluster(nodes) { _ in }
        let made = cluster.run(
            a, "KEYSPACE CREATE k n=3 r=1 w=1 timeout=300 readrepair=0 \(settings)")
        #expect(made == "+OK\r\n")
        cluster.lostKinds = [12]
        for id in cluster.ids {
            _ = cluster.run(id, "PING")
            cluster.open(id, client)
        }
        return cluster
    }

    private func ask(_ cluster: Cluster, _ node: NodeID, _ line: String) -> String {
        cluster.replies[node]?[client] = []
        cluster.send(node, client, Array((line + "\r\n").utf8))
        cluster.settle()
        return cluster.reply(node, client)
    }

    /// As `ask`, and waits for the answer.
    private func wait(_ cluster: Cluster, _ node: NodeID, _ line: String) -> String {
        var answer = ask(cluster, node, line)
        var waited: UInt64 = 0
        while answer.isEmpty, waited < 2_000 {
            cluster.pass(milliseconds: 5)
            waited += 5
            answer = cluster.reply(node, client)
        }
        return answer
    }

    private func handOver(_ cluster: Cluster, from: NodeID, to: NodeID) {
        let token = ask(cluster, from, "SESSION TOKEN").split(separator: "\r\n").last ?? ""
        #expect(ask(cluster, to, "SESSION USE \(token)") == "+OK\r\n")
    }

    private func sessionKeys(_ cluster: Cluster, _ node: NodeID) -> String? {
        let words = ask(cluster, node, "SESSION").split(separator: "\r\n")
        return words.firstIndex(of: "keys").map { String(words[$0 + 1]) }
    }

    @Test("a read and a change cover what the session wrote, on whatever node")
    func readYourWrites() {
        for line in ["GET k:1", "INCR k:1"] {
            let cluster = cluster()
            #expect(ask(cluster, a, "SESSION ON READ-YOUR-WRITES") == "+OK\r\n")
            cluster.cut = [[a, b], [a, c]]
            #expect(ask(cluster, a, "INCRBY k:1 7") == ":7\r\n")
            cluster.cut = []
            handOver(cluster, from: a, to: c)
            #expect(wait(cluster, c, line) == (line == "GET k:1" ? "$1\r\n7\r\n" : ":8\r\n"))
            #expect(cluster.counters(c).heldReads == 1)
        }
    }

    @Test("a read covers what the session read, on whatever node")
    func monotonicReads() {
        let cluster = cluster()
        cluster.cut = [[a, b], [a, c]]
        #expect(cluster.run(a, "SADD k:1 x") == ":1\r\n")
        cluster.cut = []
        #expect(ask(cluster, a, "SESSION ON MONOTONIC-READS") == "+OK\r\n")
        #expect(ask(cluster, a, "SMEMBERS k:1") == "*1\r\n$1\r\nx\r\n")
        handOver(cluster, from: a, to: b)
        #expect(wait(cluster, b, "SMEMBERS k:1") == "*1\r\n$1\r\nx\r\n")
        #expect(cluster.counters(b).heldReads == 1)
    }

    @Test("what is out of reach is refused, never left out")
    func refused() {
        let cluster = cluster()
        #expect(ask(cluster, a, "SESSION ON") == "+OK\r\n")
        cluster.cut = [[a, b], [a, c]]
        #expect(ask(cluster, a, "INCR k:1") == ":1\r\n")
        let token = ask(cluster, a, "SESSION TOKEN").split(separator: "\r\n").last ?? ""
        cluster.cut.formUnion([[b, a], [c, a]])
        #expect(ask(cluster, c, "SESSION USE \(token)") == "+OK\r\n")
        #expect(wait(cluster, c, "GET k:1").hasPrefix("-SESSION "))
        #expect(wait(cluster, c, "INCR k:1").hasPrefix("-SESSION "))
        #expect(cluster.run(c, "GET k:1") == "$-1\r\n")
    }

    @Test("a session learns of what other nodes did for it")
    func forwarded() {
        let cluster = cluster(nodes: 4)
        for index in 0..<8 { #expect(cluster.run(a, "INCR k:\(index)") == ":1\r\n") }
        for node in cluster.ids {
            #expect(ask(cluster, node, "SESSION ON") == "+OK\r\n")
            for index in 0..<8 {
                #expect(wait(cluster, node, "GET k:\(index)") == "$1\r\n1\r\n")
                #expect(wait(cluster, node, "SADD k:s\(index) \(node.rawValue)") == ":1\r\n")
            }
            #expect(sessionKeys(cluster, node) == ":16")
        }
    }

    @Test("deltas are counted by whoever sends and whoever takes them")
    func deltas() {
        let cluster = cluster()
        cluster.lostKinds = []
        cluster.pass(milliseconds: 10_000)
        for index in 0..<20 { _ = cluster.run(cluster.ids[index % 3], "INCR k:1") }
        cluster.lostKinds = [12]
        cluster.pass(milliseconds: 1_000)
        #expect(ask(cluster, b, "RECEIPT ON") == "+OK\r\n")
        #expect(ask(cluster, b, "GET k:1") == "$2\r\n20\r\n")
        let receipt = ask(cluster, b, "RECEIPT LAST").split(separator: "\r\n")
        let age = receipt.firstIndex(of: "age").flatMap { Int(receipt[$0 + 2]) }
        #expect(age.map { $0 < 500 } == true, "\(receipt)")
    }

    @Test("a bound on staleness is refused where no age is known")
    func staleness() {
        let cluster = cluster()
        let refusal = "-MODE STALENESS is not for conflict=crdt\r\n"
        #expect(ask(cluster, a, "GET k:1 STALENESS 2s") == refusal)
        #expect(ask(cluster, a, "CONSISTENCY STALENESS 2s") == "+OK\r\n")
        #expect(ask(cluster, a, "GET k:1") == refusal)
        #expect(ask(cluster, a, "INCR k:1") == ":1\r\n")
        let sloppy = self.cluster("sloppy=on", nodes: 4)
        let answer = ask(sloppy, a, "GET k:1 STALENESS 2s")
        #expect(answer == "-MODE STALENESS is not for sloppy=on\r\n")
    }
}
