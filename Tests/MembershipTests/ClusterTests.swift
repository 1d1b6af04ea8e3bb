import Base
import Membership
import Testing

@Suite("Clusters of members in a faulty network")
struct ClusterTests {
    private func cluster(
        _ count: Int, seed: UInt64, _ configuration: MembershipConfiguration = .init()
    ) -> Network {
        var network = Network(seed: seed, configuration)
        for _ in 0..<count {
            network.add()
            network.run(seconds: 0.05)
        }
        #expect(network.run(limit: 20) { $0.isAgreed } != nil, "seed \(seed)")
        return network
    }

    private func check(_ network: Network) {
        for machine in network.machines { machine.membership.checkInvariants() }
    }

    @Test("who joins through a seed knows all, and all know it", arguments: UInt64(1)...6)
    func join(seed: UInt64) {
        var network = cluster(20, seed: seed)
        network.add(seeds: [7])
        #expect(network.run(limit: 15) { $0.isAgreed } != nil)
        #expect(network[21].members.map(\.record.node.rawValue) == (1...21).map { UInt16($0) })
        #expect(network.machines.allSatisfy { !$0.membership.isJoining })
        check(network)
    }

    @Test("without loss nobody is ever suspected", arguments: UInt64(1)...3)
    func quiet(seed: UInt64) {
        var network = cluster(20, seed: seed)
        network.run(seconds: 120)
        #expect(network.falseSuspicions == 0 && network.falseDeaths == 0)
        #expect(network.machines.allSatisfy { $0.membership.localHealth == 0 })
        check(network)
    }
}
