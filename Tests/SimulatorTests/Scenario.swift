import Base
import Causality
import Testing

@testable import Simulator

/// A scripted world: one client for each node, no faults but those that the test makes.
final class Scenario {
    let world: World

    /// Three nodes and one keyspace `k`, whose messages wait behind a cut.
    convenience init(conflictSiblings isSiblings: Bool = false, plant: PlantedBug? = nil) {
        self.init(keyspaces: [.scripted(siblings: isSiblings)], plant: plant)
    }

    /// A network that loses what meets a cut and tells nobody.
    ///
    /// - Parameter change: what else the world is.
    convenience init(
        lossy keyspaces: [PlannedKeyspace], nodes: Int = 3, plant: PlantedBug?,
        _ change: (inout Plan) -> Void = { _ in }
    ) {
        self.init(keyspaces: keyspaces, nodes: nodes, plant: plant) { plan in
            plan.isDatagram = true
            (plan.dropPerMille, plan.duplicatePerMille, plan.delayTailPerMille) = (0, 0, 0)
            (plan.delayMin, plan.delaySpread) = (500_000, 1)
            plan.diskLatency = 1_000_000
            plan.sharedTurnPerMille = 0
            plan.collection = (10_000, 60_000)
            change(&plan)
        }
    }

    /// The same, where deletions are forgotten within seconds.
    convenience init(forgetful keyspaces: [PlannedKeyspace], plant: PlantedBug?) {
        self.init(lossy: keyspaces, plant: plant) { $0.collection = (1_200, 400) }
    }

    private init(
        keyspaces: [PlannedKeyspace], nodes: Int = 3, plant: PlantedBug?,
        _ change: (inout Plan) -> Void = { _ in }
    ) {
        var plan = Plan(seed: 1)
        plan.nodes = nodes
        plan.clients = nodes
        plan.requestsPerClient = 0
        plan.faultMeans = FaultKind.allCases.map { _ in nil }
        plan.isDatagram = false
        plan.skewMax = 0
        plan.operationsMax = 64
        plan.sessionClients = 0
        plan.segmentBytes = 65_536
        plan.keyspaces = keyspaces
        change(&plan)
        world = World(seed: 1, plan: plan, plant: plant)
        for index in 0..<nodes { world.clients[index].home = index }
        world.begin()
        pass(1_000)
    }

    func pass(_ milliseconds: UInt64) {
        let end = world.time + .nanoseconds(milliseconds: milliseconds)
        while let next = world.queue.nextTime, next <= end { _ = world.takeEvent() }
        world.time = end
    }

    // MARK: Requests

    /// Asks a node, counted from 0, and waits for its answer; nil for a connection that broke.
    func ask(_ node: Int, _ words: String...) -> RedisReply? { ask(node, words) }

    func ask(_ node: Int, _ words: [String]) -> RedisReply? {
        let patience = world.time + .nanoseconds(milliseconds: 5_000)
        while world.clients[node].generation == 0, world.time < patience { pass(10) }
        guard world.clients[node].generation != 0 else { return nil }
        let generation = world.clients[node].generation
        let answers = world.clients[node].told.count
        begin(node, words)
        while world.clients[node].told.count == answers {
            guard world.clients[node].generation == generation, world.takeEvent() else {
                return nil
            }
        }
        return world.clients[node].told.last
    }

    /// Asks a node and waits for nothing: the client is not to ask again in this scenario.
    func begin(_ node: Int, _ words: [String]) {
        world.ask(node, .told, [], words.map { Array($0.utf8) })
    }

    /// As a client library would show it.
    func text(_ node: Int, _ words: String...) -> String? {
        ask(node, words).map { World.text($0) }
    }

    /// Asks for what has to succeed.
    func make(_ node: Int, _ words: String...) {
        let answer = ask(node, words).map { World.text($0) }
        #expect(
            answer.map { !$0.hasPrefix("-") } == true,
            "\(words) on node \(node + 1): \(answer ?? "cut off")")
    }

    /// The values that a `QGET` finds.
    func siblings(_ node: Int, _ key: String = "k:0", r: Int = 3) -> [String] {
        guard case .array(let elements) = ask(node, "QGET", key, "R", "\(r)") else { return [] }
        return elements.dropFirst().map { World.text($0) }.sorted()
    }

    /// The causal context that a `QGET` gives.
    func context(_ node: Int, _ key: String = "k:0") -> String {
        guard case .array(let elements) = ask(node, "QGET", key) else { return "" }
        return elements.first.map { Scenario.whole($0) } ?? ""
    }

    func sessionToken(_ node: Int) -> String {
        ask(node, "SESSION", "TOKEN").map { Scenario.whole($0) } ?? ""
    }

    private static func whole(_ reply: RedisReply) -> String {
        guard case .bulk(let bytes) = reply else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// What each of the nodes has itself.
    func copies(_ key: String = "k:0") -> [String] {
        world.machines.indices.map { text($0, "GET", key, "R", "1") ?? "cut off" }
    }

    // MARK: The network

    private func setCut(_ isCut: Bool, _ at: Int, _ other: Int) {
        for (from, to) in [(at, other), (other, at)] where from != to {
            if isCut { world.network[from, to].isCut = true } else { world.mend(from, to) }
        }
    }

    func cut(_ at: Int, _ other: Int) { setCut(true, at, other) }
    func mend(_ at: Int, _ other: Int) { setCut(false, at, other) }

    /// Cuts a node off from all others.
    func isolate(_ node: Int) { for other in world.machines.indices { cut(node, other) } }

    func cutOneWay(_ from: Int, _ to: Int) { world.network[from, to].isCut = true }

    /// Nobody hears a node, which hears all others.
    func mute(_ node: Int) {
        for other in world.machines.indices where other != node {
            world.network[node, other].isCut = true
        }
    }

    /// Mends everything.
    func mend() {
        for node in world.machines.indices {
            for other in 0..<node { mend(node, other) }
        }
    }

    /// Has every node write at about the same time, hearing nothing of the others.
    ///
    /// - Returns: the dots that were given.
    func writeApart(_ round: Int) -> [Dot] {
        for node in 0..<3 { isolate(node) }
        let before = world.history.keys[0].states.count
        for node in 0..<3 { begin(node, ["SET", "k:0", "\(round) of \(node + 1)", "W", "1"]) }
        pass(50)
        let dots = world.history.keys[0].states.dropFirst(before).map(\.dot)
        mend()
        pass(300)
        return dots
    }

    // MARK: Machines

    /// The nodes that keep a key of the plan, by preference.
    func replicas(_ key: Int = 0) -> [Int] { world.history.replicas(of: key) }

    /// Ends a process, which returns after two seconds.
    func crash(_ node: Int, powerCut: Bool = true) {
        world.stop(world.machines[node], isPowerCut: powerCut, restartAfter: 2_000)
    }

    /// Ends a process and loses what its disk has not synced; it returns at once.
    func cutPower(_ node: Int) {
        world.stop(world.machines[node], isPowerCut: true, restartAfter: 50)
    }

    /// Ends a process, which returns at once.
    func kill(_ node: Int) {
        world.stop(world.machines[node], isPowerCut: false, restartAfter: 50)
    }

    /// Ends a process for longer than any scenario takes.
    func takeDown(_ node: Int) {
        world.stop(world.machines[node], isPowerCut: false, restartAfter: 1_000_000)
    }

    /// Ends a process, which returns with an empty disk.
    func wipe(_ node: Int) {
        kill(node)
        world.machines[node].disk = SimulatedDisk(prng: PRNG(seed: 2))
    }

    /// Node 1 dies and starts again an hour ahead, hearing nobody.
    func beginFutureLife() {
        for other in [1, 2] {
            world.cut(0, other)
            world.cut(other, 0)
        }
        world.machines[0].jumpMilliseconds = 3_600_000
        crash(0, powerCut: false)
        pass(3_000)
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

extension PlannedKeyspace {
    enum Conflict { case lww, siblings, crdt }

    /// The keyspace `k`.
    static func scripted(
        n: Int = 3, r: Int = 2, w: Int = 2, _ conflict: Conflict = .lww, keys: Int = 1
    ) -> PlannedKeyspace {
        PlannedKeyspace(
            name: "k", n: n, r: r, w: w, durability: .fsync, isSiblings: conflict == .siblings,
            keys: keys, readRepairPerMille: 0, timeoutMilliseconds: 300,
            isTyped: conflict == .crdt)
    }

    static func scripted(siblings isSiblings: Bool) -> PlannedKeyspace {
        scripted(isSiblings ? .siblings : .lww)
    }
}
