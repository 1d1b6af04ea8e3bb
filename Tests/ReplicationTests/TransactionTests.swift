import Base
import Ring
import Testing

@testable import Replication

/// Redis, "Transactions": queueing, EXEC, DISCARD, errors inside a transaction, WATCH; and what a
/// keyspace with several replicas makes of it.
@Suite("MULTI, EXEC, DISCARD and WATCH")
struct TransactionTests {
    let a = NodeID(1)

    private func run(_ cluster: Cluster, _ node: NodeID, _ lines: String...) -> [String] {
        lines.map { String(cluster.run(node, $0).dropLast()) }
    }

    private func single(_ count: Int) -> Cluster {
        let cluster = Cluster(count)
        #expect(cluster.run(NodeID(1), "KEYSPACE CREATE s n=1") == "+OK\r\n")
        return cluster
    }

    @Test("commands are queued, and EXEC runs them in order and answers what each answered")
    func queue() {
        let cluster = Cluster(1)
        let replies = run(
            cluster, a, "MULTI", "SET k 1", "APPEND k 2", "GET k", "MGET k absent", "DEL k x",
            "EXEC")
        #expect(
            replies == [
                "+OK", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED",
                "*5\r\n+OK\r\n:2\r\n$2\r\n12\r\n*2\r\n$2\r\n12\r\n$-1\r\n:1",
            ])
        #expect(cluster.run(a, "EXEC") == "-ERR EXEC without MULTI\r\n")
        #expect(cluster.run(a, "DISCARD") == "-ERR DISCARD without MULTI\r\n")
    }

    @Test(
        "a transaction of more changes than may be under way runs as a whole or not at all",
        arguments: 1...17)
    func large(_ changes: Int) {
        let cluster = Cluster(1) { $0.operationsMax = 16 }
        let connection = ConnectionID(1)
        cluster.open(a, connection)
        let sets = (0..<changes).map { "SET k\($0) v\r\n" }.joined()
        _ = cluster.send(a, connection, Array("MULTI\r\n\(sets)EXEC\r\n".utf8))
        cluster.settle()
        // What one connection sends waits for what it sent before.
        cluster.send(a, connection, Array("DBSIZE\r\n".utf8))
        cluster.settle()
        let reply = cluster.reply(a, connection)
        let done = reply.split(separator: "\r\n").count { $0 == "+OK" } - 1
        if changes <= 8 {
            #expect(done == changes && reply.hasSuffix(":\(changes)\r\n"), "\(reply)")
        } else {
            #expect(done == 0 && reply.hasSuffix(":0\r\n"), "\(reply)")
            #expect(reply.contains("-EXECABORT") || reply.contains("-OVERLOADED"), "\(reply)")
        }
    }

    @Test(
        "several keys are changed as a whole or not at all, however many may be under way",
        arguments: 2...17)
    func severalKeys(_ keys: Int) {
        let cluster = Cluster(1) { $0.operationsMax = 16 }
        let pairs = (0..<keys).map { "k\($0) v" }.joined(separator: " ")
        let reply = cluster.run(a, "MSET \(pairs)")
        #expect(reply == "+OK\r\n" || reply.hasPrefix("-OVERLOADED"))
        #expect(cluster.run(a, "DBSIZE") == (reply == "+OK\r\n" ? ":\(keys)\r\n" : ":0\r\n"))
    }

    @Test("nothing runs before EXEC, and DISCARD drops what was queued")
    func discard() {
        let cluster = Cluster(1)
        #expect(run(cluster, a, "MULTI", "SET k 1", "DISCARD") == ["+OK", "+QUEUED", "+OK"])
        #expect(cluster.run(a, "GET k") == "$-1\r\n")
        #expect(run(cluster, a, "MULTI", "EXEC") == ["+OK", "*0"])
    }

    @Test("a command that cannot be queued makes EXEC run nothing")
    func abort() {
        let abort = "-EXECABORT Transaction discarded because of previous errors."
        for bad in ["NOSUCH", "GET", "SET k", "FLUSHALL", "KEYSPACE LIST", "SESSION ON"] {
            let cluster = Cluster(1)
            let replies = run(cluster, a, "MULTI", "SET k 1", bad, "SET k 2", "EXEC")
            #expect(replies[2].hasPrefix("-ERR"))
            #expect(replies[3] == "+QUEUED")
            #expect(replies[4] == abort)
            #expect(cluster.run(a, "GET k") == "$-1\r\n")
            #expect(cluster.run(a, "SET k 3") == "+OK\r\n")
        }
    }

    @Test(
        "what a keyspace's settings or the size of one step rule out is refused when it is queued")
    func knownRefusals() {
        let abort = "-EXECABORT Transaction discarded because of previous errors."
        for bad in [
            "INCR k", "SADD k a", "HGET k f", "LPOP k", "ZCARD k", "SUNION k j", "SINTERCARD 1 k",
            "QFLAG k ENABLE", "QBOUND GET k", "SMOVE a b c", "WAIT 1 0", "KEYS *", "SET k v W 2",
            "GET k R 2", "QSET c:k v", "SPOP c:s 3000", "LPOP c:l 2049", "ZPOPMAX c:z 99999",
            "INCR c:n W 3", "GET c:k STALENESS 1s",
        ] {
            let cluster = Cluster(1)
            #expect(cluster.run(a, "KEYSPACE CREATE c conflict=crdt n=1") == "+OK\r\n")
            let replies = run(cluster, a, "MULTI", "SET k 1", bad, "SET k 2", "EXEC", "GET k")
            #expect(replies[2].hasPrefix("-"), "\(bad)")
            #expect(replies[4] == abort, "\(bad)")
            #expect(replies[5] == "$-1")
        }
        let cluster = Cluster(1)
        #expect(cluster.run(a, "KEYSPACE CREATE c conflict=crdt n=1") == "+OK\r\n")
        let replies = run(
            cluster, a, "MULTI", "SADD c:s a", "SPOP c:s 2048", "QSET k v", "INCR c:n W 1", "EXEC")
        #expect(replies[5] == "*4\r\n:1\r\n*1\r\n$1\r\na\r\n+OK\r\n:1")
    }

    @Test("a command with arguments too many is refused when it is queued, and nothing runs")
    func tooMany() {
        let cluster = Cluster(1)
        let replies = run(cluster, a, "MULTI", "SET k 5", "GET k extra", "EXEC", "GET k")
        #expect(replies[2] == "-ERR wrong number of arguments for 'get' command")
        #expect(replies[3].hasPrefix("-EXECABORT"))
        #expect(replies[4] == "$-1")
        let allowed = run(cluster, a, "MULTI", "GET k R 1", "EXEC")
        #expect(allowed == ["+OK", "+QUEUED", "*1\r\n$-1"])
    }

    @Test("a wrong number of keys is told by EXEC")
    func wrongKeyCount() {
        let cluster = Cluster(1)
        for (count, error) in [
            ("0", "-ERR numkeys should be greater than 0"),
            ("x", "-ERR numkeys should be greater than 0"),
            ("3", "-ERR Number of keys can't be greater than number of args"),
        ] {
            let replies = run(cluster, a, "MULTI", "SINTERCARD \(count) k", "EXEC")
            #expect(replies[1] == "+QUEUED")
            #expect(replies[2] == "*1\r\n\(error)")
        }
    }

    @Test("MULTI or WATCH inside MULTI is an error that leaves the transaction as it is")
    func nested() {
        let cluster = Cluster(1)
        let replies = run(cluster, a, "MULTI", "SET k 1", "MULTI", "WATCH k", "EXEC", "GET k")
        #expect(
            replies == [
                "+OK", "+QUEUED", "-ERR MULTI calls can not be nested",
                "-ERR WATCH inside MULTI is not allowed", "*1\r\n+OK", "$1\r\n1",
            ])
    }

    @Test("an error while the transaction runs does not undo the other commands")
    func errorInside() {
        let cluster = Cluster(1)
        #expect(cluster.run(a, "KEYSPACE CREATE c conflict=crdt n=1") == "+OK\r\n")
        let replies = run(
            cluster, a, "MULTI", "SET c:k text", "INCR c:k", "SADD c:s a b", "EXEC", "GET c:k")
        #expect(
            replies[4]
                == "*3\r\n+OK\r\n-ERR value is not an integer or out of range\r\n:2")
        #expect(replies[5] == "$4\r\ntext")
    }

    @Test("keyspaces with several replicas refuse by name, and then nothing runs until EXEC")
    func quorum() {
        let cluster = single(3)
        let replies = run(cluster, a, "MULTI", "SET half 1", "SET half 2", "EXEC", "GET half")
        #expect(replies[1].hasPrefix("-MODE a transaction needs keyspaces in which one node"))
        #expect(replies[2].hasPrefix("-MODE"))
        #expect(replies[3].hasPrefix("-EXECABORT"))
        #expect(replies[4] == "$-1")
        #expect(run(cluster, a, "MULTI", "SET s:{1}a x", "SET half 1", "DISCARD")[3] == "+OK")
        #expect(cluster.run(a, "GET s:{1}a") == "$-1\r\n")
    }

    @Test("in a cluster all keys are of one slot, and any node takes the transaction")
    func slots() {
        let cluster = single(3)
        for (number, node) in cluster.ids.enumerated() {
            let replies = run(
                cluster, node, "MULTI", "SET s:{1}a \(number)", "GET s:{1}a", "APPEND s:{1}b x",
                "EXEC")
            #expect(replies[4] == "*3\r\n+OK\r\n$1\r\n\(number)\r\n:\(number + 1)")
        }
        let crossing = run(cluster, a, "MULTI", "SET s:{1}a 9", "SET s:{2}a 9", "EXEC")
        #expect(crossing[2] == "-CROSSSLOT Keys in request don't hash to the same slot")
        #expect(crossing[3].hasPrefix("-EXECABORT"))
        #expect(cluster.run(a, "GET s:{1}a") == "$1\r\n2\r\n")
    }

    @Test("EXEC whose only node is down runs nothing")
    func away() {
        let cluster = single(3)
        _ = cluster.run(a, "SET s:{1}a 1")
        let owner = cluster.ids.first { id in
            cluster.with(id) { node in
                Array("s:{1}a".utf8).withUnsafeBytes { node.isReplica(of: node.place(of: $0)) }
            }
        }
        guard let owner, let other = cluster.ids.first(where: { $0 != owner }) else {
            Issue.record("the key has a replica")
            return
        }
        for id in cluster.ids where id != owner { cluster.unlink(owner, id) }
        let replies = run(cluster, other, "MULTI", "SET s:{1}a 2", "EXEC")
        #expect(replies[2].hasPrefix("-UNAVAILABLE"))
        #expect(cluster.run(owner, "GET s:{1}a") == "$1\r\n1\r\n")
    }

    @Test("EXEC runs nothing when a watched key was changed, deleted, or came to be")
    func watch() {
        for change in ["SET k 2", "DEL k", "EXPIRE k 100", "FLUSHALL"] {
            let cluster = Cluster(1)
            _ = cluster.run(a, "SET k 1")
            #expect(run(cluster, a, "WATCH k absent", "GET k") == ["+OK", "$1\r\n1"])
            let other = ConnectionID(7)
            cluster.open(a, other)
            cluster.send(a, other, Array((change + "\r\n").utf8))
            cluster.settle()
            #expect(run(cluster, a, "MULTI", "SET k 3", "EXEC")[2] == "*-1")
            #expect(cluster.run(a, "GET k") != "$1\r\n3\r\n")
            #expect(run(cluster, a, "MULTI", "SET k 3", "EXEC")[2] == "*1\r\n+OK")
        }
    }

    @Test("a watched key that was not there and is not there again was changed all the same")
    func cameAndWent() {
        for name in ["", "m:", "c:"] {
            for changes in [
                ["SET K x", "DEL K"], ["SET K x", "GETDEL K"], ["SET K x", "PEXPIRE K 0"],
                ["SET K x", "FLUSHALL"], ["MULTI", "SET K x", "DEL K", "EXEC"],
                ["DEL K"], ["SET other x", "DEL other"], ["GET K"],
            ] {
                let cluster = Cluster(1)
                _ = cluster.run(a, "KEYSPACE CREATE m durability=memory")
                _ = cluster.run(a, "KEYSPACE CREATE c conflict=crdt")
                let key = name + "k"
                #expect(cluster.run(a, "WATCH \(key) \(name)also") == "+OK\r\n")
                let other = ConnectionID(7)
                cluster.open(a, other)
                for change in changes {
                    let line = change.replacing("K", with: key)
                    cluster.send(a, other, Array((line + "\r\n").utf8))
                    cluster.settle()
                }
                let isChange = changes.contains { $0.contains("SET K") }
                let reply = run(cluster, a, "MULTI", "SET \(key) y", "EXEC")[2]
                #expect(reply == (isChange ? "*-1" : "*1\r\n+OK"), "\(key): \(changes)")
                #expect(run(cluster, a, "MULTI", "SET \(key) y", "EXEC")[2] == "*1\r\n+OK")
                cluster.with(a) { node in #expect(node.absences.isEmpty) }
            }
        }
    }

    @Test("watched keys and the commands are of one slot, whichever comes first")
    func watchedSlot() {
        let cluster = single(3)
        let cross = "-CROSSSLOT Keys in request don't hash to the same slot"
        let owner = cluster.ids.first { id in
            cluster.with(id) { node in
                Array("s:{1}a".utf8).withUnsafeBytes { node.isReplica(of: node.place(of: $0)) }
            }
        }
        guard let owner else {
            Issue.record("the key has a replica")
            return
        }
        let replies = run(
            cluster, owner, "WATCH s:{1}a s:{1}b", "MULTI", "SET s:{2}a x", "SET s:{1}c x", "EXEC")
        #expect(replies[0] == "+OK" && replies[2] == cross && replies[4].hasPrefix("-EXECABORT"))
        #expect(
            run(cluster, owner, "WATCH s:{1}a", "MULTI", "SET s:{1}c x", "EXEC")[3]
                == "*1\r\n+OK")
        for keys in ["WATCH s:{1}a s:{3}a", "WATCH s:{2}a"] {
            _ = cluster.run(owner, "WATCH s:{1}a")
            let refusal = cluster.run(owner, keys)
            #expect(refusal.hasPrefix("-CROSSSLOT") || refusal.hasPrefix("-MODE WATCH"))
            #expect(run(cluster, owner, "MULTI", "SET s:{1}c x", "EXEC")[2].hasPrefix("-EXEC"))
        }
    }

    @Test("EXEC names a refused WATCH, which what ends watches forgets, and a failed EXEC too")
    func refusedWatch() {
        let named = "-EXECABORT Transaction discarded because WATCH was refused; UNWATCH before "
        for end in ["", "UNWATCH", "RESET", "MULTI DISCARD", "MULTI EXEC"] {
            let cluster = single(3)
            #expect(cluster.run(a, "WATCH half").hasPrefix("-MODE"))
            for word in end.split(separator: " ") { _ = cluster.run(a, String(word)) }
            let replies = run(cluster, a, "MULTI", "SET s:a 1", "EXEC")
            #expect(end.isEmpty ? replies[2].hasPrefix(named) : replies[2] == "*1\r\n+OK", "\(end)")
        }
    }

    @Test("UNWATCH and DISCARD end a watch; one that is refused keeps EXEC from running")
    func unwatch() {
        let cluster = Cluster(1)
        for end in ["UNWATCH", "DISCARD"] {
            _ = run(cluster, a, "WATCH k")
            if end == "DISCARD" { _ = cluster.run(a, "MULTI") }
            #expect(cluster.run(a, end) == "+OK\r\n")
            let replies = run(cluster, a, "SET k 1", "MULTI", "SET k 2", "EXEC")
            #expect(replies[3] == "*1\r\n+OK")
        }
        let three = single(3)
        #expect(three.run(a, "WATCH half").hasPrefix("-MODE"))
        #expect(run(three, a, "MULTI", "SET s:a 1", "EXEC")[2].hasPrefix("-EXECABORT"))
    }

    @Test("the reply to EXEC waits until what its commands wrote is durable")
    func durable() {
        let cluster = single(1)
        cluster.slowDisks = [a]
        #expect(run(cluster, a, "MULTI", "SET s:a 1", "GET s:a", "EXEC")[3].isEmpty)
        cluster.finishSyncs(a)
        #expect(cluster.reply(a) == "*2\r\n+OK\r\n$1\r\n1\r\n")
    }

    @Test("a session and a bound on staleness refuse MULTI by name")
    func session() {
        let cluster = Cluster(1)
        let replies = run(cluster, a, "SESSION ON", "MULTI", "SET k 1", "EXEC", "GET k")
        #expect(replies[1].hasPrefix("-MODE MULTI"))
        #expect(replies[2] == "+QUEUED")
        #expect(replies[3].hasPrefix("-EXECABORT"))
        #expect(replies[4] == "$-1")
    }

    @Test("RESET ends a transaction")
    func reset() {
        let cluster = Cluster(1)
        #expect(run(cluster, a, "MULTI", "SET k 1", "RESET", "GET k")[3] == "$-1")
    }

    /// Where it ends, as text of its replies; "" when it was not begun.
    private func exec(_ cluster: Cluster, _ commands: [String]) -> String {
        _ = cluster.run(a, "MULTI")
        for command in commands where cluster.run(a, command) != "+QUEUED\r\n" {
            #expect(cluster.reply(a).hasPrefix("-OOM") || cluster.reply(a).hasPrefix("-DISKFULL"))
        }
        let reply = cluster.run(a, "EXEC")
        return reply.hasPrefix("-EXECABORT") ? "" : reply
    }

    private static let growing: [[String]] = [
        (0..<40).map { "ZADD c:{a}z 1 \(String(repeating: "m", count: 300))\($0)" },
        (0..<40).map { "INCR c:{a}\($0)" }, (0..<40).map { "RPUSH c:{a}l \($0)" },
        (0..<20).map { "SET {a}\($0) \(String(repeating: "v", count: 2_500))" },
        (0..<20).map { "SET s:{a}\($0) \(String(repeating: "v", count: 2_500))" },
        (0..<20).map { "APPEND {a}long \(String(repeating: "v", count: 50 + $0))" },
    ]

    @Test("at the limit of memory EXEC runs all of its commands or none", arguments: growing)
    func memoryFull(_ commands: [String]) {
        let cluster = Cluster(1) { $0.memoryBytesMax = 2 << 20 }
        for (name, conflict) in [("c", "crdt"), ("s", "siblings")] {
            let create = "KEYSPACE CREATE \(name) conflict=\(conflict)"
            #expect(cluster.run(a, create) == "+OK\r\n")
        }
        let filling = String(repeating: "f", count: 3_000)
        var key = 0
        for freed in 0..<12 {
            while !cluster.run(a, "SET k\(key) \(filling)").hasPrefix("-OOM") { key += 1 }
            for last in 0..<freed / 3 { _ = cluster.run(a, "DEL k\(key - 1 - last)") }
            #expect(!exec(cluster, commands).contains("-OOM"), "\(freed) freed")
            _ = cluster.run(a, "DEL {a}long c:{a}z c:{a}l")
        }
        #expect(key > 100)
    }

    @Test("where the disk is short EXEC runs all of its commands or none", arguments: growing)
    func diskFull(_ commands: [String]) {
        let cluster = Cluster(1)
        for (name, conflict) in [("c", "crdt"), ("s", "siblings")] {
            let create = "KEYSPACE CREATE \(name) conflict=\(conflict)"
            #expect(cluster.run(a, create) == "+OK\r\n")
        }
        expectWholly(cluster, commands, stride(from: 500, to: 120_000, by: 3_000)) {
            DiskAllowance(writes: $0, deletions: 200_000, tombstones: 200_000)
        }
    }

    /// With each room on the disk EXEC gives it no more than that, and refuses nothing that it has
    /// begun.
    private func expectWholly(
        _ cluster: Cluster, _ commands: [String], _ rooms: StrideTo<Int>,
        _ allowance: (Int) -> DiskAllowance
    ) {
        var begun = 0
        for room in rooms {
            cluster.with(a) { $0.disk.allowance = allowance(room) }
            let before = cluster.journals[a]?.count ?? 0
            let reply = exec(cluster, commands)
            begun += reply.isEmpty ? 0 : 1
            #expect(!reply.contains("-DISKFULL"), "\(room) bytes of room")
            let given = (cluster.journals[a] ?? [])[before...].reduce(0) { $0 + $1.count }
            #expect(given <= room, "of \(room) bytes")
        }
        #expect(begun > 0)
    }

    private static let whole: [[String]] = [
        (0..<40).map { "SADD c:{a}s \(String(repeating: "m", count: 100))\($0)" },
        (0..<20).map { "SREM c:{a}old \($0)" }, (0..<40).map { "HINCRBY c:{a}h f\($0) 1" },
        ["DEL c:{a}old", "SADD c:{a}old x", "RPUSH c:{a}l x", "LPOP c:{a}l"],
    ]

    @Test(
        "EXEC counts the whole records that go to the disk while a keyspace leaves memory",
        arguments: whole)
    func diskFullWhileKept(_ commands: [String]) {
        let cluster = Cluster(1)
        _ = cluster.run(a, "KEYSPACE CREATE c conflict=crdt durability=memory")
        for number in 0..<60 {
            _ = cluster.run(a, "SADD c:{a}old \(number) \(String(repeating: "o", count: number))")
        }
        cluster.with(a) {
            $0.disk.allowance = DiskAllowance(writes: 500, deletions: 500, tombstones: 500)
        }
        // The walk waits for room.
        cluster.open(a, ConnectionID(5))
        cluster.send(a, ConnectionID(5), Array("KEYSPACE ALTER c durability=fsync\r\n".utf8))
        #expect(cluster.reply(a, ConnectionID(5)).isEmpty)
        expectWholly(cluster, commands, stride(from: 500, to: 2_000_000, by: 20_000)) {
            DiskAllowance(writes: $0, deletions: $0, tombstones: $0)
        }
        cluster.with(a) { #expect(!$0.background.keeping.isIdle) }
    }
}
