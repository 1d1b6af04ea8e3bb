import Base
import RESP
import Testing

@testable import Replication

@Suite("What a request with an id answers stays, whatever it did")
struct RequestOutcomeTests {
    private let a = NodeID(1)
    private let b = NodeID(2)
    private let c = NodeID(3)

    /// A command with an id, what is there before it, what another client does behind it, and how
    /// that is looked at.
    struct Case: CustomStringConvertible {
        let command: String
        var before: [String] = []
        let other: String
        let look: String

        init(_ command: String, _ before: String..., other: String, look: String) {
            (self.command, self.before, self.other, self.look) = (command, before, other, look)
        }

        var description: String { command }
    }

    private static let soon = "PXAT 1700000900000"

    private static let strings: [Case] = [
        .init("SET lww:k v", other: "SET lww:k x", look: "GET lww:k"),
        .init("SET one:k v NX", "SET one:k u", other: "DEL one:k", look: "GET one:k"),
        .init("SET one:k v XX", other: "SET one:k x", look: "GET one:k"),
        .init("SET one:k v XX GET", other: "SET one:k x", look: "GET one:k"),
        .init("SET one:k v NX GET", "SET one:k u", other: "DEL one:k", look: "GET one:k"),
        .init("SET solo:k v NX", "SET solo:k u", other: "DEL solo:k", look: "GET solo:k"),
        .init("SETNX one:k v", "SET one:k u", other: "DEL one:k", look: "GET one:k"),
        .init("SETNX solo:k v", "SET solo:k u", other: "DEL solo:k", look: "GET solo:k"),
        .init("SETEX lww:k 900 v", other: "SET lww:k x", look: "EXPIRETIME lww:k"),
        .init("PSETEX lww:k 900000 v", other: "SET lww:k x", look: "EXPIRETIME lww:k"),
        .init("GETSET one:k v", other: "SET one:k x", look: "GET one:k"),
        .init("GETEX lww:k EX 9", other: "SET lww:k x", look: "EXPIRETIME lww:k"),
        .init(
            "GETEX lww:k PERSIST", "SET lww:k v", other: "SET lww:k x \(soon)",
            look: "EXPIRETIME lww:k"),
        .init("GETEX lww:k", "SET lww:k v", other: "SET lww:k x", look: "GET lww:k"),
        .init("GETEX crdt:k EX 9", other: "SET crdt:k x", look: "EXPIRETIME crdt:k"),
        .init("GETDEL one:k", other: "SET one:k x", look: "GET one:k"),
        .init("GETDEL crdt:k", other: "SET crdt:k x", look: "GET crdt:k"),
        .init("MSET lww:k v", other: "SET lww:k x", look: "GET lww:k"),
        .init("MSET one:k v", other: "SET one:k x", look: "GET one:k"),
        .init("MSET siblings:k v", other: "SET siblings:k x", look: "GET siblings:k"),
        .init("MSET crdt:k v", other: "SET crdt:k x", look: "GET crdt:k"),
        .init("APPEND one:k v", other: "SET one:k x", look: "GET one:k"),
        .init("INCR crdt:k", other: "INCRBY crdt:k 5", look: "GET crdt:k"),
        .init("DECR crdt:k", other: "INCRBY crdt:k 5", look: "GET crdt:k"),
        .init("INCRBY crdt:k 0", other: "INCRBY crdt:k 5", look: "GET crdt:k"),
        .init("DECRBY crdt:k 0", other: "INCRBY crdt:k 5", look: "GET crdt:k"),
        .init("INCRBYFLOAT crdt:k 0", other: "INCRBY crdt:k 5", look: "GET crdt:k"),
    ]

    private static let keys: [Case] = [
        .init("DEL one:k", other: "SET one:k x", look: "GET one:k"),
        .init("DEL lww:k", other: "SET lww:k x", look: "GET lww:k"),
        .init("DEL crdt:k", other: "SET crdt:k x", look: "GET crdt:k"),
        .init("UNLINK one:k", other: "SET one:k x", look: "GET one:k"),
        .init("UNLINK lww:k", other: "SET lww:k x", look: "GET lww:k"),
        .init("UNLINK crdt:k", other: "SADD crdt:k x", look: "SCARD crdt:k"),
        .init("EXPIRE lww:k 1", other: "SET lww:k x", look: "EXPIRETIME lww:k"),
        .init("EXPIRE one:k 9 XX", "SET one:k v", other: "EXPIRE one:k 99", look: "TTL one:k"),
        .init("PEXPIRE lww:k 9", other: "SET lww:k x", look: "EXPIRETIME lww:k"),
        .init("PEXPIRE crdt:k 9", other: "SET crdt:k x", look: "EXPIRETIME crdt:k"),
        .init("EXPIREAT lww:k 1", other: "SET lww:k x", look: "GET lww:k"),
        .init("PEXPIREAT lww:k 1", other: "SET lww:k x", look: "GET lww:k"),
        .init(
            "PERSIST lww:k", "SET lww:k v", other: "SET lww:k x \(soon)",
            look: "EXPIRETIME lww:k"),
        .init("PERSIST crdt:k", other: "SET crdt:k x \(soon)", look: "EXPIRETIME crdt:k"),
        .init("QSET siblings:k v", other: "SET siblings:k x", look: "GET siblings:k"),
        .init("QDEL siblings:k", other: "SET siblings:k x", look: "GET siblings:k"),
        .init("QDEL one:k", other: "SET one:k x", look: "GET one:k"),
        .init(
            "QFLAG crdt:k DISABLE", "QFLAG crdt:k DISABLE", other: "QFLAG crdt:k ENABLE",
            look: "QFLAG crdt:k"),
        .init(
            "QBOUND DECR crdt:k 1", "QBOUND CREATE crdt:k 10 MIN 1",
            other: "QBOUND INCR crdt:k 5", look: "QBOUND GET crdt:k"),
    ]

    private static let hashesAndLists: [Case] = [
        .init(
            "HSET crdt:k f v", "HSET crdt:k f v", other: "HSET crdt:k f x", look: "HGET crdt:k f"),
        .init("HMSET crdt:k f v", other: "HSET crdt:k f x", look: "HGET crdt:k f"),
        .init("HSETNX solo:k f v", "HSET solo:k f u", other: "HDEL solo:k f", look: "HLEN solo:k"),
        .init("HDEL crdt:k f", other: "HSET crdt:k f x", look: "HGET crdt:k f"),
        .init("HINCRBY crdt:k f 0", other: "HINCRBY crdt:k f 5", look: "HGET crdt:k f"),
        .init("HINCRBYFLOAT crdt:k f 0", other: "HINCRBY crdt:k f 5", look: "HGET crdt:k f"),
        .init("LPUSH crdt:k v", other: "LPUSH crdt:k x", look: "LLEN crdt:k"),
        .init("RPUSH crdt:k v", other: "RPUSH crdt:k x", look: "LLEN crdt:k"),
        .init("LPUSHX crdt:k v", other: "RPUSH crdt:k x", look: "LLEN crdt:k"),
        .init("RPUSHX crdt:k v", other: "RPUSH crdt:k x", look: "LLEN crdt:k"),
        .init("LPOP crdt:k", other: "RPUSH crdt:k x", look: "LLEN crdt:k"),
        .init("RPOP crdt:k", other: "RPUSH crdt:k x", look: "LLEN crdt:k"),
        .init("LPOP crdt:k 0", "RPUSH crdt:k v", other: "RPUSH crdt:k x", look: "LLEN crdt:k"),
        .init(
            "LSET crdt:k 0 v", "RPUSH crdt:k v", other: "LSET crdt:k 0 x",
            look: "LRANGE crdt:k 0 -1"),
        .init("LINSERT crdt:k BEFORE x v", other: "RPUSH crdt:k x", look: "LLEN crdt:k"),
        .init(
            "LINSERT crdt:k BEFORE x v", "RPUSH crdt:k y", other: "RPUSH crdt:k x",
            look: "LLEN crdt:k"),
        .init("LREM crdt:k 0 x", other: "RPUSH crdt:k x", look: "LLEN crdt:k"),
        .init("LREM crdt:k 0 x", "RPUSH crdt:k y", other: "RPUSH crdt:k x", look: "LLEN crdt:k"),
        .init("LTRIM crdt:k 0 0", other: "RPUSH crdt:k x y", look: "LLEN crdt:k"),
        .init("LTRIM crdt:k 0 -1", "RPUSH crdt:k v", other: "RPUSH crdt:k x", look: "LLEN crdt:k"),
    ]

    private static let sets: [Case] = [
        .init("SADD crdt:k v", "SADD crdt:k v", other: "SREM crdt:k v", look: "SCARD crdt:k"),
        .init("SREM crdt:k x", other: "SADD crdt:k x", look: "SCARD crdt:k"),
        .init("SREM crdt:k x", "SADD crdt:k y", other: "SADD crdt:k x", look: "SCARD crdt:k"),
        .init("SPOP crdt:k", other: "SADD crdt:k x", look: "SCARD crdt:k"),
        .init("SPOP crdt:k 3", other: "SADD crdt:k x", look: "SCARD crdt:k"),
        .init(
            "ZADD solo:k NX 1 m", "ZADD solo:k 2 m", other: "ZREM solo:k m", look: "ZCARD solo:k"),
        .init("ZADD solo:k XX 1 m", other: "ZADD solo:k 2 m", look: "ZSCORE solo:k m"),
        .init("ZADD solo:k XX INCR 1 m", other: "ZADD solo:k 2 m", look: "ZSCORE solo:k m"),
        .init("ZREM crdt:k m", other: "ZADD crdt:k 2 m", look: "ZCARD crdt:k"),
        .init("ZINCRBY crdt:k 0 m", other: "ZADD crdt:k 2 m", look: "ZSCORE crdt:k m"),
        .init("ZPOPMIN crdt:k", other: "ZADD crdt:k 2 m", look: "ZCARD crdt:k"),
        .init("ZPOPMAX crdt:k", other: "ZADD crdt:k 2 m", look: "ZCARD crdt:k"),
    ]

    private static let cases = strings + keys + hashesAndLists + sets

    private func cluster(_ settings: [String] = []) -> Cluster {
        Cluster(3) { configuration in
            let keyspaces = [
                "lww": "lww", "siblings": "siblings", "crdt": "crdt", "one": "lww", "solo": "crdt",
            ]
            configuration.keyspaces = keyspaces.sorted { $0.key < $1.key }.map { name, conflict in
                var keyspace = KeyspaceSettings()
                let replicas = ["one", "solo"].contains(name) ? ["n=1"] : []
                for setting in ["conflict=\(conflict)"] + replicas + settings {
                    #expect(keyspace.set(setting) == nil)
                }
                return (Array(name.utf8), keyspace)
            }
        }
    }

    @Test("there is a case for every command that changes one key")
    func everyCommandHasOne() {
        let tried = Set(RequestOutcomeTests.cases.map { $0.command.prefix { $0 != " " } })
        for description in CommandTable.ordered {
            let keys = description.keys
            guard description.flags.contains(.write), !description.flags.contains(.refused),
                keys.first > 0, keys.last < 0 || keys.first == keys.last
            else { continue }
            let name = description.text.description.uppercased()
            #expect(tried.contains(name[...]), "\(name)")
        }
    }

    @Test("sent again it answers the same and changes nothing", arguments: cases.indices)
    func sentAgain(_ index: Int) {
        let tried = RequestOutcomeTests.cases[index]
        let cluster = cluster()
        for line in tried.before { #expect(!cluster.run(a, line).hasPrefix("-"), "\(line)") }
        let request = "IDEMPOTENCY id \(tried.command)"
        let reply = cluster.run(a, request)
        #expect(!reply.isEmpty && !reply.hasPrefix("-"), "\(tried): \(reply)")
        let other = cluster.run(b, tried.other)
        #expect(!other.isEmpty && !other.hasPrefix("-"), "\(tried.other): \(other)")
        let look = tried.look
        let seen = cluster.run(c, look)
        for id in cluster.ids {
            #expect(cluster.run(id, request) == reply, "\(tried) on \(id)")
            #expect(cluster.run(id, look) == seen, "\(look) on \(id) after \(tried)")
            cluster.with(id) { $0.checkInvariants(recounting: true) }
        }
    }

    @Test("an outcome without an effect is kept over restarts, by all that heard of it")
    func restart() throws {
        let cluster = cluster(["durability=fsync"])
        cluster.pass(milliseconds: 3_000)
        #expect(cluster.run(a, "IDEMPOTENCY x SREM crdt:s m") == ":0\r\n")
        #expect(cluster.run(b, "SADD crdt:s m") == ":1\r\n")
        for (epoch, id) in zip(2..., cluster.ids) {
            try cluster.restart(id, epoch: UInt64(epoch), on: cluster.journals[id] ?? [], after: 1)
            cluster.pass(milliseconds: 3_000)
            for other in cluster.ids {
                #expect(cluster.run(other, "IDEMPOTENCY x SREM crdt:s m") == ":0\r\n")
                #expect(cluster.run(other, "SISMEMBER crdt:s m") == ":1\r\n")
            }
        }
    }

    @Test("it is durable before it is told")
    func durableFirst() {
        let cluster = cluster(["durability=fsync"])
        cluster.pass(milliseconds: 3_000)
        cluster.slowDisks = [b, c]
        cluster.lostKinds = [44]
        _ = cluster.run(a, "IDEMPOTENCY x SREM crdt:s m")
        cluster.slowDisks.insert(a)
        cluster.finishSyncs(b)
        #expect(cluster.reply(a) == "")
        cluster.finishSyncs(a)
        #expect(cluster.reply(a) == ":0\r\n")
    }

    @Test("only its coordinator knows: the others ask, and say so while they cannot")
    func nobodyHeard() {
        let cluster = cluster()
        cluster.lostKinds = [44]
        #expect(cluster.run(a, "IDEMPOTENCY x SREM crdt:s m") == ":0\r\n")
        #expect(cluster.run(b, "SADD crdt:s m") == ":1\r\n")
        cluster.isolate(a)
        _ = cluster.run(b, "IDEMPOTENCY x SREM crdt:s m")
        cluster.pass(milliseconds: 2_000)
        #expect(cluster.reply(b).hasPrefix("-UNKNOWN node 1 began this request"))
        cluster.cut = []
        cluster.pass(milliseconds: 500)
        #expect(cluster.run(b, "IDEMPOTENCY x SREM crdt:s m") == ":0\r\n")
        #expect(cluster.run(b, "SISMEMBER crdt:s m") == ":1\r\n")
    }

    @Test("a value of more than 64 KB is not told where nothing is changed either")
    func largeReplies() {
        let cluster = cluster()
        for key in ["one:k", "lww:k", "crdt:k"] {
            #expect(
                cluster.run(a, "SET \(key) " + String(repeating: "y", count: 60_000)) == "+OK\r\n")
        }
        for key in ["one:k", "crdt:k"] {
            let more = String(repeating: "y", count: 10_000)
            #expect(cluster.run(a, "APPEND \(key) \(more)") == ":70000\r\n")
        }
        for line in ["GETEX one:k PERSIST", "SET one:k v NX GET", "GETEX crdt:k PERSIST"] {
            #expect(cluster.run(b, "IDEMPOTENCY x \(line)").hasPrefix("-ERR a reply of more"))
        }
        #expect(cluster.run(b, "IDEMPOTENCY x GETEX lww:k PERSIST").hasPrefix("$60000\r\n"))
    }
}

@Suite("A request with an id has its place in the order of writes")
struct RequestOrderTests {
    private let a = NodeID(1)
    private let b = NodeID(2)
    private let c = NodeID(3)

    @Test(
        "what was acknowledged before it began does not win over it, whatever the clocks",
        arguments: ["SET k x", "DEL k", "SETEX k 900 x"])
    func afterWhatWasAcknowledged(_ former: String) {
        let cluster = Cluster(3)
        cluster.wall[c, default: 0] += 400
        cluster.cut = [[c, a]]
        #expect(!cluster.run(c, former).hasPrefix("-"))
        // Its only acknowledgement comes too late.
        cluster.slow[[b, a]] = 2
        _ = cluster.run(a, "IDEMPOTENCY i SET k w TIMEOUT 1")
        cluster.pass(milliseconds: 10)
        #expect(cluster.reply(a).hasPrefix("-UNKNOWN"))
        cluster.slow = [:]
        #expect(cluster.run(a, "IDEMPOTENCY i SET k w TIMEOUT 1") == "+OK\r\n")
        cluster.cut = []
        #expect(cluster.run(b, "IDEMPOTENCY i SET k w TIMEOUT 1") == "+OK\r\n")
        cluster.pass(milliseconds: 5_000, by: 5)
        for id in cluster.ids { #expect(cluster.run(id, "GET k R ALL") == "$1\r\nw\r\n") }
    }

    @Test("sent again it needs as many replicas as the first time")
    func levels() {
        let cluster = Cluster(3)
        cluster.isolate(c)
        for _ in 0..<2 {
            _ = cluster.run(a, "IDEMPOTENCY i SET k w EX 900 W ALL TIMEOUT 20")
            cluster.pass(milliseconds: 50)
            #expect(cluster.reply(a).hasPrefix("-UNKNOWN 2 of 3"))
        }
        cluster.cut = []
        #expect(cluster.run(b, "IDEMPOTENCY i SET k w EX 900 W ALL TIMEOUT 20") == "+OK\r\n")
        #expect(cluster.run(c, "GET k R 1") == "$1\r\nw\r\n")
    }

    @Test("what a replica has from a clock far ahead refuses it only where a majority has that")
    func farAhead() throws {
        let cluster = Cluster(3)
        try cluster.restartAlone(c, epoch: 2, ahead: 3_600_000)
        #expect(cluster.run(c, "SET k future W 1") == "+OK\r\n")
        cluster.meet(c)
        #expect(cluster.run(a, "IDEMPOTENCY i SET k w") == "+OK\r\n")
        for id in cluster.ids { #expect(cluster.run(id, "GET k R ALL") == "$1\r\nw\r\n") }
    }

    @Test("the first retry after a restart is executed: nothing of the former life is under way")
    func firstRetry() throws {
        let cluster = Cluster(3) { configuration in
            var keyspace = KeyspaceSettings()
            #expect(keyspace.set("durability=fsync") == nil)
            configuration.keyspaces = [(Array("f".utf8), keyspace)]
        }
        cluster.pass(milliseconds: 3_000)
        // The claim leaves, the grants come back too late.
        for other in [b, c] { cluster.cut.insert([other, a]) }
        _ = cluster.run(a, "IDEMPOTENCY x SET f:k v")
        try cluster.restart(a, epoch: 2, on: cluster.journals[a] ?? [], after: 1)
        cluster.cut = []
        cluster.pass(milliseconds: 3_000)
        #expect(cluster.run(a, "IDEMPOTENCY x SET f:k v") == "+OK\r\n")
        #expect(cluster.run(b, "GET f:k") == "$1\r\nv\r\n")
    }
}
