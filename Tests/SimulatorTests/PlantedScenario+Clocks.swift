@testable import Simulator

// Clocks that are wrong change nothing of what came first.
extension PlantedScenario {
    static let clocks = [
        PlantedScenario(
            .restampedWins, "what a wrong clock wrote alone is older than what came after contact",
            isBroken: clockPutRight),
        PlantedScenario(
            .emptiedByOwnClock, "nothing that was written before FLUSHALL is there afterwards",
            isBroken: flushByTheSlowestClock),
        PlantedScenario(
            .refusalCountsAsAnswer, "an answer that nobody believes does not hide a write",
            isBroken: answerFromTheFuture),
    ]

    /// Node 1 writes alone in the future and meets the others, who write later; then its clock is
    /// put right.
    private static func clockPutRight(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(plant: bug)
        scenario.beginFutureLife()
        scenario.make(0, "SET", "k:0", "alone", "W", "1")
        scenario.mend()
        scenario.pass(2_000)
        scenario.make(1, "SET", "k:0", "later")
        scenario.world.machines[0].jumpMilliseconds = 0
        scenario.pass(3_000)
        return scenario.text(2, "GET", "k:0", "R", "3") != "later"
    }

    /// To a node that was cut off when all others' clocks stepped, what they have is from the
    /// future until it has heard from them.
    private static func answerFromTheFuture(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [.scripted()], plant: bug)
        scenario.isolate(1)
        for node in [0, 2] { scenario.world.machines[node].jumpMilliseconds = 3_600_000 }
        scenario.pass(2_010)
        scenario.make(0, "SET", "k:0", "acknowledged")
        scenario.mend()
        return scenario.text(1, "GET", "k:0") == "nothing"
    }

    /// The clock of the only replica is ahead of that of the node that is asked, within what is
    /// tolerated.
    private static func flushByTheSlowestClock(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [.scripted(n: 1, r: 1, w: 1, keys: 8)], plant: bug)
        guard let key = (0..<8).first(where: { scenario.replicas($0) == [1] }) else { return false }
        scenario.pass(10)
        scenario.world.machines[1].jumpMilliseconds = 400
        scenario.make(1, "SET", "k:\(key)", "before")
        scenario.make(0, "FLUSHALL")
        return scenario.text(1, "GET", "k:\(key)") != "nothing"
    }
}
