import Lab
import Simulator

/// `quorate simulate`: seeds through the deterministic simulator.
enum SimulateCommand {
    static func run(_ arguments: Arguments) throws(Failure) {
        try arguments.expectOperands(0)
        guard let text = arguments.value("seeds") else {
            throw Failure(.usage, "simulate needs --seeds A..B, such as --seeds 1..100")
        }
        guard let seeds = seeds(text) else {
            throw Failure(
                .usage, "--seeds takes a range of seeds or one, not \"\(text)\"",
                hint: "for example --seeds 1..100 or --seeds 7")
        }
        let plant = try arguments.value("plant").map(plant)
        let lines = try arguments.integer("lines", in: 0...10_000_000) ?? 50
        var command = SimulatorCommand(plant: plant, json: arguments.has("json"), lines: lines) {
            Terminal.clearProgress()
            Terminal.result($0)
        }
        let holds = command.run(seeds: seeds, progress: Terminal.progress)
        Terminal.clearProgress()
        guard holds else { throw Failure(.failed, "a promise was broken") }
    }

    /// Reads `A..B` or `A`; nil when it is neither or ends before it begins.
    static func seeds(_ text: String) -> ClosedRange<UInt64>? {
        let ends = text.split(separator: ".", omittingEmptySubsequences: false)
        switch ends.count {
        case 1: return UInt64(text).map { $0...$0 }
        case 3:
            guard ends[1].isEmpty, let low = UInt64(ends[0]), let high = UInt64(ends[2]),
                low <= high
            else {
                return nil
            }
            return low...high
        default: return nil
        }
    }

    private static func plant(_ name: String) throws(Failure) -> PlantedBug {
        if let plant = PlantedBug(rawValue: name) { return plant }
        let names = PlantedBug.allCases.map(\.rawValue).joined(separator: ", ")
        throw Failure(
            .usage, "--plant: there is no planted bug \"\(name)\"", hint: "there are \(names)")
    }
}
