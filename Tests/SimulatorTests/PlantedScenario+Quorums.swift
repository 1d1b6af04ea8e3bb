@testable import Simulator

// What reads and writes at a level promise.
extension PlantedScenario {
    static let quorums = [
        PlantedScenario(
            .writeQuorumOffByOne, "a read of R replicas finds what W acknowledged, as R + W > N",
            isBroken: acknowledgedAlone),
        PlantedScenario(
            .repairWithFreshStamp, "a read repair does not overwrite what was written later",
            isBroken: repairOfTheOlder),
        PlantedScenario(
            .unknownToldAsFailed, "a write that was told as not done is nowhere found later",
            isBroken: lateWrite),
    ]

    private static func acknowledgedAlone(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [.scripted()], plant: bug)
        scenario.isolate(0)
        let isAcknowledged = scenario.text(0, "SET", "k:0", "value") == "+OK"
        return isAcknowledged && scenario.text(1, "GET", "k:0") != "value"
    }

    /// Node 3 repairs, from node 1, what is older than what node 2 has.
    private static func repairOfTheOlder(_ bug: PlantedBug?) -> Bool {
        var keyspace = PlannedKeyspace.scripted()
        keyspace.readRepairPerMille = 1_000
        let scenario = Scenario(lossy: [keyspace], plant: bug)
        scenario.isolate(1)
        scenario.pass(2_000)
        scenario.world.network.lostKinds = [12]
        scenario.cut(0, 2)
        scenario.make(0, "SET", "k:0", "older", "W", "1")
        scenario.mend(0, 2)
        scenario.pass(20)
        scenario.make(1, "SET", "k:0", "newer", "W", "1")
        scenario.pass(20)
        scenario.make(2, "GET", "k:0")
        scenario.pass(50)
        scenario.world.network.lostKinds = []
        scenario.mend()
        scenario.pass(4_000)
        return scenario.copies() != ["newer", "newer", "newer"]
    }

    private static func lateWrite(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [.scripted()], plant: bug)
        scenario.isolate(0)
        let answer = scenario.text(0, "SET", "k:0", "perhaps") ?? ""
        scenario.mend()
        scenario.pass(3_000)
        return answer.contains("nothing was written")
            && scenario.text(2, "GET", "k:0", "R", "3") == "perhaps"
    }
}
