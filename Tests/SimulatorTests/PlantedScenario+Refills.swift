@testable import Simulator

// A node that lost its disk answers no read before it has what it had acknowledged.
extension PlantedScenario {
    static let refills = [
        PlantedScenario(
            .emptiedAnswersAtOnce, "a node without its disk does not hide an acknowledged write"
        ) { bug in
            lostDisk(bug).text(2, "GET", "k:0") == "nothing"
        },
        PlantedScenario(
            .refillForgotten, "nor when it dies and returns before it has everything again"
        ) { bug in
            let scenario = lostDisk(bug)
            scenario.make(2, "SET", "k:1", "on its new disk")
            scenario.kill(0)
            scenario.pass(2_000)
            return scenario.text(2, "GET", "k:0") == "nothing"
        },
        PlantedScenario(
            .refillFromOne, "nor when it has what one other replica has, which missed the write"
        ) { bug in
            let scenario = lostDisk(bug)
            scenario.pass(3_000)
            return scenario.text(2, "GET", "k:0") == "nothing"
        },
    ]

    /// Nodes 1 and 2 acknowledged a write; node 1 lost its disk, and reaches node 3 only.
    private static func lostDisk(_ bug: PlantedBug?) -> Scenario {
        let scenario = Scenario(lossy: [.scripted(keys: 2)], plant: bug)
        scenario.isolate(2)
        scenario.make(0, "SET", "k:0", "acknowledged")
        scenario.isolate(1)
        scenario.wipe(0)
        scenario.mend(0, 2)
        scenario.pass(2_000)
        return scenario
    }
}
