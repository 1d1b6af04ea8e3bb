import Base
import Testing

@testable import Replication

/// Expectations are Redis's documentation; `bench/differential.py` holds many more against a
/// redis-server.
@Suite("Commands on typed values answer as Redis does")
struct TypedCommandTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let wrongType = "-WRONGTYPE Operation against a key holding the wrong kind of value"

    private func cluster() -> Cluster {
        let cluster = Cluster(1)
        let create = "KEYSPACE CREATE c conflict=crdt n=1 r=1 w=1 durability=memory"
        #expect(cluster.run(a, create) == "+OK\r\n")
        return cluster
    }

    /// Runs lines of `command → reply` in order; a reply is written in words, as redis-cli does.
    private func check(_ lines: String, sourceLocation: SourceLocation = #_sourceLocation) {
        let cluster = cluster()
        for line in lines.split(separator: "\n") {
            let parts = line.components("→")
            let reply = words(cluster.run(a, parts[0]))
            #expect(reply == parts[1], "\(parts[0])", sourceLocation: sourceLocation)
        }
    }

    /// The values of a reply, with `nil` for none and `()` around arrays.
    private func words(_ reply: String) -> String {
        var lines = reply.split(separator: "\r\n", omittingEmptySubsequences: false)[...]
        func next() -> String {
            guard let line = lines.popFirst(), let kind = line.first else { return "?" }
            let rest = String(line.dropFirst())
            switch kind {
            case "$": return rest == "-1" ? "nil" : lines.popFirst().map(String.init) ?? "?"
            case "*":
                guard let count = Int(rest), count >= 0 else { return "nil" }
                return "(" + (0..<count).map { _ in next() }.joined(separator: " ") + ")"
            default: return kind == "-" ? "-" + rest : rest
            }
        }
        return next()
    }

    @Test("EXPIRE takes no condition where several replicas have the key, as SET does not")
    func expireConditions() {
        let cluster = Cluster(3)
        for (name, n) in [("three", 3), ("one", 1)] {
            #expect(cluster.run(a, "KEYSPACE CREATE \(name) conflict=crdt n=\(n)") == "+OK\r\n")
            #expect(cluster.run(a, "SADD \(name):k v") == ":1\r\n")
            for condition in ["NX", "XX", "GT", "LT"] {
                let reply = cluster.run(a, "EXPIRE \(name):k 100 \(condition)")
                #expect(
                    reply.hasPrefix("-MODE EXPIRE with NX, XX, GT or LT") == (n == 3), "\(reply)")
            }
            #expect(cluster.run(a, "EXPIRE \(name):k 100") == ":1\r\n")
        }
    }

    @Test("reads of what is known of a key take consistency options, typed or not")
    func optionsOfReads() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE c conflict=crdt") == "+OK\r\n")
        for key in ["k", "c:k"] {
            #expect(cluster.run(a, "SET \(key) v W 3") == "+OK\r\n")
            #expect(cluster.run(b, "TYPE \(key) R 3") == "+string\r\n")
            #expect(cluster.run(b, "STRLEN \(key) R ALL") == ":1\r\n")
            for command in ["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"] {
                #expect(cluster.run(b, "\(command) \(key) R 2") == ":-1\r\n")
            }
            #expect(cluster.run(b, "TYPE \(key) X 3").hasPrefix("-ERR"))
        }
    }

    @Test("strings and counters are one type; a SET replaces any")
    func strings() {
        check(
            """
            INCR c:k → 1
            INCRBY c:k 9 → 10
            DECRBY c:k 12 → -2
            GET c:k → -2
            INCRBYFLOAT c:k 0.5 → -1.5
            INCR c:k → -ERR value is not an integer or out of range
            APPEND c:k x → 5
            STRLEN c:k → 5
            INCRBYFLOAT c:k 1 → -ERR value is not a valid float
            SET c:k 9223372036854775807 → OK
            INCR c:k → -ERR increment or decrement would overflow
            SET c:k v GET → 9223372036854775807
            SET c:k w NX → nil
            SETNX c:k w → 0
            GETDEL c:k → v
            EXISTS c:k → 0
            SET c:k w XX → nil
            DECRBY c:k -9223372036854775808 → -ERR decrement would overflow
            INCRBYFLOAT c:k inf → -ERR increment would produce NaN or Infinity
            INCR c:k junk → -ERR wrong number of arguments for 'incr' command
            """)
    }

    @Test("sets")
    func sets() {
        check(
            """
            SADD c:s b a b → 2
            SADD c:s c → 1
            SADD c:s c → 0
            SMEMBERS c:s → (a b c)
            SCARD c:s → 3
            SISMEMBER c:s a → 1
            SMISMEMBER c:s a x → (1 0)
            SREM c:s a x → 1
            SSCAN c:s 0 → (0 (b c))
            SADD c:t c d → 2
            SUNION c:s c:t c:none → (b c d)
            SINTER c:s c:t → (c)
            SDIFF c:s c:t → (b)
            SINTERCARD 2 c:s c:t LIMIT 1 → 1
            SPOP c:t 5 → (c d)
            TYPE c:t → none
            SPOP c:t → nil
            SRANDMEMBER c:s 5 → (b c)
            """)
    }

    @Test("hashes")
    func hashes() {
        check(
            """
            HSET c:h f 1 g 2 → 2
            HSET c:h f 3 → 0
            HGET c:h f → 3
            HINCRBY c:h f -5 → -2
            HINCRBYFLOAT c:h n 0.1 → 0.1
            HINCRBYFLOAT c:h n 0.2 → 0.3
            HINCRBYFLOAT c:h n inf → -ERR value is NaN or Infinity
            HINCRBY c:h n 1 → -ERR hash value is not an integer
            HGETALL c:h → (f -2 g 2 n 0.3)
            HMGET c:h g x → (2 nil)
            HSETNX c:h g 9 → 0
            HSTRLEN c:h n → 3
            HDEL c:h f x → 1
            HKEYS c:h → (g n)
            HVALS c:h → (2 0.3)
            HLEN c:h → 2
            HEXISTS c:h f → 0
            HDEL c:h g n → 2
            EXISTS c:h → 0
            HSET c:h f → -ERR wrong number of arguments for 'hset' command
            """)
    }

    @Test("sorted sets")
    func sortedSets() {
        check(
            """
            ZADD c:z 2 b 1 a 2 c → 3
            ZADD c:z XX CH 3 b 9 x → 1
            ZADD c:z CH 5 d 6 d → 2
            ZADD c:z GT 1 d → 0
            ZRANGE c:z 0 -1 WITHSCORES → (a 1 c 2 b 3 d 6)
            ZRANGE c:z (1 3 BYSCORE → (c b)
            ZRANGE c:z 6 (2 BYSCORE REV LIMIT 1 1 → (b)
            ZRANK c:z b → 2
            ZREVRANK c:z b → 1
            ZINCRBY c:z 0.5 c → 2.5
            ZADD c:z INCR -2 c → 0.5
            ZADD c:z NX INCR 1 c → nil
            ZCOUNT c:z -inf +inf → 4
            ZSCORE c:z x → nil
            ZMSCORE c:z a x → (1 nil)
            ZPOPMIN c:z → (c 0.5)
            ZPOPMAX c:z 2 → (d 6 b 3)
            ZREM c:z a → 1
            TYPE c:z → none
            ZADD c:z nan a → -ERR value is not a valid float
            """)
    }

    @Test("lists")
    func lists() {
        check(
            """
            RPUSH c:l b c → 2
            LPUSH c:l a 0 → 4
            LRANGE c:l 0 -1 → (0 a b c)
            LINSERT c:l BEFORE b x → 5
            LINSERT c:l AFTER nowhere x → -1
            LINDEX c:l -1 → c
            LSET c:l 0 x → OK
            LSET c:l 9 x → -ERR index out of range
            LSET c:none 0 x → -ERR no such key
            LPOS c:l x RANK -1 → 2
            LPOS c:l x COUNT 0 → (0 2)
            LREM c:l -1 x → 1
            LRANGE c:l 0 -1 → (x a b c)
            LTRIM c:l 1 2 → OK
            LLEN c:l → 2
            RPOP c:l → b
            LPOP c:l 5 → (a)
            LPOP c:l → nil
            LPUSHX c:l a → 0
            EXISTS c:l → 0
            """)
    }

    @Test("a command for another type is refused; MGET reads it as absent; a deleted key has none")
    func types() {
        check(
            """
            SADD c:s a → 1
            INCR c:s → \(wrongType)
            LPUSH c:s x → \(wrongType)
            MGET c:s → (nil)
            MGET c:s c:none → (nil nil)
            TYPE c:s → set
            DEL c:s c:none → 1
            LPUSH c:s x → 1
            TYPE c:s → list
            SET c:s v → OK
            TYPE c:s → string
            SMOVE c:s c:t a → -MODE SMOVE changes two keys in one step
            """)
    }

    @Test("a key of any type expires as a whole")
    func expiry() {
        let cluster = cluster()
        #expect(cluster.run(a, "SADD c:s a") == ":1\r\n")
        #expect(cluster.run(a, "PEXPIRE c:s 20") == ":1\r\n")
        #expect(cluster.run(a, "SADD c:s b") == ":1\r\n")
        #expect(cluster.run(a, "PTTL c:s") == ":20\r\n")
        cluster.pass(milliseconds: 30)
        #expect(cluster.run(a, "EXISTS c:s") == ":0\r\n")
        #expect(cluster.run(a, "SADD c:s c") == ":1\r\n")
        #expect(cluster.run(a, "SMEMBERS c:s") == "*1\r\n$1\r\nc\r\n")
        #expect(cluster.run(a, "TTL c:s") == ":-1\r\n")
    }

    @Test("flags and bounded counters, which Redis does not have")
    func own() {
        check(
            """
            QFLAG c:f → 0
            QFLAG c:f ENABLE → 1
            QFLAG c:f DISABLE → 0
            QBOUND CREATE c:b 10 MIN 2 → OK
            QBOUND CREATE c:b 10 → -ERR the key holds a bounded counter already; DEL removes it
            QBOUND DECR c:b 5 → 5
            QBOUND INCR c:b 1 → 6
            QBOUND RIGHTS c:b → (1 4)
            QBOUND GET c:b → 6
            QBOUND GRANT c:b 1 NODE 9 → -ERR there is no node 9; the members are 1
            """)
    }

    @Test("with three replicas a command sees what other replicas acknowledged")
    func hears() {
        let cluster = Cluster(3)
        let (b, c) = (NodeID(2), NodeID(3))
        let create = "KEYSPACE CREATE c conflict=crdt r=quorum w=quorum durability=memory"
        #expect(cluster.run(a, create) == "+OK\r\n")
        cluster.cut = [[a, c], [c, a], [b, c], [c, b]]
        #expect(hedged(cluster, a, "INCRBY c:n 5") == ":5\r\n")
        #expect(hedged(cluster, b, "RPUSH c:l x") == ":1\r\n")
        #expect(hedged(cluster, a, "SADD c:s x") == ":1\r\n")
        cluster.cut = []
        #expect(cluster.run(c, "INCR c:n") == ":6\r\n")
        #expect(cluster.run(c, "RPUSH c:l y") == ":2\r\n")
        #expect(cluster.run(c, "SADD c:s x") == ":0\r\n")
        #expect(cluster.run(c, "INCR c:s") == wrongType + "\r\n")
        #expect(cluster.run(b, "LRANGE c:l 0 -1") == "*2\r\n$1\r\nx\r\n$1\r\ny\r\n")
        #expect(cluster.run(a, "SETNX c:n 1").hasPrefix("-MODE"))
    }

    @Test("a read repairs a replica with the whole value only when no delta is on its way to it")
    func repairs() {
        let cluster = Cluster(3)
        let create = "KEYSPACE CREATE c conflict=crdt r=1 w=1 durability=memory readrepair=1000"
        #expect(cluster.run(a, create) == "+OK\r\n")
        let deltas = Node.deltaKind
        cluster.lostKinds = [deltas, 9, 10, 11, 12]
        #expect(cluster.run(a, "SADD c:s x") == ":1\r\n")
        #expect(cluster.run(a, "SCARD c:s R ALL") == ":1\r\n")
        #expect(cluster.counters(a).readRepairs == 0)
        cluster.pass(milliseconds: 600)
        let before = cluster.counters(a).readRepairs
        #expect(cluster.run(a, "SCARD c:s R ALL") == ":1\r\n")
        #expect(cluster.counters(a).readRepairs > before)
        #expect(cluster.run(NodeID(2), "SCARD c:s") == ":1\r\n")
    }

    /// Runs a command that may first ask a node which does not answer.
    private func hedged(_ cluster: Cluster, _ id: NodeID, _ line: String) -> String {
        let reply = cluster.run(id, line)
        if !reply.isEmpty { return reply }
        cluster.pass(milliseconds: 200)
        return cluster.reply(id)
    }
}

extension Substring {
    /// What stands before and behind a separator, without the blanks around it.
    fileprivate func components(_ separator: Character) -> [String] {
        let parts = split(separator: separator, maxSplits: 1, omittingEmptySubsequences: false)
        return [String(parts[0].dropLast()), String(parts[1].dropFirst())]
    }
}
