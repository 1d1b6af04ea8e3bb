import Testing

@testable import Base

@Suite("The generator")
struct PRNGTests {
    @Test("a seed is spread by SplitMix64, by its published outputs for seed 0")
    func splitMix() {
        let state = PRNG(seed: 0).state
        #expect(state.0 == 0xE220_A839_7B1D_CDAF)
        #expect(state.1 == 0x6E78_9E6A_A1B9_65F4)
        #expect(state.2 == 0x06C4_5D18_8009_454F)
        #expect(state.3 == 0xF88B_B8A8_724C_81EC)
        #expect(PRNG(seed: 1_234_567).state.0 == 6_457_827_717_110_365_317)
    }

    @Test("from the state 1, 2, 3, 4 come the published outputs of xoshiro256**")
    func xoshiro() {
        var random = PRNG(seed: 0)
        random.state = (1, 2, 3, 4)
        let expected: [UInt64] = [
            11_520, 0, 1_509_978_240, 1_215_971_899_390_074_240, 1_216_172_134_540_287_360,
            607_988_272_756_665_600, 16_172_922_978_634_559_625, 8_476_171_486_693_032_832,
            10_595_114_339_597_558_777, 2_904_607_092_377_533_576,
        ]
        #expect((0..<10).map { _ in random.next() } == expected)
    }

    @Test(
        "numbers below a bound are uniform: χ² stays within 4 σ of its mean",
        arguments: [2, 3, 10, 100])
    func uniform(bound: Int) {
        var random = PRNG(seed: UInt64(bound))
        var counts = Array(repeating: 0, count: bound)
        let draws = 1_000 * bound
        for _ in 0..<draws { counts[random.below(bound)] += 1 }
        let square = counts.reduce(0.0) { $0 + Double(($1 - 1_000) * ($1 - 1_000)) / 1_000 }
        let freedom = Double(bound - 1)
        #expect(square < freedom + 4 * (2 * freedom).squareRoot())
        #expect(random.below(1) == 0)
    }

    @Test("every bit of an output is set half of the time")
    func bits() {
        var random = PRNG(seed: 11)
        var counts = Array(repeating: 0, count: 64)
        for _ in 0..<10_000 {
            let drawn = random.next()
            for bit in 0..<64 where drawn & 1 << UInt64(bit) != 0 { counts[bit] += 1 }
        }
        #expect(counts.allSatisfy { abs($0 - 5_000) < 250 })
    }

    @Test("one seed replays one run, and drawing from a split does not shift its origin")
    func replay() {
        var first = PRNG(seed: 42)
        var second = PRNG(seed: 42)
        var branch = first.split()
        var same = second.split()
        for _ in 0..<10 { _ = branch.next() }
        #expect((0..<5).map { _ in first.next() } == (0..<5).map { _ in second.next() })
        for _ in 0..<10 { _ = same.next() }
        #expect(branch.next() == same.next())
        #expect(branch.next() != first.next())
    }

    @Test("per mille means per mille")
    func chance() {
        var random = PRNG(seed: 13)
        #expect((0..<1_000).allSatisfy { _ in !random.chance(perMille: 0) })
        #expect((0..<1_000).allSatisfy { _ in random.chance(perMille: 1_000) })
        let hits = (0..<20_000).filter { _ in random.chance(perMille: 250) }.count
        #expect(abs(hits - 5_000) < 250)
    }
}
