import Base
import Causality
import Coding
import Glibc
import Testing

@testable import Replication

@Suite("Mutated messages from a member of the cluster")
struct MessageFuzzTests {
    @Test("the recorded messages are of every kind")
    func everyKind() {
        let frames = Cluster.recordedFrames()
        #expect(Set(frames.map { $0[Frame.headerBytes] }) == Set(KnownKinds.messages))
        let exchanges = frames.filter { $0[Frame.headerBytes] == Message.exchangeKind }
        #expect(Set(exchanges.map { $0[Frame.headerBytes + 10] }) == Set(0...5))
        let refills = frames.filter { $0[Frame.headerBytes] == Message.refillKind }
        #expect(Set(refills.map { $0[Frame.headerBytes + 10] }) == Set(0...5))
    }

    @Test("mutated messages trap nothing, fill nothing, and acknowledge nothing falsely")
    func mutated() {
        let messages = Cluster.recordedFrames().map { Array($0.dropFirst(Frame.headerBytes)) }
        var total = NodeCounters()
        var sent = 0
        var (acknowledged, refused, largest) = (0, 0, 0)
        var seed: UInt64 = 0
        var pages: [Int] = []
        while sent < FuzzCount.rounds {
            let siege = Siege(seed: seed, messages: messages)
            let rounds = min(10_000, FuzzCount.rounds - sent)
            siege.run(rounds: rounds)
            sent += rounds
            seed += 1
            acknowledged += siege.acknowledged
            refused += siege.refused
            largest = max(largest, siege.largestStep)
            total.add(siege.cluster.counters(siege.node))
            pages.append(residentPages)
            if let journal = siege.malformedJournal { Issue.record("\(seed): \(journal)") }
            for problem in siege.problems { Issue.record("seed \(seed - 1): \(problem)") }
            guard siege.problems.isEmpty else { return }
        }
        #expect(total.malformedMessages > sent / 50)
        #expect(total.lateAnswers > sent / 20)
        #expect(total.refusedAhead > sent / 150)
        #expect(total.restamped > 0)
        #expect(total.unknown > 0 && total.unavailable > 0)
        #expect(acknowledged > sent / 200)
        #expect(refused > sent / 200)
        #expect(largest < 4 << 20)
        let settled = pages[min(pages.count - 1, 5)]
        #expect(pages[pages.count - 1] < settled + 16_384, "resident memory grew: \(pages)")
    }

    /// Pages of 4 KiB that the process holds in memory.
    private var residentPages: Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 128)
        guard fgets(&line, 128, file) != nil else { return 0 }
        let text = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
        return Int(text.split(separator: " ")[1]) ?? 0
    }
}
