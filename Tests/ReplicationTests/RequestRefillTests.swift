import Base
import Testing

@testable import Replication

@Suite("A node that lost its disk is told which request ids are taken")
struct RequestRefillTests {
    private let a = NodeID(1)
    private let b = NodeID(2)
    private let c = NodeID(3)

    private func cluster() -> Cluster {
        let cluster = Cluster(3) { configuration in
            for (name, lines) in [
                ("t", ["durability=fsync", "conflict=crdt"]), ("l", ["durability=fsync"]),
            ] {
                var keyspace = KeyspaceSettings()
                for line in lines { #expect(keyspace.set(line) == nil) }
                configuration.keyspaces.append((Array(name.utf8), keyspace))
            }
        }
        cluster.pass(milliseconds: 3_000)
        return cluster
    }

    private func lose(_ id: NodeID, _ cluster: Cluster, epoch: UInt64) throws {
        try cluster.restart(id, epoch: epoch, on: [])
        cluster.pass(milliseconds: 5_000)
        #expect(cluster.with(id) { !$0.isRefilling })
    }

    @Test("also when the disks of all are replaced, one after the other")
    func allReplaced() throws {
        let cluster = cluster()
        for number in 0..<40 {
            #expect(cluster.run(a, "IDEMPOTENCY n INCR t:n\(number)") == ":1\r\n")
            #expect(cluster.run(b, "IDEMPOTENCY s SET l:k\(number) first") == "+OK\r\n")
            #expect(cluster.run(c, "SET l:k\(number) later") == "+OK\r\n")
            #expect(cluster.run(c, "IDEMPOTENCY d SET l:gone\(number) x") == "+OK\r\n")
            #expect(cluster.run(a, "DEL l:gone\(number)") == ":1\r\n")
        }
        for id in [c, b, a] { try lose(id, cluster, epoch: 2) }
        for number in 0..<40 {
            for id in cluster.ids {
                #expect(cluster.run(id, "IDEMPOTENCY n INCR t:n\(number)") == ":1\r\n")
                #expect(cluster.run(id, "IDEMPOTENCY s SET l:k\(number) first") == "+OK\r\n")
                #expect(cluster.run(id, "GET l:k\(number)") == "$5\r\nlater\r\n")
                #expect(cluster.run(id, "IDEMPOTENCY d SET l:gone\(number) x") == "+OK\r\n")
                #expect(cluster.run(id, "GET l:gone\(number)") == "$-1\r\n")
            }
        }
    }

    @Test("a replica that was away when the id was used does not stand for the one that lost it")
    func awayMeanwhile() throws {
        let cluster = cluster()
        for other in [a, c] { cluster.unlink(b, other) }
        cluster.pass(milliseconds: 1_000)
        for number in 0..<40 {
            #expect(cluster.run(a, "IDEMPOTENCY n INCR t:n\(number)") == ":1\r\n")
        }
        for other in [a, c] {
            cluster.link(b, other)
            cluster.link(other, b)
        }
        cluster.pass(milliseconds: 3_000)
        try lose(c, cluster, epoch: 2)
        for other in [b, c] { cluster.unlink(a, other) }
        cluster.pass(milliseconds: 1_000)
        for number in 0..<40 {
            #expect(cluster.run(b, "IDEMPOTENCY n INCR t:n\(number)") == ":1\r\n")
        }
    }

    @Test("more than a page of them, and none is granted before all are told")
    func pages() throws {
        let cluster = cluster()
        for number in 0..<3_000 {
            #expect(cluster.run(a, "IDEMPOTENCY n\(number) INCR t:n") == ":\(number + 1)\r\n")
        }
        try cluster.restart(c, epoch: 2, on: [])
        var answers = 0
        for _ in 0..<60 where cluster.with(c, { $0.isRefilling }) {
            let reply = cluster.run(c, "IDEMPOTENCY n2999 INCR t:n")
            if !reply.hasPrefix("-") {
                #expect(reply == ":3000\r\n")
                answers += 1
            }
            cluster.pass(milliseconds: 100)
        }
        #expect(cluster.with(c) { !$0.isRefilling && $0.requestIDs.ledger.count == 3_000 })
        #expect(cluster.run(c, "IDEMPOTENCY n0 INCR t:n") == ":1\r\n")
    }

    @Test("an id whose outcome only its node knew is not executed anew when that lost its disk")
    func outcomeLost() throws {
        let cluster = cluster()
        cluster.lostKinds = [44]
        for (key, request) in [("t:l", "RPUSH t:l x"), ("l:k", "SET l:k first")] {
            #expect(!cluster.run(c, "IDEMPOTENCY n \(request)").hasPrefix("-"))
            #expect(cluster.run(a, "EXISTS \(key)") == ":1\r\n")
        }
        cluster.lostKinds = []
        #expect(cluster.run(a, "SET l:k second") == "+OK\r\n")
        try lose(c, cluster, epoch: 2)
        for id in [a, b, c] {
            for request in ["RPUSH t:l x", "SET l:k first"] {
                let reply = cluster.run(id, "IDEMPOTENCY n \(request)")
                #expect(reply.hasPrefix("-UNKNOWN "), "\(reply)")
            }
        }
        cluster.pass(milliseconds: 1_000)
        #expect(cluster.run(a, "LLEN t:l") == ":1\r\n")
        #expect(cluster.run(b, "GET l:k") == "$6\r\nsecond\r\n")
    }

    @Test("what was emptied away meanwhile does not hold up the refill")
    func emptiedMeanwhile() throws {
        let cluster = cluster()
        cluster.journals[c] = []
        try cluster.restartAlone(c, epoch: 2)
        cluster.link(a, c)
        cluster.link(c, a)
        cluster.pass(milliseconds: 500)
        #expect(cluster.run(a, "IDEMPOTENCY n INCR t:n") == ":1\r\n")
        #expect(cluster.run(a, "IDEMPOTENCY n INCR t:other") == ":1\r\n")
        #expect(cluster.run(b, "IDEMPOTENCY s SET l:k v") == "+OK\r\n")
        #expect(cluster.run(a, "FLUSHALL") == "+OK\r\n")
        #expect(cluster.run(b, "INCR t:n") == ":1\r\n")
        #expect(cluster.with(c) { $0.isRefilling })
        cluster.link(b, c)
        cluster.link(c, b)
        cluster.pass(milliseconds: 5_000)
        #expect(cluster.with(c) { !$0.isRefilling })
        for id in cluster.ids { #expect(cluster.run(id, "GET t:n") == "$1\r\n1\r\n") }
    }
}
