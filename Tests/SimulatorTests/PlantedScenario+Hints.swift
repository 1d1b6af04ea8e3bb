@testable import Simulator

// What a fallback took for a replica that was away.
extension PlantedScenario {
    static let hints = [
        PlantedScenario(
            .hintForgottenWhenSent, "a hint reaches its node although it was lost on its way once",
            isBroken: lostOnItsWay),
        PlantedScenario(
            .hintForAnyone, "a hint reaches the replica that was away, and no other node",
            isBroken: twoFallbacks),
        PlantedScenario(
            .standInWithoutHistory, "of two writes that a fallback took alone both values stay",
            isBroken: writtenByAFallback),
    ]

    private static func lostOnItsWay(_ bug: PlantedBug?) -> Bool {
        missesHint(bug, nodes: 3, lost: [17])
    }

    private static func twoFallbacks(_ bug: PlantedBug?) -> Bool {
        missesHint(bug, nodes: 4, lost: [])
    }

    /// One replica is away when a write is acknowledged by the other one and a fallback, and the
    /// other one is away when it returns.
    ///
    /// - Parameter lost: kinds of messages that are lost in the first second.
    private static func missesHint(_ bug: PlantedBug?, nodes: Int, lost: [UInt8]) -> Bool {
        let scenario = Scenario(lossy: [sloppy()], nodes: nodes, plant: bug)
        let (other, away) = (scenario.replicas()[0], scenario.replicas()[1])
        scenario.isolate(away)
        scenario.pass(2_000)
        scenario.make(other, "SET", "k:0", "value", "W", "2")
        scenario.isolate(other)
        scenario.world.network.lostKinds = lost
        for fallback in 0..<nodes where fallback != other { scenario.mend(fallback, away) }
        scenario.pass(1_000)
        scenario.world.network.lostKinds = []
        scenario.pass(5_000)
        return scenario.text(away, "GET", "k:0", "R", "1") != "value"
    }

    private static func writtenByAFallback(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [sloppy(.siblings)], plant: bug)
        let replica = scenario.replicas()[0]
        let fallback = 3 - replica - scenario.replicas()[1]
        scenario.make(replica, "QSET", "k:0", "replaced", "W", "2")
        let context = scenario.context(replica)
        scenario.isolate(fallback)
        scenario.pass(2_000)
        scenario.make(fallback, "QSET", "k:0", "a", "W", "1", "CONTEXT", context)
        scenario.make(fallback, "QSET", "k:0", "b", "W", "1")
        scenario.mend()
        scenario.pass(5_000)
        return scenario.siblings(replica, r: 2) != ["a", "b"]
    }

    /// Two replicas, and whoever is there takes writes for them.
    static func sloppy(_ conflict: PlannedKeyspace.Conflict = .lww) -> PlannedKeyspace {
        var keyspace = PlannedKeyspace.scripted(n: 2, r: 1, w: 1, conflict)
        keyspace.isSloppy = true
        return keyspace
    }
}
