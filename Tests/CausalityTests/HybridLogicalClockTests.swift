import Base
import Testing

@testable import Causality

@Suite("The hybrid logical clock (Kulkarni 2014, §3)")
struct HybridLogicalClockTests {
    private func reading(_ tick: Tick) -> Stamp {
        guard case .stamp(let stamp) = tick else {
            Issue.record("the clock went back")
            return Stamp(rawValue: 0)
        }
        return stamp
    }

    @Test("readings rise strictly while the wall clock stands, steps back a little, or runs")
    func strictlyRising() {
        var random = PRNG(seed: 1)
        var clock = HybridLogicalClock(wallMilliseconds: 10_000)
        var wall: UInt64 = 10_000
        var last = clock.last
        for _ in 0..<20_000 {
            wall = wall + UInt64(random.below(3)) - UInt64(random.below(3))
            wall = max(wall, last.milliseconds - min(last.milliseconds, 400))
            let stamp = reading(clock.tick(wallMilliseconds: wall))
            #expect(last < stamp)
            #expect(stamp.milliseconds >= wall)
            last = stamp
        }
    }

    @Test("a reading is the wall clock whenever that is ahead")
    func followsTheWall() {
        var clock = HybridLogicalClock(wallMilliseconds: 100)
        #expect(clock.tick(wallMilliseconds: 100) == .stamp(Stamp(milliseconds: 100, logical: 1)))
        #expect(clock.tick(wallMilliseconds: 100) == .stamp(Stamp(milliseconds: 100, logical: 2)))
        #expect(clock.tick(wallMilliseconds: 101) == .stamp(Stamp(milliseconds: 101)))
    }

    @Test("more than 65,536 readings in a millisecond move the physical part on")
    func logicalOverflow() {
        var clock = HybridLogicalClock(wallMilliseconds: 7)
        #expect(clock.observe(Stamp(milliseconds: 7, logical: .max), wallMilliseconds: 7) == true)
        #expect(clock.tick(wallMilliseconds: 7) == .stamp(Stamp(milliseconds: 8)))
    }

    @Test("what is written after a stamp was observed is stamped later")
    func observe() {
        var clock = HybridLogicalClock(wallMilliseconds: 1_000)
        let remote = Stamp(milliseconds: 1_400, logical: 3)
        #expect(clock.observe(remote, wallMilliseconds: 1_000) == true)
        #expect(reading(clock.tick(wallMilliseconds: 1_000)) > remote)
    }

    @Test("a stamp is accepted up to the bound ahead, and refused beyond, without a trace")
    func forwardDrift() {
        var clock = HybridLogicalClock(wallMilliseconds: 1_000, forwardDriftMax: 500)
        let before = clock
        #expect(clock.observe(Stamp(milliseconds: 1_501), wallMilliseconds: 1_000) == false)
        #expect(clock.observe(Stamp(rawValue: .max), wallMilliseconds: 1_000) == false)
        #expect(clock == before)
        let limit = Stamp(milliseconds: 1_500, logical: .max)
        #expect(clock.observe(limit, wallMilliseconds: 1_000) == true)
    }

    @Test("a wall clock that went back beyond the bound stops the clock until it is restarted")
    func wentBack() {
        var clock = HybridLogicalClock(wallMilliseconds: 10_000, forwardDriftMax: 500)
        _ = clock.tick(wallMilliseconds: 10_000)
        #expect(clock.tick(wallMilliseconds: 9_500) != .wentBack)
        #expect(clock.tick(wallMilliseconds: 9_499) == .wentBack)
        #expect(clock.tick(wallMilliseconds: 9_499) == .wentBack)
        clock.restart(wallMilliseconds: 9_499)
        let next = Stamp(milliseconds: 9_499, logical: 1)
        #expect(clock.tick(wallMilliseconds: 9_499) == .stamp(next))
    }
}
