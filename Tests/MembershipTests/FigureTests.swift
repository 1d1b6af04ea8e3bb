import Base
import Glibc
import Membership
import Testing

/// Runs by `bench/membership.sh` only: one line of figures per cluster size.
@Suite("Figures at 5 % loss")
struct FigureTests {
    /// Sizes such as `10,100`; none unless the script asks.
    private static let sizes: [Int] =
        getenv("QUORATE_MEMBERSHIP").map {
            String(cString: $0).split(separator: ",").compactMap { Int($0) }
        } ?? []

    @Test("convergence, false positives and cost", arguments: sizes)
    func measure(count: Int) {
        var (network, form) = formed(count, .init())
        network.run(seconds: 120)
        let quiet = cost(of: &network, seconds: 60)
        let suspicions = network.falseSuspicions
        network.lossPerMille = 50
        network.run(seconds: 30)
        let lossy = cost(of: &network, seconds: 300)
        let wrongly = [network.falseSuspicions - suspicions, network.falseDeaths]

        network.add(seeds: [2])
        let join = network.run(limit: 300) { $0.isAgreed }
        network.run(seconds: 10)
        network.kill(3)
        let death = network.run(limit: 300) { $0.isAgreed }
        let heal = split(&network)
        print(
            "FIGURES", count, [form, join, death, heal].map(seconds).joined(separator: " "),
            quiet, lossy, wrongly[0], wrongly[1], network.longestMessage)
    }

    /// Every twentieth node looks at its messages two seconds late.
    @Test("slow nodes, without Lifeguard and with it", arguments: sizes)
    func slowNodes(count: Int) {
        var plain = MembershipConfiguration()
        plain.localHealthMax = 0
        plain.suspicionStretch = 1
        var counts: [Int] = []
        for configuration in [plain, .init()] {
            var (network, _) = formed(count, configuration)
            network.lossPerMille = 50
            for number in stride(from: 2, through: count, by: 20) {
                network.machines[number - 1].slowness = 2_000
            }
            network.run(seconds: 120)
            counts += [network.falseSuspicions, network.falseDeaths]
        }
        print("SLOW", count, counts.map(String.init).joined(separator: " "))
    }

    /// All nodes join through the first, 10 ms after each other.
    private func formed(
        _ count: Int, _ configuration: MembershipConfiguration
    ) -> (Network, seconds: Double?) {
        var network = Network(seed: UInt64(count), configuration)
        network.encodes = false
        network.keepsEffects = false
        for _ in 0..<count {
            network.add()
            network.run(seconds: 0.01)
        }
        let seconds = network.run(limit: 300) { $0.isAgreed }
        return (network, seconds)
    }

    /// Messages and bytes per node and second.
    private func cost(of network: inout Network, seconds: Double) -> String {
        let (messages, bytes) = (network.messages, network.bytes)
        network.run(seconds: seconds)
        let nodeSeconds = Double(network.machines.count) * seconds
        return tenths(Double(network.messages - messages) / nodeSeconds) + " "
            + tenths(Double(network.bytes - bytes) / nodeSeconds)
    }

    /// Seconds from the end of a network partition in halves, each of which had declared the other
    /// dead, until all agree again.
    private func split(_ network: inout Network) -> Double? {
        let half = network.machines.count / 2
        network.isCut = { ($0 <= half) != ($1 <= half) }
        network.run(seconds: 300)
        #expect(network[1].reachableCount == half - 1, "one of the half was killed")
        network.isCut = { _, _ in false }
        return network.run(limit: 600) { $0.isAgreed }
    }

    private func seconds(_ value: Double?) -> String { value.map(tenths) ?? "never" }

    private func tenths(_ value: Double) -> String {
        let rounded = Int((value * 10).rounded())
        return "\(rounded / 10).\(rounded % 10)"
    }
}
