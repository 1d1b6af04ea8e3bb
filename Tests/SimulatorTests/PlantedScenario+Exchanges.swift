@testable import Simulator

// What reads never touch becomes equal on all replicas as well.
extension PlantedScenario {
    static let exchanges = [
        PlantedScenario(
            .exchangeSkipsTombstones, "a deletion reaches a replica that missed it",
            isBroken: missedDeletion),
        PlantedScenario(
            .exchangeAsksNothing, "a write that one replica has reaches the others",
            isBroken: missedWrite),
    ]

    private static func missedDeletion(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [.scripted()], plant: bug)
        scenario.make(0, "SET", "k:0", "deleted", "W", "3")
        scenario.isolate(2)
        scenario.make(0, "DEL", "k:0")
        scenario.mend()
        scenario.pass(4_000)
        return scenario.copies() != ["nothing", "nothing", "nothing"]
    }

    /// Of two nodes the one with the lower number compares what they have, so the one with the
    /// highest is the one that is asked. It hears the others all
    /// the time: whoever was not heard for a while is compared with at once.
    private static func missedWrite(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [.scripted()], plant: bug)
        scenario.pass(1_000)
        scenario.mute(2)
        scenario.make(2, "SET", "k:0", "value", "W", "1")
        scenario.mend()
        scenario.pass(4_000)
        return scenario.copies() != ["value", "value", "value"]
    }
}
