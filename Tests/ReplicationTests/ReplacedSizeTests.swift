import Base
import Testing

@testable import Replication

/// README: commands may bring a value to 9 MB / n. What a command replaces is gone by then.
@Suite("Typed values that are replaced near their limit")
struct ReplacedSizeTests {
    private static let recordBytesMax = 24_000
    private let a = NodeID(1)
    private static let tooLarge = "-ERR the value would be larger"

    private func cluster(_ n: Int) -> Cluster {
        let cluster = Cluster(n) { $0.recordBytesMax = Self.recordBytesMax }
        let create = "KEYSPACE CREATE c n=\(n) r=1 w=1 conflict=crdt"
        #expect(cluster.run(a, create) == "+OK\r\n")
        cluster.pass(milliseconds: 1_000, by: 50)
        return cluster
    }

    /// More than half of what a value may have.
    private func large(_ n: Int, _ letter: Character) -> String {
        String(repeating: letter, count: Self.recordBytesMax / n * 6 / 10)
    }

    /// A command with V for the value, and its reply both times.
    struct Case: CustomTestStringConvertible {
        let before: String
        let command: String
        let reply: String
        var isForOne = false

        var testDescription: String { command }
    }

    private static let cases = [
        Case(before: "", command: "SET c:k V", reply: "+OK"),
        Case(before: "", command: "SET c:k V PX 90000", reply: "+OK"),
        Case(before: "", command: "SETEX c:k 100 V", reply: "+OK"),
        Case(before: "", command: "MSET c:k V", reply: "+OK"),
        Case(before: "", command: "MSET c:k V c:l V c:m V", reply: "+OK"),
        Case(before: "SET c:k V", command: "SET c:k V GET", reply: "$", isForOne: true),
        Case(before: "SET c:k V", command: "SET c:k V KEEPTTL", reply: "+OK", isForOne: true),
        Case(before: "SET c:k V", command: "GETSET c:k V", reply: "$", isForOne: true),
        Case(before: "SADD c:k V", command: "SADD c:k V", reply: ":0"),
        Case(before: "HSET c:k f V", command: "HSET c:k f V", reply: ":0"),
        Case(before: "HSET c:k f V", command: "HMSET c:k f V g x", reply: "+OK"),
        Case(before: "HSET c:k f V", command: "SET c:k V", reply: "+OK"),
        Case(before: "ZADD c:k 1 V", command: "ZADD c:k 2 V", reply: ":0"),
        Case(before: "ZADD c:k 1 V", command: "ZINCRBY c:k 2 V", reply: "$"),
        Case(before: "RPUSH c:k V", command: "LSET c:k 0 V", reply: "+OK"),
        Case(before: "QFLAG c:k ENABLE", command: "SET c:k V", reply: "+OK"),
    ]

    @Test("a command may replace a value by one as large", arguments: cases, [1, 3])
    func replaced(_ one: Case, n: Int) {
        if one.isForOne, n > 1 { return }
        let cluster = cluster(n)
        // Members stay the same, values are others. A delta names a member that is added again
        // twice.
        let member = String(repeating: "m", count: Self.recordBytesMax / n * 49 / 100)
        func run(_ line: String, _ letter: Character) -> String {
            let isMember = line.hasPrefix("SADD") || line.hasPrefix("Z")
            let value = isMember ? member : large(n, letter)
            let text = line.replacing("V", with: value)
            return cluster.run(a, text)
        }
        if !one.before.isEmpty { #expect(!run(one.before, "v").hasPrefix("-")) }
        for letter in "xyz" { #expect(run(one.command, letter).hasPrefix(one.reply)) }
        for id in cluster.ids { #expect(cluster.run(id, "EXISTS c:k") == ":1\r\n") }
    }

    @Test("what stays counts: nothing is added or replaced beyond the limit", arguments: [1, 3])
    func beyond(n: Int) {
        let cluster = cluster(n)
        let value = large(n, "x")
        #expect(cluster.run(a, "HSET c:k f \(value)") == ":1\r\n")
        #expect(cluster.run(a, "HSET c:k g \(value)").hasPrefix(Self.tooLarge))
        #expect(cluster.run(a, "HSET c:k f \(value)\(value)").hasPrefix(Self.tooLarge))
        #expect(cluster.run(a, "HGET c:k f") == "$\(value.count)\r\n\(value)\r\n")
        #expect(cluster.run(a, "SET c:k \(value)\(value)").hasPrefix(Self.tooLarge))
        #expect(cluster.run(a, "HLEN c:k") == ":1\r\n")
        #expect(cluster.run(a, "SET c:s \(value)") == "+OK\r\n")
        #expect(cluster.run(a, "APPEND c:s \(value)").hasPrefix(Self.tooLarge))
        #expect(cluster.run(a, "STRLEN c:s") == ":\(value.count)\r\n")
    }

    @Test(
        "sides of a cut that all replaced what they had by as much merge to what fits",
        arguments: [2, 3])
    func merged(n: Int) {
        let cluster = cluster(n)
        func value(_ letter: Character) -> String {
            String(repeating: letter, count: Self.recordBytesMax / n * 9 / 10)
        }
        _ = cluster.run(a, "SET c:s \(value("o"))")
        _ = cluster.run(a, "HSET c:h f \(value("o"))")
        _ = cluster.run(a, "RPUSH c:l \(value("o"))")
        cluster.pass(milliseconds: 2_000, by: 50)
        cluster.isolate(NodeID(1), NodeID(2), NodeID(3))
        for id in cluster.ids {
            // Each twice: the first goes with the second.
            for letter: Character in ["x", Character("\(id.rawValue)")] {
                #expect(cluster.run(id, "SET c:s \(value(letter))") == "+OK\r\n")
                #expect(cluster.run(id, "HSET c:h f \(value(letter))") == ":0\r\n")
                #expect(cluster.run(id, "LSET c:l 0 \(value(letter))") == "+OK\r\n")
            }
        }
        cluster.isolate()
        cluster.pass(milliseconds: 10_000, by: 50)
        let values = cluster.ids.map { id in
            "$\(value("x").count)\r\n\(value(Character("\(id.rawValue)")))\r\n"
        }
        for id in cluster.ids {
            let told = cluster.run(id, "QGET c:s")
            #expect(values.allSatisfy { told.contains($0) })
            #expect(values.contains(cluster.run(id, "HGET c:h f")))
            #expect(cluster.run(id, "HGET c:h f") == cluster.run(a, "HGET c:h f"))
            #expect(cluster.run(id, "LRANGE c:l 0 -1") == cluster.run(a, "LRANGE c:l 0 -1"))
            #expect(cluster.counters(id).malformedMessages == 0)
        }
        // What has merged to more than the limit is replaced as a whole.
        let last = cluster.ids[n - 1]
        #expect(cluster.run(last, "HSET c:h f \(value("z"))") == ":0\r\n")
        #expect(cluster.run(last, "SET c:s \(value("z"))") == "+OK\r\n")
        cluster.pass(milliseconds: 2_000, by: 50)
        #expect(cluster.run(a, "STRLEN c:s") == ":\(value("z").count)\r\n")
    }

    @Test("a hash of many fields is written again in pieces", arguments: [1, 3])
    func pieces(n: Int) {
        let cluster = Cluster(n) { $0.recordBytesMax = n * 300_000 }
        #expect(cluster.run(a, "KEYSPACE CREATE c n=\(n) conflict=crdt") == "+OK\r\n")
        cluster.pass(milliseconds: 1_000, by: 50)
        cluster.open(a, ConnectionID(1))
        for letter in ["x", "y"] {
            let value = String(repeating: letter, count: 64)
            let fields = Cluster.words(0..<3_000).flatMap { [$0, value] }
            let reply = cluster.ask(a, ConnectionID(1), ["HSET", "c:k"] + fields)
            #expect(reply == (letter == "x" ? ":3000\r\n" : ":0\r\n"))
        }
    }
}
