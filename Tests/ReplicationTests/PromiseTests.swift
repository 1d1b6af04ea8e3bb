import Base
import Coding
import Testing

@testable import Causality
@testable import Replication

@Suite("What was acknowledged holds in rare places too")
struct PromiseTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    @Test("a keyspace is changed by a node whose clock is behind the one that defined it")
    func clockBehindDefinition() {
        let cluster = Cluster(3)
        cluster.wall[a, default: 0] += 400
        #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n")
        #expect(cluster.run(b, "KEYSPACE ALTER k r=1") == "+OK\r\n")
        #expect(cluster.run(c, "KEYSPACE GET k").contains("r\r\n$1\r\n1\r\n"))
    }

    @Test("a definition from a clock that is far ahead stops no later change and no write")
    func definitionAhead() {
        let cluster = Cluster(3)
        cluster.wall[a, default: 0] += 3_600_000
        #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n")
        #expect(cluster.run(c, "SET k:1 v") == "+OK\r\n")
        #expect(cluster.run(b, "KEYSPACE ALTER k r=1") == "+OK\r\n")
        cluster.wall[a, default: 0] -= 3_600_000
        #expect(cluster.run(a, "KEYSPACE ALTER k r=all") == "+OK\r\n")
        #expect(cluster.run(c, "KEYSPACE GET k").contains("r\r\n$3\r\nall\r\n"))
        #expect(cluster.run(c, "KEYSPACE DROP k") == "+OK\r\n")
        #expect(cluster.run(b, "SET k:1 w") == "+OK\r\n")
        #expect(cluster.run(a, "GET k:1 R ALL") == "$1\r\nw\r\n")
    }

    @Test("word of a keyspace emptied in the time to come is not believed")
    func emptiedAhead() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "SET k v") == "+OK\r\n")
        for stamp in [cluster.dot(b, aheadBy: 501).stamp, Stamp(rawValue: .max)] {
            var settings = KeyspaceSettings()
            settings.truncatedAt = stamp
            let change = KeyspaceChange(dropped: false, settings: settings)
            let set = SiblingSet(dot: cluster.dot(b), value: change.encoded())
            let definition = HostileMessage.definition("default", set)
            cluster.deliver(HostileMessage.definitions([definition]), from: b, to: a)
        }
        #expect(cluster.counters(a).refusedAhead == 2)
        #expect(cluster.run(a, "GET k R ALL") == "$1\r\nv\r\n")
        #expect(cluster.run(a, "SET k w") == "+OK\r\n")
    }

    @Test("a change named at the end of time, behind which nothing could come, is not taken in")
    func endOfTime() {
        let cluster = Cluster(3)
        let dot = Dot(identity: cluster.dot(b).identity, stamp: Stamp(rawValue: .max))
        let change = KeyspaceChange(dropped: false, settings: KeyspaceSettings())
        let definition = HostileMessage.definition(
            "k", SiblingSet(dot: dot, value: change.encoded()))
        cluster.deliver(HostileMessage.definitions([definition]), from: b, to: a)
        #expect(cluster.counters(a).malformedMessages == 1)
        cluster.link(a, b)
        cluster.link(b, a)
        cluster.settle()
        #expect(cluster.run(a, "KEYSPACE ALTER k r=1") == "-ERR no such keyspace\r\n")
        for line in ["KEYSPACE CREATE k", "KEYSPACE DROP k", "FLUSHALL"] {
            #expect(cluster.run(a, line) == "+OK\r\n", "\(line)")
        }
        #expect(cluster.run(a, "SET k:1 v") == "+OK\r\n")
    }

    @Test("what follows a restart is later than what was emptied, also where clocks went back")
    func emptiedBeforeRestart() throws {
        for command in ["FLUSHALL", "KEYSPACE DROP k"] {
            let cluster = Cluster(1)
            #expect(cluster.run(a, "KEYSPACE CREATE k n=1 r=1 w=1") == "+OK\r\n")
            cluster.wall[a, default: 0] += 5_000
            #expect(cluster.run(a, command) == "+OK\r\n")
            cluster.wall[a, default: 0] -= 5_000
            try cluster.restart(a, epoch: 2_000, on: cluster.journals[a] ?? [], after: 1)
            #expect(cluster.run(a, "SET k:1 v") == "+OK\r\n")
            #expect(cluster.run(a, "GET k:1") == "$1\r\nv\r\n")
        }
    }

    @Test("a node whose clock is far ahead empties what was written, and nothing that follows")
    func flushAhead() {
        let cluster = Cluster(3)
        #expect(cluster.run(b, "SET k v") == "+OK\r\n")
        cluster.wall[a, default: 0] += 3_600_000
        #expect(cluster.run(a, "FLUSHALL") == "+OK\r\n")
        #expect(cluster.run(b, "GET k") == "$-1\r\n")
        #expect(cluster.run(b, "SET k w") == "+OK\r\n")
        for node in cluster.ids { #expect(cluster.run(node, "GET k R ALL") == "$1\r\nw\r\n") }
    }

    @Test("what a clock a little ahead had acknowledged is emptied with everything else")
    func flushBehind() {
        for (line, n) in [("FLUSHALL", 3), ("KEYSPACE DROP k", 3), ("FLUSHALL", 1)] {
            let cluster = Cluster(3)
            #expect(cluster.run(a, "KEYSPACE CREATE k n=\(n) r=1 w=1") == "+OK\r\n")
            cluster.wall[b, default: 0] += 400
            for key in 0..<10 { #expect(cluster.run(b, "SET k:\(key) v") == "+OK\r\n") }
            #expect(cluster.run(a, line) == "+OK\r\n")
            for key in 0..<10 { #expect(cluster.run(c, "GET k:\(key) R 1") == "$-1\r\n") }
            #expect(cluster.run(c, "DBSIZE") == ":0\r\n")
            #expect(cluster.run(c, "SET k:1 w") == "+OK\r\n")
            #expect(cluster.run(b, "GET k:1 R 1") == "$1\r\nw\r\n")
        }
    }

    @Test("what was emptied away is not read from a replica that has not heard of it")
    func truncatedElsewhere() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "SET k v") == "+OK\r\n")
        cluster.lostKinds = [7]
        #expect(cluster.run(a, "FLUSHALL") == "")
        cluster.lostKinds = []
        let connection = ConnectionID(1)
        cluster.open(a, connection)
        cluster.send(a, connection, Array("GET k R ALL\r\n".utf8))
        cluster.settle()
        #expect(cluster.reply(a, connection) == "$-1\r\n")
    }

    @Test("an EXPIRE under way when its keyspace is dropped ends without harm")
    func expireAcrossDrop() {
        let cluster = Cluster(3) { configuration in
            var settings = KeyspaceSettings()
            settings.replicationFactor = 1
            settings.readQuorum = .one
            settings.writeQuorum = .one
            configuration.keyspaces = [(Array("default".utf8), settings)]
        }
        #expect(cluster.run(a, "KEYSPACE CREATE k n=3 readrepair=0") == "+OK\r\n")
        for key in 0..<10 {
            #expect(cluster.run(a, "SET k:\(key) v W ALL") == "+OK\r\n")
            cluster.cut = [[a, b], [a, c]]
            #expect(cluster.run(a, "EXPIRE k:\(key) 100") == "")
            cluster.cut = [[b, a], [c, a]]
            cluster.open(b, ConnectionID(UInt32(key + 1)))
            cluster.send(b, ConnectionID(UInt32(key + 1)), Array("KEYSPACE DROP k\r\n".utf8))
            cluster.cut = []
            cluster.pass(milliseconds: 1_100)
            #expect(cluster.reply(a) != "")
            #expect(cluster.run(a, "KEYSPACE CREATE k n=3 readrepair=0") == "+OK\r\n")
        }
    }

    @Test("a write whose own replica refuses the new stamp does not count that replica")
    func ownRefusal() {
        let cluster = Cluster(3)
        let limit = cluster.with(a) { $0.store.allocatedBytes } + 1_000
        let small = Cluster(3) { configuration in
            if configuration.node == NodeID(1) { configuration.memoryBytesMax = limit }
        }
        small.wall[c, default: 0] += 400
        small.cut = [[c, a], [c, b]]
        #expect(small.run(c, "SET k later W 1") == "+OK\r\n")
        small.cut = [[a, b]]
        let value = String(repeating: "v", count: 1_200)
        #expect(small.run(a, "SET k \(value) TIMEOUT 20") != "+OK\r\n")
        small.pass(milliseconds: 30)
        #expect(small.reply(a).hasPrefix("-UNKNOWN 1 of 2"))
        #expect(small.counters(a).restamped == 1)
    }

    @Test("a write that has no room under its new stamp anywhere is here under the former one")
    func allRefuse() {
        let cluster = Cluster(3)
        cluster.wall[c, default: 0] += 400
        cluster.cut = [[c, a], [c, b]]
        #expect(cluster.run(c, "SET k later W 1") == "+OK\r\n")
        cluster.cut = []
        let fill = { (id: NodeID) in cluster.with(id) { $0.memory.replies += $0.memory.bytesMax } }
        fill(b)
        cluster.slow[[c, a]] = 2
        #expect(cluster.run(a, "SET k v") == "")
        for id in [a, c] { fill(id) }
        cluster.pass(milliseconds: 5)
        #expect(cluster.counters(a).restamped == 1)
        #expect(cluster.reply(a).hasPrefix("-UNKNOWN 0 of 2"))
        for id in cluster.ids { cluster.with(id) { $0.memory.replies = 0 } }
        #expect(cluster.run(a, "GET k R 1") == "$1\r\nv\r\n")
    }

    @Test("a later write counts for an earlier one only once it is durable itself")
    func supersededIsDurable() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "SET k v") == "+OK\r\n")
        cluster.cut = [[c, a], [c, b], [a, b]]
        cluster.slowDisks = [c]
        #expect(cluster.run(c, "SET k w") == "")
        cluster.cut = [[a, b]]
        #expect(cluster.run(a, "CONSISTENCY R 1") == "+OK\r\n")
        #expect(cluster.run(a, "EXPIRE k 100") == "")
        cluster.finishSyncs(c)
        #expect(cluster.reply(a) == ":1\r\n")
    }

    @Test("a replica that wrote by a clock far ahead vouches for a later write, and has it")
    func vouchedByTheFuture() throws {
        let cluster = Cluster(3)
        try cluster.restartAlone(c, epoch: 2, ahead: 3_600_000)
        #expect(cluster.run(c, "SET k future W 1") == "+OK\r\n")
        cluster.meet(c)
        cluster.cut = [[a, b]]
        #expect(cluster.run(a, "SET k now") == "+OK\r\n")
        cluster.cut = []
        for node in cluster.ids { #expect(cluster.run(node, "GET k R ALL") == "$3\r\nnow\r\n") }
    }

    @Test("a new connection is not told the receipt of the one that had its number before")
    func receiptOfAnother() {
        let cluster = Cluster(3)
        let connection = ConnectionID(5)
        cluster.open(a, connection)
        cluster.send(a, connection, Array("RECEIPT ON\r\n".utf8))
        cluster.cut = [[b, a], [c, a]]
        cluster.send(a, connection, Array("SET k v TIMEOUT 50\r\n".utf8))
        cluster.settle()
        cluster.step(a, .closed(connection))
        cluster.open(a, connection)
        cluster.replies[a]?[connection] = []
        cluster.deliver(
            HostileMessage.bytes(
                2, flag: 1, number: 1 << 32 | 1 << 28, HostileMessage.little(UInt64(0))),
            from: b, to: a)
        cluster.send(a, connection, Array("RECEIPT LAST\r\n".utf8))
        #expect(cluster.reply(a, connection) == "*-1\r\n")
    }

    @Test("one request for many large values is refused instead of filling memory")
    func largeGather() {
        let cluster = Cluster(1)
        let connection = ConnectionID(1)
        cluster.open(a, connection)
        let value = String(repeating: "v", count: 8_000_000)
        let request = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8000000\r\n\(value)\r\n"
        cluster.send(a, connection, Array(request.utf8))
        cluster.send(a, connection, Array("MGET k k k k k k k k k k\r\n".utf8))
        cluster.settle()
        #expect(cluster.reply(a, connection).hasPrefix("+OK\r\n-ERR the values together"))
    }

    @Test(
        "what DW asks for is on disk before the answer, whatever the change",
        arguments: [
            "SET k:a w", "DEL k:a", "UNLINK k:a", "GETDEL k:a", "PEXPIRE k:a -1", "EXPIREAT k:a 1",
            "GETEX k:a PXAT 1", "APPEND k:a w", "GETSET k:a w", "MSET k:a w", "DEL k:a k:b",
            "PERSIST k:a", "PEXPIRE k:a 100000",
        ], [1, 3])
    func durableChanges(_ line: String, _ n: Int) {
        let cluster = Cluster(n)
        let settings = "n=\(n) r=1 w=1 durability=interval(5000)"
        #expect(cluster.run(a, "KEYSPACE CREATE k \(settings)") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:a v PX 90000") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:b v") == "+OK\r\n")
        let connection = ConnectionID(1)
        cluster.open(a, connection)
        _ = cluster.send(a, connection, Array("CONSISTENCY DW \(n)\r\n".utf8))
        cluster.settle()
        #expect(cluster.reply(a, connection) == "+OK\r\n")
        for id in cluster.ids { cluster.slowDisks.insert(id) }
        _ = cluster.send(a, connection, Array((line + "\r\n").utf8))
        cluster.settle()
        func answer() -> Substring { cluster.reply(a, connection).dropFirst("+OK\r\n".count) }
        if answer().hasPrefix("-MODE") { return }
        #expect(answer() == "", "answered before it is on disk")
        for id in cluster.ids { cluster.finishSyncs(id) }
        cluster.settle()
        #expect(!answer().isEmpty && !answer().hasPrefix("-"), "\(answer())")
    }

    @Test("deletes of keys that never were go on at the memory limit, up to a sixteenth beyond it")
    func endlessTombstones() {
        let empty = Cluster(3).with(NodeID(1)) { $0.store.allocatedBytes }
        let limit = empty + 20_000
        let cluster = Cluster(3) { $0.memoryBytesMax = limit }
        #expect(cluster.run(a, "SET there v") == "+OK\r\n")
        #expect(cluster.run(a, "SET other v") == "+OK\r\n")
        var index = 0
        while cluster.with(a, { $0.store.allocatedBytes }) < limit, index < 1_000 {
            #expect(cluster.run(a, "QDEL k\(index)").hasPrefix(":0"))
            index += 1
        }
        #expect(cluster.run(a, "SET k v").hasPrefix("-OOM"))
        #expect(cluster.run(a, "DEL absent other") == ":1\r\n")
        for index in 1_000..<3_000 { _ = cluster.run(a, "QDEL k\(index)") }
        for node in [a, b, c] {
            let bytes = cluster.with(node) { $0.store.allocatedBytes }
            #expect(bytes < limit + limit / 16 + 10_000)
        }
        #expect(cluster.run(a, "QDEL another").hasPrefix("-OOM"))
        #expect(cluster.run(a, "DEL there") == ":1\r\n")
    }

    @Test("a full node takes no deletes of unknown keys from other nodes either")
    func endlessTombstonesElsewhere() {
        let empty = Cluster(3).with(a) { $0.store.allocatedBytes }
        let cluster = Cluster(3) { $0.memoryBytesMax = empty + 20_000 }
        for index in 0..<1_000 as Range<UInt16> {
            var record = HostileMessage.record("k\(index)", [], cluster.dot(b, logical: index))
            record[4] = RecordKind.tombstone.rawValue
            cluster.deliver(HostileMessage.bytes(1, number: 1, record), from: b, to: a)
        }
        let limit = empty + 20_000
        #expect(cluster.with(a) { $0.store.allocatedBytes } < limit + limit / 16 + 10_000)
    }

    @Test("an EXPIRE under way when n becomes smaller is refused")
    func expireAcrossSmallerFactor() throws {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k n=3 readrepair=0") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:1 v W ALL") == "+OK\r\n")
        let dot = cluster.dot(b, aheadBy: 1)
        let smaller = try cluster.with(b) { node in
            var catalog = node.catalog
            var settings = KeyspaceSettings()
            settings.replicationFactor = 1
            settings.readQuorum = .one
            settings.writeQuorum = .one
            let index = try #require(catalog.position(named: Array("k".utf8)))
            try catalog.change(index, to: settings, dot: dot)
            var buffer = ByteBuffer()
            catalog.encode(into: &buffer)
            return HostileMessage.bytes(7, Array(buffer.bytes))
        }
        cluster.cut = [[a, b], [a, c]]
        #expect(cluster.run(a, "EXPIRE k:1 100") == "")
        cluster.cut = []
        cluster.deliver(smaller, from: b, to: a)
        cluster.pass(milliseconds: 40)
        #expect(cluster.reply(a).hasPrefix("-UNAVAILABLE the keyspace changed"))
    }

    @Test("concurrent values that are too many together are an error, not nothing")
    func tooManyTogether() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE s conflict=siblings siblings=1000") == "+OK\r\n")
        for (place, node) in [a, b, c].enumerated() {
            let siblings = (0..<2_000).map { index in
                let dot = Dot(
                    identity: ReplicaIdentity(rawValue: UInt64(place * 2_000 + index + 1)),
                    stamp: Stamp(rawValue: 9))
                return Sibling(dot: dot, expiry: 0, value: [1])
            }
            var context = CausalContext()
            for sibling in siblings { context.insert(sibling.dot) }
            var buffer = ByteBuffer()
            Array("s:k".utf8).withUnsafeBytes {
                _ = SiblingSet(context: context, siblings: siblings.sorted { $0.dot < $1.dot })
                    .encodeRecord(key: $0, into: &buffer)
            }
            let message = HostileMessage.bytes(1, Array(buffer.bytes))
            cluster.deliver(message, from: node == b ? c : b, to: node)
        }
        #expect(cluster.run(a, "GET s:k R ALL").hasPrefix("-SIBLINGS"))
    }
}
