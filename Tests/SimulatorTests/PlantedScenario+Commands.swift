@testable import Simulator

// What single commands promise, and what an operator is promised.
extension PlantedScenario {
    static let commands = [
        PlantedScenario(
            .requestIDForgotten, "a request with an id counts once, through whichever node",
            isBroken: sentTwice),
        PlantedScenario(
            .expiryCarriesValue, "EXPIRE of a value does not undo what was written beside it",
            isBroken: expiredBeside),
        PlantedScenario(
            .partialChange, "MSET that was told to have written nothing wrote nothing",
            isBroken: someKeysInReach),
        PlantedScenario(
            .topologyStale, "cluster clients are not sent to a node that is down",
            isBroken: nodeDown),
        PlantedScenario(
            .forgottenUnaware, "a node that was forgotten while away answers nothing afterwards",
            isBroken: forgottenWhileAway),
    ]

    private static func sentTwice(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [.scripted(.crdt)], plant: bug)
        scenario.make(0, "IDEMPOTENCY", "x", "INCR", "k:0")
        return scenario.text(1, "IDEMPOTENCY", "x", "INCR", "k:0") != ":1"
    }

    private static func expiredBeside(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [.scripted(r: 1, w: 1)], plant: bug)
        scenario.make(0, "SET", "k:0", "old", "PX", "100000", "W", "3")
        scenario.isolate(1)
        scenario.make(0, "SET", "k:0", "new")
        scenario.pass(50)
        scenario.make(1, "EXPIRE", "k:0", "1000")
        scenario.mend()
        scenario.pass(3_000)
        return scenario.copies() != ["new", "new", "new"]
    }

    /// Two of five nodes are down, so that some keys can be written and others cannot.
    private static func someKeysInReach(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [.scripted(keys: 20)], nodes: 5, plant: bug)
        for node in 3...4 { scenario.takeDown(node) }
        scenario.pass(1_000)
        let keys = (0..<20).map { "k:\($0)" }
        let answer = scenario.ask(0, ["MSET"] + keys.flatMap { [$0, "new"] })
        return answer.map { World.text($0) }?.contains("nothing was written") == true
            && keys.contains { scenario.text(1, "GET", $0, "R", "1") == "new" }
    }

    private static func nodeDown(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [.scripted()], plant: bug)
        scenario.takeDown(2)
        scenario.pass(3_000)
        let slots = scenario.text(0, "CLUSTER", "SLOTS") ?? ""
        return !slots.contains("10.0.0.2") || slots.contains("10.0.0.3")
    }

    /// It is told once, where a link would have begun, and restarts cut off from everybody.
    private static func forgottenWhileAway(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [.scripted()], plant: bug)
        scenario.make(0, "SET", "k:0", "old", "W", "3")
        scenario.isolate(2)
        scenario.make(0, "CLUSTER", "FORGET", "3")
        scenario.pass(4_000)
        scenario.make(0, "SET", "k:0", "new")
        scenario.mend()
        scenario.pass(4_000)
        scenario.isolate(2)
        scenario.kill(2)
        scenario.pass(1_000)
        return scenario.text(2, "GET", "k:0", "R", "1")?.hasPrefix("-REMOVED") == false
    }
}
