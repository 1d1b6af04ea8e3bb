import Base
import Glibc
import Membership
import Testing

/// Runs by `bench/membership.sh` only: one line of figures per cluster size.
@Suite("Figures at 5 % loss")
struct FigureTests {
    /// Sizes such as `10,100`; none unless the script asks.
    private static let sizes: [Int] = getenv("QUORATE_MEMBERSHIP").map {
        String(cString: $0).split(separator: ",").compactMap { Int($0) }
    } ?? []

    @Test("convergence, false positives and cost", arguments: sizes)
    func measure(count: Int) {
        var network = Network(seed: UInt64(count))
        network.encodes = false
        network.keepsEffects = false
        for _ in 0..<count {
            network.add()
            network.run(seconds: 0.01)
        }
        let form = network.run(limit: 300) { $0.isAgreed }
        network.run(seconds: 120)
        let formed = network.falseSuspicions

        var quiet = cost(of: &network)
        network.lossPerMille = 50
        network.run(seconds: 30)
        let lossy = cost(of: &network)
        let (deaths, suspicions) = (network.falseDeaths, network.falseSuspicions - formed)

        network.add(seeds: [2])
        let join = network.run(limit: 300) { $0.isAgreed }
        network.run(seconds: 10)
        network.kill(3)
        let death = network.run(limit: 300) { $0.isAgreed }
        let heal = split(&network)
        quiet.append(contentsOf: lossy)
        print(
            "FIGURES", count, seconds(form), seconds(join), seconds(death), seconds(heal),
            quiet.joined(separator: " "), deaths, suspicions, network.longestMessage)
    }

    /// Messages and bytes per node and second over a minute.
    private func cost(of network: inout Network) -> [String] {
        let (messages, bytes) = (network.messages, network.bytes)
        network.run(seconds: 60)
        let nodeSeconds = Double(network.machines.count) * 60
        return [
            tenths(Double(network.messages - messages) / nodeSeconds),
            tenths(Double(network.bytes - bytes) / nodeSeconds),
        ]
    }

    /// Seconds from the end of a network partition in halves, each of which had declared the other
    /// dead, until all agree again.
    private func split(_ network: inout Network) -> Double? {
        let half = network.machines.count / 2
        network.isCut = { ($0 <= half) != ($1 <= half) }
        network.run(seconds: 300)
        network.isCut = { _, _ in false }
        return network.run(limit: 600) { $0.isAgreed }
    }

    private func seconds(_ value: Double?) -> String { value.map(tenths) ?? "never" }

    private func tenths(_ value: Double) -> String {
        let rounded = Int((value * 10).rounded())
        return "\(rounded / 10).\(rounded % 10)"
    }
}
