import Base
import Causality
import Coding
import Testing

@testable import Replication

/// What of typed values survives: crashes, checkpoints, wrong clocks, emptied keyspaces.
@Suite struct TypedRecoveryTests {
    private let one = NodeID(1)
    private let two = NodeID(2)
    private let three = NodeID(3)

    private func cluster(_ settings: [String] = ["r=1", "w=1"]) -> Cluster {
        Cluster(3) { configuration in
            var keyspace = KeyspaceSettings()
            for setting in ["n=3", "conflict=crdt"] + settings {
                #expect(keyspace.set(setting) == nil)
            }
            configuration.keyspaces = [(Array("c".utf8), keyspace)]
        }
    }

    private func everywhere(_ cluster: Cluster, _ line: String) -> String {
        let answers = cluster.ids.map { cluster.run($0, line) }
        for id in cluster.ids { cluster.with(id) { $0.checkInvariants(recounting: true) } }
        return answers.allSatisfy { $0 == answers[0] } ? answers[0] : "\(answers)"
    }

    /// Small values of several types, and one that is kept expanded.
    private func fill(_ cluster: Cluster) {
        let filling = String(repeating: "x", count: 100)
        for step in 0..<30 {
            let id = cluster.ids[step % 3]
            _ = cluster.run(id, "SADD c:large \(step)\(filling)")
            _ = cluster.run(id, "RPUSH c:list \(step)")
            _ = cluster.run(id, "INCR c:n")
        }
        _ = cluster.run(one, "SREM c:large 3\(filling) 4\(filling)")
        _ = cluster.run(two, "LPOP c:list")
        _ = cluster.run(three, "HSET c:h f v")
        _ = cluster.run(three, "DEL c:h")
    }

    private static let questions = [
        "SMEMBERS c:large", "LRANGE c:list 0 -1", "GET c:n", "TYPE c:h", "SCARD c:large",
    ]

    @Test("a node starts again from the journal alone, and from a checkpoint alone")
    func restarts() throws {
        let cluster = cluster()
        fill(cluster)
        let before = TypedRecoveryTests.questions.map { cluster.run(two, $0) }
        #expect(before[4] == ":28\r\n")
        for other in [one, three] { cluster.cut.formUnion([[two, other], [other, two]]) }
        let journal = cluster.journals[two] ?? []
        #expect(journal.contains { $0[0] == JournalKind.delta.rawValue })
        try cluster.restart(two, epoch: 2, on: journal)
        #expect(TypedRecoveryTests.questions.map { cluster.run(two, $0) } == before)
        try cluster.restart(two, epoch: 3, on: cluster.exported(two))
        #expect(TypedRecoveryTests.questions.map { cluster.run(two, $0) } == before)
        try cluster.restart(two, epoch: 4, on: cluster.exported(two) + journal)
        #expect(TypedRecoveryTests.questions.map { cluster.run(two, $0) } == before)
        cluster.cut = []
        #expect(cluster.run(two, "INCR c:n") == ":31\r\n")
        #expect(everywhere(cluster, "GET c:n") == "$2\r\n31\r\n")
    }

    /// Values of several types that one command each has made, one of them large.
    private func begin(_ cluster: Cluster, _ word: String) -> [String] {
        let fields = (0..<100).map { "f\($0) \(word)\($0)-and-some-more-bytes" }
        for line in [
            "HSET c:hash \(fields.joined(separator: " "))", "RPUSH c:list \(word) b c",
            "INCRBY c:n \(word.utf8.count)", "SADD c:set \(word) y", "SET c:string \(word)",
        ] { #expect(!cluster.run(two, line).hasPrefix("-")) }
        return answers(cluster)
    }

    private func answers(_ cluster: Cluster) -> [String] {
        [
            "HGETALL c:hash", "LRANGE c:list 0 -1", "GET c:n", "SMEMBERS c:set", "GET c:string",
        ].map { cluster.run(two, $0) }
    }

    @Test(
        "a large value is taken back without being built, and built by the first command",
        arguments: [false, true])
    func keptEncoded(isEmptiedBefore: Bool) throws {
        let cluster = cluster()
        if isEmptiedBefore {
            _ = begin(cluster, "emptied")
            cluster.pass(milliseconds: 1_000)
            #expect(cluster.run(one, "FLUSHALL") == "+OK\r\n")
            cluster.pass(milliseconds: 1_000)
        }
        let before = begin(cluster, "word")
        for (epoch, isCheckpoint) in [(UInt64(2), false), (3, true)] {
            let records = isCheckpoint ? cluster.exported(two) : cluster.journals[two] ?? []
            try cluster.restart(two, epoch: epoch, on: records)
            cluster.with(two) { #expect($0.store.expanded.isEmpty) }
            #expect(answers(cluster) == before)
            cluster.with(two) {
                #expect($0.store.expanded.count == 1)
                $0.checkInvariants(recounting: true)
            }
        }
        #expect(cluster.run(two, "HDEL c:hash f0 f1") == ":2\r\n")
        #expect(cluster.run(two, "HLEN c:hash") == ":98\r\n")
        cluster.pass(milliseconds: 2_000)
        #expect(everywhere(cluster, "HLEN c:hash") == ":98\r\n")
        #expect(everywhere(cluster, "GET c:n") == "$1\r\n4\r\n")
    }

    @Test("a journal that ends anywhere leads to a state that the others complete")
    func prefixes() throws {
        for kept in stride(from: 150, through: 950, by: 400) {
            let cluster = cluster()
            fill(cluster)
            let before = TypedRecoveryTests.questions.map { cluster.run(one, $0) }
            let journal = cluster.journals[two] ?? []
            let prefix = Array(journal.prefix(journal.count * kept / 1_000))
            try cluster.restart(two, epoch: 2, on: prefix)
            cluster.pass(milliseconds: 7_000)
            for (question, answer) in zip(TypedRecoveryTests.questions, before) {
                #expect(everywhere(cluster, question) == answer, "\(kept) of a thousand")
            }
        }
    }

    @Test("a bounded counter is not overdrawn by a node that forgot what others acknowledged")
    func forgottenDecrement() throws {
        let cluster = cluster(["r=1", "w=1", "durability=fsync"])
        #expect(cluster.run(one, "QBOUND CREATE c:b 10") == "+OK\r\n")
        let journal = cluster.journals[one] ?? []
        cluster.slowDisks = [one]
        var taken = cluster.run(one, "QBOUND DECR c:b 10") == ":0\r\n" ? 10 : 0
        cluster.slowDisks = []
        try cluster.restart(one, epoch: 2, on: journal)
        if cluster.run(one, "QBOUND DECR c:b 10") == ":0\r\n" { taken += 10 }
        #expect(taken <= 10)
        cluster.pass(milliseconds: 7_000)
        #expect(everywhere(cluster, "QBOUND GET c:b") == ":0\r\n")
    }

    @Test("rights that a life was granted are its next life's, also where it never wrote the key")
    func grantedBeforeRestart() throws {
        let cluster = cluster(["r=1", "w=3", "durability=fsync"])
        #expect(cluster.run(one, "QBOUND CREATE c:b 10") == "+OK\r\n")
        #expect(cluster.run(one, "QBOUND GRANT c:b 6 NODE 2").hasPrefix(":10"))
        try cluster.restart(two, epoch: 2, on: cluster.journals[two] ?? [])
        cluster.pass(milliseconds: 2_000)
        #expect(cluster.run(two, "QBOUND DECR c:b 6") == ":4\r\n")
        #expect(cluster.run(one, "QBOUND DECR c:b 5").hasPrefix("-RIGHTS"))
        #expect(everywhere(cluster, "QBOUND GET c:b") == ":4\r\n")
    }

    @Test("a life that has met nobody spends no rights of earlier ones: its disk may be an old one")
    func metNobody() throws {
        let cluster = cluster(["r=1", "w=1", "durability=fsync"])
        #expect(cluster.run(one, "QBOUND CREATE c:b 10 W ALL") == "+OK\r\n")
        let copied = cluster.journals[one]
        #expect(cluster.run(one, "QBOUND DECR c:b 10") == ":0\r\n")
        cluster.pass(milliseconds: 1_000)
        cluster.journals[one] = copied
        try cluster.restartAlone(one, epoch: 2_048)
        #expect(cluster.run(one, "QBOUND DECR c:b 10").hasPrefix("-RIGHTS"))
        cluster.meet(one)
        cluster.pass(milliseconds: 5_000)
        #expect(cluster.run(one, "QBOUND DECR c:b 1").hasPrefix("-RIGHTS"))
        #expect(everywhere(cluster, "QBOUND GET c:b") == ":0\r\n")
    }

    @Test("a refused change takes over no rights of an earlier life: the replicas stay alike")
    func refusedAfterRestart() throws {
        let cluster = cluster(["r=1", "w=3", "durability=fsync"])
        #expect(cluster.run(one, "QBOUND CREATE c:b 10") == "+OK\r\n")
        try cluster.restart(one, epoch: 2, on: cluster.journals[one] ?? [])
        cluster.pass(milliseconds: 2_000)
        // Life 2 uses rights up until one more use would pass what a row can count.
        let (first, second) = ("4000000000000000000", "5223372036854775802")
        for (node, order) in [
            (one, "INCR c:b \(first)"), (one, "DECR c:b \(first)"),
            (two, "INCR c:b \(second)"), (two, "GRANT c:b \(second) NODE 1"),
            (one, "DECR c:b \(second)"),
        ] {
            let answer = cluster.run(node, "QBOUND \(order)")
            #expect(answer.hasPrefix(":"), "\(order): \(answer)")
        }
        #expect(cluster.run(one, "QBOUND DECR c:b 10").hasPrefix("-ERR"))
        #expect(everywhere(cluster, "QBOUND GET c:b") == ":10\r\n")
        let sent = cluster.ids.map { id in cluster.with(id) { $0.counters.exchangedKeys } }
        cluster.pass(milliseconds: 7_000)
        #expect(cluster.ids.map { id in cluster.with(id) { $0.counters.exchangedKeys } } == sent)
    }

    @Test("row 7: what was counted and added by a clock an hour ahead is kept, once")
    func clockAhead() {
        let cluster = cluster()
        _ = cluster.run(one, "INCR c:n")
        _ = cluster.run(one, "SADD c:s a")
        for other in [two, three] { cluster.unlink(one, other) }
        cluster.wall[one, default: 0] += 3_600_000
        #expect(cluster.run(one, "INCRBY c:n 10") == ":11\r\n")
        #expect(cluster.run(one, "SADD c:s b") == ":1\r\n")
        #expect(cluster.run(one, "SREM c:s a") == ":1\r\n")
        #expect(cluster.run(one, "RPUSH c:l x y") == ":2\r\n")
        cluster.wall[one, default: 0] -= 3_600_000
        _ = cluster.run(two, "INCRBY c:n 100")
        for other in [two, three] {
            cluster.link(one, other)
            cluster.link(other, one)
        }
        cluster.pass(milliseconds: 8_000)
        _ = cluster.run(one, "INCRBY c:n 1000")
        cluster.pass(milliseconds: 8_000)
        #expect(everywhere(cluster, "GET c:n") == "$4\r\n1111\r\n")
        #expect(everywhere(cluster, "SMEMBERS c:s") == "*1\r\n$1\r\nb\r\n")
        #expect(everywhere(cluster, "LRANGE c:l 0 -1") == "*2\r\n$1\r\nx\r\n$1\r\ny\r\n")
    }

    @Test("FLUSHALL empties small and expanded values, and what follows starts from nothing")
    func flushed() {
        let cluster = cluster()
        fill(cluster)
        #expect(cluster.run(two, "FLUSHALL") == "+OK\r\n")
        #expect(everywhere(cluster, "SCARD c:large") == ":0\r\n")
        #expect(cluster.run(three, "INCR c:n") == ":1\r\n")
        #expect(cluster.run(one, "SADD c:large y") == ":1\r\n")
        #expect(everywhere(cluster, "GET c:n") == "$1\r\n1\r\n")
        #expect(everywhere(cluster, "SMEMBERS c:large") == "*1\r\n$1\r\ny\r\n")
        #expect(cluster.run(one, "KEYSPACE DROP c") == "+OK\r\n")
        _ = everywhere(cluster, "DBSIZE")
    }
}
