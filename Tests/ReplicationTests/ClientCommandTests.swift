import Base
import Testing

@testable import Replication

/// What client libraries and operators' tools ask beside their work; the expectations are Redis's.
@Suite("CLIENT, INFO, AUTH, HELLO, CONFIG and KEYSPACE as clients read them")
struct ClientCommandTests {
    let a = NodeID(1)

    @Test("CLIENT LIST has Redis's fields, with addresses")
    func list() {
        let cluster = Cluster(1)
        _ = cluster.run(a, "PING")
        let socket = ConnectionID(3)
        cluster.step(
            a, .opened(socket, from: ClientOrigin(remote: "127.0.0.1:5", local: "127.0.0.1:7")))
        for line in ["CLIENT SETNAME me", "CLIENT SETINFO LIB-NAME lib", "PING"] {
            cluster.send(a, socket, Array((line + "\r\n").utf8))
        }
        cluster.open(a, ConnectionID(4))
        cluster.pass(milliseconds: 3_000, by: 50)
        let lines = cluster.run(a, "CLIENT LIST").split(separator: "\n")
        // One that has sent nothing yet has been idle since it was opened.
        #expect(lines.contains { $0.contains(" age=3 idle=3 ") && $0.contains(" cmd=NULL ") })
        let line = lines.first { $0.contains(" name=me ") } ?? ""
        for field in [
            "addr=127.0.0.1:5", "laddr=127.0.0.1:7", "age=3", "idle=3", "flags=N", "db=0", "sub=0",
            "psub=0", "multi=-1", "cmd=ping", "user=default", "resp=2", "lib-name=lib",
        ] { #expect(line.contains(" \(field) ") || line.hasSuffix(field), "\(field)") }
        #expect(cluster.run(a, "CLIENT LIST TYPE replica") == "$0\r\n\r\n")
        #expect(cluster.run(a, "CLIENT LIST ID x").hasPrefix("-ERR"))
        #expect(cluster.run(a, "CLIENT LIST TYPE x") == "-ERR Unknown client type 'x'\r\n")
    }

    @Test("INFO has what tools look for, and CONFIG RESETSTAT sets its counts back")
    func info() {
        let cluster = Cluster(3)
        cluster.pass(milliseconds: 2_000, by: 50)
        _ = cluster.run(a, "PING")
        let info = cluster.run(a, "INFO")
        for field in [
            "quorate_version:\(Node.release)", "redis_version:7", "uptime_in_seconds:2",
            "blocked_clients:0", "total_connections_received:1", "total_commands_processed:2",
        ] { #expect(info.contains(field), "\(field)") }
        #expect(cluster.run(a, "CONFIG RESETSTAT") == "+OK\r\n")
        let after = cluster.run(a, "INFO stats")
        #expect(after.contains("total_commands_processed:1\r\n"))
        #expect(after.contains("total_connections_received:0\r\n"))
    }

    @Test("AUTH and HELLO AUTH answer as Redis does with no password set")
    func auth() {
        let cluster = Cluster(1)
        #expect(cluster.run(a, "AUTH secret").hasPrefix("-ERR AUTH <password> called without any"))
        #expect(cluster.run(a, "AUTH default secret") == "+OK\r\n")
        #expect(cluster.run(a, "AUTH other secret").hasPrefix("-WRONGPASS invalid username-passw"))
        #expect(cluster.run(a, "AUTH a b c") == "-ERR syntax error\r\n")
        #expect(cluster.run(a, "HELLO 3 AUTH default x").hasPrefix("%7\r\n"))
        #expect(cluster.run(a, "HELLO 3 AUTH other x").hasPrefix("-WRONGPASS"))
    }

    @Test("a typed command on another keyspace says how to get one that takes it")
    func typed() {
        let cluster = Cluster(1)
        for (command, name) in [
            ("INCR k", "INCR"), ("LPUSH k a", "LPUSH"), ("SUNION a b", "SUNION"),
        ] {
            let reply = cluster.run(a, command)
            #expect(reply.hasPrefix("-MODE \(name) needs a keyspace with conflict=crdt"))
            #expect(reply.contains("KEYSPACE CREATE counters conflict=crdt"))
        }
        #expect(cluster.run(a, "KEYSPACE CREATE counters conflict=crdt") == "+OK\r\n")
        #expect(cluster.run(a, "INCR counters:k") == ":1\r\n")
    }

    @Test("of clients that create one keyspace differently at once at most one is told OK")
    func race() {
        for settings in [
            ["ttl=1000", "ttl=2000", "ttl=3000"], ["n=1", "n=2", "n=3 w=all"],
            ["conflict=siblings", "conflict=crdt", "n=2"],
        ] {
            let cluster = Cluster(3)
            for (number, id) in cluster.ids.enumerated() {
                for other in cluster.ids where other != id { cluster.slow[[id, other]] = 5 }
                let socket = ConnectionID(9)
                cluster.open(id, socket)
                cluster.send(
                    id, socket, Array("KEYSPACE CREATE x \(settings[number])\r\n".utf8))
            }
            cluster.pass(milliseconds: 7_000, by: 5)
            let replies = cluster.ids.map { cluster.reply($0, ConnectionID(9)) }
            #expect(replies.count { $0 == "+OK\r\n" } <= 1, "\(replies)")
            #expect(replies.allSatisfy { !$0.isEmpty })
            let told = cluster.ids.map { cluster.run($0, "KEYSPACE GET x") }
            #expect(Set(told).count == 1)
            if replies.contains(where: { $0.hasPrefix("-CONFLICT") }) {
                #expect(told[0].contains("conflicted\r\n$3\r\nyes"))
            }
        }
    }

    @Test("the receipt of a read at R 1 right behind a typed write tells the read's own numbers")
    func receipt() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE c conflict=crdt") == "+OK\r\n")
        #expect(cluster.run(a, "RECEIPT ON") == "+OK\r\n")
        #expect(cluster.run(a, "SET c:k v") == "+OK\r\n")
        #expect(cluster.run(a, "GET c:k R 1") == "$1\r\nv\r\n")
        let receipt = cluster.run(a, "RECEIPT LAST")
        #expect(receipt.contains("action\r\n$4\r\nread\r\n"))
        #expect(receipt.contains("answered\r\n:1\r\n"))
        #expect(receipt.contains("way\r\n$4\r\nhere\r\n"))
        #expect(cluster.run(a, "GET c:k R ALL") == "$1\r\nv\r\n")
        #expect(cluster.run(a, "RECEIPT LAST").contains("answered\r\n:3\r\n"))
    }

    @Test("RECEIPT LAST is the last command's: of its parts what holds for each, none for an error")
    func latestReceipt() {
        let cluster = Cluster(3)
        let one = ConnectionID(1)
        #expect(cluster.run(a, "KEYSPACE CREATE c conflict=crdt") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE CREATE weak r=1 w=1") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE CREATE s n=1 conflict=crdt") == "+OK\r\n")
        cluster.pass(milliseconds: 1_000, by: 50)
        cluster.open(a, one)
        func ask(_ line: String) -> String {
            cluster.ask(a, one, line.split(separator: " ").map(String.init))
        }
        func receipt() -> [String] {
            ask("RECEIPT LAST").split(separator: "\r\n").filter { !$0.hasPrefix("$") }
                .dropFirst().map(String.init)
        }
        #expect(ask("RECEIPT ON") == "+OK\r\n")
        let many = Cluster.words(0..<5_000).joined(separator: " ")
        for (line, action, required) in [
            ("SET c:k v W ALL", "write", 3), ("MSET c:a 1 c:b 2", "write", 2),
            ("MGET c:a c:b none", "read", 2), ("MSET weak:a 1 c:b 2", "write", 1),
            ("MGET c:b weak:a", "read", 1), ("DEL c:a c:b", "write", 2),
            ("SADD c:s \(many)", "write", 2), ("SMISMEMBER c:s \(many)", "read", 2),
            ("SSCAN c:s 0", "read", 2), ("SUNION c:s c:t", "read", 2),
            ("SPOP c:s 3000", "write", 2),
        ] {
            let reply = ask(line)
            #expect(!reply.hasPrefix("-") && !reply.isEmpty, "\(line.prefix(20))")
            let told = receipt()
            #expect(told.prefix(4) == ["mode", "quorum", "action", action], "\(line.prefix(20))")
            let answered = told.dropFirst(5).first.flatMap { Int($0.dropFirst()) } ?? 0
            #expect(answered >= required && told[7] == ":\(required)", "\(told)")
        }
        for line in ["INCR c:s", "NOSUCH", "GET", "PING", "HSET c:s f v", "MSET c:a", "MULTI"] {
            _ = ask("SET c:k v")
            #expect(receipt().first == "mode")
            _ = ask(line)
            if line == "MULTI" { _ = ask("DISCARD") }
            #expect(ask("RECEIPT LAST") == "*-1\r\n", "\(line)")
        }
    }

    @Test("the last command's receipt is told, whichever is answered last")
    func receiptInOrder() {
        let cluster = Cluster(3)
        let one = ConnectionID(1)
        cluster.pass(milliseconds: 1_000, by: 50)
        cluster.open(a, one)
        cluster.slow[[NodeID(3), a]] = 20
        cluster.send(a, one, Array("RECEIPT ON\r\nGET a R ALL\r\nSET b 1 W 2\r\n".utf8))
        cluster.pass(milliseconds: 50)
        cluster.send(a, one, Array("RECEIPT LAST\r\n".utf8))
        #expect(cluster.reply(a, one).contains("action\r\n$5\r\nwrite"))
    }

    @Test("a RESP3 client gets the receipt of a command in parts before its reply")
    func attribute() {
        let cluster = Cluster(3)
        let one = ConnectionID(1)
        cluster.pass(milliseconds: 1_000, by: 50)
        cluster.open(a, one)
        _ = cluster.ask(a, one, ["HELLO", "3"])
        _ = cluster.ask(a, one, ["RECEIPT", "ON"])
        let write = cluster.ask(a, one, ["MSET", "a", "1", "b", "2"])
        #expect(write.hasPrefix("|7\r\n$4\r\nmode\r\n") && write.hasSuffix("+OK\r\n"))
        let read = cluster.ask(a, one, ["MGET", "a", "b"])
        #expect(read.hasPrefix("|9\r\n") && read.hasSuffix("*2\r\n$1\r\n1\r\n$1\r\n2\r\n"))
        #expect(cluster.ask(a, one, ["MSET", "a"]).hasPrefix("-ERR"))
    }

    @Test("keyspaces are found by one probe, however many there are")
    func probes() {
        var index = FingerprintIndex()
        var random = PRNG(seed: 3)
        let prints = (0..<1_024).map { _ in random.next() }
        for place in prints.indices { index.insert(place) { prints[$0] } }
        var looks = 0
        for (place, print) in prints.enumerated() {
            let found = index.find(print) {
                looks += 1
                return prints[$0]
            }
            #expect(found == place)
        }
        #expect(looks < 2 * prints.count)
        #expect(index.find(1) { prints[$0] } == nil)
    }
}
