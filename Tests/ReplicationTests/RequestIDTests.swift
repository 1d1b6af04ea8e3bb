import Base
import Causality
import Coding
import Testing

@testable import Replication

@Suite("A request with an id takes effect once")
struct RequestIDTests {
    private let a = NodeID(1)
    private let b = NodeID(2)
    private let c = NodeID(3)

    private func cluster(_ settings: [String] = []) -> Cluster {
        Cluster(3) { configuration in
            configuration.keyspaces = ["lww", "siblings", "crdt"].map { conflict in
                var keyspace = KeyspaceSettings()
                for setting in ["conflict=\(conflict)"] + settings {
                    #expect(keyspace.set(setting) == nil)
                }
                return (Array(conflict.utf8), keyspace)
            }
        }
    }

    private func expectAlike(_ cluster: Cluster, _ line: String, _ reply: String) {
        cluster.pass(milliseconds: 5_000, by: 5)
        for id in cluster.ids {
            #expect(cluster.run(id, line) == reply, "\(line) on \(id)")
            cluster.with(id) { $0.checkInvariants(recounting: true) }
        }
    }

    /// Each command, what it answers, and how its effect is looked at.
    private static let commands: [(line: String, reply: String, look: String, seen: String)] = [
        ("INCR crdt:n", ":1\r\n", "GET crdt:n", "$1\r\n1\r\n"),
        ("INCRBYFLOAT crdt:f 1.5", "$3\r\n1.5\r\n", "GET crdt:f", "$3\r\n1.5\r\n"),
        ("HINCRBY crdt:h f 4", ":4\r\n", "HGET crdt:h f", "$1\r\n4\r\n"),
        ("ZINCRBY crdt:z 2 m", "$1\r\n2\r\n", "ZSCORE crdt:z m", "$1\r\n2\r\n"),
        ("RPUSH crdt:l x", ":1\r\n", "LLEN crdt:l", ":1\r\n"),
        ("SADD crdt:s x y", ":2\r\n", "SCARD crdt:s", ":2\r\n"),
        ("SET crdt:t v", "+OK\r\n", "GET crdt:t", "$1\r\nv\r\n"),
        ("QSET siblings:k v", "+OK\r\n", "QGET siblings:k", ""),
        ("SET siblings:p v", "+OK\r\n", "GET siblings:p", "$1\r\nv\r\n"),
        ("SET lww:k v", "+OK\r\n", "GET lww:k", "$1\r\nv\r\n"),
    ]

    @Test("whatever the type and through whichever node, it answers as it did", arguments: 0..<10)
    func everyCommand(_ index: Int) {
        let command = RequestIDTests.commands[index]
        let cluster = cluster()
        let request = "IDEMPOTENCY id-1 \(command.line)"
        for _ in 0..<2 {
            for id in cluster.ids { #expect(cluster.run(id, request) == command.reply) }
        }
        if command.seen.isEmpty {
            #expect(cluster.run(a, command.look).hasPrefix("*2\r\n"))
        } else {
            expectAlike(cluster, command.look, command.seen)
        }
        let repeated = cluster.ids.reduce(0) { $0 + cluster.counters($1).requestsRepeated }
        #expect(repeated == 5)
    }

    @Test("planted: replicas that forget ids let a request that is sent again count twice")
    func planted() {
        let cluster = Cluster(3) { configuration in
            configuration.plantedBug = .requestIDForgotten
            var keyspace = KeyspaceSettings()
            #expect(keyspace.set("conflict=crdt") == nil)
            configuration.keyspaces = [(Array("crdt".utf8), keyspace)]
        }
        #expect(cluster.run(a, "IDEMPOTENCY x INCR crdt:n") == ":1\r\n")
        #expect(cluster.run(b, "IDEMPOTENCY x INCR crdt:n") == ":2\r\n")
    }

    @Test("another id is another request, and the same id of another key is one too")
    func otherIDs() {
        let cluster = cluster()
        #expect(cluster.run(a, "IDEMPOTENCY x INCR crdt:n") == ":1\r\n")
        #expect(cluster.run(b, "IDEMPOTENCY y INCR crdt:n") == ":2\r\n")
        #expect(cluster.run(c, "IDEMPOTENCY x INCR crdt:m") == ":1\r\n")
        #expect(cluster.run(c, "IDEMPOTENCY x INCR crdt:n") == ":1\r\n")
        expectAlike(cluster, "GET crdt:n", "$1\r\n2\r\n")
    }

    @Test("a SET that is sent again does not undo what was written after it")
    func laterWrite() {
        let cluster = cluster()
        #expect(cluster.run(a, "IDEMPOTENCY x SET lww:k old") == "+OK\r\n")
        #expect(cluster.run(b, "SET lww:k new") == "+OK\r\n")
        for id in cluster.ids {
            #expect(cluster.run(id, "IDEMPOTENCY x SET lww:k old") == "+OK\r\n")
        }
        expectAlike(cluster, "GET lww:k", "$3\r\nnew\r\n")
    }

    @Test("a coordinator without a majority does nothing, and another one does it once")
    func minority() {
        let cluster = cluster()
        cluster.isolate(a)
        _ = cluster.run(a, "IDEMPOTENCY x INCR crdt:n")
        cluster.pass(milliseconds: 2_000)
        #expect(cluster.reply(a).hasPrefix("-UNAVAILABLE"))
        #expect(cluster.run(b, "IDEMPOTENCY x INCR crdt:n") == ":1\r\n")
        cluster.cut = []
        cluster.pass(milliseconds: 2_000)
        #expect(cluster.run(a, "IDEMPOTENCY x INCR crdt:n") == ":1\r\n")
        expectAlike(cluster, "GET crdt:n", "$1\r\n1\r\n")
    }

    @Test("an effect that reached nobody is asked for at its coordinator, never done again")
    func effectUnderway() {
        let cluster = cluster()
        cluster.lostKinds = [1, Node.deltaKind, 44]
        _ = cluster.run(a, "IDEMPOTENCY x INCR crdt:n")
        cluster.isolate(a)
        _ = cluster.run(b, "IDEMPOTENCY x INCR crdt:n")
        cluster.pass(milliseconds: 2_000)
        #expect(cluster.reply(b).hasPrefix("-UNKNOWN node 1 began this request"))
        cluster.cut = []
        cluster.lostKinds = []
        cluster.pass(milliseconds: 500)
        #expect(cluster.run(b, "IDEMPOTENCY x INCR crdt:n") == ":1\r\n")
        expectAlike(cluster, "GET crdt:n", "$1\r\n1\r\n")
    }

    @Test(
        "another node answers for the id, whatever request came meanwhile",
        arguments: [
            "PING", "*3\r\n$3\r\nSET\r\n$5\r\nlww:k\r\n$9\r\nha", "*0", "", "QSET siblings:k v",
        ])
    func redirected(_ other: String) {
        let cluster = cluster()
        cluster.lostKinds = [1, Node.deltaKind, 44]
        _ = cluster.run(a, "IDEMPOTENCY x INCR crdt:n")
        cluster.lostKinds = []
        for connection in [5, 6] as [UInt32] {
            cluster.open(b, ConnectionID(connection))
        }
        cluster.send(b, ConnectionID(5), Array("IDEMPOTENCY x INCR crdt:n\r\n".utf8))
        cluster.send(b, ConnectionID(6), Array("\(other)\r\n".utf8))
        cluster.pass(milliseconds: 1_000, by: 5)
        #expect(cluster.reply(b, ConnectionID(5)) == ":1\r\n")
        #expect(cluster.counters(b).forwarded > 0)
        expectAlike(cluster, "GET crdt:n", "$1\r\n1\r\n")
    }

    @Test("a restart keeps it, of the coordinator and of those that granted the claim")
    func restart() throws {
        for settings in [["durability=fsync"], ["durability=interval(1000)"]] {
            let cluster = cluster(settings)
            cluster.pass(milliseconds: 3_000)
            #expect(cluster.run(a, "IDEMPOTENCY x INCR crdt:n") == ":1\r\n")
            for (epoch, id) in zip(2..., cluster.ids) {
                try cluster.restart(
                    id, epoch: UInt64(epoch), on: cluster.journals[id] ?? [], after: 1)
                cluster.pass(milliseconds: 3_000)
                for other in cluster.ids {
                    #expect(cluster.run(other, "IDEMPOTENCY x INCR crdt:n") == ":1\r\n")
                }
            }
            expectAlike(cluster, "GET crdt:n", "$1\r\n1\r\n")
        }
    }

    @Test("a coordinator that died with its claim has not executed it, and its next life says so")
    func claimOnly() throws {
        let cluster = cluster(["durability=fsync"])
        cluster.pass(milliseconds: 3_000)
        // The claim leaves, the grants come back too late.
        for other in [b, c] { cluster.cut.insert([other, a]) }
        _ = cluster.run(a, "IDEMPOTENCY x INCR crdt:n")
        try cluster.restart(a, epoch: 2, on: cluster.journals[a] ?? [], after: 1)
        cluster.cut = []
        cluster.pass(milliseconds: 3_000)
        #expect(cluster.run(b, "IDEMPOTENCY x INCR crdt:n") == ":1\r\n")
        expectAlike(cluster, "GET crdt:n", "$1\r\n1\r\n")
    }

    @Test("an outcome whose effect the journal lost is not taken for one")
    func tornJournal() throws {
        let cluster = cluster(["durability=fsync", "n=1"])
        cluster.pass(milliseconds: 3_000)
        let owner = cluster.ids.first { id in
            cluster.with(id) { node in
                Array("crdt:n".utf8).withUnsafeBytes { node.isReplica(of: node.place(of: $0)) }
            }
        }
        let id = try #require(owner)
        #expect(cluster.run(id, "IDEMPOTENCY x INCR crdt:n") == ":1\r\n")
        let journal = cluster.journals[id] ?? []
        let outcome = try #require(journal.firstIndex { $0[0] == JournalKind.request.rawValue })
        #expect(journal[outcome + 1][0] == JournalKind.delta.rawValue)
        try cluster.restart(id, epoch: 2, on: Array(journal[...outcome]), after: 1)
        cluster.pass(milliseconds: 3_000)
        #expect(cluster.run(id, "IDEMPOTENCY x INCR crdt:n") == ":1\r\n")
        #expect(cluster.run(id, "GET crdt:n") == "$1\r\n1\r\n")
    }

    @Test("a checkpoint has claims and outcomes")
    func checkpoint() throws {
        let cluster = cluster(["durability=fsync"])
        cluster.pass(milliseconds: 3_000)
        for number in 0..<20 {
            #expect(cluster.run(a, "IDEMPOTENCY \(number) INCR crdt:n") == ":\(number + 1)\r\n")
        }
        for id in cluster.ids {
            var payloads: [[UInt8]] = []
            var cursor: UInt64?
            repeat {
                var buffer = ByteBuffer(capacity: 64)
                cursor = cluster.with(id) {
                    $0.exportState(from: cursor, bytesMax: 1, into: &buffer)
                }
                var reader = ByteReader(buffer.bytes)
                while reader.remaining > 0 {
                    let length = Int(try reader.integer(UInt32.self))
                    payloads.append(Array(try reader.slice(length)))
                }
            } while cursor != nil
            try cluster.restart(id, epoch: 2, on: payloads, after: 1)
            cluster.pass(milliseconds: 3_000)
        }
        for id in cluster.ids {
            #expect(cluster.run(id, "IDEMPOTENCY 7 INCR crdt:n") == ":8\r\n")
        }
        expectAlike(cluster, "GET crdt:n", "$2\r\n20\r\n")
    }

    @Test("ten minutes later it is a new request, and nothing is left of the old one")
    func lifetime() {
        let cluster = cluster()
        #expect(cluster.run(a, "IDEMPOTENCY x INCR crdt:n") == ":1\r\n")
        cluster.pass(milliseconds: 590_000, by: 500)
        #expect(cluster.run(b, "IDEMPOTENCY x INCR crdt:n") == ":1\r\n")
        cluster.pass(milliseconds: 20_000, by: 500)
        #expect(cluster.with(a) { $0.requestIDs.ledger.count } == 0)
        #expect(cluster.run(b, "IDEMPOTENCY x INCR crdt:n") == ":2\r\n")
    }

    @Test("clocks that are set hours ahead end no id early")
    func clocksAreSet() {
        let cluster = cluster()
        #expect(cluster.run(a, "IDEMPOTENCY x RPUSH crdt:l v") == ":1\r\n")
        for id in cluster.ids { cluster.wall[id, default: 0] += 3 * 3_600_000 }
        cluster.pass(milliseconds: 3_000)
        for id in cluster.ids {
            #expect(cluster.run(id, "IDEMPOTENCY x RPUSH crdt:l v") == ":1\r\n")
        }
        expectAlike(cluster, "LLEN crdt:l", ":1\r\n")
    }

    @Test(
        "a node that restarts under a clock that is hours wrong keeps ids as long as others do",
        arguments: [3, -3])
    func restartsUnderWrongClock(hours: Int64) throws {
        let cluster = cluster()
        #expect(cluster.run(a, "KEYSPACE CREATE one n=1 durability=fsync") == "+OK\r\n")
        for number in 0..<9 {
            #expect(cluster.run(b, "IDEMPOTENCY x SET one:k\(number) 1") == "+OK\r\n")
        }
        for number in 0..<9 { #expect(cluster.run(b, "SET one:k\(number) 2") == "+OK\r\n") }
        for id in cluster.ids {
            let right = cluster.wall[id, default: 0]
            cluster.wall[id] = UInt64(Int64(right) + hours * 3_600_000)
            try cluster.restart(id, epoch: 2, on: cluster.journals[id] ?? [], after: 1)
            cluster.pass(milliseconds: 3_000)
            cluster.wall[id] = right
            cluster.pass(milliseconds: 1_000)
        }
        for number in 0..<9 {
            #expect(cluster.run(c, "IDEMPOTENCY x SET one:k\(number) 1") == "+OK\r\n")
            #expect(cluster.run(c, "GET one:k\(number)") == "$1\r\n2\r\n")
        }
        cluster.pass(milliseconds: 600_000, by: 500)
        for id in cluster.ids { #expect(cluster.with(id) { $0.requestIDs.ledger.count } == 0) }
    }

    @Test("an id that was used for one command is no other's, on any node")
    func otherCommand() {
        let cluster = cluster()
        #expect(cluster.run(a, "IDEMPOTENCY x INCR crdt:n") == ":1\r\n")
        for line in ["INCRBY crdt:n 7", "INCR crdt:n W 1", "SADD crdt:n x"] {
            for id in cluster.ids {
                #expect(
                    cluster.run(id, "IDEMPOTENCY x \(line)")
                        == "-ERR this request id was used for another command on this key\r\n")
            }
        }
        #expect(cluster.run(b, "idempotency x incr crdt:n") == ":1\r\n")
        expectAlike(cluster, "GET crdt:n", "$1\r\n1\r\n")
    }

    @Test("what could not be told again is refused before it takes effect")
    func largeReplies() {
        let cluster = cluster()
        let filling = String(repeating: "x", count: 100)
        for group in 0..<20 {
            let members = (0..<50).map { "\(group * 50 + $0)\(filling)" }
            _ = cluster.run(a, "SADD crdt:s " + members.joined(separator: " "))
        }
        #expect(cluster.run(a, "KEYSPACE CREATE one n=1") == "+OK\r\n")
        for key in ["crdt:k", "one:k"] {
            _ = cluster.run(a, "SET \(key) " + String(repeating: "y", count: 60_000))
            _ = cluster.run(a, "APPEND \(key) " + String(repeating: "y", count: 10_000))
        }
        for line in ["SPOP crdt:s 900", "GETDEL one:k", "SET one:k z GET", "GETDEL crdt:k"] {
            #expect(cluster.run(b, "IDEMPOTENCY x \(line)").hasPrefix("-ERR a reply of more"))
        }
        #expect(cluster.run(c, "STRLEN one:k") == ":70000\r\n")
        expectAlike(cluster, "STRLEN crdt:k", ":70000\r\n")
        expectAlike(cluster, "SCARD crdt:s", ":1000\r\n")
        let popped = cluster.run(b, "IDEMPOTENCY x SPOP crdt:s 100")
        #expect(popped.hasPrefix("*100\r\n"))
        #expect(cluster.run(c, "IDEMPOTENCY x SPOP crdt:s 100") == popped)
        expectAlike(cluster, "SCARD crdt:s", ":900\r\n")
    }

    @Test("what it cannot do is refused by name before anything has happened")
    func refusals() {
        let cluster = cluster()
        let long = String(repeating: "i", count: 65)
        #expect(cluster.run(a, "IDEMPOTENCY \(long) INCR crdt:n").hasPrefix("-ERR a request id"))
        for line in [
            "GET lww:k", "DEL lww:k lww:l", "MSET lww:k 1 lww:l 2", "PING x", "FLUSHALL ASYNC",
        ] {
            let reply = cluster.run(a, "IDEMPOTENCY x \(line)")
            #expect(reply == "-ERR IDEMPOTENCY takes a command that changes one key\r\n")
        }
        #expect(cluster.run(a, "IDEMPOTENCY x NOSUCH k").hasPrefix("-ERR unknown command"))
        #expect(cluster.run(a, "IDEMPOTENCY x IDEMPOTENCY y INCR crdt:n").hasPrefix("-ERR"))
        #expect(cluster.run(a, "IDEMPOTENCY x INCR").hasPrefix("-ERR wrong number"))
        // An error is no effect, so the id is free for the request as it should have been.
        #expect(cluster.run(a, "IDEMPOTENCY x INCRBY crdt:n one").hasPrefix("-ERR value is not"))
        #expect(cluster.run(b, "IDEMPOTENCY x INCRBY crdt:n 2") == ":2\r\n")
    }

    @Test(
        "requests with ids that cannot be remembered are refused, and those that are still answer")
    func full() {
        let cluster = Cluster(3) { $0.requestIDBytesMax = 1_000 }
        var refused = 0
        for number in 0..<20 {
            let reply = cluster.run(a, "IDEMPOTENCY \(number) SET k\(number) v")
            if reply.hasPrefix("-OVERLOADED too many request ids") { refused += 1 }
        }
        #expect(refused > 10)
        #expect(cluster.run(b, "IDEMPOTENCY 0 SET k0 v") == "+OK\r\n")
    }
}
