import Base
import Testing

@testable import RESP
@testable import Replication

@Suite("no request ends a node")
struct EveryCommandTests {
    private struct Keyspace {
        let name: String
        let settings: String
    }

    private static let types = ["string", "count", "set", "hash", "zset", "list", "flag", "bound"]

    private static let alone = [
        Keyspace(name: "plain", settings: ""),
        Keyspace(name: "memory", settings: "durability=memory"),
        Keyspace(name: "siblings", settings: "conflict=siblings"),
        Keyspace(name: "crdt", settings: "conflict=crdt"),
        Keyspace(name: "cm", settings: "conflict=crdt durability=memory"),
    ]
    private static let together = [
        Keyspace(name: "memory", settings: "durability=memory"),
        Keyspace(name: "siblings", settings: "conflict=siblings"),
        Keyspace(name: "crdt", settings: "conflict=crdt"),
        Keyspace(name: "single", settings: "n=1"),
        Keyspace(name: "cs", settings: "n=1 conflict=crdt"),
        Keyspace(name: "sloppy", settings: "sloppy=on"),
        Keyspace(name: "weak", settings: "conflict=crdt r=1 w=1"),
    ]

    /// A cluster with one key of each type in each crdt keyspace, and strings elsewhere.
    private func filled(_ nodes: Int, _ keyspaces: [Keyspace]) -> Cluster {
        let cluster = Cluster(nodes)
        let node = NodeID(1)
        for (name, settings) in keyspaces.map({ ($0.name, $0.settings) }) {
            #expect(cluster.run(node, "KEYSPACE CREATE \(name) \(settings)") == "+OK\r\n")
            guard settings.contains("crdt") else {
                for type in EveryCommandTests.types {
                    _ = cluster.run(node, "SET \(name):\(type) 5")
                }
                continue
            }
            for command in [
                "SET \(name):string 5", "INCRBY \(name):count 5", "SADD \(name):set a b",
                "HSET \(name):hash f 1 g x", "ZADD \(name):zset 1 a 2 b",
                "RPUSH \(name):list a b", "QFLAG \(name):flag ENABLE",
                "QBOUND CREATE \(name):bound 10 MIN 1",
            ] { #expect(!cluster.run(node, command).hasPrefix("-")) }
        }
        return cluster
    }

    /// Sends a request in some way on a connection of its own, and expects exactly one reply to
    /// each of what is sent before its time is over.
    private func ask(_ cluster: Cluster, _ words: [[UInt8]], _ way: Way, _ number: UInt32) {
        let node = NodeID(UInt16(1 + number % UInt32(cluster.ids.count)))
        let socket = ConnectionID(100 + number)
        cluster.open(node, socket)
        for words in way.requests(words, number) {
            guard cluster.closed[node]?.contains(socket) != true else { break }
            cluster.replies[node]?[socket] = []
            var bytes = Array("*\(words.count)\r\n".utf8)
            for word in words { bytes += Array("$\(word.count)\r\n".utf8) + word + [13, 10] }
            cluster.send(node, socket, bytes)
            cluster.settle()
            if cluster.reply(node, socket).isEmpty {
                cluster.pass(milliseconds: 6_000, by: 50)
            }
            let reply = cluster.replies[node]?[socket] ?? []
            let isOne = reply.withUnsafeBytes {
                $0.isOneReply(in: .resp2) || $0.isOneReply(in: .resp3)
            }
            let asked = String(decoding: bytes.prefix(300), as: UTF8.self)
            #expect(isOne, "\(way) \(asked): \(reply.prefix(80))")
        }
        cluster.step(node, .closed(socket))
    }

    /// Each form of each command with 0 to 9 arguments, on a cluster that each command finds as it
    /// was. Where a form takes fewer arguments, any follow.
    ///
    /// - Parameter places: in how many of the keyspaces each is tried, each time in another way.
    /// - Returns: how many were answered otherwise than by an error.
    private func trouble(_ nodes: Int, _ keyspaces: [Keyspace], seed: UInt64, places: Int) {
        var random = PRNG(seed: seed)
        var number: UInt32 = 0
        for name in CommandName.allCases {
            let forms = RequestForm.all(of: name)
            let cluster = filled(nodes, keyspaces)
            for form in forms {
                for count in 0...9 {
                    for place in 0..<places {
                        let keyspace = keyspaces[(Int(number) + place) % keyspaces.count].name
                        let words = form.words(count, keyspace, &random)
                        number += 1
                        ask(
                            cluster, words, Way.allCases[Int(number) % Way.allCases.count], number)
                    }
                }
            }
            for id in cluster.ids {
                cluster.with(id) { $0.checkInvariants() }
                #expect(cluster.counters(id).malformedMessages == 0, "\(name)")
            }
        }
    }

    @Test("each form of each command with 0 to 9 arguments answers, in every kind of keyspace")
    func oneNode() { trouble(1, EveryCommandTests.alone, seed: 1, places: 3) }

    @Test("the same on three nodes")
    func threeNodes() { trouble(3, EveryCommandTests.together, seed: 2, places: 1) }

    /// What one node without faults, another member or a session refuses whatever it is told.
    private static let refused: Set<String> = [
        "config SET", "debug CUT", "debug LOSE", "debug HEAL", "wait", "cluster FORGET",
        "cluster READMIT", "smove", "keys", "session TOKEN", "session USE",
    ]

    @Test("every form of a command that is as its usage says is understood in some keyspace")
    func understood() {
        var random = PRNG(seed: 3)
        for name in CommandName.allCases {
            for form in RequestForm.all(of: name) where !form.arguments.isEmpty {
                let cluster = filled(1, EveryCommandTests.alone)
                var last = ""
                let isUnderstood = (0..<60).contains { round in
                    let keyspace = EveryCommandTests.alone[round % 5].name
                    let words = form.whole(keyspace, &random).map {
                        String(decoding: $0, as: UTF8.self)
                    }
                    let socket = ConnectionID(9)
                    cluster.open(NodeID(1), socket)
                    last = cluster.ask(NodeID(1), socket, words)
                    cluster.step(NodeID(1), .closed(socket))
                    return !last.hasPrefix("-")
                }
                let isRefused = EveryCommandTests.refused.contains(form.title)
                #expect(isUnderstood != isRefused, "\(form.title): \(last)")
            }
        }
    }

    @Test("QBOUND says how it is used with and without a crdt keyspace")
    func help() {
        for settings in ["", "KEYSPACE CREATE c conflict=crdt"] {
            let cluster = Cluster(1)
            if !settings.isEmpty { #expect(cluster.run(NodeID(1), settings) == "+OK\r\n") }
            #expect(cluster.run(NodeID(1), "QBOUND HELP").hasPrefix("*7\r\n+A counter that"))
            #expect(
                cluster.run(NodeID(1), "QBOUND GET")
                    == "-ERR wrong number of arguments for 'qbound' command\r\n")
        }
    }
}
