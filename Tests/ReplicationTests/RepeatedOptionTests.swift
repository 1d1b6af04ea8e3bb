import Base
import Coding
import Testing

@testable import Replication

/// What redis-server 7.0.15 answers where an option is said twice: mostly the last one counts.
@Suite("Options that are said twice count as in Redis")
struct RepeatedOptionTests {
    private static let syntax = "-ERR syntax error\r\n"
    private static let value = "$1\r\nv\r\n"

    /// Requests on a string `s` with 500 s to live, what they answer, and the seconds that are
    /// left then: -1 for no time, nil where it is left as it was.
    static let strings: [(line: String, reply: String, seconds: Int?)] = [
        ("GETEX s PERSIST PERSIST", value, -1), ("GETEX s EX 10 EX 10", value, 10),
        ("GETEX s EX 10 EX 20", value, 20), ("GETEX s PX 10000 PX 20000", value, 20),
        ("GETEX s EX 0 EX 20", value, 20), ("GETEX s EX x EX 20", value, 20),
        ("GETEX s EX 20 EX 0", "-ERR invalid expire time in 'getex' command\r\n", nil),
        ("GETEX s EX 20 EX x", "-ERR value is not an integer or out of range\r\n", nil),
        ("GETEX s EX 20 EX", syntax, nil), ("GETEX s EX 10 PX 10000", syntax, nil),
        ("GETEX s EX 10 PERSIST", syntax, nil), ("GETEX s PERSIST EX 10", syntax, nil),
        ("GETEX s PERSIST PERSIST PERSIST", value, -1), ("GETEX s EX 10 FOO", syntax, nil),
        ("GETEX none EX 10 EX 0", "$-1\r\n", nil), ("GETEX none EX 0 EX 10", "$-1\r\n", nil),
        ("GETEX none EX 10 PX 10", syntax, nil),
        ("SET s v EX 10 EX 20", "+OK\r\n", 20), ("SET s v EX 0 EX 10", "+OK\r\n", 10),
        ("SET s v EX x EX 10", "+OK\r\n", 10), ("SET s v PX 10000 PX 20000", "+OK\r\n", 20),
        ("SET s v EX 10 EX 0", "-ERR invalid expire time in 'set' command\r\n", nil),
        ("SET s v EX 0 FOO", syntax, nil), ("SET s v EX 10 PX 20000", syntax, nil),
        ("SET s v EXAT 9999999999 EX 10", syntax, nil), ("SET s v KEEPTTL KEEPTTL", "+OK\r\n", nil),
        ("SET s v KEEPTTL EX 10", syntax, nil), ("SET s v EX 10 KEEPTTL", syntax, nil),
        ("SET s v NX NX", "$-1\r\n", nil), ("SET s v XX XX", "+OK\r\n", -1),
        ("SET s v XX NX", syntax, nil), ("SET s v NX XX", syntax, nil),
        ("SET s v GET GET", value, -1), ("SET s v XX GET XX GET EX 10 EX 20", value, 20),
        ("SET s v EX 10 NX EX 20 NX", "$-1\r\n", nil), ("SET s v PERSIST", syntax, nil),
        ("EXPIRE s 100 NX NX", ":0\r\n", nil), ("EXPIRE s 100 XX XX", ":1\r\n", 100),
        ("EXPIRE s 100 GT GT", ":0\r\n", nil), ("EXPIRE s 100 LT LT", ":1\r\n", 100),
        ("EXPIRE s 100 XX GT XX GT", ":0\r\n", nil), ("PEXPIRE s 100000 XX XX", ":1\r\n", 100),
        ("EXPIREAT s 9999999999 LT LT", ":0\r\n", nil),
        (
            "EXPIRE s 100 GT LT GT",
            "-ERR GT and LT options at the same time are not compatible\r\n", nil
        ),
        (
            "EXPIRE s 100 NX XX NX",
            "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n", nil
        ),
    ]

    /// Requests on a sorted set, a list, a set and a hash, and what they answer.
    static let collections: [(line: String, reply: String)] = [
        ("ZADD z NX NX 1 a", ":0\r\n"), ("ZADD z XX XX 1 a", ":0\r\n"),
        ("ZADD z GT GT 1 a", ":0\r\n"), ("ZADD z LT LT 1 a", ":0\r\n"),
        ("ZADD z CH CH 1 a", ":0\r\n"), ("ZADD z INCR INCR 1 a", "$1\r\n2\r\n"),
        ("ZADD z XX GT CH XX GT CH 1 a", ":0\r\n"),
        (
            "ZADD z NX XX NX 1 a",
            "-ERR XX and NX options at the same time are not compatible\r\n"
        ),
        (
            "ZADD z GT LT GT 1 a",
            "-ERR GT, LT, and/or NX options at the same time are not compatible\r\n"
        ),
        ("SSCAN u 0 COUNT 5 COUNT 100", scan(["w"])), ("SSCAN u 0 MATCH x MATCH *", scan(["w"])),
        ("SSCAN u 0 COUNT 0 COUNT 100", syntax), ("HSCAN h 0 COUNT 5 COUNT 9", scan(["f", "1"])),
        ("HSCAN h 0 MATCH x MATCH *", scan(["f", "1"])),
        ("ZSCAN z 0 MATCH x MATCH a", scan(["a", "1"])),
        ("ZRANGE z 0 -1 REV REV", syntax),
        ("ZRANGE z 0 0 WITHSCORES WITHSCORES", array(["a", "1"])),
        ("ZRANGE z 0 9 BYSCORE BYSCORE", syntax), ("ZRANGE z - + BYLEX BYLEX", syntax),
        ("ZRANGE z 0 9 BYSCORE BYLEX", syntax),
        ("ZRANGE z 0 9 BYSCORE LIMIT 0 1 LIMIT 1 2", array(["b", "c"])),
        ("ZRANGE z 0 9 BYSCORE LIMIT 1 1 LIMIT 0 -1", array(["a", "b", "c"])),
        ("ZRANGE z 0 9 LIMIT 1 1 LIMIT 0 -1", array(["a", "b", "c"])),
        (
            "ZRANGE z 0 9 LIMIT 0 -1 LIMIT 1 1",
            "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or "
                + "BYLEX\r\n"
        ),
        ("ZRANGE z 9 0 BYSCORE REV REV", syntax),
        ("ZRANGE z 0 9 BYSCORE WITHSCORES LIMIT 0 1 WITHSCORES", array(["a", "1"])),
        ("ZREVRANGE z 0 0 WITHSCORES WITHSCORES", array(["c", "3"])),
        ("ZRANGEBYSCORE z 0 1 WITHSCORES WITHSCORES", array(["a", "1"])),
        ("ZRANGEBYSCORE z 0 9 LIMIT 0 1 LIMIT 1 1", array(["b"])),
        ("ZREVRANGEBYSCORE z 9 0 LIMIT 0 1 LIMIT 1 1 WITHSCORES WITHSCORES", array(["b", "2"])),
        ("LPOS l a RANK 1 RANK 2", ":2\r\n"), ("LPOS l a COUNT 0 COUNT 1", "*1\r\n:0\r\n"),
        ("LPOS l a COUNT 1 COUNT 0", "*3\r\n:0\r\n:2\r\n:4\r\n"),
        ("LPOS l a COUNT -1 COUNT 0", "-ERR COUNT can't be negative\r\n"),
        ("LPOS l a COUNT 0 MAXLEN 1 RANK -1 COUNT 1 RANK 1", "*1\r\n:0\r\n"),
        ("LPOS l c MAXLEN 1 MAXLEN 0", ":3\r\n"),
        ("SINTERCARD 1 v LIMIT 1 LIMIT 2", ":2\r\n"), ("SINTERCARD 1 v LIMIT 2 LIMIT 1", ":1\r\n"),
        ("SINTERCARD 1 v LIMIT -1 LIMIT 1", "-ERR LIMIT can't be negative\r\n"),
        ("HRANDFIELD h 1 WITHVALUES WITHVALUES", syntax), ("SRANDMEMBER u 1 1", syntax),
        ("LPOP l 1 1", "-ERR wrong number of arguments for 'lpop' command\r\n"),
        ("SPOP u 1 1", syntax), ("ZPOPMIN z 1 1", syntax),
    ]

    private static func array(_ words: [String]) -> String {
        words.reduce("*\(words.count)\r\n") { $0 + "$\($1.utf8.count)\r\n\($1)\r\n" }
    }

    private static func scan(_ words: [String]) -> String {
        "*2\r\n$1\r\n0\r\n" + array(words)
    }

    /// Keys are put into a keyspace, whose name is before the colon.
    private func run(_ cluster: Cluster, _ keyspace: String, _ line: String) -> String {
        let keys = ["s", "none", "z", "l", "u", "v", "h"]
        var isNamed = false
        let words = line.split(separator: " ").enumerated().map { place, word in
            guard place > 0, !isNamed, keys.contains(String(word)) else { return String(word) }
            isNamed = true
            return "\(keyspace):\(word)"
        }
        return cluster.run(NodeID(1), words.joined(separator: " "))
    }

    private func cluster() -> Cluster {
        let cluster = Cluster(1)
        for policy in ["lww", "siblings", "crdt"] {
            let made = cluster.run(
                NodeID(1), "KEYSPACE CREATE \(policy) n=1 r=1 w=1 conflict=\(policy)")
            #expect(made == "+OK\r\n")
        }
        return cluster
    }

    @Test("of strings and times, whatever the keyspace", arguments: ["lww", "siblings", "crdt"])
    func strings(_ policy: String) {
        let cluster = cluster()
        for (line, reply, seconds) in RepeatedOptionTests.strings {
            #expect(run(cluster, policy, "SET s v EX 500") == "+OK\r\n")
            #expect(run(cluster, policy, line) == reply, "\(policy): \(line)")
            let left = run(cluster, policy, "TTL s")
            #expect(left == ":\(seconds ?? 500)\r\n", "\(policy): \(line)")
        }
    }

    @Test("of sorted sets, lists, sets and hashes")
    func collections() {
        let cluster = cluster()
        for (line, reply) in RepeatedOptionTests.collections {
            for setup in [
                "DEL z", "DEL l", "ZADD z 1 a 2 b 3 c", "RPUSH l a b a c a", "SADD u w",
                "SADD v w x", "HSET h f 1",
            ] { #expect(!run(cluster, "crdt", setup).hasPrefix("-")) }
            #expect(run(cluster, "crdt", line) == reply, "\(line)")
        }
    }

    @Test("of SCAN the last one counts")
    func scan() {
        let cluster = cluster()
        #expect(run(cluster, "lww", "SET s v") == "+OK\r\n")
        #expect(run(cluster, "crdt", "SADD u w") == ":1\r\n")
        for line in ["SCAN 0 MATCH x MATCH lww:s", "SCAN 0 TYPE set TYPE string COUNT 1 COUNT 99"] {
            #expect(cluster.run(NodeID(1), line) == RepeatedOptionTests.scan(["lww:s"]))
        }
        #expect(cluster.run(NodeID(1), "SCAN 0 COUNT 0 COUNT 9") == RepeatedOptionTests.syntax)
    }
}
