import Base
import Coding
import Ring
import Testing

@testable import Replication

/// Expectations are README's: memory keyspaces forget at every restart; what a keyspace that is
/// kept on disk has acknowledged is not lost, and what was deleted stays deleted.
@Suite("A keyspace's durability changes, to and from memory")
struct DurabilityChangeTests {
    private let one = NodeID(1)
    private let two = NodeID(2)
    private let three = NodeID(3)

    private func run(_ cluster: Cluster, _ lines: [String]) {
        for line in lines {
            var reply = cluster.run(one, line)
            for _ in 0..<500 where reply.isEmpty {
                cluster.pass(milliseconds: 1)
                reply = cluster.reply(one)
            }
            #expect(!reply.hasPrefix("-") && !reply.isEmpty, "\(line): \(reply)")
        }
    }

    /// Starts the first node again on a journal.
    private func restarted(
        _ cluster: Cluster, on journal: [[UInt8]]? = nil, epoch: UInt64 = 2
    ) throws -> Cluster {
        try cluster.restart(one, epoch: epoch, on: journal ?? cluster.journals[one] ?? [])
        cluster.with(one) { #expect($0.takeUpConfiguration().isEmpty) }
        return cluster
    }

    private static let before = [
        "KEYSPACE CREATE k n=1", "KEYSPACE CREATE t n=1 conflict=crdt", "SET k:a old",
        "SET k:gone old", "SADD t:s old gone", "INCRBY t:c 5", "HSET t:h f old",
        "IDEMPOTENCY id INCR t:once",
    ]
    private static let inMemory = [
        "SET k:a new", "DEL k:gone", "SREM t:s gone", "SADD t:s new", "INCRBY t:c 2",
        "RPUSH t:l x",
    ]
    private static let questions = [
        "GET k:a", "GET k:gone", "SMEMBERS t:s", "GET t:c", "HGET t:h f", "LRANGE t:l 0 -1",
        "GET t:once",
    ]
    private static let nothing = ["$-1", "$-1", "*0", "$-1", "$-1", "*0", "$-1"].map { $0 + "\r\n" }

    private func alter(_ durability: String) -> [String] {
        ["k", "t"].map { "KEYSPACE ALTER \($0) durability=\(durability)" }
    }

    @Test(
        "a keyspace that is kept in memory forgets at a restart what the journal has from before",
        arguments: ["fsync", "interval(50)"])
    func forgets(durability: String) throws {
        let cluster = Cluster(1)
        run(cluster, DurabilityChangeTests.before + alter(durability))
        let older = cluster.exported(one)
        let position = cluster.journals[one]?.count ?? 0
        run(cluster, alter("memory") + DurabilityChangeTests.inMemory)
        let journal = cluster.journals[one] ?? []
        let newer = cluster.exported(one)
        // From the journal alone, or from a checkpoint of any time with what is behind it.
        let journals = [
            journal, older + journal[position...], newer, newer + journal[position...],
            newer + journal,
        ]
        for (number, journal) in journals.enumerated() {
            let node = try restarted(Cluster(1), on: journal, epoch: 2 + UInt64(number))
            let answers = DurabilityChangeTests.questions.map { node.run(one, $0) }
            #expect(answers == DurabilityChangeTests.nothing, "journal \(number)")
            // What is remembered of a request is forgotten with what it did.
            #expect(node.run(one, "IDEMPOTENCY id INCR t:once") == ":1\r\n")
            node.with(one) { $0.checkInvariants(recounting: true) }
        }
    }

    @Test(
        "one that was in memory for a while is on disk as it is when that is answered",
        arguments: ["fsync", "interval(50)"])
    func keeps(durability: String) throws {
        let cluster = Cluster(1)
        run(cluster, DurabilityChangeTests.before)
        let older = cluster.exported(one)
        let position = cluster.journals[one]?.count ?? 0
        run(cluster, alter("memory") + DurabilityChangeTests.inMemory)
        run(cluster, ["IDEMPOTENCY id2 INCR t:once"] + alter(durability))
        run(cluster, ["SADD t:s newer", "INCR t:c", "RPUSH t:l y", "SET k:b b"])
        let expected = (DurabilityChangeTests.questions + ["GET k:b"]).map { cluster.run(one, $0) }
        let journal = cluster.journals[one] ?? []
        let newer = cluster.exported(one)
        let journals = [
            journal, older + journal[position...], newer, newer + journal[position...],
            newer + journal,
        ]
        for (number, journal) in journals.enumerated() {
            let node = try restarted(Cluster(1), on: journal, epoch: 2 + UInt64(number))
            let answers = (DurabilityChangeTests.questions + ["GET k:b"]).map { node.run(one, $0) }
            #expect(answers == expected, "journal \(number)")
            #expect(node.run(one, "IDEMPOTENCY id2 INCR t:once") == ":2\r\n")
        }
    }

    /// Many records, so that it takes many steps until all are written.
    @Test("a crash at any moment: nothing acknowledged since is lost, nothing old comes back")
    func crashes() throws {
        let cluster = Cluster(1) { $0.workUnitsMax = 64 }
        run(cluster, ["KEYSPACE CREATE t n=1 conflict=crdt", "SADD t:0 gone"])
        run(cluster, ["KEYSPACE ALTER t durability=memory", "DEL t:0"])
        run(cluster, (0..<60).map { "SADD t:\($0) memory" })
        let connection = ConnectionID(5)
        cluster.open(one, connection)
        let start = cluster.journals[one]?.count ?? 0
        cluster.send(one, connection, Array("KEYSPACE ALTER t durability=fsync\r\n".utf8))
        #expect(cluster.reply(one, connection).isEmpty)
        var acknowledged: [(key: Int, journal: Int)] = []
        var answeredAt: Int?
        for step in 0..<200 {
            let key = step * 7 % 60
            cluster.replies[one]?[ConnectionID(6)] = []
            if step == 0 { cluster.open(one, ConnectionID(6)) }
            cluster.send(one, ConnectionID(6), Array("SADD t:\(key) s\(step)\r\n".utf8))
            #expect(cluster.reply(one, ConnectionID(6)) == ":1\r\n")
            acknowledged.append((key, cluster.journals[one]?.count ?? 0))
            cluster.time += 1_000_000
            cluster.step(one, .deadline)
            if answeredAt == nil, !cluster.reply(one, connection).isEmpty {
                #expect(cluster.reply(one, connection) == "+OK\r\n")
                answeredAt = cluster.journals[one]?.count
            }
        }
        let answered = try #require(answeredAt)
        let journal = cluster.journals[one] ?? []
        #expect(answered > start + 60 && answered < journal.count)
        for end in stride(from: start, through: journal.count, by: 9) {
            let node = try restarted(Cluster(1), on: Array(journal[..<end]), epoch: 2)
            #expect(node.run(one, "SISMEMBER t:0 gone") == ":0\r\n", "after \(end)")
            for (step, one) in acknowledged.enumerated() where one.journal <= end {
                let reply = node.run(self.one, "SISMEMBER t:\(one.key) s\(step)")
                #expect(reply == ":1\r\n", "\(step) after \(end)")
            }
            guard end >= answered else { continue }
            for key in 0..<60 {
                #expect(node.run(one, "SISMEMBER t:\(key) memory") == ":1\r\n", "\(key) at \(end)")
            }
        }
    }

    @Test("a keyspace made over keys of default, and dropped, is kept as it says")
    func madeOverKeys() throws {
        let cluster = Cluster(1)
        run(cluster, ["KEYSPACE ALTER default n=1", "SET k:a old", "SET k:gone old", "SET x y"])
        run(cluster, ["KEYSPACE CREATE k n=1 durability=memory", "SET k:a new", "DEL k:gone"])
        _ = try restarted(cluster)
        #expect(["GET k:a", "GET k:gone"].map { cluster.run(one, $0) } == ["$-1\r\n", "$-1\r\n"])
        #expect(cluster.run(one, "GET x") == "$1\r\ny\r\n")
        run(cluster, ["SET k:a new", "KEYSPACE DROP k", "SET k:b kept"])
        _ = try restarted(cluster, epoch: 3)
        #expect(
            ["GET k:a", "GET k:b"].map { cluster.run(one, $0) } == ["$-1\r\n", "$4\r\nkept\r\n"])
    }

    @Test("until it is on disk that a keyspace is kept in memory, writes of it are synced")
    func held() {
        let cluster = Cluster(1)
        run(cluster, ["KEYSPACE CREATE k n=1", "SET k:a old"])
        cluster.slowDisks = [one]
        #expect(cluster.run(one, "KEYSPACE ALTER k durability=memory") == "")
        cluster.open(one, ConnectionID(5))
        cluster.send(one, ConnectionID(5), Array("SET k:a new\r\n".utf8))
        #expect(cluster.reply(one, ConnectionID(5)).isEmpty)
        cluster.finishSyncs(one)
        #expect(cluster.reply(one, ConnectionID(5)) == "+OK\r\n")
        cluster.slowDisks = [one]
        #expect(cluster.run(one, "SET k:a newer") == "+OK\r\n")
    }

    @Test("a life takes over no rights of a bounded counter that its journal does not prove")
    func boundedCounter() throws {
        let cluster = Cluster(1)
        run(cluster, ["KEYSPACE CREATE b n=1 conflict=crdt", "QBOUND CREATE b:x 10"])
        let before = cluster.journals[one] ?? []
        // Nothing was changed: the next life goes on.
        #expect(try restarted(Cluster(1), on: before).run(one, "QBOUND DECR b:x 8") == ":2\r\n")
        run(cluster, ["KEYSPACE ALTER b durability=memory", "QBOUND DECR b:x 8"])
        run(cluster, ["KEYSPACE ALTER b durability=fsync"])
        // The whole of it was written.
        let after = cluster.journals[one] ?? []
        let next = try restarted(Cluster(1), on: after)
        #expect(next.run(one, "QBOUND DECR b:x 8").hasPrefix("-RIGHTS"))
        #expect(next.run(one, "QBOUND DECR b:x 2") == ":0\r\n")
    }

    @Test("what lives have acknowledged of which the journal has not all, later ones do not use")
    func unprovenRights() throws {
        let cluster = Cluster(2)
        run(cluster, ["KEYSPACE CREATE b n=2 r=1 w=2 conflict=crdt", "QBOUND CREATE b:x 10"])
        run(cluster, ["KEYSPACE ALTER b durability=interval(50)"])
        let journal = cluster.journals[one] ?? []
        #expect(cluster.run(one, "QBOUND DECR b:x 10") == ":0\r\n")
        // The last 50 ms are lost here, and the other node has them.
        _ = try restarted(cluster, on: journal)
        cluster.unlink(one, two)
        #expect(cluster.run(one, "QBOUND DECR b:x 10").hasPrefix("-"))
        cluster.link(one, two)
        cluster.link(two, one)
        cluster.settle()
        run(cluster, ["KEYSPACE ALTER b durability=fsync w=1"])
        _ = try restarted(cluster, epoch: 3)
        cluster.unlink(one, two)
        #expect(cluster.run(one, "QBOUND DECR b:x 10").hasPrefix("-RIGHTS"))
    }

    @Test("a node that was down when a keyspace came to be kept in memory forgets it as well")
    func whileDown() throws {
        let cluster = Cluster(3)
        run(cluster, ["KEYSPACE CREATE k n=3 r=3 w=2", "SET k:a old", "SET k:b old"])
        for other in [one, two] { cluster.unlink(other, three) }
        let journal = cluster.journals[three] ?? []
        cluster.pass(milliseconds: 2_000, by: 20)
        run(cluster, ["KEYSPACE ALTER k durability=memory", "DEL k:a"])
        cluster.pass(milliseconds: 2_000, by: 20)
        let now = cluster.wall[three] ?? 0
        for node in [one, two] {
            try cluster.restart(
                node, epoch: now + UInt64(node.rawValue), on: cluster.journals[node] ?? [])
        }
        for other in [one, two] { cluster.unlink(other, three) }
        try cluster.restart(three, epoch: now + 3, on: journal)
        cluster.pass(milliseconds: 5_000, by: 20)
        for node in cluster.ids {
            #expect(cluster.run(node, "GET k:a R 3") == "$-1\r\n")
            #expect(cluster.run(node, "GET k:b R 1") == "$-1\r\n")
            cluster.with(node) { $0.checkInvariants(recounting: true) }
        }
    }

    @Test("what a node forgot comes back to it from the others when the keyspace is on disk again")
    func comesBack() throws {
        let cluster = Cluster(3) {
            $0.collectionMilliseconds = 1_000
            $0.collectionGraceMilliseconds = 1_000
        }
        run(cluster, ["KEYSPACE CREATE k n=3 r=1 w=3 readrepair=0 durability=memory"])
        run(cluster, (0..<20).map { "SET k:\($0) v" })
        // All have promised by then what is settled.
        cluster.pass(milliseconds: 10_000, by: 20)
        for other in [two, three] { cluster.cut.formUnion([[one, other], [other, one]]) }
        _ = try restarted(cluster)
        #expect(cluster.run(one, "GET k:1 R 1") == "$-1\r\n")
        cluster.cut = []
        run(cluster, ["KEYSPACE ALTER k durability=fsync"])
        cluster.pass(milliseconds: 10_000, by: 20)
        for key in 0..<20 { #expect(cluster.run(one, "GET k:\(key) R 1") == "$1\r\nv\r\n") }
        _ = try restarted(cluster, epoch: 3)
        for key in 0..<20 { #expect(cluster.run(one, "GET k:\(key) R 1") == "$1\r\nv\r\n") }
    }

    @Test("hints of a keyspace are kept as it is")
    func hints() throws {
        let cluster = Cluster(3)
        run(cluster, ["KEYSPACE CREATE s n=2 r=1 w=2 sloppy=on"])
        var key = ""
        for number in 0..<200 where key.isEmpty {
            let list = cluster.with(one) { node in
                Array("s:\(number)".utf8).withUnsafeBytes {
                    Array(node.ring.preferenceList(of: KeyRange(Slot(key: $0))))
                }
            }
            if list[2] == one { key = "s:\(number)" }
        }
        let away = try #require([two, three].first)
        for other in cluster.ids where other != away { cluster.unlink(other, away) }
        run(cluster, ["SET \(key) v"])
        func held(_ cluster: Cluster) -> Int {
            cluster.with(one) { $0.hints.reduce(0) { $0 + $1.count } }
        }
        #expect(held(cluster) == 1)
        run(cluster, ["KEYSPACE ALTER s durability=memory"])
        let inMemory = cluster.journals[one] ?? []
        run(cluster, ["KEYSPACE ALTER s durability=fsync"])
        let onDisk = cluster.journals[one] ?? []
        for (journal, count) in [(inMemory, 0), (onDisk, 1)] {
            let other = Cluster(3)
            other.journals[one] = journal
            try other.restartAlone(one, epoch: 2)
            #expect(held(other) == count)
        }
    }

    @Test("a configuration that has a keyspace kept on disk does as well, and none takes it back")
    func configured() throws {
        final class File {
            var durability = "memory"
        }
        let file = File()
        let cluster = Cluster(1) {
            var settings = KeyspaceSettings()
            for word in ["n=1", "conflict=crdt", "durability=\(file.durability)"] {
                _ = settings.set(word)
            }
            $0.keyspaces = [(Array("t".utf8), settings)]
        }
        run(cluster, ["SADD t:s b"])
        file.durability = "fsync"
        _ = try restarted(cluster)
        #expect(cluster.run(one, "SMEMBERS t:s") == "*0\r\n")
        run(cluster, ["SADD t:s c", "QBOUND CREATE t:b 5"])
        file.durability = "memory"
        _ = try restarted(cluster, epoch: 3)
        #expect(cluster.run(one, "SMEMBERS t:s") == "*1\r\n$1\r\nc\r\n")
        // What a life wrote that began on disk is proven.
        #expect(cluster.run(one, "QBOUND DECR t:b 5") == ":0\r\n")
    }
}
