import Base
import RESP
import Testing

@testable import Replication

/// What a client may put behind a command's name, in any order.
private struct Palette {
    let words: [[UInt8]]

    /// - Parameter keys: of every kind of keyspace and every type.
    init(keys: [String]) {
        let texts = [
            "", "0", "1", "-1", "2", "3", "10", "100", "9223372036854775807",
            "-9223372036854775808", "18446744073709551615", "1e400", "-inf", "+inf", "nan", "0.1",
            "HELP", "GET", "SET", "LIST", "CREATE", "ALTER", "DROP", "INCR", "DECR", "RIGHTS",
            "GRANT", "NODE", "MIN", "ENABLE", "DISABLE", "NX", "XX", "GT", "LT", "CH", "EX", "PX",
            "EXAT", "PXAT", "KEEPTTL", "PERSIST", "MATCH", "COUNT", "TYPE", "LIMIT", "RANK",
            "MAXLEN", "WITHSCORES", "WITHVALUES", "BYSCORE", "BYLEX", "REV", "BEFORE", "AFTER", "R",
            "W", "PR", "PW", "DW", "TIMEOUT", "STALENESS", "CONTEXT", "ONE", "QUORUM", "ALL", "ON",
            "OFF", "LAST", "TOKEN", "USE", "RESET", "SETNAME", "GETNAME", "ID", "INFO", "AUTH",
            "default", "DOCS", "GETKEYS", "SLOTS", "SHARDS", "NODES", "KEYSLOT", "REFILL",
            "WITHOUT", "FORGET", "READMIT", "COUNTKEYSINSLOT", "GETKEYSINSLOT", "16384", "*", "[a",
            "(b", "-", "+", "n=2", "conflict=crdt", "everything", "FILTERBY", "PATTERN", "2", "3",
        ]
        let odd: [[UInt8]] = [
            [0], [13, 10], [0xFF, 0xFE, 0], Array(repeating: 120, count: 70_000),
            Array(repeating: 0x2A, count: 300), Array(repeating: 57, count: 40),
        ]
        words = (texts + keys + keys).map { Array($0.utf8) } + odd
    }
}

@Suite("no request ends a node")
struct EveryCommandTests {
    private static let types = ["string", "count", "set", "hash", "zset", "list", "flag", "bound"]

    /// Of each type one key in a crdt keyspace, and a string elsewhere.
    private func fill(
        _ cluster: Cluster, _ keyspaces: [(name: String, settings: String)]
    ) -> [String] {
        let node = NodeID(1)
        var keys = ["plain", "absent"]
        for (name, settings) in keyspaces {
            let reply = cluster.run(node, "KEYSPACE CREATE \(name) \(settings)")
            #expect(reply == "+OK\r\n")
            keys += ["\(name):string", "\(name):absent"]
            _ = cluster.run(node, "SET \(name):string text")
            guard settings.contains("crdt") else { continue }
            for command in [
                "INCRBY \(name):count 5", "SADD \(name):set a b", "HSET \(name):hash f 1 g x",
                "ZADD \(name):zset 1 a 2 b", "RPUSH \(name):list a b", "QFLAG \(name):flag ENABLE",
                "QBOUND CREATE \(name):bound 10 MIN 1",
            ] { #expect(!cluster.run(node, command).hasPrefix("-")) }
            keys += EveryCommandTests.types.map { "\(name):\($0)" }
        }
        return keys
    }

    private func request(_ name: String, _ arguments: [[UInt8]]) -> [UInt8] {
        var bytes = Array("*\(arguments.count + 1)\r\n$\(name.count)\r\n\(name)\r\n".utf8)
        for argument in arguments {
            bytes += Array("$\(argument.count)\r\n".utf8) + argument + [13, 10]
        }
        return bytes
    }

    /// Sends each command with 0 to 9 arguments drawn from the palette, on a connection of its own,
    /// and expects exactly one reply before its time is over.
    private func trouble(
        _ cluster: Cluster, _ keys: [String], seed: UInt64, rounds: Int
    ) {
        var random = PRNG(seed: seed)
        let words = Palette(keys: keys).words
        var connection: UInt32 = 100
        for _ in 0..<rounds {
            for name in CommandName.allCases {
                for count in 0...9 {
                    let arguments = (0..<count).map { _ in words[random.below(words.count)] }
                    let node = NodeID(UInt16(1 + random.below(cluster.ids.count)))
                    connection += 1
                    let socket = ConnectionID(connection)
                    cluster.open(node, socket)
                    if random.chance(perMille: 300) {
                        cluster.send(node, socket, request("HELLO", [[UInt8(ascii: "3")]]))
                    }
                    cluster.replies[node]?[socket] = []
                    let bytes = request("\(name.text)", arguments)
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
                    #expect(isOne, "\(asked): \(reply.prefix(80))")
                    cluster.step(node, .closed(socket))
                }
            }
            for id in cluster.ids { cluster.with(id) { $0.checkInvariants() } }
        }
    }

    @Test("each command with 0 to 9 arguments of any kind answers, in every kind of keyspace")
    func oneNode() {
        let cluster = Cluster(1)
        let keys = fill(
            cluster,
            [
                ("memory", "durability=memory"), ("siblings", "conflict=siblings"),
                ("crdt", "conflict=crdt"), ("cm", "conflict=crdt durability=memory"),
            ])
        trouble(cluster, keys, seed: 1, rounds: 2)
    }

    @Test("the same on three nodes")
    func threeNodes() {
        let cluster = Cluster(3)
        let keys = fill(
            cluster,
            [
                ("memory", "durability=memory"), ("siblings", "conflict=siblings"),
                ("crdt", "conflict=crdt"), ("single", "n=1"), ("cs", "n=1 conflict=crdt"),
                ("sloppy", "sloppy=on"), ("weak", "conflict=crdt r=1 w=1"),
            ])
        trouble(cluster, keys, seed: 2, rounds: 1)
    }

    @Test("QBOUND says how it is used with and without a crdt keyspace")
    func help() {
        for settings in ["", "KEYSPACE CREATE c conflict=crdt"] {
            let cluster = Cluster(1)
            if !settings.isEmpty { #expect(cluster.run(NodeID(1), settings) == "+OK\r\n") }
            #expect(cluster.run(NodeID(1), "QBOUND HELP").hasPrefix("*2\r\n+A counter that"))
            #expect(
                cluster.run(NodeID(1), "QBOUND GET")
                    == "-ERR wrong number of arguments for 'qbound' command\r\n")
        }
    }
}
