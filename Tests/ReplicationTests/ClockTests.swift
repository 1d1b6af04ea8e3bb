import Base
import Causality
import Testing

@testable import Replication

@Suite("Clocks that are wrong: alone, together, and from the start of a life on")
struct ClockTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)
    static let hour: UInt64 = 3_600_000

    func cluster(
        _ change: @escaping (inout NodeConfiguration) -> Void = { _ in }
    ) -> Cluster {
        let cluster = Cluster(3, change)
        for line in [
            "KEYSPACE CREATE l", "KEYSPACE CREATE s conflict=siblings",
            "KEYSPACE CREATE t conflict=crdt", "KEYSPACE CREATE one n=1",
            "KEYSPACE CREATE y n=2 sloppy=on",
        ] { #expect(cluster.run(a, line) == "+OK\r\n") }
        return cluster
    }

    func step(_ cluster: Cluster, _ nodes: [NodeID], by milliseconds: UInt64, back: Bool) {
        for node in nodes {
            let wall = cluster.wall[node, default: 0]
            cluster.wall[node] = back ? wall - milliseconds : wall + milliseconds
        }
    }

    /// Writes and reads every kind of keyspace through every node.
    private func serves(_ cluster: Cluster, _ round: String) {
        for (number, node) in cluster.ids.enumerated() {
            let value = "\(round)\(number)"
            let bulk = "$\(value.count)\r\n\(value)\r\n"
            for key in ["l:k", "s:k", "one:k", "y:k", "t:s"] {
                #expect(cluster.run(node, "SET \(key) \(value)") == "+OK\r\n", "\(key)")
                for other in cluster.ids { #expect(cluster.run(other, "GET \(key)") == bulk) }
            }
            #expect(cluster.run(node, "SADD t:set \(value)") == ":1\r\n")
            #expect(cluster.run(node, "INCR t:count").hasPrefix(":"))
            #expect(cluster.run(node, "HSET t:hash f \(value)").hasPrefix(":"))
            #expect(cluster.run(node, "HGET t:hash f") == bulk)
            #expect(cluster.run(node, "RPUSH t:list \(value)").hasPrefix(":"))
            #expect(cluster.run(node, "DEL l:gone") == ":0\r\n")
            #expect(cluster.run(node, "SET l:ttl \(value) EX 100") == "+OK\r\n")
            #expect(cluster.run(node, "TTL l:ttl") == ":100\r\n")
        }
    }

    @Test(
        "all clocks step ahead, are written under and step back: service goes on, nothing is lost",
        arguments: [700, 15_000, ClockTests.hour, 24 * ClockTests.hour])
    func allStep(milliseconds: UInt64) throws {
        let cluster = cluster()
        serves(cluster, "before")
        step(cluster, cluster.ids, by: milliseconds, back: false)
        cluster.pass(milliseconds: 1_000, by: 50)
        serves(cluster, "ahead")
        step(cluster, cluster.ids, by: milliseconds, back: true)
        cluster.pass(milliseconds: 1_000, by: 50)
        for node in cluster.ids {
            #expect(cluster.run(node, "QGET s:k R ALL").contains("$6\r\nahead2"))
            #expect(cluster.run(node, "QGET s:k R ALL").hasPrefix("*2\r\n"))
            #expect(cluster.run(node, "GET l:k R ALL") == "$6\r\nahead2\r\n")
            #expect(cluster.run(node, "SCARD t:set") == ":6\r\n")
        }
        serves(cluster, "right")
        for node in cluster.ids {
            #expect(cluster.counters(node).identitiesRenewed == 0)
            try cluster.restart(
                node, epoch: 9_000 + UInt64(node.rawValue), on: cluster.journals[node, default: []])
            cluster.pass(milliseconds: 2_000, by: 50)
            serves(cluster, "again\(node.rawValue)")
        }
        for node in cluster.ids { #expect(cluster.run(node, "SCARD t:set") == ":18\r\n") }
    }

    @Test(
        "clocks step in the middle of writes that no other node hears of",
        arguments: ["l", "s", "t"])
    func stepsWhileIsolated(keyspace: String) {
        let cluster = cluster()
        for back in [true, false] {
            cluster.isolate(a, b, c)
            for node in cluster.ids {
                #expect(
                    cluster.run(node, "SET \(keyspace):\(node.rawValue) v W 1 R 1") == "+OK\r\n")
            }
            step(cluster, cluster.ids, by: ClockTests.hour, back: back)
            for node in cluster.ids {
                #expect(
                    cluster.run(node, "SET \(keyspace):\(node.rawValue) w W 1 R 1") == "+OK\r\n")
            }
            cluster.cut = []
            cluster.pass(milliseconds: 3_000, by: 50)
            for node in cluster.ids {
                for key in 1...3 {
                    #expect(cluster.run(node, "GET \(keyspace):\(key) R ALL") == "$1\r\nw\r\n")
                }
            }
            #expect(cluster.run(c, "SET \(keyspace):1 x") == "+OK\r\n")
            #expect(cluster.run(b, "GET \(keyspace):1 R ALL") == "$1\r\nx\r\n")
        }
    }

    @Test(
        "a life begins alone ahead, writes, and meets the others, who write later: theirs wins",
        arguments: [2_000, 15_000, ClockTests.hour, 24 * ClockTests.hour], ["l", "s", "t"])
    func futureLife(ahead: UInt64, keyspace: String) throws {
        for isRightedFirst in [false, true] {
            let cluster = cluster()
            #expect(cluster.run(b, "SET \(keyspace):k before") == "+OK\r\n")
            cluster.pass(milliseconds: 10)
            try cluster.restartAlone(a, epoch: 2_000, ahead: ahead)
            for key in ["k", "kept"] {
                #expect(cluster.run(a, "SET \(keyspace):\(key) alone W 1 R 1") == "+OK\r\n")
            }
            if isRightedFirst { step(cluster, [a], by: ahead, back: true) }
            cluster.meet(a)
            cluster.isolate(a)
            #expect(cluster.run(b, "SET \(keyspace):k later R 1") == "+OK\r\n")
            if !isRightedFirst { step(cluster, [a], by: ahead, back: true) }
            cluster.pass(milliseconds: 3_000, by: 50)
            cluster.cut = []
            cluster.pass(milliseconds: 3_000, by: 50)
            for node in cluster.ids {
                let kept = cluster.run(node, "GET \(keyspace):kept R ALL")
                #expect(kept == "$5\r\nalone\r\n", "what was acknowledged stays")
                let both = cluster.run(node, "QGET \(keyspace):k R ALL")
                let shown = cluster.run(node, "GET \(keyspace):k R ALL")
                #expect(keyspace == "s" ? both.contains("later") : shown == "$5\r\nlater\r\n")
            }
            #expect(cluster.run(a, "SET \(keyspace):k last") == "+OK\r\n")
            #expect(cluster.run(c, "GET \(keyspace):k R ALL") == "$4\r\nlast\r\n")
            #expect(cluster.counters(a).identitiesRenewed == 1)
        }
    }

    @Test(
        "a life ahead hears the others and is not heard: what it writes over theirs stays",
        arguments: [2_000, 15_000, ClockTests.hour], ["l", "s"])
    func unheard(ahead: UInt64, keyspace: String) throws {
        let cluster = cluster()
        cluster.pass(milliseconds: 10)
        try cluster.restartAlone(a, epoch: 2_000, ahead: ahead)
        cluster.cut = [[a, b], [a, c]]
        cluster.meet(a)
        for key in ["set", "gone", "ends"] {
            #expect(cluster.run(b, "SET \(keyspace):\(key) theirs") == "+OK\r\n")
        }
        cluster.pass(milliseconds: 10)
        #expect(cluster.run(a, "CONSISTENCY R 1 W 1") == "+OK\r\n")
        for (line, reply) in [
            ("GET \(keyspace):set", "$6\r\ntheirs"), ("SET \(keyspace):set mine", "+OK"),
            ("DEL \(keyspace):gone", ":1"), ("EXPIRE \(keyspace):ends 100000", ":1"),
        ] { #expect(cluster.run(a, line) == reply + "\r\n") }
        cluster.cut = []
        cluster.pass(milliseconds: 3_000, by: 50)
        #expect(cluster.counters(a).identitiesRenewed == 1)
        for isAgain in [false, true] {
            for node in cluster.ids {
                #expect(cluster.run(node, "GET \(keyspace):set R ALL") == "$4\r\nmine\r\n")
                #expect(cluster.run(node, "GET \(keyspace):gone R ALL") == "$-1\r\n")
                #expect(cluster.run(node, "GET \(keyspace):ends R ALL") == "$6\r\ntheirs\r\n")
                #expect(cluster.run(node, "TTL \(keyspace):ends R ALL") > ":0")
            }
            if isAgain { return }
            try cluster.restart(a, epoch: 9_000, on: cluster.journals[a, default: []])
            cluster.pass(milliseconds: 3_000, by: 50)
        }
    }

    @Test("typed values written ahead keep every element, once, and what was removed stays so")
    func typedFutureLife() throws {
        let cluster = cluster()
        #expect(cluster.run(b, "SADD t:set x y") == ":2\r\n")
        #expect(cluster.run(b, "INCRBY t:count 5") == ":5\r\n")
        cluster.pass(milliseconds: 10)
        try cluster.restartAlone(a, epoch: 2_000, ahead: ClockTests.hour)
        #expect(cluster.run(a, "CONSISTENCY R 1 W 1") == "+OK\r\n")
        for (line, reply) in [
            ("SREM t:set x", ":1"), ("SADD t:set z", ":1"), ("INCRBY t:count 3", ":8"),
            ("RPUSH t:list p q", ":2"), ("HSET t:hash f v", ":1"),
        ] { #expect(cluster.run(a, line) == reply + "\r\n") }
        // Large enough to be kept as a value, and measured exactly before it gets other names.
        for letter in ["v", "w", "x"] {
            let value = String(repeating: letter, count: 3_000)
            #expect(cluster.run(a, "HSET t:large f \(value)").hasPrefix(":"))
        }
        cluster.meet(a)
        cluster.pass(milliseconds: 20_000, by: 50)
        for node in cluster.ids {
            cluster.with(node) { $0.checkInvariants(recounting: true) }
            #expect(cluster.run(node, "HSTRLEN t:large f") == ":3000\r\n")
            #expect(cluster.run(node, "SISMEMBER t:set x") == ":0\r\n")
            #expect(cluster.run(node, "SCARD t:set") == ":2\r\n")
            #expect(cluster.run(node, "GET t:count") == "$1\r\n8\r\n")
            #expect(cluster.run(node, "LLEN t:list") == ":2\r\n")
            #expect(cluster.run(node, "HGET t:hash f") == "$1\r\nv\r\n")
        }
    }

    @Test("a crash in the middle of the correction: the rest goes to the same moment")
    func crashWhileCorrecting() throws {
        let cluster = cluster()
        try cluster.restartAlone(a, epoch: 2_000, ahead: ClockTests.hour)
        for key in 0..<10 { #expect(cluster.run(a, "SET l:\(key) alone W 1") == "+OK\r\n") }
        let written = cluster.journals[a, default: []]
        cluster.meet(a)
        let marker = cluster.journals[a, default: []].first {
            $0.first == JournalKind.correction.rawValue
        }
        step(cluster, [a], by: ClockTests.hour, back: true)
        cluster.isolate(a)
        for key in 0..<5 { #expect(cluster.run(b, "SET l:\(key) later") == "+OK\r\n") }
        cluster.pass(milliseconds: 3_000, by: 50)
        cluster.cut = []
        try cluster.restart(a, epoch: 9_000, on: written + [marker ?? []])
        cluster.pass(milliseconds: 3_000, by: 50)
        for node in cluster.ids {
            for key in 0..<10 {
                let value = key < 5 ? "later" : "alone"
                #expect(cluster.run(node, "GET l:\(key) R ALL") == "$5\r\n\(value)\r\n")
            }
        }
    }

    @Test(
        "a crash after the correction: what was corrected stays there, and is one value",
        arguments: ["l", "s", "t"])
    func crashAfterCorrecting(keyspace: String) throws {
        let cluster = cluster()
        try cluster.restartAlone(a, epoch: 2_000, ahead: ClockTests.hour)
        for key in ["k", "kept"] {
            #expect(cluster.run(a, "SET \(keyspace):\(key) alone W 1 R 1") == "+OK\r\n")
        }
        #expect(cluster.run(a, "CONSISTENCY R 1 W 1") == "+OK\r\n")
        #expect(cluster.run(a, "EXPIRE \(keyspace):kept 9000") == ":1\r\n")
        cluster.meet(a)
        cluster.pass(milliseconds: 1_000, by: 50)
        #expect(cluster.run(b, "SET \(keyspace):k later") == "+OK\r\n")
        step(cluster, [a], by: ClockTests.hour, back: true)
        for node in cluster.ids {
            try cluster.restart(
                node, epoch: 9_000, on: cluster.journals[node, default: []])
            cluster.pass(milliseconds: 3_000, by: 50)
        }
        for node in cluster.ids {
            #expect(cluster.run(node, "GET \(keyspace):k R ALL") == "$5\r\nlater\r\n")
            #expect(cluster.run(node, "GET \(keyspace):kept R ALL") == "$5\r\nalone\r\n")
            let values = cluster.run(node, "QGET \(keyspace):kept R ALL")
            #expect(keyspace == "t" || values.hasPrefix("*2\r\n"), "a context and one value")
        }
        for node in cluster.ids {
            #expect(cluster.run(node, "SET \(keyspace):k \(node.rawValue)") == "+OK\r\n")
        }
    }

    @Test("a session that wrote by the wrong clock goes on once that clock is proved wrong")
    func session() throws {
        let cluster = cluster()
        try cluster.restartAlone(a, epoch: 2_000, ahead: ClockTests.hour)
        #expect(cluster.run(a, "SESSION ON") == "+OK\r\n")
        for key in ["l:k", "s:k", "t:k"] {
            #expect(cluster.run(a, "SET \(key) alone W 1 R 1") == "+OK\r\n")
        }
        cluster.meet(a)
        cluster.pass(milliseconds: 1_000, by: 50)
        for key in ["l:k", "s:k", "t:k"] {
            #expect(cluster.run(a, "GET \(key)") == "$5\r\nalone\r\n")
            #expect(cluster.run(a, "SET \(key) then") == "+OK\r\n")
            #expect(cluster.run(a, "GET \(key)") == "$4\r\nthen\r\n")
        }
    }

    @Test("what is deleted after a clock was proved wrong is collected as ever")
    func collects() throws {
        let cluster = cluster {
            ($0.collectionMilliseconds, $0.collectionGraceMilliseconds) = (1_000, 2_000)
        }
        #expect(cluster.run(b, "SET l:k v") == "+OK\r\n")
        try cluster.restartAlone(a, epoch: 2_000, ahead: 24 * ClockTests.hour)
        cluster.pass(milliseconds: 1_000, by: 50)
        cluster.meet(a)
        #expect(cluster.run(b, "DEL l:k") == ":1\r\n")
        cluster.pass(milliseconds: 20_000, by: 50)
        for node in cluster.ids { #expect(cluster.with(node) { $0.store.count } == 0) }
    }

    @Test("clocks that are set back 1,100 times end nothing and refuse nothing")
    func manySetBacks() {
        for nodes in [1, 3] {
            let cluster = Cluster(nodes)
            for round in 0..<1_100 {
                step(cluster, cluster.ids, by: 60_000, back: round % 2 == 1)
                cluster.pass(milliseconds: 20, by: 10)
                #expect(cluster.run(a, "SET k \(round)") == "+OK\r\n")
            }
            for node in cluster.ids { #expect(cluster.run(node, "GET k") == "$4\r\n1099\r\n") }
        }
    }

    @Test(
        "one clock a day ahead: no key is absent for it, at R 1 or R 2, stepped or from the start")
    func timeToLive() throws {
        for isFresh in [true, false] {
            let cluster = cluster()
            for keyspace in ["l", "s", "t"] {
                #expect(cluster.run(b, "SET \(keyspace):k v EX 7200") == "+OK\r\n")
            }
            if isFresh {
                try cluster.restartAlone(a, epoch: 2_000, ahead: 24 * ClockTests.hour)
                cluster.meet(a)
            } else {
                step(cluster, [a], by: 24 * ClockTests.hour, back: false)
            }
            for _ in 0..<3 {
                for keyspace in ["l", "s", "t"] {
                    for level in ["R 1", "R 2", "R ALL"] {
                        let reply = cluster.run(a, "GET \(keyspace):k \(level)")
                        #expect(reply == "$1\r\nv\r\n", "\(keyspace) \(level)")
                    }
                }
                cluster.pass(milliseconds: 2_000, by: 50)
            }
            #expect(cluster.run(a, "SET l:new v EX 10") == "+OK\r\n")
            #expect(cluster.run(c, "TTL l:new") == ":10\r\n")
            #expect(cluster.run(a, "INFO clock").contains("clock_wall_ahead_ms:86400000"))
            #expect(
                cluster.run(b, "INFO clock").contains("the clock of node 1 is 86400000 ms ahead"))
        }
    }

    @Test("what expires is not collected by stamps that are ahead of the time")
    func expiryAndStamps() {
        let cluster = cluster {
            ($0.collectionMilliseconds, $0.collectionGraceMilliseconds) = (1_000, 2_000)
        }
        step(cluster, cluster.ids, by: ClockTests.hour, back: false)
        cluster.pass(milliseconds: 1_000, by: 50)
        #expect(cluster.run(a, "SET l:k v") == "+OK\r\n")
        step(cluster, cluster.ids, by: ClockTests.hour, back: true)
        cluster.pass(milliseconds: 1_000, by: 50)
        #expect(cluster.run(a, "SET l:k v EX 60") == "+OK\r\n")
        #expect(cluster.run(a, "DEL l:none") == ":0\r\n")
        cluster.pass(milliseconds: 30_000, by: 50)
        for node in cluster.ids { #expect(cluster.run(node, "GET l:k R ALL") == "$1\r\nv\r\n") }
        cluster.pass(milliseconds: 60_000, by: 50)
        for node in cluster.ids {
            #expect(cluster.run(node, "GET l:k R ALL") == "$-1\r\n")
            #expect(cluster.with(node) { $0.store.count } == 0, "and then it goes")
        }
    }

    @Test("two new lives that contradict each other refuse by name what would be stamped, and read")
    func undecided() {
        let cluster = Cluster(2)
        #expect(cluster.run(a, "SET k v EX 7200") == "+OK\r\n")
        for node in [a, b] { cluster.unlink(node, node == a ? b : a) }
        for (node, epoch) in [(a, 10), (b, 10)] as [(NodeID, UInt64)] {
            #expect(throws: Never.self) {
                try cluster.restartAlone(
                    node, epoch: epoch, ahead: node == b ? 24 * ClockTests.hour : 0)
            }
        }
        cluster.meet(a)
        let refusal = cluster.run(b, "SET k w")
        #expect(
            refusal.hasPrefix("-CLOCK no majority agrees with the clock of node 2"), "\(refusal)")
        #expect(refusal.contains("86400000 ms behind"))
        #expect(cluster.run(b, "GET k R ALL") == "$1\r\nv\r\n")
        step(cluster, [b], by: 24 * ClockTests.hour, back: true)
        cluster.pass(milliseconds: 2_000, by: 50)
        #expect(cluster.run(b, "SET k w") == "+OK\r\n")
        #expect(cluster.run(a, "GET k R ALL") == "$1\r\nw\r\n")
    }

    @Test("a node alone in its cluster keeps its identity and its order when its clock goes back")
    func oneNode() {
        let cluster = Cluster(1)
        #expect(cluster.run(a, "KEYSPACE CREATE t conflict=crdt") == "+OK\r\n")
        for back in [false, true] {
            step(cluster, [a], by: ClockTests.hour, back: back)
            #expect(cluster.run(a, "SET k \(back)") == "+OK\r\n")
            #expect(cluster.run(a, "GET k") == "$\(back ? 4 : 5)\r\n\(back)\r\n")
            #expect(cluster.run(a, "SADD t:k \(back)") == ":1\r\n")
        }
        #expect(cluster.counters(a).identitiesRenewed == 0)
        #expect(cluster.run(a, "EXPIRE k 10") == ":1\r\n")
        #expect(cluster.run(a, "TTL k") == ":10\r\n")
    }
}
