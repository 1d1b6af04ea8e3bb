import Base
import Coding
import RESP
import Ring
import Testing

@testable import Replication

/// README: a command on more than 2,048 elements of a typed value is done in pieces of 1,024.
/// Expectations are Redis's: what it does to the elements of a command one after the other.
@Suite("Commands on many elements of one value are done in pieces")
struct CommandPiecesTests {
    let a = NodeID(1)
    let one = ConnectionID(1)
    let two = ConnectionID(2)

    private func cluster(
        _ count: Int, n: Int, _ change: @escaping (inout NodeConfiguration) -> Void = { _ in }
    ) -> Cluster {
        let cluster = Cluster(count, change)
        let create = "KEYSPACE CREATE t n=\(n) r=\(n / 2 + 1) w=\(n / 2 + 1) conflict=crdt"
        #expect(cluster.run(a, create) == "+OK\r\n")
        cluster.pass(milliseconds: 1_000, by: 50)
        for id in cluster.ids {
            cluster.open(id, one)
            cluster.open(id, two)
        }
        return cluster
    }

    /// Nodes, and replicas of each key.
    static let shapes = [(1, 1), (3, 1), (3, 3)]

    /// Which nodes to ask: where all have every key, one stands for all.
    private func asked(_ cluster: Cluster, _ n: Int) -> ArraySlice<NodeID> {
        cluster.ids.prefix(n == cluster.ids.count ? 1 : cluster.ids.count)
    }

    private func shuffled(_ range: Range<Int>) -> [String] {
        var random = PRNG(seed: UInt64(range.count))
        var words = Cluster.words(range)
        for index in words.indices.dropFirst().reversed() {
            words.swapAt(index, random.below(index + 1))
        }
        return words
    }

    private func bulks(_ words: some Sequence<String>) -> String {
        words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
    }

    private func array(_ words: [String]) -> String { "*\(words.count)\r\n" + bulks(words) }

    private func elements(_ reply: String) -> [String] {
        reply.split(separator: "\r\n").dropFirst().filter { !$0.hasPrefix("$") }.map(String.init)
    }

    @Test("a turn does no more than its budget and one piece, whatever the command")
    func turns() {
        let cluster = cluster(1, n: 1)
        cluster.sharesTurns = true
        let words = shuffled(0..<20_000)
        let pairs = words.flatMap { [$0, $0] }
        // 20,000 elements are 20 pieces of at most 1,024; what takes away is tried whole first.
        let commands: [([String], Int)] = [
            (["SADD", "t:s"] + words, 20), (["SMISMEMBER", "t:s"] + words, 0),
            (["SREM", "t:s"] + words, 20), (["SADD", "t:s"] + words, 20),
            (["HSET", "t:h"] + pairs, 20), (["HMGET", "t:h"] + words, 0),
            (["HDEL", "t:h"] + words, 20), (["ZADD", "t:z"] + pairs, 20),
            (["ZMSCORE", "t:z"] + words, 0), (["ZREM", "t:z"] + words.dropLast(3_000), 17),
            (["ZPOPMIN", "t:z", "9999999"], 1 + 3), (["SPOP", "t:s", "20000"], 1 + 20),
            (["RPUSH", "t:l"] + words, 20), (["LPUSH", "t:l"] + words, 20),
            (["LPOP", "t:l", "10000"], 1 + 10), (["RPOP", "t:l", "10000"], 1 + 10),
            (["LTRIM", "t:l", "6000", "-7001"], 1 + 6 + 7), (["LTRIM", "t:l", "1", "0"], 1 + 7),
        ]
        for (command, writes) in commands {
            let before = cluster.counters(a).writes
            cluster.time += 1_000
            cluster.replies[a]?[one] = []
            cluster.send(a, one, Cluster.request(command))
            var turns = 0
            while cluster.with(a, { $0.hasWork }), turns < 1_000 {
                #expect(cluster.with(a) { $0.turnUnits } < TurnBudget.unitsMax + 3_000)
                cluster.time += 1_000
                turns += 1
                cluster.step(a, .deadline)
            }
            #expect(!cluster.reply(a, one).isEmpty && !cluster.reply(a, one).hasPrefix("-"))
            #expect(writes < 9 || turns > 1, "\(command[0])")
            // What is told at the end is that of one command, not of the last piece.
            #expect(cluster.counters(a).writes - before == writes, "\(command[0])")
        }
    }

    @Test(
        "counts are those of the whole, and an element named twice counts once", arguments: shapes)
    func counts(_ nodes: Int, _ n: Int) {
        let cluster = cluster(nodes, n: n)
        let words = shuffled(0..<2_500)
        for (index, node) in asked(cluster, n).enumerated() {
            func ask(_ words: [String]) -> String { cluster.ask(node, one, words) }
            let (s, h, z) = ("t:s\(index)", "t:h\(index)", "t:z\(index)")
            #expect(ask(["SADD", s] + words + words) == ":2500\r\n")
            #expect(ask(["SCARD", s]) == ":2500\r\n")
            #expect(ask(["SREM", s] + words.prefix(2_000) + words.prefix(1_000)) == ":2000\r\n")
            #expect(ask(["SMISMEMBER", s] + words).hasPrefix("*2500\r\n:0\r\n"))
            let first = words.flatMap { [$0, "1"] }
            let last = words.flatMap { [$0, "2"] }
            #expect(ask(["HSET", h] + first + last) == ":2500\r\n")
            #expect(ask(["HMGET", h] + words) == array(words.map { _ in "2" }))
            #expect(ask(["HMSET", h] + first) == "+OK\r\n")
            #expect(ask(["HGET", h, words[2_499]]) == "$1\r\n1\r\n")
            #expect(ask(["HDEL", h] + words + words) == ":2500\r\n")
            let scores = words.flatMap { ["1", $0] } + words.flatMap { ["2", $0] }
            #expect(ask(["ZADD", z] + scores) == ":2500\r\n")
            #expect(ask(["ZADD", z, "CH"] + words.flatMap { ["3", $0] }) == ":2500\r\n")
            #expect(ask(["ZMSCORE", z] + words) == array(words.map { _ in "3" }))
            #expect(ask(["ZREM", z] + words) == ":2500\r\n")
            #expect(ask(["EXISTS", s, h, z]) == ":1\r\n")
        }
    }

    @Test("conditions of ZADD see what stood before in the command")
    func conditions() {
        let cluster = cluster(1, n: 1)
        let words = shuffled(0..<1_500)
        func ask(_ words: [String]) -> String { cluster.ask(a, one, words) }
        let ascending = words.flatMap { ["1", $0] } + words.flatMap { ["2", $0] }
        func check(_ options: [String], _ count: Int, _ score: String?) {
            _ = ask(["DEL", "t:z"])
            let reply = ask(["ZADD", "t:z"] + options + ascending)
            #expect(reply == ":\(count)\r\n", "\(options)")
            let told = score.map { "$\($0.utf8.count)\r\n\($0)\r\n" } ?? "$-1\r\n"
            #expect(ask(["ZSCORE", "t:z", words[7]]) == told, "\(options)")
        }
        check(["NX"], 1_500, "1")
        check(["NX", "CH"], 1_500, "1")
        check(["XX"], 0, nil)
        check(["GT"], 1_500, "2")
        check(["GT", "CH"], 3_000, "2")
        check(["LT", "CH"], 1_500, "1")
        check(["XX", "GT", "CH"], 0, nil)
    }

    @Test("pushes keep the order of the command", arguments: shapes)
    func pushes(_ nodes: Int, _ n: Int) {
        let cluster = cluster(nodes, n: n)
        let words = shuffled(0..<3_000)
        for (index, node) in asked(cluster, n).enumerated() {
            let key = "t:l\(index)"
            func ask(_ words: [String]) -> String { cluster.ask(node, one, words) }
            #expect(ask(["LPUSHX", key] + words) == ":0\r\n")
            #expect(ask(["RPUSH", key] + words) == ":3000\r\n")
            #expect(ask(["LPUSH", key] + words) == ":6000\r\n")
            #expect(ask(["RPUSHX", key] + words) == ":9000\r\n")
            let all = words.reversed() + words + words
            #expect(ask(["LRANGE", key, "0", "-1"]) == array(all))
            #expect(ask(["LPOP", key, "2500"]) == array(Array(all[0..<2_500])))
            #expect(ask(["RPOP", key, "2500"]) == array(Array(all.suffix(2_500).reversed())))
            let left = Array(all[2_500..<6_500])
            #expect(ask(["LTRIM", key, "1500", "-1001"]) == "+OK\r\n")
            #expect(ask(["LRANGE", key, "0", "-1"]) == array(Array(left[1_500..<3_000])))
            #expect(ask(["LPOP", key, "1000000"]) == array(Array(left[1_500..<3_000])))
            #expect(ask(["LPOP", key, "2500"]) == "*-1\r\n")
            #expect(ask(["EXISTS", key]) == ":0\r\n")
        }
    }

    @Test("LREM removes as many as it is told, from the end that it is told", arguments: shapes)
    func removals(_ nodes: Int, _ n: Int) {
        let cluster = cluster(nodes, n: n)
        let words = (0..<4_500).map { $0 % 3 == 0 ? "other\($0)" : "x" }
        for (index, node) in asked(cluster, n).enumerated() {
            for count in [2_500, -2_500, 0] {
                let key = "t:\(index):\(count)"
                #expect(cluster.ask(node, one, ["RPUSH", key] + words) == ":4500\r\n")
                let removed = count == 0 ? 3_000 : min(abs(count), 3_000)
                let reply = cluster.ask(node, one, ["LREM", key, "\(count)", "x"])
                #expect(reply == ":\(removed)\r\n")
                var left = count < 0 ? Array(words.reversed()) : words
                var rest = removed
                left.removeAll { word in
                    guard word == "x", rest > 0 else { return false }
                    rest -= 1
                    return true
                }
                if count < 0 { left.reverse() }
                #expect(cluster.ask(node, one, ["LRANGE", key, "0", "-1"]) == array(left))
            }
        }
    }

    @Test("pops tell what they took in one reply, in both dialects", arguments: ["2", "3"])
    func pops(_ dialect: String) {
        for (nodes, n) in CommandPiecesTests.shapes {
            let cluster = cluster(nodes, n: n)
            let words = Cluster.words(0..<3_000)
            for (index, node) in asked(cluster, n).enumerated() {
                func ask(_ words: [String]) -> String { cluster.ask(node, one, words) }
                _ = ask(["HELLO", dialect])
                let (s, z) = ("t:s\(index)", "t:z\(index)")
                #expect(ask(["SADD", s] + shuffled(0..<3_000)) == ":3000\r\n")
                let some = ask(["SPOP", s, "2500"])
                #expect(some.hasPrefix(dialect == "3" ? "~2500\r\n" : "*2500\r\n"))
                let rest = ask(["SPOP", s, "2500"])
                #expect(rest.hasPrefix(dialect == "3" ? "~500\r\n" : "*500\r\n"))
                #expect((elements(some) + elements(rest)).sorted() == words)
                #expect(ask(["ZADD", z] + words.flatMap { [$0, $0] }) == ":3000\r\n")
                func told(_ words: [String]) -> String {
                    dialect == "3"
                        ? "*\(words.count)\r\n"
                            + words.map { "*2\r\n" + bulks([$0]) + ",\($0)\r\n" }.joined()
                        : "*\(2 * words.count)\r\n" + bulks(words.flatMap { [$0, $0] })
                }
                #expect(ask(["ZPOPMAX", z, "2500"]) == told(Array(words.suffix(2_500).reversed())))
                #expect(ask(["ZPOPMIN", z, "5000"]) == told(Array(words.prefix(500))))
                #expect(ask(["ZPOPMIN", z, "5000"]) == "*0\r\n")
            }
        }
    }

    @Test("what can be known is checked before the first piece")
    func checkedBefore() {
        let cluster = cluster(1, n: 1) { $0.recordBytesMax = 200_000 }
        let words = Cluster.words(0..<5_000)
        func ask(_ words: [String]) -> String { cluster.ask(a, one, words) }
        let pairs = words.flatMap { ["1", $0] }
        #expect(
            ask(["ZADD", "t:z"] + pairs + ["x", "m"]) == "-ERR value is not a valid float\r\n")
        #expect(ask(["ZADD", "t:z"] + pairs + ["1"]) == "-ERR syntax error\r\n")
        #expect(ask(["HSET", "t:z"] + words + ["f"]).hasPrefix("-ERR wrong number of arguments"))
        let long = String(repeating: "x", count: 100_000)
        #expect(
            ask(["SADD", "t:z", long, long, long] + words).hasPrefix("-ERR the value would be"))
        #expect(cluster.run(a, "KEYSPACE ALTER t valuebytes=100") == "+OK\r\n")
        #expect(ask(["SADD", "t:z"] + words + [long]).hasPrefix("-ERR an argument exceeds"))
        #expect(ask(["EXISTS", "t:z"]) == ":0\r\n")
        _ = ask(["SET", "t:z", "v"])
        #expect(ask(["SADD", "t:z"] + words).hasPrefix("-WRONGTYPE"))
        #expect(ask(["HMGET", "t:z"] + words).hasPrefix("-WRONGTYPE"))
    }

    @Test("a failure behind the first piece is UNKNOWN, and says how far it went")
    func middle() {
        let cluster = cluster(3, n: 3)
        for other in cluster.ids.dropFirst() {
            cluster.slow[[a, other]] = 2
            cluster.slow[[other, a]] = 2
        }
        let before = cluster.counters(a).writes
        cluster.send(a, one, Cluster.request(["SADD", "t:s"] + shuffled(0..<30_000)))
        for _ in 0..<200 where cluster.counters(a).writes < before + 4 {
            cluster.pass(milliseconds: 1)
        }
        for other in cluster.ids.dropFirst() { cluster.unlink(a, other) }
        cluster.pass(milliseconds: 2_000, by: 50)
        let reply = cluster.reply(a, one)
        #expect(reply.hasPrefix("-UNKNOWN "))
        let pieces = Int(reply.split(separator: " ").dropFirst().first ?? "") ?? 0
        #expect(pieces >= 3)
        #expect(reply.contains(" \(pieces * 1_024) of 30000 elements; the next was not: U"))
    }

    @Test("a pop that cannot go on tells what it took; nothing is popped and not told")
    func poppedInPart() {
        let cluster = cluster(3, n: 3)
        let words = Cluster.words(0..<10_000)
        #expect(cluster.ask(a, one, ["RPUSH", "t:l"] + words) == ":10000\r\n")
        cluster.replies[a]?[one] = []
        for other in cluster.ids.dropFirst() {
            cluster.slow[[a, other]] = 2
            cluster.slow[[other, a]] = 2
        }
        let before = cluster.counters(a).writes
        cluster.send(a, one, Cluster.request(["LPOP", "t:l", "10000"]))
        for _ in 0..<100 where cluster.counters(a).writes < before + 4 {
            cluster.pass(milliseconds: 1)
        }
        #expect(cluster.reply(a, one).isEmpty)
        for other in cluster.ids.dropFirst() { cluster.unlink(a, other) }
        cluster.pass(milliseconds: 2_000, by: 50)
        let reply = cluster.reply(a, one)
        if reply.hasPrefix("-") {
            #expect(reply.hasPrefix("-UNKNOWN"))
        } else {
            let popped = elements(reply)
            #expect(popped == Array(words.prefix(popped.count)))
        }
    }

    @Test("what follows on the same connection waits, on any node", arguments: shapes)
    func pipelined(_ nodes: Int, _ n: Int) {
        let cluster = cluster(nodes, n: n)
        let words = Cluster.words(0..<3_000)
        for (index, node) in asked(cluster, n).enumerated() {
            let (s, l) = ("t:s\(index)", "t:l\(index)")
            var bytes: [UInt8] = []
            for command in [
                ["SADD", s] + words, ["SCARD", s], ["SPOP", s, "2500"], ["SCARD", s],
                ["RPUSH", l] + words, ["LTRIM", l, "2500", "-1"], ["LLEN", l],
                ["RPUSH", l] + words, ["LREM", l, "0", words[0]], ["LPOP", l, "3000"], ["LLEN", l],
            ] { bytes += Cluster.request(command) }
            cluster.replies[node]?[one] = []
            for _ in 0..<100 where !bytes.isEmpty {
                bytes.removeFirst(cluster.send(node, one, bytes))
                cluster.settle()
            }
            #expect(bytes.isEmpty)
            let integers = cluster.reply(node, one).split(separator: "\r\n")
                .filter { ":+".contains($0.first ?? " ") }
            #expect(
                integers == [
                    ":3000", ":3000", ":500", ":3000", "+OK", ":500", ":3500", ":1", ":499",
                ])
        }
    }

    @Test("where a command is one step, one that cannot be is refused")
    func oneStep() {
        let cluster = cluster(1, n: 1)
        let words = Cluster.words(0..<3_000)
        func ask(_ words: [String]) -> String { cluster.ask(a, one, words) }
        let refusal = "-\(Node.inPiecesOnly)\r\n"
        #expect(ask(["RPUSH", "t:l"] + words) == ":3000\r\n")
        #expect(ask(["IDEMPOTENCY", "1", "SADD", "t:s"] + words) == refusal)
        #expect(ask(["IDEMPOTENCY", "2", "LTRIM", "t:l", "1", "0"]) == refusal)
        #expect(ask(["IDEMPOTENCY", "2", "LTRIM", "t:l", "0", "-2"]) == "+OK\r\n")
        #expect(ask(["MULTI"]) == "+OK\r\n")
        #expect(ask(["SADD", "t:s"] + words) == refusal)
        #expect(ask(["EXEC"]).hasPrefix("-EXECABORT"))
        #expect(ask(["MULTI"]) == "+OK\r\n")
        #expect(ask(["LPOP", "t:l", "2999"]) == refusal)
        #expect(ask(["EXEC"]).hasPrefix("-EXECABORT"))
        // What depends on the value is found when it runs.
        #expect(ask(["MULTI"]) == "+OK\r\n")
        #expect(ask(["LTRIM", "t:l", "1", "0"]) == "+QUEUED\r\n")
        #expect(ask(["LLEN", "t:l"]) == "+QUEUED\r\n")
        #expect(ask(["EXEC"]) == "*2\r\n" + refusal + ":2999\r\n")
        // In a keyspace of plain values nothing of this is known.
        #expect(ask(["IDEMPOTENCY", "3", "SADD", "k"] + words).hasPrefix("-MODE"))
    }

    @Test("a session sees what was done for it in pieces on another node")
    func sessions() {
        let cluster = cluster(3, n: 1)
        let words = Cluster.words(0..<6_000)
        for node in cluster.ids {
            func ask(_ words: [String]) -> String { cluster.ask(node, one, words) }
            #expect(ask(["SESSION", "ON"]) == "+OK\r\n")
            let key = "t:\(node.rawValue)"
            #expect(ask(["RPUSH", key] + words) == ":6000\r\n")
            #expect(ask(["LTRIM", key, "5000", "-1"]) == "+OK\r\n")
            #expect(ask(["LLEN", key]) == ":1000\r\n")
            #expect(ask(["LPUSH", key] + words) == ":7000\r\n")
            #expect(ask(["LPOP", key, "7000"]).hasPrefix("*7000\r\n"))
            #expect(ask(["LLEN", key]) == ":0\r\n")
        }
    }

    @Test("commands of other clients come in between, and see a part of it")
    func between() {
        let cluster = cluster(1, n: 1)
        let words = Cluster.words(0..<10_000)
        cluster.sharesTurns = true
        cluster.time += 1_000
        cluster.send(a, one, Cluster.request(["SADD", "t:s"] + words))
        var counts: [Int] = []
        while cluster.with(a, { $0.hasWork }), counts.count < 100 {
            cluster.time += 1_000
            cluster.step(a, .deadline)
            cluster.time += 1_000
            cluster.replies[a]?[two] = []
            cluster.send(a, two, Cluster.request(["SCARD", "t:s"]))
            counts.append(Int(cluster.reply(a, two).dropFirst().dropLast(1)) ?? -1)
        }
        #expect(counts == counts.sorted() && Set(counts).count > 2)
        #expect(counts.last == 10_000)
    }
}
