import Base
import Quorum
import Testing

@Suite("What a write's client is told")
struct WriteTallyTests {
    let acknowledged = WriteAnswer.acknowledged(primary: true, durable: true)

    @Test("a timeout with 1 of W acknowledgements is unknown, not failed (TRAPS 9)")
    func timeout() {
        var tally = WriteTally(replicaCount: 3, writeQuorum: 2)
        #expect(tally.record(acknowledged, from: 1) == nil)
        #expect(tally.expire() == .unknown(acknowledged: 1, required: 2))
        #expect(tally.expire() == nil)
        #expect(tally.unacknowledged.members == [0, 2])
    }

    @Test("a timeout without any answer is unknown: the requests may have arrived")
    func silence() {
        var tally = WriteTally(replicaCount: 3, writeQuorum: 1)
        #expect(tally.expire() == .unknown(acknowledged: 0, required: 1))
    }

    @Test("one request lost on its way among refusals is unknown")
    func lost() {
        var tally = WriteTally(replicaCount: 3, writeQuorum: 3)
        #expect(tally.record(.refused(.diskFull), from: 0) == nil)
        #expect(tally.record(.lost, from: 1) == .unknown(acknowledged: 0, required: 3))
    }

    @Test("only the word of all replicas makes a write failed, for the most telling reason")
    func failed() {
        var tally = WriteTally(replicaCount: 3, writeQuorum: 2)
        #expect(tally.record(.refused(.unreachable), from: 2) == nil)
        #expect(tally.record(.refused(.diskFull), from: 0) == nil)
        #expect(tally.record(.refused(.overloaded), from: 1) == .failed(.diskFull))
    }

    @Test("W from fallbacks does not make up for PW, nor W in memory for DW")
    func missedQuorums() {
        var primary = WriteTally(replicaCount: 3, writeQuorum: 2, primaryWriteQuorum: 2)
        #expect(primary.record(.acknowledged(primary: false, durable: true), from: 0) == nil)
        #expect(
            primary.record(.acknowledged(primary: false, durable: true), from: 1)
                == .unknown(acknowledged: 0, required: 2))
        var durable = WriteTally(replicaCount: 2, writeQuorum: 1, durableWriteQuorum: 1)
        #expect(durable.record(.acknowledged(primary: true, durable: false), from: 0) == nil)
        #expect(durable.record(acknowledged, from: 1) == .satisfied)
    }

    @Test("one replica's answers count once, whatever it says later")
    func duplicates() {
        var tally = WriteTally(replicaCount: 3, writeQuorum: 2)
        #expect(tally.record(acknowledged, from: 0) == nil)
        #expect(tally.record(acknowledged, from: 0) == nil)
        #expect(tally.record(.refused(.diskFull), from: 0) == nil)
        #expect(tally.acknowledged == 1)
        #expect(tally.record(acknowledged, from: 2) == .satisfied)
    }

    @Test("late answers change the repair list and the counters, never the decision")
    func late() {
        var tally = WriteTally(replicaCount: 3, writeQuorum: 1)
        #expect(tally.record(acknowledged, from: 1) == .satisfied)
        #expect(tally.unacknowledged.members == [0, 2])
        #expect(tally.record(.refused(.diskFull), from: 0) == nil)
        #expect(tally.record(acknowledged, from: 2) == nil)
        #expect(tally.late == 2)
        #expect(tally.acknowledged == 2)
        #expect(tally.unacknowledged.members == [0])
        #expect(tally.outstanding.count == 0)
        #expect(tally.decision == .satisfied)
    }

    @Test("which replica says what, and how often, does not matter beyond its first answer")
    func shuffledWithDuplicates() {
        var random = PRNG(seed: 9)
        for _ in 0..<2_000 {
            let n = 1 + random.below(5)
            var plain = WriteTally(
                replicaCount: n, writeQuorum: 1 + random.below(n),
                primaryWriteQuorum: random.below(n + 1), durableWriteQuorum: random.below(n + 1))
            var noisy = plain
            for (place, replica) in (0..<n).shuffled(using: &random).enumerated() {
                let answer = randomAnswer(&random)
                let expected = plain.record(answer, from: place)
                #expect(noisy.record(answer, from: replica) == expected)
                #expect(noisy.record(randomAnswer(&random), from: replica) == nil)
                #expect(noisy.acknowledged == plain.acknowledged && noisy.late == plain.late)
            }
            #expect(plain.decision != nil && noisy.decision == plain.decision)
        }
    }

    private func randomAnswer(_ random: inout PRNG) -> WriteAnswer {
        switch random.below(4) {
        case 0: .lost
        case 1: .refused(.overloaded)
        default:
            .acknowledged(
                primary: random.chance(perMille: 700), durable: random.chance(perMille: 700))
        }
    }

    @Test("a request may go to 64 replicas")
    func largest() {
        var tally = WriteTally(replicaCount: 64, writeQuorum: 64)
        for replica in 0..<63 { #expect(tally.record(acknowledged, from: replica) == nil) }
        #expect(tally.unacknowledged.members == [63])
        #expect(tally.record(acknowledged, from: 63) == .satisfied)
    }
}
