import Base
import Causality
import Testing

@testable import CRDT

/// The second implementation: a log of what was done, with what each operation had seen.
private struct LifetimeLog {
    enum What {
        case add(String)
        case increment(Int)
        case removal
        /// Gives a time to what was seen; the file is the operation that did so first.
        case time(UInt64, files: Set<Int>)
    }

    struct Operation {
        let owner: Int
        let dot: Dot
        let what: What
        let kills: Set<Int>
        /// What ends with each file.
        let covers: [Int: Set<Int>]
    }

    var operations: [Operation] = []

    struct View {
        var live: Set<Int> = []
        var files: Set<Int> = []
        var time: UInt64 = 0
        var covered: Set<Int> = []

        func visible(_ now: UInt64) -> Set<Int> {
            time > 0 && time <= now ? live.subtracting(covered) : live
        }
        var isWhole: Bool { time > 0 && !live.isEmpty && live.isSubset(of: covered) }
    }

    func view(_ seen: Set<Int>) -> View {
        var view = View()
        let killed = seen.reduce(into: Set<Int>()) { $0.formUnion(operations[$1].kills) }
        for index in seen.subtracting(killed) {
            switch operations[index].what {
            case .add, .increment: view.live.insert(index)
            case .time(_, let files) where files == [index]: view.files.insert(index)
            case .time, .removal: break
            }
        }
        for index in seen.sorted(by: { operations[$0].dot < operations[$1].dot }) {
            for (file, covered) in operations[index].covers where view.files.contains(file) {
                view.covered.formUnion(covered)
                if case .time(let time, _) = operations[index].what { view.time = time }
            }
        }
        return view
    }

    func words(_ seen: Set<Int>, now: UInt64) -> [String] {
        var elements: Set<String> = []
        var sum: Int?
        for index in view(seen).visible(now) {
            if case .add(let element) = operations[index].what { elements.insert(element) }
            if case .increment(let amount) = operations[index].what { sum = (sum ?? 0) + amount }
        }
        return elements.sorted() + (sum.map { ["\($0)"] } ?? [])
    }
}

/// Replicas of one key, a set or a counter, beside the log.
private struct LifetimeWorld {
    var log = LifetimeLog()
    var replicas = [Replica(1), Replica(2), Replica(3)]
    var seen: [Set<Int>] = [[], [], []]
    var deltas: [(delta: Delta, seen: Set<Int>, index: Int)] = []
    let isCounter: Bool
    var now: UInt64 = 1

    init(isCounter: Bool) { self.isCounter = isCounter }

    /// - Returns: false when there is nothing to do.
    mutating func act(_ index: Int, _ random: inout PRNG) {
        removeElapsed(index)
        let view = log.view(seen[index])
        let state = replicas[index].state
        let covers = state.coversAdditions(now: now)
        guard covers == (view.isWhole && view.time > now) else { return #expect(Bool(false)) }
        switch random.below(8) {
        case 0:
            let delta = replicas[index].state.delete(dot: dot(index))
            note(index, .removal, kills: view.live.union(view.files), nil, delta)
        case 1, 2:
            let time = random.chance(perMille: 200) ? 0 : now + 1 + UInt64(random.below(20))
            let delta = replicas[index].state.expire(at: time, dot: dot(index), now: now)
            guard delta != nil else { return }
            let own = log.operations.count
            let files = view.files.isEmpty ? [own] : view.files
            note(index, .time(time, files: files), kills: [], files, delta)
        case 3 where !isCounter:
            let element = ["a", "b", "c"][random.below(3)]
            let removed = try? replicas[index].state.setRemove(
                [bytes(element)], dot: dot(index), now: now)
            let gone = view.live.filter { isAdd($0, element) }
            note(index, .removal, kills: gone, covers ? view.files : nil, removed?.delta, covers)
        default: add(index, view, covers, &random)
        }
    }

    private mutating func add(
        _ index: Int, _ view: LifetimeLog.View, _ covers: Bool, _ random: inout PRNG
    ) {
        // What is left of lifetimes without anything live goes with the next add.
        let stale = view.live.isEmpty ? view.files : []
        let files = covers ? view.files : nil
        if isCounter {
            let amount = 1 + random.below(9)
            let delta = try? replicas[index].state.increment(
                by: Quantity(Int64(amount)), dot: dot(index), now: now)
            // An increment takes along what it knows to be deleted of its own account.
            let gone = seen[index].subtracting(view.live).filter {
                if case .increment = log.operations[$0].what { return true }
                return false
            }.filter { log.operations[$0].owner == index }
            return note(
                index, .increment(amount), kills: stale.union(gone), files, delta, covers)
        }
        let element = ["a", "b", "c"][random.below(3)]
        let added = try? replicas[index].state.setAdd([bytes(element)], dot: dot(index), now: now)
        let replaced = view.live.filter { isAdd($0, element) }
        note(index, .add(element), kills: replaced.union(stale), files, added?.delta, covers)
    }

    private func isAdd(_ index: Int, _ element: String) -> Bool {
        if case .add(element) = log.operations[index].what { return true }
        return false
    }

    private mutating func removeElapsed(_ index: Int) {
        let view = log.view(seen[index])
        let delta = replicas[index].state.removeElapsed(dot: dot(index), now: now)
        guard delta != nil else { return }
        let gone = view.live.subtracting(view.visible(now)).union(view.files)
        note(index, .removal, kills: gone, nil, delta)
    }

    private mutating func note(
        _ index: Int, _ what: LifetimeLog.What, kills: Set<Int>, _ files: Set<Int>?,
        _ delta: Delta?, _ covers: Bool = false
    ) {
        guard var delta else { return }
        if covers { replicas[index].state.cover(&delta) }
        let own = log.operations.count
        var covered = seen[index].union([own])
        if covers { covered = covered.filter { $0 == own || log.operations[$0].owner == index } }
        log.operations.append(
            LifetimeLog.Operation(
                owner: index, dot: delta.dot, what: what, kills: kills,
                covers: Dictionary(uniqueKeysWithValues: (files ?? []).map { ($0, covered) })))
        seen[index].insert(own)
        deltas.append((delta, seen[index], own))
    }

    private func dot(_ index: Int) -> Dot {
        let newest = replicas[index].state.context.newest?.stamp.rawValue ?? 0
        return Dot(
            identity: replicas[index].identity,
            stamp: Stamp(rawValue: max(newest + 1, now << 16)))
    }

    mutating func send(_ random: inout PRNG) {
        let (source, target) = (random.below(3), random.below(3))
        if random.chance(perMille: 500), !deltas.isEmpty {
            let sent = deltas[random.below(deltas.count)]
            let carried = (try? decodedDelta(bytes(of: sent.delta))) ?? sent.delta
            if replicas[target].state.apply(carried) == .applied {
                // A delta needs what it stands upon, not all that its replica had seen.
                seen[target].insert(sent.index)
            }
            return
        }
        replicas[target].state.join(replicas[source].state)
        seen[target].formUnion(seen[source])
    }

    func words(_ index: Int) -> [String] {
        let state = replicas[index].state.withoutElapsed(now: now)
        if !isCounter { return state.setElements(now: now).map(text) }
        return state.string(now: now).map { [text($0)] } ?? []
    }
}

@Suite("A lifetime names what it was given to")
struct LifetimeTests {
    @Test(
        "whatever replicas do and however they meet, what is left is what no elapsed time covered",
        arguments: [false, true])
    func model(isCounter: Bool) {
        var random = PRNG(seed: 91)
        var elapsed = 0
        for _ in 0..<400 {
            var world = LifetimeWorld(isCounter: isCounter)
            for _ in 0..<40 {
                random.chance(perMille: 550)
                    ? world.act(random.below(3), &random) : world.send(&random)
                if random.chance(perMille: 200) { world.now += UInt64(random.below(12)) }
                for index in 0..<3 {
                    let expected = world.log.words(world.seen[index], now: world.now)
                    guard world.words(index) == expected else {
                        Issue.record("\(world.words(index)) is shown instead of \(expected)")
                        return
                    }
                    if world.replicas[index].state.hasElapsed(now: world.now) { elapsed += 1 }
                    for other in world.replicas
                    where other.state.context == world.replicas[index].state.context {
                        #expect(other.state == world.replicas[index].state)
                    }
                }
            }
        }
        #expect(elapsed > 100)
    }

    @Test("joining is commutative, associative, idempotent and inflationary")
    func laws() {
        var random = PRNG(seed: 92)
        for round in 0..<60 {
            var world = LifetimeWorld(isCounter: round % 2 == 0)
            var pool: [CRDTState] = []
            for _ in 0..<30 {
                random.chance(perMille: 600)
                    ? world.act(random.below(3), &random) : world.send(&random)
                if random.chance(perMille: 200) { world.now += UInt64(random.below(12)) }
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

    @Test("a later time is not undone by an add that came along with the former one")
    func prolonged() throws {
        var a = Replica(1)
        var b = Replica(2)
        _ = try a.state.setAdd(["x"], dot: a.dot(1), now: 1)
        _ = a.state.expire(at: 50, dot: a.dot(2), now: 2)
        b.join(a)
        _ = a.state.expire(at: 200, dot: a.dot(3), now: 3)
        let result = try b.state.setAdd(["y"], dot: b.dot(4), now: 4)
        var added = try #require(result.delta)
        b.state.cover(&added)
        #expect(a.state.apply(added) == .applied)
        #expect(a.state.effectiveExpiry == 200)
        #expect(a.state.setElements(now: 100) == ["x", "y"])
        #expect(a.state.type(now: 200) == nil)
    }
}
