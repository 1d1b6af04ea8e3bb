import Simulator
import Testing

@Suite struct SimulationTests {
    @Test("every promise holds, and a seed's second run is the first one again", arguments: 1...4)
    func holds(seed: UInt64) {
        let outcome = Simulation.check(seed: seed)
        #expect(outcome.violation == nil)
        #expect(outcome.simulatedNanoseconds > 10_000_000_000)
    }

    @Test("another seed is another run")
    func seeds() {
        #expect(Simulation.run(seed: 1).digest != Simulation.run(seed: 2).digest)
    }

    @Test("a broken promise is told with its configuration, its last events and how to replay it")
    func report() {
        var lines: [String] = []
        var command = SimulatorCommand(plant: .unknownToldAsFailed, json: false, lines: 3) {
            lines.append($0)
        }
        var begun: [String] = []
        #expect(!command.run(seeds: 2...99) { begun.append($0) })
        let seed = begun.count + 1
        #expect(begun.last == "seed \(seed) of 2..99")
        #expect(lines.contains { $0.hasPrefix("strict with ") })
        #expect(lines.contains { $0.contains("VIOLATION") })
        let replay = "quorate simulate --seeds \(seed)..\(seed) --plant unknown-told-as-failed"
        #expect(lines.contains("replay: " + replay))
    }

    @Test("what went wrong and what the nodes did about it was really reached")
    func reached() {
        var totals: [String: Int] = [:]
        for seed in [1, 2, 3, 4, 5, 6, 7, 13, 24, 35, 37, 48, 98] as [UInt64] {
            for (name, value) in Simulation.run(seed: seed).counters {
                totals[name, default: 0] += value
            }
        }
        for name in [
            "power_cuts", "kills", "restarts", "read_repairs", "hedged_reads", "hedges_won",
            "retried_reads", "forwarded",
            "unknown", "unavailable", "restamped", "late_answers", "links_refused",
            "reads_bound_by_a_write", "reads_of_several_siblings", "keyspaces_emptied",
            "keyspaces_resized", "disks_emptied", "refilled_keys", "hints_taken",
            "hints_handed_off", "degraded",
            "sessions_moved", "reads_bound_by_a_session", "reads_with_a_bound",
            "held_reads", "session_refusals", "stale_refusals", "bounded_reads_here",
            "bounded_reads_elsewhere", "overflows_refused", "overflows_dropped",
            "overflows_merged", "clocks_stepped", "lives_in_the_future", "overruled_ahead",
        ] { #expect(totals[name, default: 0] > 0, "\(name) never happened") }
    }
}
