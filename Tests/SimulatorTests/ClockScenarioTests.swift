import Testing

@testable import Simulator

/// Row 7 of TRAPS.md, scripted: clocks that are wrong alone, together, and from a start on.
@Suite struct ClockScenarioTests {
    private static let hour = 3_600_000

    @Test(
        "a clock +1 h on one node, then back: the node goes by the others' time, later writes win")
    func clockAhead() {
        let scenario = Scenario()
        scenario.world.machines[0].jumpMilliseconds = ClockScenarioTests.hour
        scenario.pass(1_000)
        #expect(scenario.text(0, "SET", "k:0", "ahead") == "+OK")
        #expect(scenario.text(1, "SET", "k:0", "then") == "+OK")
        #expect(scenario.text(2, "GET", "k:0", "R", "3") == "then")
        scenario.world.machines[0].jumpMilliseconds = 0
        scenario.pass(1_000)
        #expect(scenario.text(1, "SET", "k:0", "later") == "+OK")
        #expect(scenario.text(0, "GET", "k:0") == "later")
        #expect(scenario.text(0, "SET", "k:0", "last") == "+OK")
        #expect(scenario.text(2, "GET", "k:0") == "last")
        #expect(scenario.converges())
    }

    @Test("a future tombstone does not swallow writes")
    func futureTombstone() {
        let scenario = Scenario()
        scenario.make(1, "SET", "k:0", "value", "W", "3")
        scenario.beginFutureLife()
        #expect(scenario.text(0, "QDEL", "k:0", "W", "1") == ":1")
        scenario.mend()
        scenario.pass(1_000)
        scenario.world.machines[0].jumpMilliseconds = 0
        scenario.pass(1_000)
        #expect(scenario.text(0, "SET", "k:0", "after") == "+OK")
        #expect(scenario.text(1, "GET", "k:0", "R", "3") == "after")
        #expect(scenario.converges())
    }

    /// Node 1 writes alone in the future, meets the others, who write later; then its clock is put
    /// right.
    private func shown(crashes: Bool) -> String? {
        let scenario = Scenario()
        scenario.beginFutureLife()
        #expect(scenario.text(0, "SET", "k:0", "alone", "W", "1") == "+OK")
        scenario.mend()
        scenario.pass(2_000)
        #expect(scenario.text(1, "SET", "k:0", "later") == "+OK")
        if crashes {
            scenario.crash(0)
            scenario.pass(4_000)
        }
        scenario.world.machines[0].jumpMilliseconds = 0
        scenario.pass(3_000)
        return scenario.text(2, "GET", "k:0", "R", "3")
    }

    @Test("what was written before contact is not later than what was written after it")
    func restamped() {
        #expect(shown(crashes: false) == "later")
        #expect(shown(crashes: true) == "later")
    }

    @Test("all clocks step ahead and back together: nothing is refused or doubled, order stays")
    func allStep() {
        for isSiblings in [false, true] {
            for step in [15_000, ClockScenarioTests.hour] {
                let scenario = Scenario(conflictSiblings: isSiblings)
                for machine in scenario.world.machines { machine.jumpMilliseconds = step }
                scenario.pass(1_000)
                #expect(scenario.text(0, "SET", "k:0", "ahead") == "+OK")
                for machine in scenario.world.machines { machine.jumpMilliseconds = 0 }
                scenario.pass(1_000)
                #expect(scenario.siblings(1) == ["ahead"])
                for node in 0..<3 {
                    #expect(scenario.text(node, "SET", "k:0", "right\(node)") == "+OK")
                    #expect(scenario.siblings((node + 1) % 3) == ["right\(node)"])
                }
                for node in 0..<3 { scenario.crash(node) }
                scenario.pass(6_000)
                #expect(scenario.text(1, "SET", "k:0", "again") == "+OK")
                #expect(scenario.siblings(2) == ["again"])
                #expect(scenario.converges())
            }
        }
    }

    @Test("one clock a day ahead: a key with two hours to live is there, at R 1 and at R 2")
    func timeToLive() {
        let scenario = Scenario()
        #expect(scenario.text(1, "SET", "k:0", "v", "EX", "7200") == "+OK")
        scenario.world.machines[0].jumpMilliseconds = 24 * ClockScenarioTests.hour
        for level in ["1", "2", "3"] {
            #expect(scenario.text(0, "GET", "k:0", "R", level) == "v")
        }
        scenario.crash(0)
        scenario.pass(4_000)
        for level in ["1", "2", "3"] {
            #expect(scenario.text(0, "GET", "k:0", "R", level) == "v")
        }
    }
}
