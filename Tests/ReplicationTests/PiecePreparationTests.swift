import Base
import CRDT
import RESP
import Ring
import Testing

@testable import Replication

/// README: what can be known of a command in pieces is checked before the first of them.
@Suite("What is done before the first piece of a command")
struct PiecePreparationTests {
    let a = NodeID(1)
    let one = ConnectionID(1)

    private func cluster(_ count: Int, n: Int) -> Cluster {
        let cluster = Cluster(count) { $0.recordBytesMax = n * 300_000 }
        let create = "KEYSPACE CREATE t n=\(n) r=\(n / 2 + 1) w=\(n / 2 + 1) conflict=crdt"
        #expect(cluster.run(a, create) == "+OK\r\n")
        cluster.pass(milliseconds: 1_000, by: 50)
        for id in cluster.ids { cluster.open(id, one) }
        return cluster
    }

    /// A command that adds elements, the query that counts them, and about how many of those here
    /// a value may have.
    struct Kind: CustomTestStringConvertible {
        let command: String
        let query: String
        let most: Int

        var testDescription: String { command }
    }

    static let kinds = [
        Kind(command: "SADD", query: "SCARD", most: 15_000),
        Kind(command: "HSET", query: "HLEN", most: 10_000),
        Kind(command: "ZADD", query: "ZCARD", most: 9_500),
        Kind(command: "RPUSH", query: "LLEN", most: 8_500),
    ]

    private func elements(_ command: String, _ words: [String]) -> [String] {
        switch command {
        case "HSET": words.flatMap { [$0, "value"] }
        case "ZADD": words.flatMap { ["1", $0] }
        default: words
        }
    }

    @Test(
        "a command on a new value is done whole or not at all, wherever the limit lies",
        arguments: kinds)
    func whole(_ kind: Kind) {
        let cluster = cluster(1, n: 1)
        var done = 0
        var refused = 0
        for count in stride(from: kind.most * 7 / 10, to: kind.most * 14 / 10, by: kind.most / 25) {
            let key = "t:\(count)"
            let words = elements(kind.command, Cluster.words(0..<count))
            let reply = cluster.ask(a, one, [kind.command, key] + words)
            if reply.hasPrefix(":") { done += 1 } else { refused += 1 }
            let left = reply.hasPrefix(":") ? count : 0
            #expect(reply.hasPrefix(":") || reply.hasPrefix("-ERR the value would be larger"))
            #expect(cluster.ask(a, one, [kind.query, key]) == ":\(left)\r\n")
            _ = cluster.ask(a, one, ["DEL", key])
        }
        #expect(done > 1 && refused > 1, "\(done) \(refused)")
    }

    @Test("what a value has already counts, and what is named again does not", arguments: kinds)
    func grown(_ kind: Kind) {
        for (nodes, n) in [(1, 1), (3, 1), (3, 3)] {
            let cluster = cluster(nodes, n: n)
            for node in cluster.ids.prefix(2) {
                let key = "t:\(node.rawValue)"
                func add(_ range: Range<Int>) -> String {
                    let words = elements(kind.command, Cluster.words(range))
                    return cluster.ask(node, one, [kind.command, key] + words)
                }
                func count() -> String { cluster.ask(node, one, [kind.query, key]) }
                let some = kind.most / 2
                #expect(add(0..<some) == ":\(some)\r\n")
                // Where another node has the value, only what is named is known here.
                let isHere = cluster.with(node) { node in
                    Array(key.utf8).withUnsafeBytes { node.coordinates(node.place(of: $0)) }
                }
                if isHere {
                    #expect(add(some..<some * 4).hasPrefix("-ERR the value would be larger"))
                    #expect(count() == ":\(some)\r\n")
                }
                #expect(add(0..<some * 5).hasPrefix("-ERR the value would be larger"))
                #expect(count() == ":\(some)\r\n")
                if kind.command != "RPUSH" { #expect(add(0..<some) == ":0\r\n") }
            }
        }
    }

    @Test("a value of another type is told, however much is named; nothing is pushed to none")
    func otherTypes() {
        let cluster = cluster(1, n: 1)
        let words = Cluster.words(0..<20_000)
        _ = cluster.ask(a, one, ["SET", "t:k", "v"])
        #expect(cluster.ask(a, one, ["SADD", "t:k"] + words).hasPrefix("-WRONGTYPE"))
        #expect(cluster.ask(a, one, ["RPUSH", "t:k"] + words).hasPrefix("-WRONGTYPE"))
        #expect(cluster.ask(a, one, ["LPUSHX", "t:none"] + words) == ":0\r\n")
    }

    @Test("sorted runs of elements, merged, are all elements in order, equal names as they came")
    func order() {
        var random = PRNG(seed: 11)
        for round in 0..<60 {
            let prefix = ["", "p", "a long prefix of all ", "\u{0}"][round % 4]
            let names = (0..<1 + random.below(300)).map { _ in
                random.below(9) == 0 ? "\(random.below(30))" : prefix + "\(random.below(2_000))"
            }
            let isScored = round % 3 == 0
            var bytes: [UInt8] = []
            for (index, name) in names.enumerated() {
                let score = "$\("\(index)".count)\r\n\(index)\r\n"
                bytes += ((isScored ? score : "") + "$\(name.utf8.count)\r\n\(name)\r\n").utf8
            }
            let rest = GatherRest(
                KeptArguments(copying: bytes), from: 0, parts: names.count, words: isScored ? 2 : 1,
                nameWord: isScored ? 1 : 0)
            var starts: [Int] = []
            var walk = rest
            var order = ElementOrder(rest)
            while walk.parts > 0 {
                let parts = min(walk.parts, 1 + random.below(80))
                order.sort(walk, parts: parts)
                for _ in 0..<parts {
                    starts.append(walk.offset)
                    walk.removeFirst()
                }
            }
            while !order.isMerged { _ = order.merge(1 + random.below(50)) }
            let expected = names.indices.sorted {
                let (left, right) = (Array(names[$0].utf8), Array(names[$1].utf8))
                return left == right ? $0 < $1 : left.lexicographicallyPrecedes(right)
            }
            #expect(order.offsets.map(Int.init) == expected.map { starts[$0] })
        }
    }

    @Test("an element that is named several times is as Redis leaves it")
    func repeated() {
        let cluster = cluster(1, n: 1)
        let words = Cluster.words(0..<1_500)
        let fields = words.flatMap { [$0, "first"] } + words.reversed().flatMap { [$0, "last"] }
        #expect(cluster.ask(a, one, ["HSET", "t:h"] + fields) == ":1500\r\n")
        for word in words {
            #expect(cluster.ask(a, one, ["HGET", "t:h", word]) == "$4\r\nlast\r\n")
        }
    }
}
