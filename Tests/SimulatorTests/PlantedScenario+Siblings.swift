@testable import Simulator

// Concurrent values stay, and those that were replaced go.
extension PlantedScenario {
    static let siblings = [
        PlantedScenario(
            .lastWriterWinsForSiblings, "of two writes without a context both values stay",
            isBroken: twoWrites),
        PlantedScenario(
            .mergeKeepsStored, "replicas that were written to apart have the same when they met",
            isBroken: writtenApart),
        PlantedScenario(
            .overflowKeepsNewest, "of too many values as many stay as the keyspace keeps",
            isBroken: oneTooMany),
        PlantedScenario(
            .compactedUnsettled, "a value that was replaced does not come back from a replica",
            isBroken: replacedWhileAway),
    ]

    private static func twoWrites(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [.scripted(.siblings)], plant: bug)
        _ = scenario.text(0, "QSET", "k:0", "a")
        _ = scenario.text(1, "QSET", "k:0", "b")
        return scenario.siblings(2) != ["a", "b"]
    }

    private static func writtenApart(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(lossy: [.scripted(.siblings)], plant: bug)
        for node in 0..<3 { scenario.isolate(node) }
        for node in 0..<3 { scenario.make(node, "QSET", "k:0", "of \(node)", "W", "1") }
        scenario.mend()
        scenario.pass(3_000)
        let copies = (0..<3).map { scenario.siblings($0, r: 1) }
        return copies.contains { $0 != ["of 0", "of 1", "of 2"] }
    }

    private static func oneTooMany(_ bug: PlantedBug?) -> Bool {
        var keyspace = PlannedKeyspace.scripted(.siblings)
        (keyspace.siblingsMax, keyspace.overflow) = (2, .lww)
        let scenario = Scenario(lossy: [keyspace], plant: bug)
        for value in ["a", "b", "c"] { scenario.make(0, "QSET", "k:0", value) }
        return scenario.siblings(1) != ["b", "c"]
    }

    /// Node 3 still has the value of node 1 that node 2 replaced.
    private static func replacedWhileAway(_ bug: PlantedBug?) -> Bool {
        let scenario = Scenario(forgetful: [.scripted(.siblings)], plant: bug)
        scenario.make(0, "QSET", "k:0", "old", "W", "3")
        scenario.isolate(2)
        scenario.make(1, "QSET", "k:0", "new", "CONTEXT", scenario.context(1))
        scenario.pass(5_000)
        scenario.mend()
        scenario.pass(4_000)
        return scenario.siblings(0) != ["new"]
    }
}
