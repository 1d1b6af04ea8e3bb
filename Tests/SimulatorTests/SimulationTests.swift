import Testing

@testable import Simulator

@Suite struct SimulationTests {
    /// Few seeds that together reach everything that `reached` names; each runs once for all tests.
    private static let chosen: [UInt64] = [
        1, 2, 3, 4, 5, 6, 7, 13, 14, 24, 35, 37, 48, 91, 98,
    ]

    private static let outcomes = Task {
        await withTaskGroup { group in
            for seed in chosen { group.addTask { Simulation.run(seed: seed) } }
            return await group.reduce(into: [:]) { $0[$1.seed] = $1 }
        }
    }

    @Test("every promise holds", arguments: chosen)
    func holds(seed: UInt64) async throws {
        let outcome = try #require(await Self.outcomes.value[seed])
        #expect(outcome.violation == nil)
        #expect(outcome.simulatedNanoseconds > 10_000_000_000)
    }

    @Test("a seed's second run is the first one again, and another seed is another run")
    func repeats() async {
        let outcomes = await Self.outcomes.value
        for seed in Self.chosen.prefix(2) {
            #expect(Simulation.run(seed: seed).digest == outcomes[seed]?.digest)
        }
        #expect(Set(outcomes.values.map(\.digest)).count == Self.chosen.count)
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
    func reached() async {
        var totals: [String: Int] = [:]
        for outcome in await Self.outcomes.value.values {
            for (name, value) in outcome.counters { totals[name, default: 0] += value }
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

    @Test("a list of members gets shorter, and never shorter than a keyspace has replicas")
    func memberLists() {
        var isShortened = false
        for plan in (1...1_000).map({ Plan(seed: $0) }) where plan.membersAtFirst != nil {
            let widest = plan.keyspaces.map(\.n).max() ?? 1
            for count in max(3, widest)...plan.nodes {
                let counts = plan.memberCounts(after: count, isAtRest: true)
                #expect(counts.allSatisfy { max(3, widest)...plan.nodes ~= $0 })
                isShortened = isShortened || counts.contains { $0 < count }
            }
        }
        #expect(isShortened)
    }
}
