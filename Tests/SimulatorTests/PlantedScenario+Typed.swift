@testable import Simulator

// Values that merge.
extension PlantedScenario {
    static let typed = [
        PlantedScenario(
            .groundlessAcknowledged, "an acknowledged change is on as many replicas as it was told",
            isBroken: changeUponAMissedOne),
        PlantedScenario(
            .removesUnheard, "a removal takes what was acknowledged before it",
            isBroken: removalOfAMissedMember),
        PlantedScenario(
            .deltasNotKept, "an acknowledged change survives a restart of its replicas",
            isBroken: restartAfterChange),
        PlantedScenario(
            .coveredBlindly, "a read of R replicas finds what W acknowledged",
            isBroken: readOfAMissedMember),
        PlantedScenario(
            .statesNotTruncated,
            "of a value written to before and after FLUSHALL the new part stays",
            isBroken: writtenAcrossFlush),
        PlantedScenario(
            .incrementsComeBack, "increments that were removed do not come back with another one",
            isBroken: removedAndIncremented),
    ]

    private static func scenario(_ bug: PlantedBug?, quorum: Int = 2) -> Scenario {
        Scenario(lossy: [.scripted(r: quorum, w: quorum, .crdt)], plant: bug)
    }

    /// Node 3 acknowledges what stands upon a change that it missed.
    private static func changeUponAMissedOne(_ bug: PlantedBug?) -> Bool {
        let scenario = scenario(bug)
        scenario.world.network.lostKinds = [12]
        scenario.isolate(2)
        scenario.make(0, "SADD", "k:0", "a")
        scenario.mend()
        scenario.isolate(1)
        scenario.make(0, "SADD", "k:0", "b")
        scenario.isolate(0)
        scenario.mend(1, 2)
        scenario.pass(50)
        return scenario.text(1, "SISMEMBER", "k:0", "b") != ":1"
    }

    private static func removalOfAMissedMember(_ bug: PlantedBug?) -> Bool {
        let scenario = scenario(bug)
        scenario.world.network.lostKinds = [12]
        scenario.isolate(2)
        scenario.make(0, "SADD", "k:0", "a")
        scenario.mend()
        return scenario.text(2, "SREM", "k:0", "a") != ":1"
    }

    private static func restartAfterChange(_ bug: PlantedBug?) -> Bool {
        let scenario = scenario(bug)
        scenario.make(0, "SADD", "k:0", "a")
        scenario.pass(500)
        scenario.isolate(0)
        for node in 1...2 { scenario.kill(node) }
        scenario.pass(2_000)
        return scenario.text(1, "SISMEMBER", "k:0", "a") != ":1"
    }

    private static func readOfAMissedMember(_ bug: PlantedBug?) -> Bool {
        let scenario = scenario(bug)
        scenario.world.network.lostKinds = [12]
        scenario.isolate(2)
        scenario.make(0, "SADD", "k:0", "a")
        scenario.isolate(0)
        scenario.mend(1, 2)
        scenario.pass(50)
        return scenario.text(2, "SISMEMBER", "k:0", "a") != ":1"
    }

    /// Node 2 changes a value after the time at which node 1 empties everything, before it hears
    /// of that.
    private static func writtenAcrossFlush(_ bug: PlantedBug?) -> Bool {
        let keyspace = PlannedKeyspace.scripted(r: 1, w: 1, .crdt)
        let scenario = Scenario(lossy: [keyspace], plant: bug) { $0.delayMin = 50_000_000 }
        scenario.make(0, "SADD", "k:0", "before")
        scenario.pass(1_000)
        let definitions = scenario.world.machines[0].process?.node.definitionsDigest
        scenario.begin(0, ["FLUSHALL"])
        while scenario.world.machines[0].process?.node.definitionsDigest == definitions {
            guard scenario.world.takeEvent() else { return false }
        }
        scenario.pass(5)
        scenario.make(1, "SADD", "k:0", "after")
        scenario.pass(4_000)
        return (0..<3).contains { scenario.text($0, "SMEMBERS", "k:0", "R", "1") != "[after]" }
    }

    private static func removedAndIncremented(_ bug: PlantedBug?) -> Bool {
        let scenario = scenario(bug, quorum: 1)
        scenario.make(0, "HINCRBY", "k:0", "f", "10")
        scenario.pass(1_000)
        scenario.isolate(1)
        scenario.make(1, "HDEL", "k:0", "f")
        scenario.make(0, "HINCRBY", "k:0", "f", "1")
        scenario.mend()
        scenario.pass(4_000)
        return (0..<3).contains { scenario.text($0, "HGET", "k:0", "f") != "1" }
    }
}
