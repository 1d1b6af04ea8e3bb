import Base
import Causality
import Testing

@testable import Simulator

/// A scripted world: three nodes, one client each, no faults but those that the test makes.
final class Scenario {
    let world: World

    init(conflictSiblings isSiblings: Bool = false, plant: PlantedBug? = nil) {
        var plan = Plan(seed: 1)
        plan.nodes = 3
        plan.clients = 3
        plan.requestsPerClient = 0
        plan.faultMeans = FaultKind.allCases.map { _ in nil }
        plan.isDatagram = false
        plan.skewMax = 0
        plan.operationsMax = 64
        plan.sessionClients = 0
        plan.segmentBytes = 65_536
        plan.keyspaces = [
            PlannedKeyspace(
                name: "k", n: 3, r: 2, w: 2, durability: .fsync, isSiblings: isSiblings, keys: 1,
                readRepairPerMille: 0, timeoutMilliseconds: 300)
        ]
        world = World(seed: 1, plan: plan, plant: plant)
        for index in 0..<3 { world.clients[index].home = index }
        world.begin()
        pass(1_000)
    }

    func pass(_ milliseconds: UInt64) {
        let end = world.time + .nanoseconds(milliseconds: milliseconds)
        // Nodes beat for ever, so there is always a next event.
        while world.time < end, world.takeEvent() {}
    }

    /// Asks a node, counted from 0, and waits for its answer; nil for a connection that broke.
    func ask(_ node: Int, _ words: String...) -> RedisReply? { ask(node, words) }

    func ask(_ node: Int, _ words: [String]) -> RedisReply? {
        while world.clients[node].generation == 0 { pass(10) }
        let generation = world.clients[node].generation
        let answers = world.clients[node].told.count
        world.ask(node, .told, [], words.map { Array($0.utf8) })
        while world.clients[node].told.count == answers {
            guard world.clients[node].generation == generation, world.takeEvent() else {
                return nil
            }
        }
        return world.clients[node].told.last
    }

    /// As a client library would show it.
    func text(_ node: Int, _ words: String...) -> String? {
        ask(node, words).map { World.text($0) }
    }

    /// The values that a `QGET` at R = ALL finds.
    func siblings(_ node: Int) -> [String] {
        guard case .array(let elements) = ask(node, "QGET", "k:0", "R", "3") else { return [] }
        return elements.dropFirst().map { World.text($0) }.sorted()
    }

    /// Has every node write at about the same time, hearing nothing of the others.
    ///
    /// - Returns: the dots that were given.
    func writeApart(_ round: Int) -> [Dot] {
        let pairs = [(0, 1), (0, 2), (1, 2)].flatMap { [($0, $1), ($1, $0)] }
        for (from, to) in pairs { world.network[from, to].isCut = true }
        let before = world.history.keys[0].states.count
        for node in 0..<3 {
            let words = ["SET", "k:0", "\(round) of \(node + 1)", "W", "1"]
            world.ask(node, .told, [], words.map { Array($0.utf8) })
        }
        pass(50)
        let dots = world.history.keys[0].states.dropFirst(before).map(\.dot)
        for (from, to) in pairs { world.mend(from, to) }
        pass(300)
        return dots
    }

    func crash(_ node: Int, powerCut: Bool = true) {
        world.stop(world.machines[node], isPowerCut: powerCut, restartAfter: 2_000)
    }

    func isUp(_ node: Int) -> Bool { world.machines[node].process != nil }

    /// Reads once with repair from all, and holds all replicas to the same bytes.
    func converges(_ node: Int = 0) -> Bool {
        _ = ask(node, "QGET", "k:0", "R", "3")
        pass(500)
        world.checkConvergence()
        return world.violation == nil
    }
}
