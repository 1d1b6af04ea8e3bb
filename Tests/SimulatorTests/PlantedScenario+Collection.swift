import Base

@testable import Simulator

// What is deleted stays deleted, and is forgotten in the end.
extension PlantedScenario {
    static let collection = [
        PlantedScenario(
            .collectedUnheard, "a replica that was away is not taken for one with an old disk",
            isBroken: writtenWhileAway),
        PlantedScenario(
            .collectedBeforeHints, "a write that only a fallback has is not taken for forgotten",
            isBroken: lateHint),
        PlantedScenario(
            .collectionForgotten, "nodes that restart know what they forgot"
        ) { bug in
            oldDisk(bug).contains("deleted")
        },
        PlantedScenario(
            .behindKeepsAll, "an old disk brings nothing back that was deleted since"
        ) { bug in
            oldDisk(bug).contains("deleted")
        },
        PlantedScenario(
            .behindJudgesWhole, "what is written to an old disk brings back nothing else",
            isBroken: writtenToOldDisk),
        PlantedScenario(
            .behindDropsUnvouched, "what replicas that were all damaged still have is not dropped",
            isBroken: allDamaged),
        PlantedScenario(
            .closedUnheard, "a key that only late members of the former list have is not denied",
            isBroken: lateMembers),
        PlantedScenario(
            .namesForgottenUnheard, "a node that has not heard of a drop brings nothing back",
            isBroken: droppedWhileAway),
        PlantedScenario(
            .dropSparesUnheard, "what was written to a dropped keyspace is nowhere else either",
            isBroken: writtenUnheard),
    ]

    /// Two members more, of which some keys go to both; the former ones are late.
    private static func lateMembers(_ bug: PlantedBug?) -> Bool {
        let keyspace = PlannedKeyspace.scripted(n: 2, r: 2, w: 2, keys: 40)
        let scenario = Scenario(lossy: [keyspace], nodes: 5, plant: bug) { $0.membersAtFirst = 3 }
        for key in 0..<40 { scenario.make(0, "SET", "k:\(key)", "value") }
        scenario.world.changeMembers(to: 5, isPowerCut: false, late: [0, 1, 2])
        scenario.pass(4_000)
        let isDenied = (0..<40).contains { scenario.text(3, "GET", "k:\($0)") == "nothing" }
        // They come, and everything is there.
        for index in 0..<3 {
            scenario.world.machines[index].takesOtherMembers = true
            scenario.world.restart(scenario.world.machines[index], after: 20)
        }
        scenario.pass(8_000)
        return isDenied || (0..<40).contains { scenario.text(3, "GET", "k:\($0)") != "value" }
    }

    /// Node 3 is cut off before it hears that a keyspace was dropped, and changes it.
    private static func droppedWhileAway(_ bug: PlantedBug?) -> Bool {
        let scenario = unheardDrop(bug)
        scenario.begin(2, ["KEYSPACE", "ALTER", "passing", "r=1"])
        scenario.pass(9_000)
        scenario.mend()
        scenario.pass(6_000)
        return scenario.text(1, "GET", "passing:0", "R", "3") == "dropped"
    }

    /// The same, and writes to it.
    private static func writtenUnheard(_ bug: PlantedBug?) -> Bool {
        let scenario = unheardDrop(bug)
        scenario.make(2, "SET", "passing:1", "late", "W", "1")
        scenario.mend()
        scenario.pass(6_000)
        return scenario.text(1, "GET", "passing:1", "R", "3") == "late"
    }

    /// A world where node 3 was cut off before it heard of a drop, for longer than it begins no
    /// write because of it.
    private static func unheardDrop(_ bug: PlantedBug?) -> Scenario {
        let scenario = Scenario(lossy: [.scripted()], plant: bug) { $0.delayMin = 5_000_000 }
        scenario.make(0, "KEYSPACE", "CREATE", "passing")
        scenario.make(0, "SET", "passing:0", "dropped", "W", "3")
        scenario.pass(1_000)
        scenario.begin(0, ["KEYSPACE", "DROP", "passing"])
        // It has told the time; what was changed is not under way yet.
        scenario.pass(7)
        scenario.cutOneWay(0, 2)
        scenario.cutOneWay(1, 2)
        scenario.pass(20)
        scenario.isolate(2)
        scenario.pass(7_000)
        return scenario
    }

    private static func writtenWhileAway(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(forgetful: [.scripted()], plant: bug)
        scenario.isolate(2)
        scenario.make(2, "SET", "k:0", "written there", "W", "1")
        // In the same key range there is something to forget.
        scenario.make(0, "SET", "k:{k:0}", "deleted")
        scenario.make(0, "DEL", "k:{k:0}")
        scenario.pass(5_000)
        scenario.mend()
        scenario.pass(4_000)
        return scenario.text(0, "GET", "k:0", "R", "3") != "written there"
    }

    /// A fallback that was cut off for long brings what it took meanwhile.
    private static func lateHint(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(forgetful: [sloppy()], plant: bug)
        let replica = scenario.replicas()[0]
        let fallback = 3 - replica - scenario.replicas()[1]
        // In the same key range there is something to forget one day.
        scenario.make(replica, "SET", "k:{k:0}", "other", "PX", "600000", "W", "2")
        scenario.isolate(fallback)
        scenario.pass(2_000)
        scenario.make(fallback, "SET", "k:0", "value", "W", "1")
        scenario.pass(12_000)
        scenario.mend()
        scenario.pass(5_000)
        return scenario.text(replica, "GET", "k:0") != "value"
    }

    /// Every node loses the last of what it wrote to rot, and starts without it. In the key range
    /// of what was there before something was deleted and forgotten.
    private static func allDamaged(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(forgetful: [.scripted(keys: 2)], plant: bug)
        scenario.make(0, "SET", "k:0", "kept", "W", "3")
        scenario.make(0, "SET", "k:{k:0}", "deleted", "W", "3")
        scenario.make(0, "DEL", "k:{k:0}")
        for _ in 0..<30 where !scenario.world.machines.allSatisfy(hasCollected) {
            scenario.pass(1_000)
        }
        // What was collected is on the disks, and not in the batch that is damaged.
        scenario.make(0, "SET", "k:1", "before", "W", "3")
        scenario.make(0, "SET", "k:1", "damaged-everywhere", "W", "3")
        for node in 0..<3 {
            scenario.kill(node)
            let machine = scenario.world.machines[node]
            (machine.isRotten, machine.quarantines) = (true, true)
            machine.disk.rot("damaged-everywhere")
        }
        scenario.pass(6_000)
        return scenario.copies() != ["kept", "kept", "kept"]
    }

    /// Node 3 returns on a copy of its disk from before a deletion that all had forgotten, and
    /// takes an increment before it meets anybody.
    private static func writtenToOldDisk(_ bug: PlantedBug?) -> Bool {
        let counter = PlannedKeyspace.scripted(.crdt, keys: 2)
        let scenario = Scenario(forgetful: [counter], plant: bug)
        scenario.make(0, "INCRBY", "k:0", "1000", "W", "3")
        scenario.pass(1_000)
        let backup = scenario.world.machines[2].disk.copy(prng: PRNG(seed: 2))
        scenario.make(0, "DEL", "k:0")
        for _ in 0..<30 where !scenario.world.machines.allSatisfy(hasCollected) {
            scenario.pass(1_000)
        }
        // So that all that came before is on the disks.
        scenario.make(0, "SET", "k:1", "later", "W", "3")
        scenario.kill(2)
        scenario.isolate(2)
        scenario.world.machines[2].disk = backup
        scenario.pass(2_000)
        scenario.make(2, "INCRBY", "k:0", "1", "R", "1", "W", "1")
        scenario.mend()
        scenario.pass(8_000)
        return scenario.text(0, "GET", "k:0", "R", "3") != "1"
    }

    private static func hasCollected(_ machine: Machine) -> Bool {
        machine.process.map { $0.node.counters.tombstonesCollected > 0 } ?? false
    }

    /// Node 3 returns on a copy of its disk from before a deletion that all had forgotten, and the
    /// others on what is on their disks.
    private static func oldDisk(_ bug: PlantedBug?) -> [String] {
        let scenario = Scenario(forgetful: [.scripted(keys: 2)], plant: bug)
        scenario.make(0, "SET", "k:0", "deleted", "W", "3")
        scenario.pass(1_000)
        let backup = scenario.world.machines[2].disk.copy(prng: PRNG(seed: 2))
        scenario.make(0, "DEL", "k:0")
        scenario.pass(6_000)
        // So that all that came before is on the disks.
        scenario.make(0, "SET", "k:1", "later", "W", "3")
        for node in 0..<3 { scenario.kill(node) }
        scenario.world.machines[2].disk = backup
        scenario.pass(6_000)
        return scenario.copies()
    }
}
