import Base
import Coding
import Testing

@testable import Replication

private let (a, b, c) = (NodeID(1), NodeID(2), NodeID(3))

/// What becomes of typed values of which a part expires.
@Suite("An expiry of a typed value ends what it was given to")
struct TypedExpiryTests {
    /// What there was, what is added on the other side, how to look, and what is to be left.
    struct Case: Sendable, CustomTestStringConvertible {
        let base: [String]
        let addition: String
        let question: String
        let left: String

        var testDescription: String { addition }
    }

    static let cases = [
        Case(
            base: ["SADD s:k a"], addition: "SADD s:k b", question: "SMEMBERS s:k",
            left: "*1\r\n$1\r\nb\r\n"),
        Case(
            base: ["INCRBY s:k 10"], addition: "INCRBY s:k 5", question: "GET s:k",
            left: "$1\r\n5\r\n"),
        Case(
            base: ["SET s:k 10"], addition: "INCRBY s:k 5", question: "GET s:k",
            left: "$1\r\n5\r\n"),
        Case(
            base: ["SET s:k v"], addition: "SET s:k w", question: "GET s:k", left: "$1\r\nw\r\n"),
        Case(
            base: ["HSET s:k f 1 g 2"], addition: "HSET s:k h 3", question: "HGETALL s:k",
            left: "*2\r\n$1\r\nh\r\n$1\r\n3\r\n"),
        Case(
            base: ["HINCRBY s:k f 10"], addition: "HINCRBY s:k f 1", question: "HGETALL s:k",
            left: "*2\r\n$1\r\nf\r\n$1\r\n1\r\n"),
        Case(
            base: ["ZADD s:k 10 m"], addition: "ZINCRBY s:k 2 m",
            question: "ZRANGE s:k 0 -1 WITHSCORES", left: "*2\r\n$1\r\nm\r\n$1\r\n2\r\n"),
        Case(
            base: ["ZINCRBY s:k 10 m"], addition: "ZINCRBY s:k 2 m",
            question: "ZRANGE s:k 0 -1 WITHSCORES", left: "*2\r\n$1\r\nm\r\n$1\r\n2\r\n"),
        Case(
            base: ["RPUSH s:k x y"], addition: "RPUSH s:k z", question: "LRANGE s:k 0 -1",
            left: "*1\r\n$1\r\nz\r\n"),
        Case(
            base: ["SADD s:k a"], addition: "SADD s:k a", question: "SMEMBERS s:k",
            left: "*1\r\n$1\r\na\r\n"),
        Case(
            base: ["QFLAG s:k ENABLE"], addition: "QFLAG s:k ENABLE", question: "QFLAG s:k",
            left: ":1\r\n"),
    ]

    private func cluster(_ settings: String) -> Cluster {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE s n=3 conflict=crdt \(settings)") == "+OK\r\n")
        return cluster
    }

    private func fill(_ cluster: Cluster, _ base: [String]) {
        // The node that adds later has counted before.
        for command in base { _ = cluster.run(b, command) }
        cluster.pass(milliseconds: 50)
    }

    private func expect(_ cluster: Cluster, _ question: String, _ answer: String) {
        for node in cluster.ids { #expect(cluster.run(node, question) == answer) }
    }

    @Test(
        "what was added after its time has come, on a side that did not know, stays alone",
        arguments: cases)
    func addedAfterwards(_ one: Case) {
        let cluster = cluster("r=1 w=1")
        fill(cluster, one.base)
        cluster.isolate(b)
        #expect(cluster.run(a, "EXPIRE s:k 1") == ":1\r\n")
        cluster.pass(milliseconds: 4_000, by: 10)
        #expect(cluster.run(a, "EXISTS s:k") == ":0\r\n")
        _ = cluster.run(b, one.addition)
        cluster.cut = []
        cluster.pass(milliseconds: 5_000, by: 10)
        expect(cluster, one.question, one.left)
        expect(cluster, "TTL s:k", ":-1\r\n")
    }

    @Test(
        "what was added before its time has come, on a side that did not know, stays alone",
        arguments: cases)
    func addedBefore(_ one: Case) {
        let cluster = cluster("r=1 w=1")
        fill(cluster, one.base)
        cluster.isolate(b)
        #expect(cluster.run(a, "EXPIRE s:k 2") == ":1\r\n")
        _ = cluster.run(b, one.addition)
        cluster.pass(milliseconds: 300, by: 10)
        cluster.cut = []
        cluster.pass(milliseconds: 1_000, by: 10)
        #expect(cluster.run(a, "EXISTS s:k R ALL") == ":1\r\n")
        cluster.pass(milliseconds: 6_000, by: 10)
        expect(cluster, one.question, one.left)
        for node in cluster.ids {
            let isPending = cluster.with(node) { $0.hasPendingExpiry(of: "s:k") }
            #expect(!isPending, "what has expired is removed although nobody asks")
        }
    }

    @Test("what was added by who knew of the time ends with it", arguments: cases)
    func inherited(_ one: Case) {
        let cluster = cluster("r=quorum w=quorum")
        fill(cluster, one.base)
        #expect(cluster.run(a, "EXPIRE s:k 2") == ":1\r\n")
        // A SET is a value of its own.
        let addition = one.addition.hasPrefix("SET") ? "APPEND s:k w" : one.addition
        _ = cluster.run(b, addition)
        #expect(cluster.run(c, "TTL s:k") == ":2\r\n")
        cluster.pass(milliseconds: 2_100, by: 10)
        expect(cluster, "EXISTS s:k", ":0\r\n")
        cluster.pass(milliseconds: 6_000, by: 10)
        for node in cluster.ids {
            let bytes = cluster.with(node) { node in
                node.holdings.keyspaces.reduce(0) { $0 + $1.contents.bytes }
            }
            #expect(bytes < 300)
        }
    }

    /// Its creation is its one add, so that whatever was done to it ends with that.
    @Test(
        "a bounded counter ends as a whole, whatever was done to it unaware, as by a DEL",
        arguments: ["QBOUND INCR s:k 5", "QBOUND DECR s:k 5"], [false, true])
    func bounded(_ change: String, isOver: Bool) {
        let cluster = cluster("r=1 w=1")
        fill(cluster, ["QBOUND CREATE s:k 10"])
        cluster.isolate(b)
        #expect(cluster.run(a, "EXPIRE s:k \(isOver ? 1 : 2)") == ":1\r\n")
        cluster.pass(milliseconds: isOver ? 4_000 : 50, by: 10)
        #expect(cluster.run(b, change) == (change.contains("INCR") ? ":15\r\n" : ":5\r\n"))
        cluster.cut = []
        cluster.pass(milliseconds: 9_000, by: 10)
        expect(cluster, "QBOUND GET s:k", "$-1\r\n")
        expect(cluster, "EXISTS s:k", ":0\r\n")
        #expect(cluster.run(c, "QBOUND CREATE s:k 3") == "+OK\r\n")
        expect(cluster, "QBOUND GET s:k", ":3\r\n")
    }

    @Test(
        "one with an expiry of its own keeps that, whatever the other side gave the one before",
        arguments: ["SET s:k w PX 90000", "SET s:k w EX 90"])
    func own(_ set: String) {
        let cluster = cluster("r=1 w=1")
        fill(cluster, ["SET s:k v"])
        cluster.isolate(b)
        _ = cluster.run(a, set)
        cluster.pass(milliseconds: 50)
        #expect(cluster.run(b, "EXPIRE s:k 1") == ":1\r\n")
        cluster.cut = []
        cluster.pass(milliseconds: 6_000, by: 10)
        expect(cluster, "GET s:k", "$1\r\nw\r\n")
        expect(cluster, "TTL s:k", ":84\r\n")
    }

    @Test(
        "a longer life that was acknowledged is not undone by a replica that was away",
        arguments: ["PERSIST s:k", "EXPIRE s:k 1000"], 0..<3)
    func prolonged(_ change: String, away: Int) {
        let cluster = cluster("r=quorum w=quorum")
        fill(cluster, ["SADD s:k a", "SADD s:k b"])
        #expect(cluster.run(a, "EXPIRE s:k 2") == ":1\r\n")
        cluster.pass(milliseconds: 50)
        cluster.isolate(cluster.ids[away])
        let asked = cluster.ids[(away + 1) % 3]
        _ = cluster.run(asked, change)
        cluster.pass(milliseconds: 500, by: 10)
        #expect(cluster.reply(asked) == ":1\r\n")
        cluster.pass(milliseconds: 8_000, by: 10)
        cluster.cut = []
        cluster.pass(milliseconds: 5_000, by: 10)
        expect(cluster, "SCARD s:k", ":2\r\n")
    }

    @Test("no acknowledged SET or DEL is undone by changes of an expiry, however the sides meet")
    func loops() {
        let cluster = cluster("r=1 w=1")
        let changes = [
            "EXPIRE s:k 1000", "PERSIST s:k", "GETEX s:k EX 700", "GETEX s:k PERSIST",
            "PEXPIRE s:k 500000", "EXPIREAT s:k 99999999999",
        ]
        for round in 0..<60 {
            if round % 3 == 0 { cluster.isolate(b) }
            if round % 5 == 4 { cluster.cut = [] }
            let isDeletion = round % 7 == 6
            #expect(!cluster.run(a, isDeletion ? "DEL s:k" : "SET s:k \(round)").hasPrefix("-"))
            cluster.pass(milliseconds: 5)
            _ = cluster.run(b, changes[round % changes.count])
            cluster.cut = round % 2 == 0 ? [] : cluster.cut
            cluster.pass(milliseconds: 5)
            let expected = isDeletion ? "$-1\r\n" : "$\(round < 10 ? 1 : 2)\r\n\(round)\r\n"
            #expect(cluster.run(a, "GET s:k") == expected)
        }
        cluster.cut = []
        cluster.pass(milliseconds: 5_000, by: 10)
        expect(cluster, "GET s:k", "$2\r\n59\r\n")
    }

    @Test("conditions are refused where replicas could differ, and decided where one node decides")
    func conditions() {
        let cluster = cluster("r=1 w=1")
        #expect(cluster.run(a, "KEYSPACE CREATE one n=1 conflict=crdt") == "+OK\r\n")
        for condition in ["NX", "XX", "GT", "LT"] {
            #expect(cluster.run(a, "EXPIRE s:k 10 \(condition)").hasPrefix("-MODE "))
        }
        _ = cluster.run(a, "SADD one:k a")
        #expect(cluster.run(a, "EXPIRE one:k 10 XX") == ":0\r\n")
        #expect(cluster.run(a, "EXPIRE one:k 10 NX") == ":1\r\n")
        #expect(cluster.run(a, "EXPIRE one:k 5 GT") == ":0\r\n")
        #expect(cluster.run(a, "EXPIRE one:k 5 LT") == ":1\r\n")
        #expect(cluster.run(a, "TTL one:k") == ":5\r\n")
    }

    @Test("a change of an expiry with an id takes effect once", arguments: ["lww", "crdt"])
    func once(conflict: String) {
        let cluster = Cluster(3)
        let create = "KEYSPACE CREATE s n=3 conflict=\(conflict)"
        #expect(cluster.run(a, create) == "+OK\r\n")
        _ = cluster.run(a, "SET s:k v")
        #expect(cluster.run(a, "IDEMPOTENCY i1 EXPIRE s:k 100") == ":1\r\n")
        #expect(cluster.run(b, "PERSIST s:k") == ":1\r\n")
        #expect(cluster.run(c, "IDEMPOTENCY i1 EXPIRE s:k 100") == ":1\r\n")
        expect(cluster, "TTL s:k", ":-1\r\n")
        #expect(cluster.run(c, "IDEMPOTENCY i2 EXPIRE s:k 100") == ":1\r\n")
        expect(cluster, "TTL s:k", ":100\r\n")
    }

    @Test("a part that has expired gives its bytes back, as does a large value")
    func bytes() {
        let cluster = cluster("r=1 w=1")
        let value = String(repeating: "x", count: 20_000)
        fill(cluster, ["SADD s:k \(value)"])
        cluster.isolate(c)
        #expect(cluster.run(a, "EXPIRE s:k 1") == ":1\r\n")
        #expect(cluster.run(c, "SADD s:k b") == ":1\r\n")
        cluster.cut = []
        cluster.pass(milliseconds: 8_000, by: 10)
        expect(cluster, "SMEMBERS s:k", "*1\r\n$1\r\nb\r\n")
        for node in cluster.ids {
            let bytes = cluster.with(node) { node in
                node.holdings.keyspaces.reduce(0) { $0 + $1.contents.bytes }
            }
            #expect(bytes < 500)
        }
    }
}

extension Node {
    /// Whether something of a typed value may have expired, and is still here.
    fileprivate mutating func hasPendingExpiry(of key: StaticString) -> Bool {
        let bytes = UnsafeRawBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount)
        let held = restoredState(place(of: bytes), bytes)
        defer { putBack(held) }
        return held.state.nextExpiry > 0
    }
}
