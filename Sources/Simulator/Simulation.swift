import Base
import Replication

/// What one seed came to.
public struct SimulationOutcome: Sendable {
    /// What the whole run was drawn from.
    public let seed: UInt64
    /// The first promise that was found broken; nil when all held.
    public let violation: String?
    /// Covers every input and effect of the run: equal for equal runs.
    public let digest: UInt64
    /// Virtual time that passed, in nanoseconds.
    public let simulatedNanoseconds: UInt64
    /// What happened how often, by name.
    public let counters: [(name: String, value: Int)]
}

/// Runs seeds through the simulator.
public enum Simulation {
    /// Runs a seed once.
    public static func run(seed: UInt64, plant: PlantedBug? = nil) -> SimulationOutcome {
        outcome(of: world(seed, plant, explains: false))
    }

    /// Runs a seed twice: a run that cannot be repeated counts as a violation of its own.
    public static func check(seed: UInt64, plant: PlantedBug? = nil) -> SimulationOutcome {
        let first = run(seed: seed, plant: plant)
        guard first.violation == nil, run(seed: seed, plant: plant).digest != first.digest else {
            return first
        }
        return SimulationOutcome(
            seed: seed, violation: "two runs of one seed differ", digest: first.digest,
            simulatedNanoseconds: first.simulatedNanoseconds, counters: first.counters)
    }

    /// Runs a seed again and tells what happened: the configuration, then the last lines of the
    /// transcript.
    ///
    /// - Parameter lines: how many lines of the transcript's end.
    public static func explain(
        seed: UInt64, plant: PlantedBug? = nil, lines: Int
    ) -> [String] {
        let world = world(seed, plant, explains: true)
        return world.plan.words + (world.transcript ?? []).suffix(lines)
    }

    /// The command line that runs a seed again.
    public static func replay(seed: UInt64, plant: PlantedBug? = nil) -> String {
        let bug = plant.map { " --plant \($0.rawValue)" } ?? ""
        return "quorate simulate --seeds \(seed)..\(seed)\(bug)"
    }

    private static func world(_ seed: UInt64, _ plant: PlantedBug?, explains: Bool) -> World {
        let world = World(seed: seed, plan: Plan(seed: seed), plant: plant, explains: explains)
        world.run()
        return world
    }

    private static func outcome(of world: World) -> SimulationOutcome {
        SimulationOutcome(
            seed: world.seed, violation: world.violation, digest: world.digest,
            simulatedNanoseconds: world.time, counters: world.counted.named + world.counters.named)
    }
}

extension Plan {
    /// The configuration, for whoever reads about a violation.
    var words: [String] {
        let faults = FaultKind.allCases.compactMap { kind in
            mean(of: kind).map { "\(kind) every \($0 / 1_000_000) ms" }
        }
        let spaces = keyspaces.map { keyspace in
            "\(keyspace.name) with \(keyspace.keys) keys: "
                + keyspace.settings.joined(separator: " ")
        }
        return [
            "\(nodes) nodes, \(clients) clients with \(requestsPerClient) requests each, "
                + "\(safetyNanoseconds / 1_000_000) ms of faults, clocks within \(skewMax) ms",
            isDatagram
                ? "datagrams: \(dropPerMille) lost and \(duplicatePerMille) doubled of a thousand"
                : "links like TCP",
            "faults: \(faults.isEmpty ? "none" : faults.joined(separator: ", "))",
        ] + spaces
    }
}
