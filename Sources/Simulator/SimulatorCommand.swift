import Glibc

/// What `quorate simulate` does: seeds one after the other, then one line of figures.
public struct SimulatorCommand {
    let plant: PlantedBug?
    let json: Bool
    private var seeds = 0
    private var simulatedNanoseconds: UInt64 = 0
    private var totals: [(name: String, value: Int)] = []

    /// Runs seeds until one breaks a promise.
    ///
    /// - Parameters:
    ///   - plant: the name of a planted bug, as `PlantedBug` spells it.
    ///   - json: one JSON object on standard output in place of prose.
    /// - Returns: the exit status: 0 when all promises held, 1 when one was broken, 3 for an
    ///   unknown bug's name.
    public static func run(seeds: ClosedRange<UInt64>, plant: String?, json: Bool) -> Int32 {
        let bug = plant.flatMap { PlantedBug(rawValue: $0) }
        if let plant, bug == nil {
            print("there is no planted bug '\(plant)'; there are:")
            for bug in PlantedBug.allCases { print("  \(bug.rawValue)") }
            return 3
        }
        var command = SimulatorCommand(plant: bug, json: json)
        return command.run(seeds)
    }

    private init(plant: PlantedBug?, json: Bool) {
        self.plant = plant
        self.json = json
    }

    private mutating func run(_ range: ClosedRange<UInt64>) -> Int32 {
        let begin = SimulatorCommand.seconds()
        for seed in range {
            let outcome = Simulation.check(seed: seed, plant: plant)
            add(outcome)
            guard let violation = outcome.violation else { continue }
            report(violation, seed: seed)
            finish(SimulatorCommand.seconds() - begin, violation: (seed, violation))
            return 1
        }
        finish(SimulatorCommand.seconds() - begin, violation: nil)
        return 0
    }

    private mutating func add(_ outcome: SimulationOutcome) {
        seeds += 1
        simulatedNanoseconds += outcome.simulatedNanoseconds
        if totals.isEmpty {
            totals = outcome.counters
        } else {
            for index in totals.indices { totals[index].value += outcome.counters[index].value }
        }
    }

    private func report(_ violation: String, seed: UInt64) {
        guard !json else { return }
        for line in Simulation.explain(seed: seed, plant: plant) { print(line) }
        print("\nseed \(seed) breaks a promise: \(violation)")
        let bug = plant.map { " --plant \($0.rawValue)" } ?? ""
        print("replay: quorate simulate --seeds \(seed)..\(seed)\(bug)")
    }

    private func finish(_ elapsed: Double, violation: (seed: UInt64, text: String)?) {
        let simulated = Double(simulatedNanoseconds) / 1e9
        let perSecond = elapsed > 0 ? Double(seeds) / elapsed : 0
        guard json else {
            print(
                "\(seeds) seeds, each run twice: \(tenths(simulated)) simulated seconds in "
                    + "\(tenths(elapsed)) s, \(tenths(perSecond)) seeds/s"
                    + (violation == nil ? ", no promise broken" : ""))
            print(totals.map { "\($0.name)=\($0.value)" }.joined(separator: " "))
            return
        }
        var fields = [
            "\"seeds\":\(seeds)", "\"simulatedSeconds\":\(tenths(simulated))",
            "\"seedsPerSecond\":\(tenths(perSecond))",
        ]
        if let violation {
            fields.append("\"seed\":\(violation.seed)")
            fields.append("\"violation\":\"\(SimulatorCommand.escaped(violation.text))\"")
        }
        let counters = totals.map { "\"\($0.name)\":\($0.value)" }.joined(separator: ",")
        print("{\(fields.joined(separator: ",")),\"counters\":{\(counters)}}")
    }

    private func tenths(_ value: Double) -> String {
        let rounded = Int((value * 10).rounded())
        return "\(rounded / 10).\(rounded % 10)"
    }

    private static func escaped(_ text: String) -> String {
        text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }.joined()
    }

    private static func seconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
