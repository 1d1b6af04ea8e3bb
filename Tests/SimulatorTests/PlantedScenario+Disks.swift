import Base

@testable import Simulator

// What a disk owes to whoever was told that a write is safe.
extension PlantedScenario {
    static let disks = [
        PlantedScenario(
            .acknowledgeBeforeSync, "an acknowledged write survives a power cut",
            isBroken: acknowledgedTooEarly),
        PlantedScenario(
            .identityReused, "a node on an old copy of its disk replaces nothing that it forgot",
            isBroken: restoredCopy),
        PlantedScenario(
            .rotAccepted, "a node that lost a record to rot answers no read as if it had it",
            isBroken: rottenRecord),
        PlantedScenario(
            .syncRetried, "a write is not acknowledged after a failed sync that was tried again",
            isBroken: failedSync),
        PlantedScenario(
            .tombstonesDropped, "what is deleted stays deleted when all nodes restart",
            isBroken: restartAfterDelete),
        PlantedScenario(
            .intervalForgotten, "a write is on disk once the interval of its keyspace is over",
            isBroken: powerCutAfterInterval),
        PlantedScenario(
            .memoryLeftUnwritten, "what leaves memory is on disk when that is answered",
            isBroken: powerCutAfterMemory),
    ]

    /// One copy; the disk is still busy with another write when the power goes.
    private static func acknowledgedTooEarly(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [.scripted(n: 1, r: 1, w: 1)], plant: bug)
        let owner = scenario.replicas()[0]
        scenario.world.machines[owner].diskFactor = 40
        scenario.begin(owner, ["SET", "k:0", "first"])
        scenario.pass(10)
        scenario.make((owner + 1) % 3, "SET", "k:0", "second")
        scenario.cutPower(owner)
        scenario.world.machines[owner].diskFactor = 1
        scenario.pass(500)
        return scenario.text(owner, "GET", "k:0") != "second"
    }

    private static func restoredCopy(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [.scripted(.siblings)], plant: bug)
        scenario.make(0, "QSET", "k:0", "old")
        let backup = scenario.world.machines[0].disk.copy(prng: PRNG(seed: 2))
        scenario.make(0, "QSET", "k:0", "forgotten")
        scenario.isolate(0)
        scenario.kill(0)
        scenario.world.machines[0].disk = backup
        scenario.pass(500)
        // Without a context it replaces nothing.
        scenario.make(0, "QSET", "k:0", "new", "W", "1")
        scenario.mend()
        scenario.pass(3_000)
        return scenario.siblings(2) != ["forgotten", "new", "old"]
    }

    /// Of the two that acknowledged the write one rots and the other is cut off.
    private static func rottenRecord(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [.scripted(keys: 2)], plant: bug)
        scenario.isolate(2)
        scenario.make(0, "SET", "k:0", "acknowledged-by-two")
        for round in 1...5 { scenario.make(0, "SET", "k:1", "later \(round)") }
        scenario.kill(0)
        let machine = scenario.world.machines[0]
        machine.isRotten = true
        machine.disk.rot("acknowledged-by-two")
        scenario.isolate(1)
        scenario.mend(0, 2)
        scenario.pass(2_000)
        return scenario.text(0, "GET", "k:0") == "nothing"
    }

    /// What a failed sync leaves on the disk is left to chance, so it happens several times.
    private static func failedSync(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [.scripted(n: 1, r: 1, w: 1)], plant: bug)
        let owner = scenario.replicas()[0]
        scenario.world.machines[owner].isRotten = true
        for round in 1...6 {
            scenario.world.machines[owner].disk.failNextSync = true
            let isAcknowledged = scenario.text(owner, "SET", "k:0", "round \(round)") == "+OK"
            scenario.cutPower(owner)
            scenario.pass(500)
            let value = scenario.text(owner, "GET", "k:0")
            if isAcknowledged, value != "round \(round)" { return true }
        }
        return false
    }

    private static func restartAfterDelete(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [.scripted()], plant: bug)
        scenario.make(0, "SET", "k:0", "deleted", "W", "3")
        scenario.make(1, "DEL", "k:0")
        scenario.pass(100)
        for node in 0..<3 { scenario.kill(node) }
        scenario.pass(2_000)
        return scenario.text(0, "GET", "k:0", "R", "3") == "deleted"
    }

    private static func powerCutAfterInterval(_ bug: PlantedBug?) -> Bool {
        var keyspace = PlannedKeyspace.scripted()
        keyspace.durability = .interval
        let scenario = Scenario(lossy: [keyspace], plant: bug)
        scenario.make(0, "SET", "k:0", "value", "W", "3")
        scenario.pass(300)
        for node in 0..<3 { scenario.cutPower(node) }
        scenario.pass(3_000)
        return scenario.text(0, "GET", "k:0", "R", "3") != "value"
    }

    private static func powerCutAfterMemory(_ bug: PlantedBug?) -> Bool {
        var keyspace = PlannedKeyspace.scripted()
        keyspace.durability = .memory
        let scenario = Scenario(lossy: [keyspace], plant: bug)
        scenario.make(0, "SET", "k:0", "value", "W", "3")
        scenario.make(0, "KEYSPACE", "ALTER", "k", "durability=fsync")
        for node in 0..<3 { scenario.cutPower(node) }
        scenario.pass(3_000)
        return scenario.text(0, "GET", "k:0", "R", "3") != "value"
    }
}

extension SimulatedDisk {
    /// Rots a bit of a text, wherever it is kept.
    func rot(_ text: String) {
        let wanted = Array(text.utf8)
        for name in (try? list()) ?? [] {
            let bytes = content(of: name) ?? []
            let place = bytes.indices.first { bytes[$0...].starts(with: wanted) }
            if let place { flip(name, bit: place * 8) }
        }
    }
}
