import Base
import Ring
import Testing

@testable import Replication

/// Redis, "Pipelining": the replies to what one connection sends are those of its commands one
/// after the other. So a read sees what stands before it, and nothing of what stands behind.
@Suite("The commands of one connection happen in its order")
struct PipelineOrderTests {
    let socket = ConnectionID(7)

    /// Sends lines at once on links of random speed, until all are answered.
    private func pipeline(
        _ cluster: Cluster, _ node: NodeID, _ lines: [String], _ random: inout PRNG
    ) -> [String] {
        for a in cluster.ids {
            for b in cluster.ids where a != b { cluster.slow[[a, b]] = UInt64(random.below(6)) }
        }
        cluster.open(node, socket)
        defer {
            cluster.step(node, .closed(socket))
            cluster.replies[node]?[socket] = nil
            cluster.pass(milliseconds: 10)
            cluster.slow = [:]
        }
        var bytes = Array(lines.map { $0 + "\r\n" }.joined().utf8)
        for _ in 0..<1_500 {
            if !bytes.isEmpty { bytes.removeFirst(cluster.send(node, socket, bytes)) }
            cluster.pass(milliseconds: 1)
            if bytes.isEmpty, !cluster.with(node, { $0.owesReplies(to: socket) }) { break }
        }
        return cluster.reply(node, socket).split(separator: "\r\n", omittingEmptySubsequences: true)
            .filter { !$0.hasPrefix("$") || $0 == "$-1" }.map(String.init)
    }

    /// Nodes and replicas: where each node has every key, and where it passes commands on.
    static let shapes = [(3, 3), (5, 2)]

    private func check(
        _ shape: (Int, Int), _ conflict: String, _ steps: [(line: String, replies: [String])]
    ) {
        let (nodes, n) = shape
        let cluster = Cluster(nodes)
        let create = "KEYSPACE CREATE t n=\(n) r=2 w=2 conflict=\(conflict)"
        #expect(cluster.run(NodeID(1), create) == "+OK\r\n")
        cluster.pass(milliseconds: 2_000, by: 50)
        var random = PRNG(seed: UInt64(nodes))
        for node in cluster.ids {
            for round in 0..<6 {
                func named(_ line: String) -> String {
                    line.replacing("*", with: "t:\(round).\(node.rawValue)")
                }
                let replies = pipeline(cluster, node, steps.map { named($0.line) }, &random)
                #expect(replies == steps.flatMap(\.replies), "\(node) \(round)")
            }
        }
    }

    private let strings: [(line: String, replies: [String])] = [
        ("SET *a old", ["+OK"]), ("SET *b old", ["+OK"]),
        ("MGET *a *b", ["*2", "old", "old"]), ("SET *b new", ["+OK"]),
        ("MGET *a *b", ["*2", "old", "new"]), ("DEL *b", [":1"]),
        ("EXISTS *a *b", [":1"]), ("SET *b x", ["+OK"]), ("GET *b", ["x"]),
        ("SET *b longer", ["+OK"]), ("STRLEN *b", [":6"]), ("SET *b y", ["+OK"]),
        ("SET *b z", ["+OK"]), ("TOUCH *a *b", [":2"]), ("UNLINK *a", [":1"]),
        ("MGET *b *a *b", ["*3", "z", "$-1", "z"]), ("SET *a back", ["+OK"]),
        ("EXPIRE *a 100", [":1"]), ("TTL *a", [":100"]), ("PERSIST *a", [":1"]),
        ("TTL *a", [":-1"]), ("SET *a other", ["+OK"]), ("GET *a", ["other"]),
        ("MSET *a 1 *b 2", ["+OK"]), ("MGET *a *b", ["*2", "1", "2"]),
        ("SET *a 3", ["+OK"]), ("GET *b", ["2"]), ("SET *b 4", ["+OK"]),
        ("EXISTS *b *a *b", [":3"]), ("DEL *a *b", [":2"]), ("EXISTS *a *b", [":0"]),
        ("SET *a 5", ["+OK"]), ("EXISTS *b", [":0"]), ("SET *b 6", ["+OK"]),
        ("DEL *a *b", [":2"]),
    ]

    @Test(
        "strings of every kind of keyspace", arguments: shapes, ["lww", "siblings", "crdt"])
    func strings(_ shape: (Int, Int), _ conflict: String) { check(shape, conflict, strings) }

    @Test("reads of more keys than are counted each")
    func manyKeys() {
        let names = (0..<20).map { "*k\($0)" }
        var steps: [(line: String, replies: [String])] = []
        steps.append(("MSET " + names.map { $0 + " old" }.joined(separator: " "), ["+OK"]))
        for value in ["v1", "v2", "v3"] {
            let list = names.joined(separator: " ")
            let before = value == "v1" ? "old" : "v\((value.last?.wholeNumberValue ?? 0) - 1)"
            steps.append(
                ("MGET " + list, ["*20"] + names.dropLast().map { _ in "old" } + [before]))
            steps.append(("SET *k19 \(value)", ["+OK"]))
            steps.append(("EXISTS " + list, [":20"]))
        }
        steps.append(("DEL " + names.joined(separator: " "), [":20"]))
        for conflict in ["lww", "crdt"] { check((3, 3), conflict, steps) }
    }

    @Test("sets that are put together", arguments: shapes)
    func sets(_ shape: (Int, Int)) {
        check(
            shape, "crdt",
            [
                ("SADD *s x y", [":2"]), ("SADD *t y z", [":2"]),
                ("SINTERCARD 2 *s *t", [":1"]), ("SREM *t y", [":1"]),
                ("SINTER *s *t", ["*0"]), ("SADD *t x", [":1"]),
                ("SUNION *s *t", ["*3", "x", "y", "z"]), ("SADD *s w", [":1"]),
                ("SDIFF *s *t", ["*2", "w", "y"]), ("SPOP *t 5", ["*2", "x", "z"]),
                ("EXISTS *s *t", [":1"]), ("SADD *t q", [":1"]), ("SCARD *s", [":3"]),
                ("DEL *s *t", [":2"]),
            ])
    }

    @Test("what is said of all keys stands between what is before and behind it")
    func everything() {
        for conflict in ["lww", "crdt"] {
            check(
                (3, 3), conflict,
                [
                    ("SET *a 1", ["+OK"]), ("GET *a", ["1"]), ("FLUSHALL", ["+OK"]),
                    ("SET *a 2", ["+OK"]), ("GET *a", ["2"]), ("MGET *a *b", ["*2", "2", "$-1"]),
                    ("FLUSHALL", ["+OK"]), ("GET *a", ["$-1"]),
                ])
        }
    }

    @Test("plain values of one key are written side by side, and what else uses the key waits")
    func replaced() {
        let cluster = Cluster(3)
        cluster.pass(milliseconds: 2_000, by: 50)
        for other in cluster.ids.dropFirst() { cluster.slow[[NodeID(1), other]] = 3 }
        cluster.open(NodeID(1), socket)
        func taken(_ lines: [String]) -> Bool {
            let bytes = Array(lines.map { $0 + "\r\n" }.joined().utf8)
            let consumed = cluster.send(NodeID(1), socket, bytes)
            #expect(consumed == 0 || consumed == bytes.count)
            return consumed > 0
        }
        #expect(taken(["SET a 1", "SET a 2", "SET b 1", "SET a 3"]))
        for line in ["GET a", "DEL a", "SET a 4 EX 9", "APPEND a x", "MGET a c", "DBSIZE"] {
            #expect(!taken([line]))
        }
        cluster.pass(milliseconds: 10)
        #expect(taken(["GET a"]))
        #expect(!taken(["SET a 4"]))
        cluster.pass(milliseconds: 10)
        let reply = cluster.reply(NodeID(1), socket)
        #expect(reply == "+OK\r\n+OK\r\n+OK\r\n+OK\r\n$1\r\n3\r\n")
        #expect(cluster.ids.allSatisfy { cluster.run($0, "GET a R 1") == "$1\r\n3\r\n" })
    }

    @Test("what reads one key does not wait for what reads it as well, nor for other keys")
    func sideBySide() {
        let cluster = Cluster(3)
        cluster.pass(milliseconds: 2_000, by: 50)
        for other in cluster.ids.dropFirst() { cluster.slow[[NodeID(1), other]] = 3 }
        cluster.open(NodeID(1), socket)
        let lines = ["GET a", "GET a", "MGET a b", "SET c 1", "GET a", "SET d 1"]
        let first = Array(lines.prefix(2).map { $0 + "\r\n" }.joined().utf8)
        #expect(cluster.send(NodeID(1), socket, first) == first.count)
        cluster.pass(milliseconds: 10)
        let rest = Array(lines.dropFirst(2).map { $0 + "\r\n" }.joined().utf8)
        #expect(cluster.send(NodeID(1), socket, rest) == rest.count)
        let write = Array("SET b 1\r\n".utf8)
        #expect(cluster.send(NodeID(1), socket, write) == 0)
        cluster.pass(milliseconds: 10)
        #expect(cluster.send(NodeID(1), socket, write) == write.count)
    }
}
