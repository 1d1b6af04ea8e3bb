@testable import Simulator

/// A history that shows a planted bug, whatever else changes: seeds rot, histories do not.
struct PlantedScenario: Sendable, CustomStringConvertible {
    let bug: PlantedBug
    /// What every user may rely on.
    let promise: String
    /// Plays the history; true when the promise was broken.
    let isBroken: @Sendable (PlantedBug?) -> Bool

    init(
        _ bug: PlantedBug, _ promise: String, isBroken: @escaping @Sendable (PlantedBug?) -> Bool
    ) {
        (self.bug, self.promise, self.isBroken) = (bug, promise, isBroken)
    }

    var description: String { "\(bug.rawValue): \(promise)" }

    static let all =
        disks + quorums + clocks + siblings + exchanges + refills + hints + sessions + typed
        + collection
        + commands
}
