import Base
import Causality
import Coding
import Ring
import Testing

@testable import Replication

@Suite("A key with more concurrent values than its keyspace allows")
struct OverflowTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    private func cluster(
        _ settings: String, _ change: @escaping (inout NodeConfiguration) -> Void = { _ in }
    ) -> Cluster {
        let cluster = Cluster(3, change)
        let create = "KEYSPACE CREATE k conflict=siblings r=1 w=1 readrepair=0 \(settings)"
        #expect(cluster.run(a, create) == "+OK\r\n")
        return cluster
    }

    /// Sends words as they are: values hold quotes.
    private func ask(_ cluster: Cluster, _ node: NodeID, _ words: String...) -> String {
        ask(cluster, node, words)
    }

    private func ask(_ cluster: Cluster, _ node: NodeID, _ words: [String]) -> String {
        // Opens the connection; the latest receipt is that of the latest command.
        if cluster.replies[node]?[ConnectionID(0)] == nil { _ = cluster.run(node, "PING") }
        cluster.replies[node]?[ConnectionID(0)] = []
        let command =
            "*\(words.count)\r\n"
            + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
        cluster.send(node, ConnectionID(0), Array(command.utf8))
        cluster.settle()
        return cluster.reply(node)
    }

    /// The causal context and the values of a key, as a node tells them.
    private func read(
        _ cluster: Cluster, _ node: NodeID, _ key: String = "k:s"
    ) -> (context: String, values: [String]) {
        let lines = ask(cluster, node, "QGET", key)
            .split(separator: "\r\n", omittingEmptySubsequences: false).dropLast()
        let bulks = stride(from: 2, to: lines.count, by: 2).map { String(lines[$0]) }
        return (bulks.first ?? "", Array(bulks.dropFirst()))
    }

    /// Both sides of a cut write so many values without knowing of each other, then meet.
    private func fill(_ cluster: Cluster, _ count: Int, _ value: (Int) -> String) {
        cluster.cut = [[a, b], [b, a], [a, c], [c, a]]
        for number in 0..<count * 2 {
            let node = number < count ? a : b
            #expect(ask(cluster, node, "QSET", "k:s", value(number)) == "+OK\r\n")
            cluster.pass(milliseconds: 1)
        }
        cluster.cut = []
        cluster.pass(milliseconds: 5_000)
    }

    private func expectAgreement(_ cluster: Cluster) -> [String] {
        let states = cluster.ids.map { read(cluster, $0).values.sorted() }
        #expect(states[0] == states[1] && states[1] == states[2])
        return states[0]
    }

    @Test("refuse loses nothing across a partition, and a client brings the key down again")
    func refuse() {
        let cluster = cluster("siblings=3")
        fill(cluster, 3) { "v\($0)" }
        #expect(expectAgreement(cluster) == ["v0", "v1", "v2", "v3", "v4", "v5"])
        #expect(ask(cluster, a, "QSET", "k:s", "x").hasPrefix("-SIBLINGS too many"))
        #expect(cluster.counters(a).overflowsRefused == 1)
        let seen = read(cluster, c).context
        #expect(ask(cluster, c, "QSET", "k:s", "all", "CONTEXT", seen) == "+OK\r\n")
        #expect(expectAgreement(cluster) == ["all"])
    }

    @Test("a write that replaces some of too many values is taken, and so is a delete")
    func partialContext() {
        let cluster = cluster("siblings=2")
        var seen = ""
        cluster.cut = [[a, b], [b, a], [a, c], [c, a], [b, c], [c, b]]
        for node in cluster.ids {
            for number in 0..<2 {
                #expect(ask(cluster, node, "QSET", "k:s", "\(node)\(number)") == "+OK\r\n")
            }
            if node == a { seen = read(cluster, a).context }
        }
        cluster.cut = []
        cluster.pass(milliseconds: 5_000)
        #expect(expectAgreement(cluster).count == 6)
        #expect(ask(cluster, b, "QSET", "k:s", "x").hasPrefix("-SIBLINGS"))
        #expect(ask(cluster, b, "QSET", "k:s", "x", "CONTEXT", seen) == "+OK\r\n")
        #expect(expectAgreement(cluster).count == 5)
        let deleted = ask(cluster, c, "QDEL", "k:s", "CONTEXT", read(cluster, c).context)
        #expect(deleted == ":1\r\n" && expectAgreement(cluster) == [])
    }

    @Test("lww drops the oldest, counts them, tells them, and agrees everywhere")
    func lww() {
        let cluster = cluster("siblings=3 overflow=lww")
        #expect(cluster.run(a, "RECEIPT ON") == "+OK\r\n")
        fill(cluster, 5) { "v\($0)" }
        #expect(expectAgreement(cluster) == ["v2", "v3", "v4", "v7", "v8", "v9"])
        #expect(cluster.counters(a).overflowsDropped == 2 && cluster.counters(a).droppedValues == 2)
        #expect(ask(cluster, a, "QSET", "k:s", "x") == "+OK\r\n")
        let told = "dropped\r\n:4\r\n$6\r\nmerged\r\n:0\r\n"
        #expect(ask(cluster, a, "RECEIPT", "LAST").contains(told))
        #expect(expectAgreement(cluster) == ["v8", "v9", "x"])
        #expect(ask(cluster, a, "QSET", "k:other", "x") == "+OK\r\n")
        #expect(!ask(cluster, a, "RECEIPT", "LAST").contains("dropped"))
    }

    @Test("union keeps every element of both sides")
    func union() {
        let cluster = cluster("siblings=3 overflow=union")
        fill(cluster, 5) { "[\"\($0)\", \"all\"]" }
        let values = expectAgreement(cluster)
        #expect(values.count == 4 && values.contains("[\"0\",\"1\",\"2\",\"3\",\"all\"]"))
        #expect(ask(cluster, b, "QSET", "k:s", "[]") == "+OK\r\n")
        let digits = (0..<10).map { "\"\($0)\"" }.joined(separator: ",")
        #expect(expectAgreement(cluster) == ["[\(digits),\"all\"]"])
        #expect(cluster.counters(b).overflowsMerged == 2)
    }

    @Test("max keeps the largest of both sides, whichever was written last")
    func max() {
        let cluster = cluster("siblings=2 overflow=max")
        fill(cluster, 3) { "\(100 - $0)" }
        #expect(expectAgreement(cluster) == ["100", "97"])
        for number in ["5", "-7"] {
            #expect(ask(cluster, c, "QSET", "k:s", number) == "+OK\r\n")
        }
        #expect(expectAgreement(cluster) == ["-7", "100"])
    }

    @Test("what does not merge is refused by name, and stays as it was")
    func noList() {
        for (policy, good, word) in [("union", "[\"a\"]", "JSON"), ("max", "1", "whole")] {
            let cluster = cluster("siblings=2 overflow=\(policy)")
            for value in [good, "text"] {
                #expect(ask(cluster, a, "QSET", "k:s", value) == "+OK\r\n")
            }
            let refused = ask(cluster, a, "QSET", "k:s", good)
            #expect(refused.hasPrefix("-SIBLINGS") && refused.contains(word))
            #expect(read(cluster, a).values == [good, "text"])
            #expect(cluster.counters(a).overflowsRefused == 1)
        }
    }

    @Test("values that have expired make room first, under every policy")
    func expired() {
        for policy in OverflowPolicy.allCases {
            let cluster = cluster("siblings=2 overflow=\(policy)")
            #expect(ask(cluster, a, "QSET", "k:s", "no list", "PX", "10") == "+OK\r\n")
            #expect(ask(cluster, a, "QSET", "k:s", "v") == "+OK\r\n")
            cluster.pass(milliseconds: 20)
            #expect(ask(cluster, a, "QSET", "k:s", "w") == "+OK\r\n")
            #expect(expectAgreement(cluster) == ["v", "w"])
            #expect(cluster.counters(a).droppedValues == 0)
        }
    }

    @Test("what all replicas write apart from each other fits into one record, and one wiped whole")
    func tooManyBytes() throws {
        let cluster = cluster("siblings=100") { $0.recordBytesMax = 4_000 }
        let value = { (node: NodeID) in "\(node)" + String(repeating: "x", count: 900) }
        for node in cluster.ids {
            for other in cluster.ids where other != node { cluster.cut.insert([node, other]) }
        }
        for node in cluster.ids {
            #expect(ask(cluster, node, "QSET", "k:s", value(node)) == "+OK\r\n")
            #expect(ask(cluster, node, "QSET", "k:s", value(node) + "y").hasPrefix("-SIBLINGS"))
            let over = String(repeating: "x", count: 1_200)
            #expect(ask(cluster, node, "QSET", "k:s", over).hasPrefix("-ERR value exceeds 11"))
        }
        cluster.cut = []
        cluster.pass(milliseconds: 5_000)
        #expect(expectAgreement(cluster) == cluster.ids.map(value).sorted())
        try cluster.restart(c, epoch: 2, on: [])
        cluster.pass(milliseconds: 9_000)
        #expect(cluster.with(c) { !$0.isRefilling })
        #expect(expectAgreement(cluster) == cluster.ids.map(value).sorted())
        cluster.frames = []
        cluster.pass(milliseconds: 3_000)
        let records: Set<UInt8> = [1, Message.handOffKind]
        let sent = (cluster.frames ?? []).filter { records.contains($0[Frame.headerBytes]) }
        #expect(sent.isEmpty, "nodes that agree go on sending each other records")
        let more = String(repeating: "z", count: 300)
        #expect(ask(cluster, a, "QSET", "k:s", more).hasPrefix("-SIBLINGS"))
        let seen = read(cluster, b).context
        #expect(ask(cluster, a, "QSET", "k:s", "v", "CONTEXT", seen) == "+OK\r\n")
        #expect(expectAgreement(cluster) == ["v"])
    }

    @Test("a write that is sent again through another node is one value to readers")
    func sentAgain() {
        let cluster = cluster("siblings=100")
        #expect(ask(cluster, a, "QSET", "k:s", "v") == "+OK\r\n")
        #expect(ask(cluster, b, "QSET", "k:s", "v") == "+OK\r\n")
        #expect(expectAgreement(cluster) == ["v"])
        #expect(ask(cluster, c, "GET", "k:s") == "$1\r\nv\r\n")
        #expect(ask(cluster, c, "QSET", "k:s", "w") == "+OK\r\n")
        #expect(expectAgreement(cluster) == ["v", "w"])
    }

    @Test("a fallback that stands in keeps the limits of what it holds")
    func standIn() {
        let cluster = Cluster(3)
        let settings = "n=2 r=1 w=1 conflict=siblings sloppy=on siblings=2 overflow=union"
        #expect(cluster.run(a, "KEYSPACE CREATE k \(settings)") == "+OK\r\n")
        let list = cluster.with(a) { node in
            Array("k:s".utf8).withUnsafeBytes {
                Array(node.ring.preferenceList(of: KeyRange(Slot(key: $0))))
            }
        }
        for node in list.prefix(2) { cluster.unlink(list[2], node) }
        for number in 0..<3 {
            #expect(ask(cluster, list[2], "QSET", "k:s", "[\"\(number)\"]") == "+OK\r\n")
        }
        #expect(read(cluster, list[2]).values == ["[\"0\",\"1\",\"2\"]"])
    }

    /// Clients, each in turn, read a set and write it back with a number more.
    private func share(_ cluster: Cluster, clients: Int, adds: Int) -> (Set<Int>, Set<Int>, Int) {
        var random = PRNG(seed: 3)
        var seen: [(context: String, values: [String])?] = Array(repeating: nil, count: clients)
        var (acknowledged, siblingsMax) = (Set<Int>(), 0)
        var next = 0
        while next < adds {
            let index = random.below(clients)
            let node = cluster.ids[index % 3]
            guard let before = seen[index] else {
                let answer = read(cluster, node)
                seen[index] = answer
                siblingsMax = Swift.max(siblingsMax, answer.values.count)
                continue
            }
            let all = numbers(before.values).union([next]).sorted()
            let list = "[" + all.map { "\"\($0)\"" }.joined(separator: ",") + "]"
            let words =
                ["QSET", "k:s", list]
                + (before.context.isEmpty
                    ? [] : ["CONTEXT", before.context])
            if ask(cluster, node, words) == "+OK\r\n" { acknowledged.insert(next) }
            seen[index] = nil
            next += 1
        }
        return (acknowledged, numbers(expectAgreement(cluster)), siblingsMax)
    }

    private func numbers(_ values: [String]) -> Set<Int> {
        Set(values.flatMap { $0.split { !"0123456789".contains($0) }.compactMap { Int($0) } })
    }

    @Test(
        "fifty interleaved writers stay within the limit; only lww loses what it acknowledged",
        arguments: [OverflowPolicy.refuse, .lww, .union])
    func fiftyWriters(policy: OverflowPolicy) {
        let cluster = cluster("siblings=8 overflow=\(policy)")
        let (acknowledged, left, siblingsMax) = share(cluster, clients: 50, adds: 400)
        #expect((2...8).contains(siblingsMax), "\(siblingsMax)")
        let counters = cluster.ids.map { cluster.counters($0) }
        #expect(acknowledged.isSubset(of: left) == (policy != .lww))
        #expect((acknowledged.count < 400) == (policy == .refuse))
        #expect(counters.contains { $0.overflowsRefused > 0 } == (policy == .refuse))
        #expect(counters.contains { $0.overflowsDropped > 0 } == (policy == .lww))
        #expect(counters.contains { $0.overflowsMerged > 0 } == (policy == .union))
    }

    @Test("the causal context of one key is refused for another, by name")
    func foreignContext() {
        let cluster = cluster("siblings=3")
        #expect(ask(cluster, a, "QSET", "k:s", "v") == "+OK\r\n")
        let seen = read(cluster, a).context
        for command in [["QSET", "k:t", "v"], ["QDEL", "k:t"]] {
            for node in cluster.ids {
                let refused = ask(cluster, node, command + ["CONTEXT", seen])
                #expect(refused.hasPrefix("-ERR the causal context was not given out for this key"))
            }
        }
        #expect(ask(cluster, b, "QSET", "k:s", "w", "CONTEXT", seen) == "+OK\r\n")
        #expect(expectAgreement(cluster) == ["w"])
    }

    @Test("INFO tells the most values of a key and how many keys are halfway to the limit")
    func figures() {
        let cluster = cluster("siblings=6")
        for (key, count) in [("k:a", 1), ("k:b", 2), ("k:c", 3), ("k:d", 5)] {
            for number in 0..<count { _ = ask(cluster, a, "QSET", key, "\(number)") }
        }
        let line = "siblings=7,siblings_max=5,crowded_keys=2,"
        #expect(cluster.run(a, "INFO").contains(line))
        #expect(ask(cluster, a, "DEL", "k:d") == ":1\r\n")
        #expect(cluster.run(b, "INFO").contains("siblings=3,siblings_max=3,crowded_keys=1,"))
    }

    @Test("the setting is for siblings, and definitions that differ meet at refuse")
    func settings() {
        let cluster = Cluster(3)
        let wrong = cluster.run(a, "KEYSPACE CREATE k overflow=union")
        #expect(wrong.contains("overflow=union is for conflict=siblings"))
        #expect(cluster.run(a, "KEYSPACE CREATE k overflow=most").contains("refuse, lww, union"))
        var settings = KeyspaceSettings()
        settings.conflict = .siblings
        for policy in OverflowPolicy.allCases {
            settings.overflow = policy
            #expect(settings.saferOf(settings).overflow == policy)
            for other in OverflowPolicy.allCases where other != policy {
                var second = settings
                second.overflow = other
                #expect(settings.saferOf(second).overflow == .refuse)
            }
            let change = KeyspaceChange(dropped: false, settings: settings)
            #expect((try? KeyspaceChange(encoded: change.encoded())) == change)
        }
    }
}
