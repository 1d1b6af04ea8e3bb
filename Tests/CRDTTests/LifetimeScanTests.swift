import Base
import Causality
import Testing

@testable import CRDT

/// Three replicas that change one key, give it times, and hear of each other now and then; and a
/// state that hears of every change at once.
private struct ScannedWorld {
    static let families: [[[String]]] = [
        [
            ["SET", "k", "5"], ["SET", "k", "7", "PX", "9"], ["APPEND", "k", "1"],
            ["GETEX", "k", "9"],
        ],
        [["INCRBY", "k", "10"], ["INCRBY", "k", "3"], ["DECRBY", "k", "1"]],
        [["SADD", "k", "a"], ["SADD", "k", "b", "c"], ["SADD", "k", "d"], ["SREM", "k", "a"]],
        [
            ["HINCRBY", "k", "a", "1"], ["HINCRBY", "k", "b", "5"], ["HSET", "k", "c", "w"],
            ["HSET", "k", "d", "v", "e", "u"], ["HDEL", "k", "c"],
        ],
        [
            ["ZINCRBY", "k", "1", "a"], ["ZADD", "k", "1", "b"], ["ZADD", "k", "7", "c"],
            ["ZREM", "k", "b"],
        ],
        [["RPUSH", "k", "a", "b"], ["LPUSH", "k", "c"], ["RPUSH", "k", "d"], ["LPOP", "k"]],
        [["QFLAG", "k", "ENABLE"], ["QFLAG", "k", "DISABLE"]],
    ]

    let commands: [[String]]
    var random: PRNG
    var replicas = [CommandReplica(1), CommandReplica(2), CommandReplica(3)]
    var all = CRDTState()
    var time: UInt64 = 1

    init(_ family: Int, seed: UInt64) {
        commands = ScannedWorld.families[family]
        random = PRNG(seed: seed)
    }

    /// - Returns: what one command did.
    mutating func step() -> Delta? {
        let index = random.below(3)
        if random.chance(perMille: 700) { replicas[index].state.join(all) }
        time += random.chance(perMille: 100) ? UInt64(1 + random.below(30)) : 1
        let command =
            switch random.below(12) {
            case 0: ["PERSIST", "k"]
            case 1, 2: ["EXPIRE", "k", "\(1 + random.below(60))"]
            case 3: random.chance(perMille: 200) ? ["DEL", "k"] : ["ELAPSE", "k"]
            default: commands[random.below(commands.count)]
            }
        return replicas[index].run(command, at: time)
    }
}

@Suite("What expires is read over, transcribed and grafted as it would be built")
struct LifetimeScanTests {
    private let checks = StateScanTests()

    /// Has every delta of some worlds looked at; `body` does it to the state that hears of all.
    private func everyDelta(
        _ family: Int, seeds: UInt64, _ body: (inout ScannedWorld, Delta) -> Void
    ) {
        for seed in 0..<seeds {
            var world = ScannedWorld(family, seed: 40 + seed)
            for _ in 0..<40 {
                guard let delta = world.step() else { continue }
                body(&world, delta)
            }
        }
    }

    @Test("given, given again, taken away, inherited and over, for every type", arguments: 0..<7)
    func lifetimes(family: Int) {
        var (begun, ending, lasting, later) = (0, 0, 0, 0)
        everyDelta(family, seeds: 120) { world, delta in
            let encoded = bytes(of: delta)
            if checks.checkDelta(encoded) { begun += 1 }
            let hasLifetimes = !world.all.contents.expiry.isEmpty
            let isKnown = checks.checkGraft(encoded, onto: &world.all)
            if isKnown, hasLifetimes { later += 1 }
            for state in world.replicas.map(\.state) + [world.all] {
                guard !state.context.isEmpty, checks.checkState(bytes(of: state)),
                    !state.contents.expiry.isEmpty
                else { continue }
                if state.effectiveExpiry > 0 { ending += 1 } else { lasting += 1 }
            }
        }
        #expect(begun > 0 && ending > 100 && lasting > 100 && later > 50)
    }

    @Test("damaged bytes are never taken for what they are not", arguments: 0..<7)
    func damaged(family: Int) {
        var random = PRNG(seed: 13)
        everyDelta(family, seeds: 30) { world, delta in
            for _ in 0..<4 {
                var other = world.all
                checks.checkGraft(random.damage(bytes(of: delta)), onto: &other)
                checks.checkDelta(random.damage(bytes(of: delta)))
                if !other.context.isEmpty { checks.checkState(random.damage(bytes(of: other))) }
            }
            _ = world.all.apply(delta)
        }
    }
}
