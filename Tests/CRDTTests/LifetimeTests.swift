import Base
import Causality
import Testing

@testable import CRDT

/// Three replicas of one key, beside the events that README's sentences are about.
private struct LifetimeWorld {
    var history = EventHistory()
    var replicas = [CommandReplica(1), CommandReplica(2), CommandReplica(3)]
    var sides: [EventHistory.Side]
    var sent: [(delta: Delta, events: EventSet)] = []
    var time: UInt64 = 1
    let commands: [[String]]

    static let families: [[[String]]] = [
        [
            ["SADD", "k", "a"], ["SADD", "k", "b", "c"], ["SADD", "k", "d"], ["SREM", "k", "a"],
            ["SREM", "k", "b", "c"],
        ],
        [
            ["SET", "k", "5"], ["SET", "k", "7", "PX", "9"], ["INCRBY", "k", "10"],
            ["INCRBY", "k", "3"], ["DECRBY", "k", "1"], ["GETSET", "k", "8"], ["APPEND", "k", "1"],
        ],
        [
            ["HINCRBY", "k", "a", "1"], ["HINCRBY", "k", "a", "10"], ["HINCRBY", "k", "b", "5"],
            ["HSET", "k", "a", "0"], ["HSET", "k", "c", "w"], ["HDEL", "k", "a"],
        ],
        [
            ["ZINCRBY", "k", "1", "a"], ["ZINCRBY", "k", "10", "a"], ["ZINCRBY", "k", "5", "b"],
            ["ZADD", "k", "1", "a"], ["ZADD", "k", "7", "c"], ["ZREM", "k", "a"],
        ],
    ]

    init(_ family: Int) {
        commands = LifetimeWorld.families[family]
        sides = (0..<3).map { EventHistory.Side(node: $0) }
    }

    /// - Returns: the replicas that may show something else now.
    mutating func step(_ random: inout PRNG) -> Range<Int> {
        let isLeap = random.chance(perMille: 200)
        time += isLeap ? UInt64(1 + random.below(12)) : 1
        history.now = Int(time)
        let changed = random.chance(perMille: 550) ? act(&random) : send(&random)
        return isLeap ? 0..<3 : changed..<changed + 1
    }

    private mutating func act(_ random: inout PRNG) -> Int {
        let index = random.below(3)
        let command =
            switch random.below(10) {
            case 0: ["PERSIST", "k"]
            case 1, 2: ["EXPIRE", "k", "\(1 + random.below(25))"]
            case 3: random.chance(perMille: 300) ? ["DEL", "k"] : ["ELAPSE", "k"]
            default: commands[random.below(commands.count)]
            }
        let before = history.events.count
        let delta = replicas[index].run(command, at: time)
        history.run(command, on: &sides[index])
        if let delta { sent.append((delta, EventSet(before..<history.events.count))) }
        return index
    }

    private mutating func send(_ random: inout PRNG) -> Int {
        let (source, target) = (random.below(3), random.below(3))
        guard random.chance(perMille: 500), !sent.isEmpty else {
            replicas[target].state.join(replicas[source].state)
            sides[target].seen.formUnion(sides[source].seen)
            return target
        }
        let message = sent[random.below(sent.count)]
        let carried = (try? decodedDelta(bytes(of: message.delta))) ?? message.delta
        if replicas[target].state.apply(carried) == .applied {
            sides[target].seen.formUnion(message.events)
        }
        return target
    }

    /// What differs from the events, if anything.
    func difference(_ index: Int) -> String? {
        let shown = replicas[index].shown(at: time)
        let expected = history.shown(sides[index].seen)
        return shown == expected ? nil : "\(shown), not \(expected)"
    }
}

@Suite("A lifetime names what it was given to")
struct LifetimeTests {
    @Test(
        "whatever replicas do and however they meet, what is left is what no elapsed time covered",
        arguments: 0..<4)
    func model(family: Int) {
        var elapsed = 0
        for seed in 0..<300 as Range<UInt64> {
            var random = PRNG(seed: 91 + seed)
            var world = LifetimeWorld(family)
            for _ in 0..<40 {
                for index in world.step(&random) {
                    if let difference = world.difference(index) {
                        Issue.record("family \(family), seed \(seed): \(difference)")
                        return
                    }
                    let state = world.replicas[index].state
                    if state.hasElapsed(now: world.time) { elapsed += 1 }
                    for other in world.replicas where other.state.context == state.context {
                        #expect(other.state == state)
                    }
                }
            }
        }
        #expect(elapsed > 100)
    }

    @Test("joining is commutative, associative, idempotent and inflationary", arguments: 0..<4)
    func laws(family: Int) {
        for seed in 0..<20 as Range<UInt64> {
            var random = PRNG(seed: 92 + seed)
            var world = LifetimeWorld(family)
            var pool: [CRDTState] = []
            for _ in 0..<30 {
                _ = world.step(&random)
                pool.append(world.replicas[random.below(3)].state)
            }
            for _ in 0..<60 {
                let (a, b, c) = (
                    pool[random.below(30)], pool[random.below(30)], pool[random.below(30)]
                )
                let ab = joined(a, b)
                #expect(ab == joined(b, a))
                #expect(joined(a, a) == a)
                #expect(joined(ab, a) == ab)
                #expect(joined(ab, c) == joined(a, joined(b, c)))
                #expect((try? decodedState(bytes(of: ab))) == ab)
            }
        }
    }

    private func joined(_ a: CRDTState, _ b: CRDTState) -> CRDTState {
        var sum = a
        sum.join(b)
        return sum
    }

    @Test("an expiry puts back no value that was replaced or deleted meanwhile")
    func revivesNothing() throws {
        var a = Replica(1)
        var b = Replica(2)
        _ = try a.state.set("v", dot: a.dot(1))
        b.join(a)
        let change = b.state.expire(at: 500, dot: b.dot(9), now: 2)
        let given = try #require(change)
        _ = try a.state.set("w", dot: a.dot(3))
        #expect(a.state.apply(given) == .applied)
        #expect(a.state.siblings(now: 4) == ["w"])
        #expect(a.state.effectiveExpiry == 0)
        _ = a.state.delete(dot: a.dot(10))
        b.join(a)
        #expect(b.state.isTombstone)
    }

    @Test("an expiry ends no value that it has not seen, also one that has another expiry")
    func endsNothingElse() throws {
        var a = Replica(1)
        var b = Replica(2)
        _ = try a.state.set("v", dot: a.dot(1))
        b.join(a)
        _ = try a.state.set("w", expiry: 1_000, dot: a.dot(3))
        _ = b.state.expire(at: 50, dot: b.dot(9), now: 2)
        a.join(b)
        #expect(a.state.effectiveExpiry == 1_000)
        #expect(a.state.withoutElapsed(now: 51).string(now: 51) == .bytes("w"))
        _ = a.state.removeElapsed(dot: a.dot(60), now: 60)
        #expect(a.state.siblings(now: 61) == ["w"] && a.state.effectiveExpiry == 1_000)
    }

    @Test("what one side adds after the other side's time has come stays alone")
    func addedLater() throws {
        var a = Replica(1)
        var b = Replica(2)
        _ = try a.state.increment(by: Quantity(10), dot: a.dot(1), now: 1)
        b.join(a)
        _ = a.state.expire(at: 50, dot: a.dot(2), now: 2)
        _ = try b.state.increment(by: Quantity(5), dot: b.dot(60), now: 60)
        a.join(b)
        #expect(a.state.withoutElapsed(now: 61).string(now: 61) == .number(Quantity(5)))
        _ = a.state.removeElapsed(dot: a.dot(70), now: 70)
        b.join(a)
        #expect(b.state.string(now: 71) == .number(Quantity(5)))
    }

    @Test("an add that came along with the former time undoes no later one, and keeps its own")
    func prolonged() throws {
        var a = CommandReplica(1)
        var b = CommandReplica(2)
        _ = a.run(["SADD", "k", "x"], at: 1)
        _ = a.run(["EXPIRE", "k", "50"], at: 2)
        b.state.join(a.state)
        _ = a.run(["EXPIRE", "k", "200"], at: 3)
        let made = b.run(["SADD", "k", "y"], at: 4)
        let added = try #require(made)
        #expect(a.state.apply(added) == .applied)
        #expect(a.state.effectiveExpiry == 203)
        #expect(a.state.withoutElapsed(now: 60).setElements(now: 60) == ["x"])
        #expect(a.state.type(now: 203) == nil)
    }

    @Test("a restamped key still ends as a whole, and so does what was added to it since")
    func restamped() throws {
        var a = CommandReplica(1)
        _ = a.run(["HINCRBY", "k", "f", "1"], at: 1)
        _ = a.run(["EXPIRE", "k", "5000"], at: 1_000)
        _ = a.run(["HINCRBY", "k", "f", "2"], at: 2_000)
        var stamp = Stamp(milliseconds: 600)
        a.state.restamp(retired: [identity(1)], after: Stamp(milliseconds: 500)) { _ in
            stamp = stamp.next
            return Dot(identity: identity(1, 2), stamp: stamp)
        }
        #expect((try? decodedState(bytes(of: a.state))) == a.state)
        #expect(a.state.effectiveExpiry == 6_000)
    }

    @Test("a compacted state ends when it did, and can be read back")
    func compacted() throws {
        var a = CommandReplica(1)
        var b = CommandReplica(2)
        _ = b.run(["SADD", "k", "gone"], at: 1)
        a.state.join(b.state)
        _ = a.run(["SADD", "k", "x"], at: 2)
        _ = a.run(["EXPIRE", "k", "50"], at: 3)
        _ = a.run(["SREM", "k", "gone"], at: 4)
        let isCompacted = a.state.compact()
        #expect(isCompacted && a.state.context.entries.count == 1)
        #expect(a.state.effectiveExpiry == 53)
        #expect((try? decodedState(bytes(of: a.state))) == a.state)
    }
}
