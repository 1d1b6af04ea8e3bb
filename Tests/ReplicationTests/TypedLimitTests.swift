import Base
import CRDT
import Causality
import Coding
import Testing

@testable import Replication

/// Whatever commands and merges bring a typed value to, every node can keep, send and read it.
@Suite("Typed values at their limits")
struct TypedLimitTests {
    private static let recordBytesMax = 24_000
    private let one = NodeID(1)
    private let two = NodeID(2)
    private let three = NodeID(3)

    private func cluster(n: Int, recordBytesMax: Int = TypedLimitTests.recordBytesMax) -> Cluster {
        Cluster(3) { configuration in
            var keyspace = KeyspaceSettings()
            for setting in ["n=\(n)", "r=1", "w=1", "conflict=crdt"] {
                #expect(keyspace.set(setting) == nil)
            }
            configuration.keyspaces = [(Array("c".utf8), keyspace)]
            configuration.recordBytesMax = recordBytesMax
        }
    }

    /// The longest payload that a node's checkpoint or journal has.
    private func longest(_ cluster: Cluster, _ id: NodeID) -> Int {
        var longest = (cluster.journals[id] ?? []).map(\.count).max() ?? 0
        var cursor: UInt64?
        repeat {
            var piece = ByteBuffer(capacity: 4_096)
            cluster.with(id) { cursor = $0.exportState(from: cursor, bytesMax: 1, into: &piece) }
            var rest = Array(piece.bytes)[...]
            while rest.count >= 4 {
                let length = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
                longest = max(longest, length)
                rest = rest.dropFirst(4 + length)
            }
        } while cursor != nil
        return longest
    }

    private func checkSizes(_ cluster: Cluster, _ what: String) {
        for id in cluster.ids {
            // Beside the byte that says what kind it is.
            #expect(longest(cluster, id) <= Self.recordBytesMax + 1, "\(what), node \(id)")
        }
    }

    private static let times = [
        "EXPIRE c:k 1000", "PERSIST c:k", "GETEX c:k EX 500", "EXPIRE c:k 2000", "PEXPIRE c:k 9000",
        "EXPIREAT c:k 1900000000", "PERSIST c:k",
    ]
    private static let changes = [
        "HINCRBY c:k f0 1", "HSET c:k f1 x", "HDEL c:k f2", "ZINCRBY c:k 1 f0", "ZREM c:k f1",
        "SADD c:k x", "SREM c:k y", "INCR c:k", "DEL c:k",
    ]

    /// Running totals of which each node has a part, so that a time given by one names the others'.
    private func fill(_ cluster: Cluster, _ command: String, until isOver: (String) -> Bool) {
        for step in 0..<2_000 {
            let field = "f\(step / 3)" + String(repeating: "x", count: step / 3 % 20)
            let words = command == "HINCRBY" ? "c:k \(field) 7" : "c:k 7 \(field)"
            if isOver(cluster.run(cluster.ids[step % 3], "\(command) \(words)")) { return }
        }
        Issue.record("nothing was refused")
    }

    @Test("APPEND makes no value that SET may not make", arguments: [1, 3])
    func appended(n: Int) {
        let cluster = Cluster(3)
        let node = NodeID(1)
        let create = "KEYSPACE CREATE vb conflict=crdt n=\(n) valuebytes=100"
        #expect(cluster.run(node, create) == "+OK\r\n")
        let text = String(repeating: "x", count: 99)
        #expect(cluster.run(node, "SET vb:k \(text)") == "+OK\r\n")
        #expect(cluster.run(node, "APPEND vb:k yy").hasPrefix("-ERR the value would exceed"))
        #expect(cluster.run(node, "APPEND vb:k y") == ":100\r\n")
        #expect(cluster.run(node, "APPEND vb:k y").hasPrefix("-ERR the value would exceed"))
        #expect(cluster.run(node, "APPEND vb:new \(text)xx").hasPrefix("-ERR "))
    }

    @Test(
        "a time that names more than fits is refused, and changes nothing",
        arguments: ["HINCRBY", "ZINCRBY"], [1, 3])
    func outgrown(_ command: String, _ n: Int) throws {
        let cluster = cluster(n: n)
        fill(cluster, command) { $0.hasPrefix("-ERR the value would be larger") }
        if n == 1 {
            // The totals are a former life's by then.
            for id in cluster.ids {
                try cluster.restart(id, epoch: 2, on: cluster.journals[id] ?? [])
            }
        }
        let shows = command == "HINCRBY" ? "HGETALL c:k" : "ZRANGE c:k 0 -1 WITHSCORES"
        let before = cluster.run(one, shows)
        var refused = 0
        for line in Self.times {
            for id in cluster.ids {
                let reply = cluster.run(id, line)
                if reply.hasPrefix("-ERR the value would be larger") { refused += 1 }
                #expect(cluster.run(id, shows) == before, "\(line)")
            }
            cluster.pass(milliseconds: 300)
            checkSizes(cluster, line)
        }
        // With three what all of them note at the same time fits.
        #expect(refused > 0 || n > 1)
        for line in Self.changes {
            for id in cluster.ids { _ = cluster.run(id, line) }
            checkSizes(cluster, line)
        }
        cluster.pass(milliseconds: 7_000)
        #expect(
            cluster.ids.map { cluster.run($0, "EXISTS c:k") } == [":0\r\n", ":0\r\n", ":0\r\n"])
        for id in cluster.ids { #expect(cluster.counters(id).malformedMessages == 0) }
    }

    @Test("a value that is below its limit is given times, and taken them, in every way")
    func roomForTimes() {
        let cluster = cluster(n: 3)
        for step in 0..<60 { _ = cluster.run(cluster.ids[step % 3], "HINCRBY c:k f\(step) 7") }
        for line in Self.times where !line.hasPrefix("GETEX") {
            #expect(cluster.run(two, line) == ":1\r\n", "\(line)")
        }
        checkSizes(cluster, "times")
    }

    /// A set with one element of each of many lives of a node.
    private func writtenByManyLives(_ node: UInt16, _ lives: Int) throws -> [UInt8] {
        var state = CRDTState()
        for epoch in 1...UInt64(lives) {
            let dot = Dot(
                identity: ReplicaIdentity(node: NodeID(node), epoch: epoch),
                stamp: Stamp(milliseconds: epoch * 128 + UInt64(node)))
            _ = try state.setAdd([Bytes(Array("\(node)-\(epoch)".utf8))], dot: dot, now: 0)
        }
        var buffer = ByteBuffer(capacity: 1_024)
        let range = Array("c:s".utf8).withUnsafeBytes { state.encodeRecord(key: $0, into: &buffer) }
        return Array(buffer[range])
    }

    @Test("a key that thousands of lives have written is read, compared and followed by sessions")
    func manyLives() throws {
        let cluster = cluster(n: 3, recordBytesMax: 1 << 20)
        // Each side of a cut has let its own in.
        let records = try [writtenByManyLives(11, 3_000), writtenByManyLives(12, 3_000)]
        for (id, record) in [(one, records[0]), (two, records[1]), (three, records[1])] {
            try record.withUnsafeBytes { bytes in
                let record = try Record(validating: bytes)
                cluster.with(id) { $0.restoreState(record, $0.catalog.index(of: record.key)) }
            }
        }
        #expect(cluster.run(two, "SCARD c:s R 1") == ":3000\r\n")
        #expect(cluster.run(one, "SCARD c:s R 3") == ":6000\r\n")
        #expect(cluster.run(two, "SADD c:s x") == ":1\r\n")
        #expect(cluster.run(two, "SESSION ON").hasPrefix("+OK"))
        #expect(cluster.run(two, "SISMEMBER c:s 11-7 R 2") == ":1\r\n")
        cluster.pass(milliseconds: 7_000)
        for id in cluster.ids {
            #expect(cluster.run(id, "SISMEMBER c:s 12-2999 R 1") == ":1\r\n")
            #expect(cluster.counters(id).malformedMessages == 0)
        }
    }
}
