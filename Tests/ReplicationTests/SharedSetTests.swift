import Base
import Testing

@testable import Replication

/// Clients that keep one set of integers in one value: read it, add a number, write it back.
@Suite("A set that clients share by read-modify-write")
struct SharedSetTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    private struct Client {
        let node: NodeID
        /// What the last read said: the causal context, and the numbers of all values.
        var read: (context: String, numbers: Set<Int>)?
    }

    private struct Outcome {
        var acknowledged: Set<Int> = []
        var left: Set<Int> = []
        var siblingsMax = 0
    }

    /// The bulk strings of a reply; values hold no line break here.
    private func bulks(_ reply: String) -> [String] {
        let lines = reply.split(separator: "\r\n", omittingEmptySubsequences: false)
        let first = reply.hasPrefix("*") ? 2 : 1
        return stride(from: first, to: lines.count, by: 2).map { String(lines[$0]) }
    }

    private func numbers(_ values: some Sequence<String>) -> Set<Int> {
        Set(values.flatMap { $0.split(separator: ",").compactMap { Int($0) } })
    }

    private func read(_ cluster: Cluster, _ node: NodeID, _ conflict: String) -> [String] {
        guard conflict == "siblings" else { return [""] + bulks(cluster.run(node, "GET k:s")) }
        return bulks(cluster.run(node, "QGET k:s"))
    }

    /// Each client in turn, drawn at random, reads, or adds the next number to what it has read.
    private func run(
        conflict: String, clients count: Int, adds: Int, cutAt cut: Range<Int>, seed: UInt64
    ) -> Outcome {
        let cluster = Cluster(3)
        let levels = "r=1 w=1 readrepair=0 siblings=1000"
        #expect(cluster.run(a, "KEYSPACE CREATE k conflict=\(conflict) \(levels)") == "+OK\r\n")
        var random = PRNG(seed: seed)
        var clients = (0..<count).map { Client(node: cluster.ids[$0 % 3]) }
        var outcome = Outcome()
        var next = 0
        while next < adds {
            cluster.cut = cut.contains(next) ? [[a, c], [c, a], [b, c], [c, b]] : []
            let index = random.below(count)
            let node = clients[index].node
            guard let before = clients[index].read else {
                let values = read(cluster, node, conflict)
                clients[index].read = (values.first ?? "", numbers(values.dropFirst()))
                outcome.siblingsMax = max(outcome.siblingsMax, values.count - 1)
                continue
            }
            let sum = before.numbers.union([next]).sorted().map(String.init).joined(separator: ",")
            let isKnown = conflict == "siblings" && !before.context.isEmpty
            let context = isKnown ? " CONTEXT \(before.context)" : ""
            let command = conflict == "siblings" ? "QSET k:s \(sum)\(context)" : "SET k:s \(sum)"
            if cluster.run(node, command) == "+OK\r\n" { outcome.acknowledged.insert(next) }
            clients[index].read = nil
            next += 1
        }
        cluster.cut = []
        cluster.pass(milliseconds: 15_000)
        let states = cluster.ids.map { Set(read(cluster, $0, conflict).dropFirst()) }
        #expect(states[0] == states[1] && states[1] == states[2])
        outcome.left = numbers(states[0])
        return outcome
    }

    @Test("siblings lose no acknowledged add, healthy or partitioned", arguments: 1...5)
    func siblings(seed: UInt64) {
        for cut in [0..<0, 30..<100] {
            let outcome = run(
                conflict: "siblings", clients: 5, adds: 150, cutAt: cut, seed: seed)
            #expect(outcome.acknowledged.count == 150)
            #expect(outcome.left.isSuperset(of: outcome.acknowledged))
        }
    }

    @Test("lww loses acknowledged adds under the same load: this is what it gives up")
    func lastWriterWins() {
        for cut in [0..<0, 30..<100] {
            let outcome = run(conflict: "lww", clients: 5, adds: 150, cutAt: cut, seed: 1)
            #expect(outcome.acknowledged.count == 150)
            let lost = outcome.acknowledged.subtracting(outcome.left).count
            #expect((30..<150).contains(lost), "\(lost) of 150 lost")
        }
    }

    @Test("fifty interleaved writers never leave more siblings than writers")
    func fiftyWriters() {
        let outcome = run(
            conflict: "siblings", clients: 50, adds: 1_000, cutAt: 0..<0, seed: 7)
        #expect(outcome.left.count == 1_000)
        #expect((2...50).contains(outcome.siblingsMax), "\(outcome.siblingsMax)")
    }
}
