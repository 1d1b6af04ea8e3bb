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

    @Test("a death is known to all in seconds, with loss too", arguments: UInt64(1)...6)
    func death(seed: UInt64) {
        var network = cluster(20, seed: seed)
        network.lossPerMille = 50
        network.kill(5)
        #expect(network.run(limit: 40) { $0.isAgreed } != nil)
        #expect(network.falseDeaths == 0)
        check(network)
    }

    @Test("halves that took each other for dead find together again", arguments: UInt64(1)...6)
    func halves(seed: UInt64) {
        var network = cluster(12, seed: seed)
        network.lossPerMille = Int(seed % 3) * 25
        network.isCut = { ($0 <= 6) != ($1 <= 6) }
        network.run(seconds: 120)
        for (a, b) in [(1, 7), (7, 1), (6, 12)] {
            #expect(network[a].member(NodeID(UInt16(b)))?.record.state == .dead)
        }
        network.isCut = { _, _ in false }
        #expect(network.run(limit: 60) { $0.isAgreed } != nil)
        network.run(seconds: 60)
        #expect(network.isAgreed)
        #expect(network.falseDeaths == 0, "nobody was declared dead on its own side")
        check(network)
    }

    @Test(
        "a node that was alone, and takes all others for dead, kills nobody on its return",
        arguments: UInt64(1)...3)
    func alone(seed: UInt64) {
        var network = cluster(12, seed: seed)
        network.isCut = { ($0 == 4) != ($1 == 4) }
        network.run(seconds: 400)
        #expect(network[4].reachableCount == 1)
        network.isCut = { _, _ in false }
        #expect(network.run(limit: 60) { $0.isAgreed } != nil)
        network.run(seconds: 60)
        #expect(network.isAgreed && network.falseDeaths == 0)
        check(network)
    }

    @Test("a one-way cut between two nodes makes nobody look dead", arguments: UInt64(1)...3)
    func oneWay(seed: UInt64) {
        var network = cluster(10, seed: seed)
        network.isCut = { $0 == 2 && $1 == 3 }
        network.run(seconds: 200)
        #expect(network.falseDeaths == 0 && network.falseSuspicions == 0)
        let relayed = network.machines.reduce(0) { $0 + $1.membership.counters.relayedProbes }
        #expect(relayed > 0)
        check(network)
    }

    @Test(
        "a node that is paused comes back, and takes nobody else for dead",
        arguments: UInt64(1)...9)
    func paused(seed: UInt64) {
        var network = cluster(10, seed: seed)
        network.pause(6, seconds: Double(seed) * 8)
        network.run(seconds: Double(seed) * 8 + 0.5)
        #expect(network[6].counters.oversleeps == 1)
        #expect(network.run(limit: 30) { $0.isAgreed } != nil)
        network.run(seconds: 30)
        #expect(network.isAgreed && network.falseDeaths == 0)
        #expect(network[1].member(NodeID(6))?.record.state == .alive)
        check(network)
    }

    /// Deaths of healthy nodes while two of sixteen are two seconds behind.
    private func deathsBySlowNodes(_ configuration: MembershipConfiguration) -> (Int, Int) {
        var (deaths, suspicions) = (0, 0)
        for seed in UInt64(1)...4 {
            var network = cluster(16, seed: seed, configuration)
            for slow in [3, 9] { network.machines[slow - 1].slowness = 2_000 }
            network.run(seconds: 120)
            deaths += network.falseDeaths
            suspicions += network.falseSuspicions
            check(network)
        }
        return (deaths, suspicions)
    }

    @Test("Lifeguard §V: slow nodes accuse far fewer healthy ones, and kill none")
    func slow() {
        var plain = MembershipConfiguration()
        plain.localHealthMax = 0
        plain.suspicionStretch = 1
        plain.suspicionFactor = 1
        var guarded = plain
        guarded.localHealthMax = 8
        guarded.suspicionStretch = 6
        let (plainDeaths, plainSuspicions) = deathsBySlowNodes(plain)
        let (deaths, suspicions) = deathsBySlowNodes(guarded)
        #expect(plainDeaths > 0, "otherwise this compares nothing")
        #expect(deaths == 0)
        #expect(suspicions * 3 < plainSuspicions, "\(suspicions) of \(plainSuspicions)")
    }

    @Test("who leaves is known to have left, not to have died", arguments: UInt64(1)...6)
    func leave(seed: UInt64) {
        var network = cluster(20, seed: seed)
        network.lossPerMille = 50
        network.step(.leave, at: 8)
        network.run(seconds: 3)
        network.kill(8)
        network.expect(.left, of: 8)
        #expect(network.run(limit: 20) { $0.isAgreed } != nil)
        let died = network.effects.contains { _, effect in
            effect == .memberChanged(network[8].identity, .dead)
        }
        #expect(!died)
        check(network)
    }

    @Test(
        "a node removed while it was cut off stays removed when it returns, until it is admitted",
        arguments: UInt64(1)...6)
    func removal(seed: UInt64) {
        var network = cluster(8, seed: seed)
        network.lossPerMille = 50
        network.isCut = { ($0 == 5) != ($1 == 5) }
        network.run(seconds: 60)
        network.step(.remove(NodeID(5)), at: 1)
        network.run(seconds: 20)
        network.isCut = { _, _ in false }
        network.expect(.removed, of: 5)
        network.run(seconds: 30)
        #expect(network[5].end == .removed)
        network.kill(5)
        network.expect(.removed, of: 5)
        #expect(network.isAgreed)

        network.restart(5, epoch: 2, seeds: [2])
        network.expect(.removed, of: 5)
        network.run(seconds: 30)
        #expect(network[5].end == .removed)

        network.step(.readmit(NodeID(5)), at: 3)
        network.run(seconds: 10)
        network.restart(5, epoch: 3, seeds: [2])
        #expect(network.run(limit: 30) { $0.isAgreed } != nil)
        #expect(network[1].member(NodeID(5))?.record.identity.epoch == 3)
        check(network)
    }

    @Test(
        "a node restarted at once is known by its new identity everywhere",
        arguments: UInt64(1)...6)
    func restart(seed: UInt64) {
        var network = cluster(10, seed: seed)
        network.kill(3)
        network.run(seconds: Double(seed) * 4)
        network.restart(3, epoch: 2, seeds: [1])
        let isKnown = network.run(limit: 30) { network in
            (1...10).allSatisfy { network[$0].member(NodeID(3))?.record.identity.epoch == 2 }
        }
        #expect(isKnown != nil)
        network.run(seconds: 60)
        #expect(network.isAgreed && network.falseDeaths == 0)
        check(network)
    }

    @Test("a second process under one number is reported", arguments: UInt64(1)...3)
    func twoProcesses(seed: UInt64) {
        var network = cluster(6, seed: seed)
        network.run(seconds: 5)
        // The clone speaks for a while; then the original, which the cut kept from hearing of it.
        let original = network.machines[2]
        network.restart(3, epoch: 9, seeds: [1])
        network.run(seconds: 10)
        network.machines[2] = original
        network.step(.tick, at: 3)
        network.run(seconds: 20)
        let conflicts = network.effects.filter { _, effect in
            if case .conflict = effect { true } else { false }
        }
        #expect(conflicts.count > 0)
        let later = ReplicaIdentity(node: NodeID(3), epoch: 9)
        #expect(network.effects.contains { $0.1 == .outlived(by: later) })
    }

    @Test(
        "faults of all kinds, then peace: all agree, and every number stays within its limit",
        arguments: UInt64(1)...12)
    func storm(seed: UInt64) {
        var network = cluster(10, seed: seed)
        var random = PRNG(seed: seed &* 977)
        network.lossPerMille = random.below(200)
        network.delayMax = 1 + random.below(400)
        for _ in 0..<20 {
            let (a, b) = (1 + random.below(10), 1 + random.below(10))
            switch random.below(4) {
            case 0: network.isCut = { $0 == a && $1 == b }
            case 1: network.isCut = { ($0 <= a) != ($1 <= a) }
            case 2 where !network.machines[a - 1].isPaused:
                network.pause(a, seconds: Double(random.below(15)))
            default: network.isCut = { _, _ in false }
            }
            network.run(seconds: Double(random.below(12)))
            check(network)
        }
        network.isCut = { _, _ in false }
        (network.lossPerMille, network.delayMax) = (0, 10)
        network.run(seconds: 20)
        #expect(network.run(limit: 60) { $0.isAgreed } != nil)
        network.run(seconds: 60)
        #expect(network.isAgreed)
        check(network)
    }

    @Test("one seed makes one history")
    func replay() {
        func history() -> [String] {
            var network = cluster(8, seed: 3)
            network.lossPerMille = 100
            network.kill(2)
            network.run(seconds: 60)
            return network.effects.map { "\($0)" } + ["\(network.messages) \(network.bytes)"]
        }
        #expect(history() == history())
    }
}
