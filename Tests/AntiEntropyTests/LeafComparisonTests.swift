import AntiEntropy
import Base
import Testing

@Suite struct LeafComparisonTests {
    private func state(
        _ hash: UInt64, _ digest: UInt64, at stamp: UInt64, merges: Bool = false
    ) -> KeyState {
        KeyState(hash: hash, digest: digest, stamp: stamp, merges: merges)
    }

    private func compare(_ here: [KeyState], _ there: [KeyState]) -> [[UInt64]] {
        let comparison = LeafComparison(here: here, there: there, fresh: 100...200)
        return [comparison.lackedHere, comparison.lackedThere]
    }

    @Test("what one side does not have at all goes there")
    func missing() {
        #expect(compare([state(1, 5, at: 9)], []) == [[], [1]])
        #expect(compare([], [state(1, 5, at: 9)]) == [[1], []])
        #expect(compare([state(1, 5, at: 9)], [state(2, 5, at: 9)]) == [[2], [1]])
    }

    @Test("of two states the newer goes to the older one's side")
    func newer() {
        #expect(compare([state(1, 5, at: 9)], [state(1, 6, at: 10)]) == [[1], []])
        #expect(compare([state(1, 5, at: 10)], [state(1, 6, at: 9)]) == [[], [1]])
        #expect(compare([state(1, 5, at: 9)], [state(1, 5, at: 9)]) == [[], []])
    }

    @Test("states that merge, and states under one stamp, go both ways")
    func bothWays() {
        #expect(compare([state(1, 5, at: 9, merges: true)], [state(1, 6, at: 10)]) == [[1], [1]])
        #expect(compare([state(1, 5, at: 9)], [state(1, 6, at: 10, merges: true)]) == [[1], [1]])
        #expect(compare([state(1, 5, at: 9)], [state(1, 6, at: 9)]) == [[1], [1]])
        #expect(compare([state(1, 5, at: 9, merges: true)], []) == [[], [1]])
    }

    @Test("what was written just now is left alone; what claims to be of the future is not")
    func fresh() {
        #expect(compare([state(1, 5, at: 150)], []) == [[], []])
        #expect(compare([state(1, 5, at: 50)], [state(1, 6, at: 150)]) == [[], []])
        #expect(compare([state(1, 5, at: 201)], []) == [[], [1]])
    }

    @Test("after everything that is lacked has gone its way, both sides hold the newest states")
    func converges() {
        var random = PRNG(seed: 3)
        for _ in 0..<2_000 {
            var sides: [[UInt64: UInt64]] = [[:], [:]]
            for _ in 0..<random.below(12) {
                sides[random.below(2)][UInt64(random.below(6))] = UInt64(1 + random.below(40))
            }
            let lists = sides.map { side in
                side.keys.sorted().map { state($0, side[$0] ?? 0, at: side[$0] ?? 0) }
            }
            let lacked = compare(lists[0], lists[1])
            let before = sides
            for hash in lacked[0] { sides[0][hash] = before[1][hash] }
            for hash in lacked[1] { sides[1][hash] = before[0][hash] }
            #expect(sides[0] == before[0].merging(before[1], uniquingKeysWith: max))
            #expect(sides[0] == sides[1])
        }
    }
}
