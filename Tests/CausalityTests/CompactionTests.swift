import Base
import Testing

@testable import Causality

@Suite("Sibling sets forget ended lives")
struct CompactionTests {
    /// Three replicas that write, read and talk, each under a new name from time to time; and the
    /// same ones beside them that never forget.
    private struct Pair {
        var forgetful = SiblingSet()
        var whole = SiblingSet()
        var life: UInt64 = 1
    }

    @Test("with the forgetful ones no value is lost and none comes back, and they end equal")
    func schedules() {
        var compactions = 0
        for seed in 0..<300 as Range<UInt64> {
            var random = PRNG(seed: seed)
            var pairs = Array(repeating: Pair(), count: 3)
            var settled = Stamp(rawValue: 0)
            for time in 1...60 as ClosedRange<UInt64> {
                let index = random.below(3)
                switch random.below(10) {
                case ..<3: write(&pairs[index], index, time, &random)
                case ..<7: join(&pairs[index], pairs[random.below(3)])
                case ..<8: pairs[index].life += 1
                default:
                    if random.chance(perMille: 400) { meet(&pairs) }
                    settle(pairs, &settled)
                    if compact(&pairs[index], settled) { compactions += 1 }
                }
                for pair in pairs { #expect(pair.forgetful.siblings == pair.whole.siblings) }
            }
            meet(&pairs)
            settle(pairs, &settled)
            for index in 0..<3 { _ = compact(&pairs[index], settled) }
            #expect(pairs.allSatisfy { $0.forgetful == pairs[0].forgetful })
            pairs[0].forgetful.checkInvariants()
            let named = Set(pairs[0].whole.siblings.map(\.dot.identity))
                .union(pairs[0].whole.context.newest.map { [$0.identity] } ?? [])
            #expect(Set(pairs[0].forgetful.context.entries.map(\.identity)) == named)
        }
        #expect(compactions > 300)
    }

    private func write(_ pair: inout Pair, _ index: Int, _ time: UInt64, _ random: inout PRNG) {
        let identity = ReplicaIdentity(node: NodeID(UInt16(index + 1)), epoch: pair.life)
        let dot = Dot(identity: identity, stamp: Stamp(milliseconds: time))
        let isBlind = random.chance(perMille: 300)
        let isDelete = random.chance(perMille: 300)
        func change(_ set: inout SiblingSet) {
            let seen = isBlind ? CausalContext() : set.context
            if isDelete { return set.delete(dot: dot, context: seen) }
            set.update(dot: dot, value: [UInt8(time)], expiry: 0, context: seen)
        }
        change(&pair.forgetful)
        change(&pair.whole)
    }

    private func join(_ pair: inout Pair, _ other: Pair) {
        pair.forgetful.join(other.forgetful)
        pair.whole.join(other.whole)
    }

    private func meet(_ pairs: inout [Pair]) {
        for _ in 0..<2 {
            for a in 0..<3 { for b in 0..<3 where a != b { join(&pairs[a], pairs[b]) } }
        }
    }

    /// When all have seen the same, that is settled.
    private func settle(_ pairs: [Pair], _ settled: inout Stamp) {
        let isSeenByAll = pairs.allSatisfy { $0.whole.context == pairs[0].whole.context }
        guard isSeenByAll, let newest = pairs[0].whole.context.newest else { return }
        settled = max(settled, newest.stamp)
    }

    private func compact(_ pair: inout Pair, _ settled: Stamp) -> Bool {
        guard let newest = pair.forgetful.context.newest, newest.stamp <= settled else {
            return false
        }
        return pair.forgetful.compact()
    }
}
