import AntiEntropy
import Base
import Causality
import Coding
import Ring
import Testing

@testable import Replication

@Suite("Replicas that may hold what was deleted, and may be the last to hold what was not")
struct CatchUpTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    private func cluster(_ bug: NodeConfiguration.PlantedBug? = nil) -> Cluster {
        Cluster(3) { configuration in
            configuration.collectionGraceMilliseconds = 2_000
            configuration.collectionMilliseconds = 1_000
            configuration.plantedBug = bug
        }
    }

    /// Until what all know to be deleted is forgotten.
    private func settle(_ cluster: Cluster) { cluster.pass(milliseconds: 14_000, by: 20) }

    /// Keys that stay, and in the same ranges others that were deleted and forgotten.
    private func collected(_ bug: NodeConfiguration.PlantedBug? = nil) -> Cluster {
        let cluster = cluster(bug)
        for key in 0..<20 {
            #expect(cluster.run(a, "SET {\(key)} kept W ALL") == "+OK\r\n")
            #expect(cluster.run(a, "SET {\(key)}x v W ALL") == "+OK\r\n")
            #expect(cluster.run(a, "DEL {\(key)}x W ALL") == ":1\r\n")
        }
        settle(cluster)
        #expect(cluster.ids.allSatisfy { cluster.counters($0).tombstonesCollected > 0 })
        return cluster
    }

    /// Starts nodes on what their journals say, as after a recovery that left something out.
    private func damage(
        _ nodes: [NodeID], _ cluster: Cluster, sparing keep: (NodeID, [UInt8]) -> Bool
    ) throws {
        cluster.isolate(cluster.ids[0], cluster.ids[1], cluster.ids[2])
        for node in nodes {
            let journal = cluster.journals[node, default: []].filter { keep(node, $0) }
            try cluster.restart(node, epoch: 2_000, on: journal, after: 1)
            cluster.with(node) { $0.distrustMemory() }
        }
        cluster.cut = []
    }

    private func values(_ cluster: Cluster, _ suffix: String = "") -> [Int] {
        cluster.ids.map { node in
            (0..<20).count { cluster.run(node, "GET {\($0)}\(suffix) R 1") != "$-1\r\n" }
        }
    }

    private func holds(_ payload: [UInt8], _ key: String) -> Bool {
        payload.first == 1 && payload.count > 8
            && String(decoding: payload, as: UTF8.self).contains(key)
    }

    @Test("all are damaged: what any of them still has, all have in the end")
    func allDamaged() throws {
        let cluster = collected()
        // Each lost another third, so each key is left on two.
        try damage(cluster.ids, cluster) { node, payload in
            !(0..<20).contains { $0 % 3 + 1 == Int(node.rawValue) && holds(payload, "{\($0)}kept") }
        }
        settle(cluster)
        #expect(values(cluster) == [20, 20, 20])
        for node in cluster.ids {
            #expect(cluster.with(node) { !$0.isRefilling })
            #expect(cluster.counters(node).droppedBehind == 0)
            #expect(cluster.counters(node).keptUnvouched > 0)
        }
    }

    @Test("they lost it when nobody that vouches was asked for")
    func plantedDrop() throws {
        let cluster = collected(.behindDropsUnvouched)
        try damage(cluster.ids, cluster) { _, _ in true }
        settle(cluster)
        #expect(values(cluster) != [20, 20, 20])
    }

    @Test("what was brought back is settled by all once more, and deletions are forgotten again")
    func settledAgain() throws {
        let cluster = collected()
        // The deletions are lost on c, which has the old values, and forgotten everywhere.
        try damage(cluster.ids, cluster) { node, payload in
            !(node == c && payload.first == 2)
                && !(node == c && payload.first == 1 && isTombstone(payload))
        }
        settle(cluster)
        #expect(Set(values(cluster, "x")).count == 1)
        for key in 0..<20 { _ = cluster.run(a, "DEL {\(key)}x W ALL") }
        settle(cluster)
        #expect(values(cluster, "x") == [0, 0, 0])
        #expect(values(cluster) == [20, 20, 20])
        let records = cluster.ids.map { id in
            cluster.with(id) { $0.holdings.keyspaces.reduce(0) { $0 + $1.contents.records } }
        }
        #expect(records == [20, 20, 20])
    }

    private func isTombstone(_ payload: [UInt8]) -> Bool {
        payload.dropFirst().withUnsafeBytes { bytes in
            bytes.baseAddress.map { Record(at: $0).isTombstone } ?? false
        }
    }

    @Test("one that is away may know what was deleted: it is waited for, or given up")
    func away() throws {
        let cluster = collected()
        try damage([b, c], cluster) { _, _ in true }
        cluster.isolate(a)
        cluster.unlink(b, a)
        cluster.unlink(c, a)
        settle(cluster)
        for node in [b, c] {
            #expect(cluster.with(node) { $0.refillFigures.waitingFor.contains(a) })
            #expect(cluster.counters(node).keptUnvouched == 0)
            #expect(cluster.counters(node).droppedBehind == 0)
        }
        for node in [b, c] { #expect(cluster.run(node, "CLUSTER REFILL WITHOUT 1") == "+OK\r\n") }
        settle(cluster)
        for node in [b, c] {
            #expect(cluster.with(node) { !$0.isRefilling })
            #expect(cluster.counters(node).keptUnvouched > 0)
        }
        // What was given up returns: all agree again, and go on.
        cluster.cut = []
        for other in [b, c] {
            cluster.link(a, other)
            cluster.link(other, a)
        }
        #expect(cluster.run(b, "DEL {3} W ALL") == ":1\r\n")
        settle(cluster)
        #expect(values(cluster) == [19, 19, 19])
        let figures = cluster.with(b) { $0.collectionFigures }
        #expect(figures == CollectionFigures())
    }

    @Test("a voucher that is lost half-way has cost nothing")
    func voucherLost() throws {
        let cluster = collected()
        try damage([b, c], cluster) { _, _ in true }
        cluster.pass(milliseconds: 260, by: 20)
        // It comes back with an empty disk.
        cluster.isolate(a)
        for other in [b, c] { cluster.unlink(other, a) }
        cluster.journals[a] = []
        try cluster.restart(a, epoch: 3_000, on: [], after: 1)
        cluster.cut = []
        settle(cluster)
        #expect(values(cluster) == [20, 20, 20])
    }
}
