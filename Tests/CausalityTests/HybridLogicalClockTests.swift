import Base
import Testing

@testable import Causality

@Suite("The hybrid logical clock (Kulkarni 2014, §3)")
struct HybridLogicalClockTests {
    @Test("readings rise strictly while the physical clock stands, steps back, or runs")
    func strictlyRising() {
        var random = PRNG(seed: 1)
        var clock = HybridLogicalClock(milliseconds: 10_000)
        var wall: UInt64 = 10_000
        var last = clock.last
        for _ in 0..<20_000 {
            wall = wall + UInt64(random.below(3)) - UInt64(random.below(3))
            if random.below(1_000) == 0 { wall = 10_000 }
            let stamp = clock.tick(wall)
            #expect(last < stamp)
            #expect(stamp.milliseconds >= wall)
            last = stamp
        }
    }

    @Test("a reading is the physical clock whenever that is ahead")
    func followsTheWall() {
        var clock = HybridLogicalClock(milliseconds: 100)
        #expect(clock.tick(100) == Stamp(milliseconds: 100, logical: 1))
        #expect(clock.tick(100) == Stamp(milliseconds: 100, logical: 2))
        #expect(clock.tick(101) == Stamp(milliseconds: 101))
    }

    @Test("more than 65,536 readings in a millisecond move the physical part on")
    func logicalOverflow() {
        var clock = HybridLogicalClock(milliseconds: 7)
        #expect(clock.observe(Stamp(milliseconds: 7, logical: .max), 7) == true)
        #expect(clock.tick(7) == Stamp(milliseconds: 8))
    }

    @Test("what is written after a stamp was observed is stamped later")
    func observe() {
        var clock = HybridLogicalClock(milliseconds: 1_000)
        let remote = Stamp(milliseconds: 1_400, logical: 3)
        #expect(clock.observe(remote, 1_000) == true)
        #expect(clock.tick(1_000) > remote)
    }

    @Test("a stamp is accepted up to the bound ahead, and refused beyond, without a trace")
    func forwardDrift() {
        var clock = HybridLogicalClock(milliseconds: 1_000, forwardDriftMax: 500)
        let before = clock
        #expect(clock.observe(Stamp(milliseconds: 1_501), 1_000) == false)
        #expect(clock.observe(Stamp(rawValue: .max), 1_000) == false)
        #expect(clock == before)
        let limit = Stamp(milliseconds: 1_500, logical: .max)
        #expect(clock.observe(limit, 1_000) == true)
    }

    @Test("under a new identity readings may repeat")
    func restart() {
        var clock = HybridLogicalClock(milliseconds: 10_000)
        clock.restart(9_000)
        #expect(clock.tick(9_000) == Stamp(milliseconds: 9_000, logical: 1))
    }
}
