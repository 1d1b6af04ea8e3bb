import Glibc

/// What `quorate simulate` does: seeds one after the other until one breaks a promise, then one
/// line of figures.
public struct SimulatorCommand {
    private let plant: PlantedBug?
    private let json: Bool
    private let lines: Int
    private let print: (String) -> Void
    private var seeds = 0
    private var simulatedNanoseconds: UInt64 = 0
    private var totals: [(name: String, value: Int)] = []

    /// - Parameters:
    ///   - plant: the bug to turn on; nil for the node that ships.
    ///   - json: one JSON object in place of prose.
    ///   - lines: how much of a violation's transcript is told, from its end.
    ///   - print: takes each line of the result.
    public init(plant: PlantedBug?, json: Bool, lines: Int, print: @escaping (String) -> Void) {
        self.plant = plant
        self.json = json
        self.lines = lines
        self.print = print
    }

    /// Runs seeds until one breaks a promise, and tells what came of it.
    ///
    /// - Parameter progress: called before each seed.
    /// - Returns: whether every promise held.
    public mutating func run(
        seeds range: ClosedRange<UInt64>, progress: (String) -> Void
    ) -> Bool {
        let begin = SimulatorCommand.seconds()
        for seed in range {
            progress("seed \(seed) of \(range.lowerBound)..\(range.upperBound)")
            TrapNote.begin(seed: seed)
            let outcome = Simulation.check(seed: seed, plant: plant)
            add(outcome)
            guard let violation = outcome.violation else { continue }
            report(violation, seed: seed)
            finish(SimulatorCommand.seconds() - begin, violation: (seed, violation))
            return false
        }
        finish(SimulatorCommand.seconds() - begin, violation: nil)
        return true
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
        for line in Simulation.explain(seed: seed, plant: plant, lines: lines) { print(line) }
        print("\nseed \(seed) breaks a promise: \(violation)")
        print("replay: \(Simulation.replay(seed: seed, plant: plant))")
    }

    private func finish(_ elapsed: Double, violation: (seed: UInt64, text: String)?) {
        let simulated = Double(simulatedNanoseconds) / 1e9
        let perSecond = elapsed > 0 ? Double(seeds) / elapsed : 0
        guard json else {
            print(
                (seeds == 1 ? "1 seed, run" : "\(seeds) seeds, each run")
                    + " twice: \(tenths(simulated)) simulated seconds in "
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
