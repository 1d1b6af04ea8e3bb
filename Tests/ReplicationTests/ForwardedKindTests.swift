import Base
import Ring
import Testing

@testable import RESP
@testable import Replication

private let (a, b) = (NodeID(1), NodeID(2))

@Suite("A forwarded read is answered with what its command answers")
struct ForwardedKindTests {
    /// One reply of each kind, by a letter: what RESP2 knows, and what only RESP3 does.
    private static let known: [(Character, String)] = [
        ("s", "+OK\r\n"), ("i", ":1\r\n"), ("b", "$1\r\na\r\n"), ("n", "$-1\r\n"),
        ("N", "*-1\r\n"), ("1", "*1\r\n$1\r\na\r\n"), ("2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        ("x", "*1\r\n$-1\r\n"), ("I", "*1\r\n:1\r\n"), ("c", "*2\r\n$1\r\n0\r\n*0\r\n"),
        ("e", "*1\r\n-ERR no\r\n"),
    ]
    private static let newer: [(Character, String)] = [
        ("d", ",1.5\r\n"), ("t", "#t\r\n"), ("~", "~1\r\n$1\r\na\r\n"), ("_", "_\r\n"),
        ("%", "%1\r\n$1\r\na\r\n$1\r\nb\r\n"), ("D", "*1\r\n,1.5\r\n"),
        ("p", "*1\r\n*2\r\n$1\r\na\r\n,1.5\r\n"), ("o", "%1\r\n$1\r\na\r\n:1\r\n"),
        ("O", "~1\r\n:1\r\n"),
    ]

    /// What may be told of each read of one typed value: of the known kinds to a client of RESP2,
    /// and of all to one of RESP3.
    private static let reads: [(line: String, resp2: String, resp3: String)] = [
        ("GET K", "bn", "bn_"), ("STRLEN K", "i", "i"), ("QGET K", "12", "12"),
        ("EXISTS K", "i", "i"), ("TOUCH K", "i", "i"), ("TYPE K", "s", "s"), ("TTL K", "i", "i"),
        ("PTTL K", "i", "i"), ("EXPIRETIME K", "i", "i"), ("PEXPIRETIME K", "i", "i"),
        ("SMEMBERS K", "12", "~"), ("SISMEMBER K a", "i", "i"), ("SMISMEMBER K a", "I", "I"),
        ("SCARD K", "i", "i"), ("SRANDMEMBER K", "bn12", "bn_12"),
        ("SRANDMEMBER K 2", "bn12", "bn_12"), ("SSCAN K 0", "12c", "12c"),
        ("HGET K f", "bn", "bn_"), ("HMGET K f g", "12x", "12x"), ("HGETALL K", "2", "%"),
        ("HEXISTS K f", "i", "i"), ("HLEN K", "i", "i"), ("HKEYS K", "12", "12"),
        ("HVALS K", "12", "12"), ("HSTRLEN K f", "i", "i"), ("HSCAN K 0", "12c", "12c"),
        ("HRANDFIELD K 1 WITHVALUES", "bn12c", "bn_12c"), ("ZSCORE K a", "bn", "dn_"),
        ("ZMSCORE K a", "12x", "Dx"), ("ZRANGE K 0 -1 WITHSCORES", "12c", "12cDp"),
        ("ZREVRANGE K 0 -1", "12c", "12cDp"), ("ZRANGEBYSCORE K 0 1", "12c", "12cDp"),
        ("ZREVRANGEBYSCORE K 1 0", "12c", "12cDp"), ("ZRANK K a", "in", "in_"),
        ("ZREVRANK K a", "in", "in_"), ("ZCARD K", "i", "i"), ("ZCOUNT K 0 1", "i", "i"),
        ("ZSCAN K 0", "12c", "12c"), ("LRANGE K 0 -1", "12", "12"), ("LINDEX K 0", "bn", "bn_"),
        ("LLEN K", "i", "i"), ("LPOS K a", "inI", "in_I"), ("QFLAG K", "i", "i"),
        ("QBOUND GET K", "ins", "ins_"),
    ]

    /// Three nodes, and a key of which only the second has a replica.
    private func attacked() -> (cluster: Cluster, key: String) {
        let cluster = Cluster(3)
        let create = "KEYSPACE CREATE t n=1 r=1 w=1 conflict=crdt"
        #expect(cluster.run(a, create) == "+OK\r\n")
        let key = (0..<100).map { "t:\($0)" }.first { key in
            cluster.with(a) { node in
                Array(key.utf8).withUnsafeBytes {
                    node.ring.position(of: b, in: node.store.address(of: $0).range) == 0
                }
            }
        }
        cluster.cut = [[a, b]]
        return (cluster, key ?? "")
    }

    /// Has the member answer a forwarded command with some bytes.
    ///
    /// - Returns: what the client is told, and whether the link was lost.
    private func answer(
        _ line: String, _ reply: String, _ socket: ConnectionID, _ cluster: Cluster
    ) -> (told: String, isLost: Bool) {
        let malformed = cluster.counters(a).malformedMessages
        cluster.replies[a]?[socket] = []
        cluster.send(a, socket, Array("\(line)\r\n".utf8))
        cluster.settle()
        let numbers = cluster.with(a) { $0.forwards.numbers }
        #expect(numbers.count == 1, "\(line) is forwarded")
        for number in numbers {
            cluster.deliver(
                HostileMessage.bytes(6, number: number, Array(reply.utf8)), from: b, to: a)
        }
        cluster.link(a, b)
        cluster.settle()
        return (cluster.reply(a, socket), cluster.counters(a).malformedMessages > malformed)
    }

    @Test("a value of another kind costs the link, and the client is told that nobody answered")
    func kinds() {
        let (cluster, key) = attacked()
        let (old, new) = (ConnectionID(30), ConnectionID(31))
        for socket in [old, new] { cluster.open(a, socket) }
        cluster.send(a, new, Array("HELLO 3\r\n".utf8))
        let both = ForwardedKindTests.known + ForwardedKindTests.newer
        for (line, resp2, resp3) in ForwardedKindTests.reads {
            let line = line.replacing(" K", with: " " + key)
            for (socket, takes) in [(old, resp2), (new, resp3)] {
                for (letter, reply) in both {
                    let (told, isLost) = answer(line, reply, socket, cluster)
                    let isTaken = takes.contains(letter)
                    #expect(isLost == !isTaken, "\(line): \(reply) in \(socket)")
                    #expect(isTaken ? told == reply : told.hasPrefix("-UNAVAILABLE"), "\(told)")
                }
            }
        }
        cluster.with(a) { $0.checkInvariants(recounting: true) }
    }

    @Test("an error is an answer to every command")
    func errors() {
        let (cluster, key) = attacked()
        cluster.open(a, ConnectionID(30))
        for (line, _, _) in ForwardedKindTests.reads {
            let line = line.replacing(" K", with: " " + key)
            let (told, isLost) = answer(line, "-WRONGTYPE no\r\n", ConnectionID(30), cluster)
            #expect(told == "-WRONGTYPE no\r\n" && !isLost)
        }
    }

    @Test("a change that is answered with another kind may have happened: UNKNOWN")
    func changes() {
        let (cluster, key) = attacked()
        cluster.open(a, ConnectionID(30))
        for (line, wrong) in [
            ("SADD K a", "+OK\r\n"), ("SPOP K", ":1\r\n"), ("LPUSH K a", "$1\r\na\r\n"),
            ("HSET K f v", "*0\r\n"), ("SET K v", ":1\r\n"), ("INCR K", "$1\r\n1\r\n"),
            ("IDEMPOTENCY i INCR K", "+OK\r\n"), ("EXPIRE K 10", "$-1\r\n"),
        ] {
            let line = line.replacing(" K", with: " " + key)
            let (told, isLost) = answer(line, wrong, ConnectionID(30), cluster)
            #expect(isLost && told.hasPrefix("-UNKNOWN"), "\(line): \(told)")
        }
    }

    @Test("every command that names one key says what it answers")
    func named() {
        for description in CommandTable.ordered
        where description.keys.first > 0 && !description.flags.contains(.refused)
            && ![.watch, .sunion, .sinter, .sdiff].contains(description.name)
        {
            let shape = CommandTable.answer(of: description.name)
            #expect(shape != CommandTable.answer(of: .ping), "\(description.text)")
        }
    }
}
