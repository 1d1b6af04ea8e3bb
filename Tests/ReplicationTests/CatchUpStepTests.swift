import Base
import Testing

@testable import Replication

@Suite("A replica that is behind drops and journals some records a step")
struct CatchUpStepTests {
    private let a = NodeID(1)
    private let c = NodeID(3)

    /// What the steps of one node did.
    private final class Steps {
        private(set) var dropped: [Int] = []
        private(set) var journaled: [Int] = []
        private var before = (dropped: 0, payloads: 0)

        func note(_ dropped: Int, _ journal: [[UInt8]]) {
            self.dropped.append(dropped - before.dropped)
            journaled.append(journal.dropFirst(before.payloads).reduce(0) { $0 + $1.count })
            before = (dropped, journal.count)
        }
    }

    /// Until what all know to be deleted is forgotten.
    private func settle(_ cluster: Cluster) { cluster.pass(milliseconds: 14_000, by: 20) }

    /// Node 3 comes back with a disk on which so many keys are that were deleted since, and without
    /// as many that were written.
    private func caughtUp(_ count: Int) throws -> Steps {
        let cluster = Cluster(3) { configuration in
            configuration.collectionGraceMilliseconds = 2_000
            configuration.collectionMilliseconds = 1_000
        }
        for key in 0..<count { #expect(cluster.run(a, "SET {t}old\(key) v W ALL") == "+OK\r\n") }
        cluster.pass(milliseconds: 1_000, by: 20)
        let disk = cluster.journals[c] ?? []
        for key in 0..<count { #expect(cluster.run(a, "DEL {t}old\(key) W ALL") == ":1\r\n") }
        settle(cluster)
        for key in 0..<count { #expect(cluster.run(a, "SET {t}new\(key) v W ALL") == "+OK\r\n") }
        let steps = Steps()
        steps.note(0, disk)
        cluster.afterStep = { [c, unowned cluster] node in
            guard node == c else { return }
            steps.note(cluster.counters(c).droppedBehind, cluster.journals[c] ?? [])
        }
        try cluster.restart(c, epoch: 2_000, on: disk, after: 1)
        settle(cluster)
        #expect(cluster.with(c) { !$0.isRefilling })
        #expect(cluster.run(c, "DBSIZE") == ":\(count)\r\n")
        return steps
    }

    @Test("no step takes more than a few records, however many there are", arguments: [300, 1_500])
    func bounded(count: Int) throws {
        let steps = try caughtUp(count)
        #expect(steps.dropped.reduce(0, +) == count)
        // One leaf of the hash tree a step: some of 256 in the range that all these keys are in.
        #expect(steps.dropped.allSatisfy { $0 <= 32 })
        let journaled = steps.journaled.dropFirst()
        #expect(journaled.reduce(0, +) > count * 40)
        #expect(journaled.allSatisfy { $0 <= 4_096 })
    }
}
