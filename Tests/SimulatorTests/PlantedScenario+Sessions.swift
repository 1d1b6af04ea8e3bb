@testable import Simulator

// A session sees what it has seen, and a bound on staleness is one.
extension PlantedScenario {
    static let sessions = [
        PlantedScenario(
            .uncoveredReadAnswers, "a session reads its write on another node as well"
        ) { bug in
            readElsewhere(bug, keys: 1, remembered: 256) == "old"
        },
        PlantedScenario(
            .sessionForgetsEvicted, "a session reads its write of one key too many to remember"
        ) { bug in
            readElsewhere(bug, keys: 6, remembered: 2) == "old"
        },
        PlantedScenario(
            .closedAcrossBrokenLink, "a read is not staler than asked for after a link broke",
            isBroken: missedBetweenLinks),
    ]

    /// A session writes on node 1, which nobody hears, and goes on on node 3.
    ///
    /// - Returns: what it reads there of the first key that it wrote.
    private static func readElsewhere(
        _ bug: PlantedBug?, keys: Int, remembered: Int
    ) -> String? {
        let keyspace = PlannedKeyspace.scripted(r: 1, w: 1, keys: keys)
        let scenario = Scenario(lossy: [keyspace], plant: bug) { plan in
            plan.sessionKeysMax = remembered
        }
        scenario.make(1, "SET", "k:0", "old", "W", "3")
        scenario.make(0, "SESSION", "ON")
        scenario.world.network.lostKinds = [12]
        scenario.isolate(0)
        for key in 0..<keys { scenario.make(0, "SET", "k:\(key)", "new") }
        let token = scenario.sessionToken(0)
        scenario.mend()
        scenario.make(2, "SESSION", "USE", token)
        return scenario.text(2, "GET", "k:0")
    }

    private static func missedBetweenLinks(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [.scripted(r: 1, w: 1)], plant: bug)
        scenario.make(0, "SET", "k:0", "old", "W", "3")
        scenario.pass(1_000)
        scenario.world.network.lostKinds = [12]
        scenario.world.dropEnd(0, 2)
        scenario.make(0, "SET", "k:0", "new")
        scenario.pass(2_000)
        return scenario.text(2, "GET", "k:0", "STALENESS", "500ms") == "old"
    }
}
