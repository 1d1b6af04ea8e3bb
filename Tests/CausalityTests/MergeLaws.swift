import Base
import Testing

@testable import Causality

/// All states of one key over two identities with stamps up to 3, as two bit masks: which dots were
/// seen, and which are live. The second implementation of both policies works on the masks alone.
private struct SmallModel {
    struct State: Hashable {
        var seen: Int
        var live: Int
    }

    /// The dots in last-writer-wins order; the place in this array is the dot's bit.
    let dots = (1...3).flatMap { stamp in [dot(1, UInt64(stamp)), dot(2, UInt64(stamp))] }
    var states: [State] = []

    init() {
        for first in 0...3 {
            for second in 0...3 {
                let seen = mask(node: 1, upTo: first) | mask(node: 2, upTo: second)
                states += (0..<64).filter { $0 & ~seen == 0 }.map { State(seen: seen, live: $0) }
            }
        }
        states.removeAll { $0.seen == 0 }
    }

    private func mask(node: UInt16, upTo stamp: Int) -> Int {
        dots.indices.filter {
            dots[$0].identity.node.rawValue == node && dots[$0].stamp.rawValue <= UInt64(stamp)
        }.reduce(0) { $0 | 1 << $1 }
    }

    func set(_ state: State) -> SiblingSet {
        var set = SiblingSet()
        for bit in dots.indices where state.seen & 1 << bit != 0 { set.context.insert(dots[bit]) }
        set.siblings = dots.indices.filter { state.live & 1 << $0 != 0 }.map {
            Sibling(dot: dots[$0], expiry: UInt64($0), value: [UInt8($0)])
        }
        return set
    }

    func join(_ a: State, _ b: State) -> State {
        let dead = (a.seen & ~a.live) | (b.seen & ~b.live)
        return State(seen: a.seen | b.seen, live: (a.live | b.live) & ~dead)
    }

    /// Last-writer-wins keeps the highest bit, and of that only whether it is live. Its own dot
    /// then stands for its identity's earlier ones.
    func newest(_ state: State) -> State {
        let top = (0..<6).last { state.seen & 1 << $0 != 0 } ?? 0
        let newest = dots[top]
        let seen = mask(node: newest.identity.node.rawValue, upTo: Int(newest.stamp.rawValue))
        return State(seen: seen, live: state.live & 1 << top)
    }

    func merge(_ a: State, _ b: State, _ policy: ConflictPolicy) -> State {
        policy == .lww ? newest(join(a, b)) : join(a, b)
    }
}

@Suite("Laws of merging records")
struct MergeLaws {
    @Test(
        "on every pair of states of a small model the bytes follow the masks, both ways round",
        arguments: [ConflictPolicy.lww, .siblings])
    func smallModel(policy: ConflictPolicy) {
        let model = SmallModel()
        #expect(model.states.count == 224)
        let bytes = model.states.map { encoded(model.set($0)) }
        #expect(Set(bytes).count == 224)
        for (a, left) in zip(model.states, bytes) {
            for (b, right) in zip(model.states, bytes) {
                let expected = model.merge(a, b, policy)
                let result = merged(left, right, policy)
                let dropped = model.join(a, b).live.nonzeroBitCount - expected.live.nonzeroBitCount
                let isPlain = left[4] < 2 && right[4] < 2
                guard result.bytes == encoded(model.set(expected)),
                    result.droppedValues == (isPlain && policy == .lww ? 0 : dropped)
                else {
                    Issue.record("\(a) with \(b) under \(policy): \(result)")
                    return
                }
            }
        }
    }

    @Test(
        "merging is commutative, associative and idempotent on every triple of the small model",
        arguments: [ConflictPolicy.lww, .siblings])
    func triples(policy: ConflictPolicy) {
        let model = SmallModel()
        let bytes = model.states.map { encoded(model.set($0)) }
        let places = Dictionary(uniqueKeysWithValues: zip(bytes, bytes.indices))
        let n = bytes.count
        let table = bytes.flatMap { left in
            bytes.map { right in places[merged(left, right, policy).bytes] ?? -1 }
        }
        #expect(!table.contains(-1), "the model is closed")
        for a in 0..<n {
            let twice = table[a * n + a]
            #expect(table[twice * n + a] == twice)
            if policy == .siblings || bytes[a][4] < 2 { #expect(twice == a) }
        }
        let isLawful = table.withUnsafeBufferPointer { table in
            (0..<n).allSatisfy { a in
                (0..<n).allSatisfy { b in
                    let ab = table[a * n + b]
                    guard ab == table[b * n + a] else { return false }
                    return (0..<n).allSatisfy { c in
                        table[ab * n + c] == table[a * n + table[b * n + c]]
                    }
                }
            }
        }
        #expect(isLawful)
    }

    @Test(
        "records of random histories, also with one dot twice, obey the laws",
        arguments: [ConflictPolicy.lww, .siblings])
    func randomRecords(policy: ConflictPolicy) {
        var random = PRNG(seed: 77)
        for _ in 0..<25 {
            let pool = randomPool(&random)
            for _ in 0..<150 {
                let a = pool[random.below(pool.count)]
                let b = pool[random.below(pool.count)]
                let c = pool[random.below(pool.count)]
                let once = merged(nil, a, policy).bytes
                #expect(merged(once, a, policy).bytes == once)
                let ab = merged(a, b, policy).bytes
                #expect(ab == merged(b, a, policy).bytes)
                let left = merged(ab, c, policy).bytes
                #expect(left == merged(a, merged(b, c, policy).bytes, policy).bytes)
                #expect(merged(left, b, policy).bytes == left)
            }
        }
    }

    @Test(
        "a read's answers sum up to the same in every order, and stale is who differs from the sum",
        arguments: [ConflictPolicy.lww, .siblings])
    func answers(policy: ConflictPolicy) {
        var random = PRNG(seed: 78)
        for _ in 0..<40 {
            let pool = randomPool(&random)
            for _ in 0..<40 {
                let count = 1 + random.below(5)
                let answers: [[UInt8]?] = (0..<count).map { _ in
                    random.chance(perMille: 150) ? nil : pool[random.below(pool.count)]
                }
                var expected: [UInt8]?
                for case let answer? in answers {
                    expected = merged(expected, answer, policy).bytes
                }
                let (bytes, merge) = summed(answers, policy)
                #expect(bytes == expected)
                #expect(merge.stale == answers.indices.filter { answers[$0] != expected })
                #expect(summed(answers.shuffled(using: &random), policy).bytes == expected)
                if case .answer(let index) = merge.result {
                    #expect(index == answers.firstIndex { $0 == expected })
                }
            }
        }
    }

    /// Records of one key: what its replicas held at any time, some with a flipped content.
    private func randomPool(_ random: inout PRNG) -> [[UInt8]] {
        var world = World(replicas: 3)
        var pool: [[UInt8]] = []
        for _ in 0..<25 {
            let replica = random.below(3)
            switch random.below(8) {
            case 7: world.remove(at: replica)
            case 5: world.expire(at: replica, UInt64(random.below(3)))
            case 6: _ = world.sets[replica].spend(before: UInt64(random.below(4)))
            case 0, 1:
                let reader = random.below(world.contexts.count)
                world.write(at: replica, reader: reader, value: random.chance(perMille: 750))
                let minted = world.minted[world.minted.count - 1]
                pool.append(encoded(SiblingSet(dot: minted, value: [9, 9], expiry: 5)))
            case 2: world.read(at: replica)
            default: world.send(from: replica, to: random.below(3))
            }
            let set = world.sets[random.below(3)]
            if set.context.isEmpty { continue }
            pool.append(encoded(set))
            pool.append(encoded(corrupted(set, &random)))
        }
        return pool.isEmpty ? [encoded(SiblingSet(dot: dot(1, 1), value: nil))] : pool
    }

    /// The same dots with another content, as a broken disk might have it.
    private func corrupted(_ set: SiblingSet, _ random: inout PRNG) -> SiblingSet {
        var result = set
        result.siblings = set.siblings.map {
            if $0.isSpent { return $0 }
            return Sibling(
                dot: $0.dot, expiry: UInt64(random.below(2)), expiryDot: $0.expiryDot,
                value: $0.value + [UInt8](repeating: 1, count: random.below(2)))
        }
        return result
    }
}
