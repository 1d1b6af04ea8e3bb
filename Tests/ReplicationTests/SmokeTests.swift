import Base
import Testing

@testable import Replication

@Suite("One node speaks Redis")
struct SingleNodeTests {
    let node = NodeID(1)

    @Test("SET then GET gives the value back; DEL takes it away")
    func setGetDelete() {
        let cluster = Cluster(1)
        #expect(cluster.run(node, "SET a 1") == "+OK\r\n")
        #expect(cluster.run(node, "GET a") == "$1\r\n1\r\n")
        #expect(cluster.run(node, "EXISTS a b") == ":1\r\n")
        #expect(cluster.run(node, "DBSIZE") == ":1\r\n")
        #expect(cluster.run(node, "DEL a") == ":1\r\n")
        #expect(cluster.run(node, "GET a") == "$-1\r\n")
        #expect(cluster.run(node, "DBSIZE") == ":0\r\n")
        #expect(cluster.run(node, "MSET a 1 b 2") == "+OK\r\n")
        #expect(cluster.run(node, "MGET a b c") == "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n")
        #expect(cluster.run(node, "APPEND a xyz") == ":4\r\n")
        #expect(cluster.run(node, "STRLEN a") == ":4\r\n")
        #expect(cluster.run(node, "SET a 2 NX") == "$-1\r\n")
        #expect(cluster.run(node, "SET a 2 XX GET") == "$4\r\n1xyz\r\n")
        #expect(cluster.run(node, "GETDEL a") == "$1\r\n2\r\n")
        #expect(cluster.run(node, "SET t 1 PX 5") == "+OK\r\n")
        #expect(cluster.run(node, "PTTL t") == ":5\r\n")
        #expect(cluster.run(node, "PERSIST t") == ":1\r\n")
        #expect(cluster.run(node, "TTL t") == ":-1\r\n")
        #expect(cluster.run(node, "PEXPIRE t 3") == ":1\r\n")
        cluster.pass(milliseconds: 4)
        #expect(cluster.run(node, "GET t") == "$-1\r\n")
        #expect(cluster.run(node, "FLUSHALL") == "+OK\r\n")
        #expect(cluster.run(node, "DBSIZE") == ":0\r\n")
        #expect(cluster.run(node, "SCAN 0") == "*2\r\n$1\r\n0\r\n*0\r\n")
        #expect(cluster.run(node, "INFO").contains("links_up:0"))
        let persistence = cluster.run(node, "INFO persistence")
        #expect(persistence.contains("disk_full:0") && !persistence.contains("links_up"))
        #expect(cluster.run(node, "KEYSPACE CREATE x n=1 conflict=siblings") == "+OK\r\n")
        #expect(cluster.run(node, "KEYSPACE CREATE y n=2").hasPrefix("-ERR n=2 exceeds"))
        #expect(cluster.run(node, "CLUSTER KEYSLOT foo") == ":12182\r\n")
    }
}

@Suite("Three nodes keep a quorum")
struct QuorumTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    @Test("what one node acknowledged another one reads")
    func writeReadAcross() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "SET k v") == "+OK\r\n")
        #expect(cluster.run(b, "GET k") == "$1\r\nv\r\n")
        #expect(cluster.run(c, "GET k R ALL") == "$1\r\nv\r\n")
        #expect(cluster.run(c, "MGET k l") == "*2\r\n$1\r\nv\r\n$-1\r\n")
        #expect(cluster.run(c, "DEL k l").hasPrefix(":"))
        #expect(cluster.run(a, "GET k") == "$-1\r\n")
    }

    @Test("a write without a quorum in reach is refused and changes nothing")
    func refusedWrite() {
        let cluster = Cluster(3)
        cluster.unlink(a, b)
        cluster.unlink(a, c)
        #expect(cluster.run(a, "SET k v").hasPrefix("-UNAVAILABLE 1 of 3"))
        #expect(cluster.run(b, "GET k R ALL").hasPrefix("-UNAVAILABLE 2 of 3"))
        #expect(cluster.run(a, "SET k v W 1") == "+OK\r\n")
    }

    @Test("a timeout with one of two acknowledgements is unknown, not failed")
    func unknownWrite() {
        let cluster = Cluster(3)
        cluster.cut = [[a, b], [a, c]]
        #expect(cluster.run(a, "SET k v TIMEOUT 10") == "")
        cluster.pass(milliseconds: 30)
        #expect(cluster.reply(a).hasPrefix("-UNKNOWN 1 of 2"))
        #expect(cluster.counters(a).unknown == 1)
    }

    @Test("a command with room for one value answers SIBLINGS, and changes none of several")
    func oneOfSeveral() {
        let cluster = Cluster(1)
        for line in ["KEYSPACE CREATE s conflict=siblings", "QSET s:k x", "QSET s:k y"] {
            #expect(cluster.run(a, line) == "+OK\r\n")
        }
        for line in [
            "GET s:k", "STRLEN s:k", "GETDEL s:k", "GETSET s:k z", "APPEND s:k z",
            "SET s:k z GET", "SET s:k z NX GET", "SET s:k z XX GET", "SET s:k z KEEPTTL",
            "EXPIRE s:k 5", "EXPIRE s:k 5 NX", "PERSIST s:k", "GETEX s:k EX 5", "TTL s:k",
        ] {
            let reply = cluster.run(a, line)
            #expect(reply.hasPrefix("-SIBLINGS 2 concurrent values"), "\(line): \(reply)")
            let left = cluster.run(a, "QGET s:k")
            #expect(left.contains("$1\r\nx\r\n") && left.contains("$1\r\ny\r\n"), "\(line)")
        }
        #expect(cluster.run(a, "SET s:k z NX") == "$-1\r\n")
        #expect(cluster.run(a, "SETNX s:k z") == ":0\r\n")
        #expect(cluster.run(a, "SET s:k z XX") == "+OK\r\n")
        #expect(cluster.run(a, "GETDEL s:k") == "$1\r\nz\r\n")
        for line in ["QSET s:k x", "QSET s:k x"] { #expect(cluster.run(a, line) == "+OK\r\n") }
        #expect(cluster.run(a, "APPEND s:k y") == ":2\r\n")
    }

    @Test("concurrent values are kept as siblings until a write has seen them")
    func siblings() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE s conflict=siblings") == "+OK\r\n")
        #expect(cluster.run(a, "QSET s:1 x") == "+OK\r\n")
        #expect(cluster.run(b, "QSET s:1 y") == "+OK\r\n")
        #expect(cluster.run(c, "GET s:1").hasPrefix("-SIBLINGS 2"))
        let read = cluster.run(c, "QGET s:1")
        #expect(read.hasPrefix("*3\r\n"))
        let token = read.split(separator: "\r\n")[2]
        #expect(cluster.run(b, "QSET s:1 z CONTEXT \(token)") == "+OK\r\n")
        #expect(cluster.run(a, "GET s:1 R ALL") == "$1\r\nz\r\n")
    }

    @Test("a read repairs the replica that missed a write")
    func readRepair() {
        let cluster = Cluster(3)
        cluster.cut = [[a, c]]
        #expect(cluster.run(a, "SET k v") == "+OK\r\n")
        cluster.cut = []
        #expect(cluster.run(a, "GET k R ALL") == "$1\r\nv\r\n")
        #expect(cluster.counters(a).readRepairs == 1)
        #expect(cluster.run(c, "GET k R 1") == "$1\r\nv\r\n")
    }

    @Test("a node that is no replica forwards writes and coordinates reads")
    func forwards() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE one n=1 r=1 w=1") == "+OK\r\n")
        for index in 0..<20 {
            #expect(cluster.run(a, "SET one:\(index) \(index)") == "+OK\r\n")
            #expect(cluster.run(b, "APPEND one:\(index) x") == ":\(String(index).count + 1)\r\n")
            #expect(cluster.run(c, "GET one:\(index)").hasSuffix("\(index)x\r\n"))
        }
        #expect(cluster.counters(a).forwarded > 0)
    }

    @Test("a node that left one read waiting is asked last until it is heard of again")
    func silentNode() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "SET k v") == "+OK\r\n")
        cluster.cut = [[b, a]]
        while cluster.counters(a).hedgedReads == 0 {
            _ = cluster.run(a, "GET k R 2")
            cluster.pass(milliseconds: 30)
        }
        for _ in 0..<20 { #expect(cluster.run(a, "GET k R 2") == "$1\r\nv\r\n") }
        cluster.cut = [[c, a]]
        cluster.pass(milliseconds: 250)
        for _ in 0..<20 {
            _ = cluster.run(a, "GET k R 2")
            cluster.pass(milliseconds: 30)
        }
        #expect(cluster.counters(a).hedgedReads == 2)
        #expect(cluster.counters(a).unavailable == 0)
    }
}

@Suite("Last writer wins in the order that clients see")
struct WriteOrderTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    @Test(
        "a write that follows an acknowledged one wins, although its coordinator's clock is behind")
    func secondWriteWins() {
        let cluster = Cluster(3)
        cluster.wall[a, default: 0] += 400
        cluster.cut = [[a, b]]
        #expect(cluster.run(a, "SET k first") == "+OK\r\n")
        #expect(cluster.run(b, "SET k second") == "+OK\r\n")
        cluster.cut = []
        #expect(cluster.counters(b).restamped == 1)
        for node in [a, b, c] {
            #expect(cluster.run(node, "GET k R ALL") == "$6\r\nsecond\r\n")
        }
    }
}

@Suite("Bad requests cost nobody but who sent them")
struct BadRequestTests {
    let a = NodeID(1)

    @Test(
        "a key that no record can hold is refused by every command that names one",
        arguments: [
            "GET", "DEL", "UNLINK", "EXISTS", "TTL", "TYPE", "STRLEN", "PERSIST", "QGET", "QDEL",
            "MGET x", "DEL x",
        ])
    func keys(command: String) {
        let cluster = Cluster(3)
        let refusal = "-ERR key must have at most 65535 bytes\r\n"
        #expect(cluster.run(a, "PING") == "+PONG\r\n")
        let words = command.split(separator: " ") + [Substring(repeating: "k", count: 65_536)]
        let request = words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
        cluster.replies[a]?[ConnectionID(0)] = []
        cluster.send(a, ConnectionID(0), Array("*\(words.count)\r\n\(request)".utf8))
        #expect(cluster.replies[a]?[ConnectionID(0)] == Array(refusal.utf8))
        #expect(cluster.run(a, "SET k v") == "+OK\r\n")
        #expect(cluster.counters(a).unavailable == 0)
    }

    @Test("the empty word is a key like any other, as in Redis", arguments: ["lww", "crdt"])
    func emptyKey(conflict: String) throws {
        let cluster = Cluster(3)
        if conflict == "crdt" {
            let reply = cluster.run(a, "KEYSPACE ALTER default conflict=crdt")
            #expect(reply == "+OK\r\n")
            cluster.pass(milliseconds: 1_000, by: 50)
        }
        let b = NodeID(2)
        #expect(cluster.run(a, "EXISTS \"\"") == ":0\r\n")
        #expect(cluster.run(a, "SET \"\" v") == "+OK\r\n")
        #expect(cluster.run(b, "GET \"\"") == "$1\r\nv\r\n")
        #expect(cluster.run(b, "MGET \"\" x") == "*2\r\n$1\r\nv\r\n$-1\r\n")
        #expect(cluster.run(b, "EXPIRE \"\" 100") == ":1\r\n")
        #expect(cluster.run(a, "TTL \"\"") == ":100\r\n")
        #expect(cluster.run(a, "QGET \"\"").hasSuffix("$1\r\nv\r\n"))
        #expect(cluster.run(a, "SCAN 0").hasSuffix("*1\r\n$0\r\n\r\n"))
        #expect(cluster.run(a, "DBSIZE") == ":1\r\n")
        #expect(cluster.run(a, "IDEMPOTENCY id SET \"\" once") == "+OK\r\n")
        try cluster.restart(b, epoch: 2, on: cluster.journals[b] ?? [])
        #expect(cluster.run(b, "GET \"\"") == "$4\r\nonce\r\n")
        #expect(cluster.run(b, "DEL \"\" y") == ":1\r\n")
        #expect(cluster.run(a, "MSET \"\" 2 y 3") == "+OK\r\n")
        #expect(cluster.run(a, "UNLINK \"\"") == ":1\r\n")
        #expect(cluster.run(b, "GET \"\" R ALL") == "$-1\r\n")
    }

    @Test("commands with too few or strange arguments say so")
    func arguments() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "SET k v") == "+OK\r\n")
        for (line, error) in [
            ("RECEIPT", "-ERR wrong number"), ("FLUSHALL FOO", "-ERR syntax error"),
            ("FLUSHDB ASYNC NOW", "-ERR syntax error"), ("PING a b", "-ERR wrong number"),
            ("KEYSPACE CREATE", "-ERR wrong number"), ("KEYSPACE FOO", "-ERR unknown subcommand"),
            ("CONFIG GET", "-ERR wrong number"), ("CLIENT REPLY OFF", "-ERR every command"),
            ("CLIENT SETINFO FOO x", "-ERR syntax"), ("KEYSPACE CREATE b floor=0", "-ERR floor is"),
            ("KEYSPACE CREATE b valuebytes=8388609", "-ERR valuebytes must be"),
        ] {
            let reply = cluster.run(a, line)
            #expect(reply.hasPrefix(error), "\(line): \(reply)")
        }
        #expect(cluster.run(a, "CLIENT HELP").hasPrefix("*10\r\n+"))
        #expect(cluster.run(a, "GET k") == "$1\r\nv\r\n")
        #expect(cluster.run(a, "CONSISTENCY R 1 W ALL") == "+OK\r\n")
        let shown = cluster.run(a, "CONSISTENCY")
        #expect(shown.contains("r\r\n$1\r\n1\r\n") && shown.contains("w\r\n$3\r\nall\r\n"))
    }

    @Test("QDEL counts the key only when its context covers every value")
    func coveredDeletion() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE s conflict=siblings") == "+OK\r\n")
        #expect(cluster.run(a, "QSET s:1 first") == "+OK\r\n")
        let lines = cluster.run(a, "QGET s:1").split(separator: "\r\n")
        #expect(cluster.run(a, "QSET s:1 second") == "+OK\r\n")
        #expect(cluster.run(a, "QDEL s:1 CONTEXT \(lines[2])") == ":0\r\n")
        #expect(cluster.run(a, "GET s:1") == "$6\r\nsecond\r\n")
        #expect(cluster.run(a, "QDEL s:1") == ":1\r\n")
    }
}
