import Base
import Testing

@testable import Replication

/// What redis-server 7.0 answers to the same requests.
@Suite("Of several things that are wrong about a command Redis's is told")
struct RefusalOrderTests {
    let a = NodeID(1)

    private func cluster() -> Cluster {
        let cluster = Cluster(1)
        let create = "KEYSPACE CREATE c conflict=crdt n=1 r=1 w=1 durability=memory"
        #expect(cluster.run(a, create) == "+OK\r\n")
        #expect(cluster.run(a, "SET c:text text") == "+OK\r\n")
        #expect(cluster.run(a, "RPUSH c:list e") == ":1\r\n")
        return cluster
    }

    @Test(
        "an argument is looked at before the key's type",
        arguments: [
            "LPOP * x", "RPOP * -1", "LINSERT * FOO p v", "LREM * x v", "LTRIM * x 1",
            "LRANGE * 0 x", "LPOS * e RANK 0", "LPOS * e COUNT -1", "SPOP * -1",
            "SRANDMEMBER * x", "HINCRBY * f x", "HINCRBYFLOAT * f x", "HRANDFIELD * x",
            "ZADD * x m", "ZINCRBY * x m", "ZPOPMIN * -1", "ZRANGE * x 1", "ZCOUNT * x 1",
            "ZRANGE * 0 -1 LIMIT 0 5", "ZRANGEBYSCORE * x 1", "SSCAN * x", "HSCAN * x",
            "ZSCAN * x", "HSET * f v g",
        ])
    func argumentFirst(line: String) {
        let cluster = cluster()
        for key in ["c:text", "c:none"] {
            let reply = cluster.run(a, line.replacing("*", with: key))
            #expect(reply.hasPrefix("-ERR"), "\(reply)")
        }
    }

    @Test(
        "the key's type is looked at before an argument",
        arguments: [
            "LINDEX * x", "LSET * x v", "SSCAN * 0 FOO", "SSCAN * 0 COUNT x", "HSCAN * 0 COUNT 0",
            "ZSCAN * 0 FOO", "SADD * m", "LPUSH * v", "ZSCORE * m",
        ])
    func typeFirst(line: String) {
        let cluster = cluster()
        #expect(cluster.run(a, line.replacing("*", with: "c:text")).hasPrefix("-WRONGTYPE"))
    }

    @Test("one argument too many is told before all others")
    func countFirst() {
        let cluster = cluster()
        for key in ["c:text", "c:list", "c:none"] {
            for line in ["LREM * x v y", "LINSERT * FOO p v y", "LSET * x v y", "HINCRBY * f x y"] {
                let name = line.prefix { $0 != " " }.lowercased()
                #expect(
                    cluster.run(a, line.replacing("*", with: key))
                        == "-ERR wrong number of arguments for '\(name)' command\r\n")
            }
        }
    }

    @Test("a number that no counter holds is told behind what the key and the field hold")
    func tooLarge() {
        let cluster = cluster()
        #expect(cluster.run(a, "HSET c:hash f v n 1") == ":2\r\n")
        let number = "9223372036854775808"
        for (line, reply) in [
            ("c:text f", "-WRONGTYPE Operation"), ("c:hash f", "-ERR hash value is not a float"),
            ("c:hash n", "-ERR increment or decrement would overflow"),
        ] { #expect(cluster.run(a, "HINCRBYFLOAT \(line) \(number)").hasPrefix(reply), "\(line)") }
    }

    @Test("what is not there is told before an argument, where Redis does so")
    func absent() {
        let cluster = cluster()
        for (line, reply) in [
            ("LINDEX c:none x", "$-1"), ("GETEX c:none EX x", "$-1"), ("GETEX c:none EX 0", "$-1"),
            ("GETEX c:none FOO", "-ERR syntax error"), ("LSET c:none x v", "-ERR no such key"),
            ("SSCAN c:none 0 FOO", "*2\r\n$1\r\n0\r\n*0"),
            ("HSCAN c:none 0 COUNT x", "*2\r\n$1\r\n0\r\n*0"),
            (
                "GETEX c:list EX x",
                "-WRONGTYPE Operation against a key holding the wrong kind of value"
            ),
            ("GETEX c:text EX 0", "-ERR invalid expire time in 'getex' command"),
            (
                "INCRBYFLOAT c:list x",
                "-WRONGTYPE Operation against a key holding the wrong kind of value"
            ),
            ("INCRBY c:list x", "-ERR value is not an integer or out of range"),
            ("LINDEX c:list x", "-ERR value is not an integer or out of range"),
        ] {
            #expect(cluster.run(a, line) == reply + "\r\n", "\(line)")
        }
    }

    @Test("a sum of increments may be beyond what a value may be, while the value is not")
    func sums() {
        let cluster = cluster()
        let (most, least) = (Int64.max, Int64.min)
        for (set, add) in [("SET c:n", "INCRBY c:n"), ("HSET c:h f", "HINCRBY c:h f")] {
            _ = cluster.run(a, "\(set) \(least)")
            #expect(cluster.run(a, "\(add) \(most)") == ":-1\r\n")
            #expect(cluster.run(a, "\(add) 100") == ":99\r\n")
            #expect(cluster.run(a, "\(add) \(most)").hasPrefix("-ERR increment or decrement would"))
            #expect(cluster.run(a, "\(add) \(most - 99)") == ":\(most)\r\n")
            #expect(cluster.run(a, "\(add) -\(most)") == ":0\r\n")
            #expect(cluster.run(a, "\(add) -\(most)") == ":-\(most)\r\n")
            #expect(cluster.run(a, "\(add) -2").hasPrefix("-ERR increment or decrement would"))
        }
    }
}
