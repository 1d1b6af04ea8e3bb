import Base
import Coding
import Testing

@testable import Replication

private let a = NodeID(1)

/// What redis-server 7.0.15 answers to arguments that few clients send.
@Suite("Odd arguments are answered as by Redis")
struct OddArgumentTests {
    private static let noNumber = "-ERR value is not an integer or out of range\r\n"
    private static let badTime = "-ERR invalid expire time in 'getex' command\r\n"
    private static let syntax = "-ERR syntax error\r\n"

    static let strings: [(line: String, reply: String)] = [
        ("GETEX k:none EX 0", "$-1\r\n"), ("GETEX k:none EX x", "$-1\r\n"),
        ("GETEX k:none PXAT -1", "$-1\r\n"), ("GETEX k:none EX 9223372036854775807", "$-1\r\n"),
        ("GETEX k:none FOO", syntax), ("GETEX k:none EX", syntax),
        ("GETEX k:s EX 0", badTime), ("GETEX k:s EX x", noNumber), ("GETEX k:s PXAT -1", badTime),
        ("GETEX k:s EX 9223372036854775807", badTime), ("GET k:s", "$1\r\nv\r\n"),
        ("TTL k:s", ":-1\r\n"),
    ]

    @Test(
        "GETEX looks at a time behind the key, and at the form of its options before it",
        arguments: ["lww", "siblings", "crdt"], [1, 3])
    func times(_ policy: String, _ n: Int) {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k n=\(n) conflict=\(policy)") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:s v") == "+OK\r\n")
        for (line, reply) in OddArgumentTests.strings {
            for node in cluster.ids {
                #expect(cluster.run(node, line) == reply, "\(policy), n=\(n): \(line)")
            }
        }
    }

    @Test("one word too many is a wrong number of arguments, of those that have a fixed one")
    func tooMany() {
        let cluster = Cluster(1)
        #expect(cluster.run(a, "KEYSPACE CREATE crdt n=1 conflict=crdt") == "+OK\r\n")
        for prefix in ["", "crdt:"] {
            for (name, first) in [
                ("get", "k"), ("strlen", "k"), ("ttl", "k"), ("pttl", "k"), ("type", "k"),
                ("expiretime", "k"), ("getdel", "k"), ("append", "k v"), ("persist", "k"),
                ("setnx", "k v"), ("getset", "k v"), ("setex", "k 5 v"), ("psetex", "k 5 v"),
            ] {
                let reply = cluster.run(a, "\(name) \(prefix)\(first) extra")
                let expected = "-ERR wrong number of arguments for '\(name)' command\r\n"
                #expect(reply == expected, "\(name) of \(prefix)")
            }
        }
    }

    @Test("-0 that is added to an absent member is told as such, and is 0 from then on")
    func negativeZero() {
        let cluster = Cluster(1)
        #expect(cluster.run(a, "KEYSPACE CREATE k n=1 conflict=crdt") == "+OK\r\n")
        for (line, reply) in [
            ("ZINCRBY k:z -0 m", "$2\r\n-0\r\n"), ("ZSCORE k:z m", "$1\r\n0\r\n"),
            ("ZINCRBY k:z -0 m", "$1\r\n0\r\n"), ("ZADD k:z -0 m", ":0\r\n"),
            ("ZINCRBY k:z 0 m", "$1\r\n0\r\n"), ("ZADD k:z INCR -0 o", "$2\r\n-0\r\n"),
            ("ZSCORE k:z o", "$1\r\n0\r\n"), ("ZADD k:z 5 m", ":0\r\n"),
            ("ZINCRBY k:z -5 m", "$1\r\n0\r\n"), ("ZADD k:z -5 m", ":0\r\n"),
            ("ZINCRBY k:z 5 m", "$1\r\n0\r\n"),
        ] { #expect(cluster.run(a, line) == reply, "\(line)") }
    }

    @Test("EXEC with an argument ends the transaction and its watches, and nothing runs")
    func execute() {
        let cluster = Cluster(1)
        let aborted =
            "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' "
            + "command\r\n"
        for (line, reply) in [
            ("EXEC x", aborted), ("WATCH k", "+OK\r\n"), ("EXEC x", aborted),
            ("SET k 1", "+OK\r\n"), ("MULTI", "+OK\r\n"), ("SET k 2", "+QUEUED\r\n"),
            ("EXEC x", aborted), ("GET k", "$1\r\n1\r\n"),
            ("EXEC", "-ERR EXEC without MULTI\r\n"),
        ] { #expect(cluster.run(a, line) == reply, "\(line)") }
    }

    @Test(
        "what Redis refuses to queue makes EXEC run nothing",
        arguments: [
            "DISCARD x", "MULTI x", "WATCH", "UNWATCH x", "COMMAND FOO", "COMMAND COUNT x",
            "CLIENT FOO", "QBOUND FOO k",
        ])
    func unqueued(_ line: String) {
        let cluster = Cluster(1)
        #expect(cluster.run(a, "MULTI") == "+OK\r\n")
        #expect(cluster.run(a, "SET k 1") == "+QUEUED\r\n")
        #expect(cluster.run(a, line).hasPrefix("-ERR"))
        #expect(cluster.run(a, "EXEC").hasPrefix("-EXECABORT"))
        #expect(cluster.run(a, "EXEC") == "-ERR EXEC without MULTI\r\n")
        #expect(cluster.run(a, "GET k") == "$-1\r\n")
    }

    @Test("a refusal names the command that was sent, as clients write it")
    func names() {
        let cluster = Cluster(3)
        for policy in ["lww", "siblings", "crdt"] {
            #expect(cluster.run(a, "KEYSPACE CREATE \(policy) n=3 conflict=\(policy)") == "+OK\r\n")
            for (line, what) in [
                ("setnx K:1 v", "SETNX"), ("set K:1 v nx", "SET with NX, XX, GET or KEEPTTL"),
                ("expire K:1 9 nx", "EXPIRE with NX, XX, GT or LT"),
                ("pexpireat K:1 9 gt", "PEXPIREAT with NX, XX, GT or LT"),
            ]
                + (policy == "crdt"
                    ? [
                        ("hsetnx K:h f v", "HSETNX"),
                        ("zadd K:z nx 1 m", "ZADD with NX, XX, GT or LT"),
                    ]
                    : [
                        ("getset K:1 v", "GETSET"), ("getdel K:1", "GETDEL"),
                        ("append K:1 v", "APPEND"),
                    ])
            {
                let reply = cluster.run(a, line.replacing("K:", with: policy + ":"))
                #expect(
                    reply == "-MODE \(what) reads and writes in one step; that needs a keyspace "
                        + "with n=1, this one has n=3\r\n", "\(policy): \(line)")
            }
            #expect(cluster.run(a, "setex \(policy):1 0 v").contains("in 'setex' command"))
            #expect(cluster.run(a, "psetex \(policy):1 0 v").contains("in 'psetex' command"))
        }
    }

    @Test("INFO counts the keys that expire", arguments: ["lww", "siblings", "crdt"])
    func expiring(_ policy: String) {
        let cluster = Cluster(1)
        #expect(cluster.run(a, "KEYSPACE CREATE k n=1 conflict=\(policy)") == "+OK\r\n")
        func expect(_ figures: String, _ comment: Comment) {
            #expect(cluster.run(a, "INFO keyspace").contains("db0:\(figures),"), comment)
            cluster.with(a) { $0.checkInvariants(recounting: true) }
        }
        for key in 1...4 { #expect(cluster.run(a, "SET k:\(key) v EX 100") == "+OK\r\n") }
        #expect(cluster.run(a, "SET k:5 v") == "+OK\r\n")
        expect("keys=5,expires=4", "written with a time")
        #expect(cluster.run(a, "PERSIST k:1") == ":1\r\n")
        #expect(cluster.run(a, "SET k:2 w") == "+OK\r\n")
        #expect(cluster.run(a, "EXPIRE k:5 50") == ":1\r\n")
        #expect(cluster.run(a, "DEL k:3") == ":1\r\n")
        expect("keys=4,expires=2", "changed")
        cluster.pass(milliseconds: 60_000, by: 50)
        expect("keys=3,expires=1", "one is over")
        #expect(cluster.run(a, "FLUSHALL") == "+OK\r\n")
        #expect(!cluster.run(a, "INFO keyspace").contains("db0"))
        cluster.with(a) { $0.checkInvariants(recounting: true) }
    }
}
