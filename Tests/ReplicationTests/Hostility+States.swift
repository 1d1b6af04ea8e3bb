import Base
import Causality
import Coding

@testable import CRDT
@testable import Replication

// Mergeable states and deltas, made by the types' own mutations under stamps and names of any kind.
extension Hostility {
    private static let amounts: [Quantity] = [
        Quantity(0), Quantity(1), Quantity(-1), Quantity(.max), Quantity(.min),
        Quantity(rawValue: 1), Quantity(rawValue: .max), Quantity(rawValue: .min),
    ]
    private static let scores: [Double] = [
        0, 1, -1, .infinity, -.infinity, .greatestFiniteMagnitude, -.greatestFiniteMagnitude,
        .leastNonzeroMagnitude,
    ]

    private mutating func word() -> Bytes {
        one(of: ["a", "b", "c", "", "7", "9223372036854775807"])
    }

    /// Dots in the order in which they can follow one another.
    private mutating func dots(_ count: Int) -> [Dot] {
        var ascending: [Dot] = []
        for dot in (0..<count).map({ _ in dot() }).sorted()
        where dot.stamp > ascending.last?.stamp ?? Stamp(rawValue: 0) { ascending.append(dot) }
        return ascending
    }

    mutating func state() -> CRDTState {
        var state = CRDTState()
        for dot in dots(1 + random.below(7)) { _ = mutate(&state, dot) }
        if random.below(4) == 0 {
            // Another side, which knew nothing of it.
            var other = CRDTState()
            for dot in dots(1 + random.below(4)) { _ = mutate(&other, dot) }
            state.join(other)
        }
        if state.context.isEmpty || random.below(20) == 0 {
            let more = context()
            for dot in more.entries where dot.stamp.rawValue > 0 { state.context.insert(dot) }
        }
        if state.context.isEmpty {
            state.context.insert(Dot(identity: identity(), stamp: .init(rawValue: 1)))
        }
        return state
    }

    /// A key, and what was done to it last.
    mutating func delta() -> [UInt8] {
        var state = CRDTState()
        var delta: Delta?
        while delta == nil {
            for dot in dots(1 + random.below(5)) { delta = mutate(&state, dot) ?? delta }
        }
        guard var made = delta else { return [] }
        if random.below(3) == 0 { made.grounds.join(context()) }
        let key = key()
        return encoded { buffer in
            key.withUnsafeBytes { DeltaRecord.encode(made, of: $0, into: &buffer) }
        }
    }

    /// Does one thing of any type, as a node would.
    private mutating func mutate(_ state: inout CRDTState, _ dot: Dot) -> Delta? {
        guard state.context.newest.map({ $0.stamp < dot.stamp }) ?? true else { return nil }
        let inherited = state.inheritance(now: 0)
        let before = state
        guard var delta = change(&state, dot) else { return nil }
        switch random.below(4) {
        case 0: break
        case 1, 2:
            if let inherited { state.cover(&delta, by: inherited) }
        default:
            if inherited == nil { state.keepApart(&delta, from: before) }
        }
        return delta
    }

    private mutating func change(_ state: inout CRDTState, _ dot: Dot) -> Delta? {
        let word = word()
        switch random.below(12) {
        case 0: return try? state.set(word, expiry: one(of: [nil, expiry()]), dot: dot)
        case 1: return try? state.increment(by: one(of: Hostility.amounts), dot: dot, now: 0)
        case 2: return try? state.enable(dot: dot, now: 0)
        case 3: return state.delete(dot: dot)
        case 4, 5: return state.expire(at: expiry(), dot: dot, now: 0)
        case 6: return state.removeElapsed(dot: dot, now: one(of: [wall, .max]))
        default: return changeElements(&state, word, dot)
        }
    }

    private mutating func changeElements(
        _ state: inout CRDTState, _ word: Bytes, _ dot: Dot
    ) -> Delta? {
        switch state.type ?? one(of: CRDTType.allCases) {
        case .string, .flag: return try? state.disable(dot: dot, now: 0)
        case .set:
            return random.below(3) == 0
                ? (try? state.setRemove([word], dot: dot, now: 0))?.delta
                : (try? state.setAdd([word, self.word()], dot: dot, now: 0))?.delta
        case .hash:
            switch random.below(3) {
            case 0: return (try? state.hashRemove([word], dot: dot, now: 0))?.delta
            case 1: return (try? state.hashSet([(word, self.word())], dot: dot, now: 0))?.delta
            default:
                let amount = one(of: Hostility.amounts)
                return try? state.hashIncrement(word, by: amount, dot: dot, now: 0)
            }
        case .sortedSet:
            let score = one(of: Hostility.scores)
            switch random.below(3) {
            case 0: return (try? state.sortedSetRemove([word], dot: dot, now: 0))?.delta
            case 1: return (try? state.sortedSetAdd([(word, score)], dot: dot, now: 0))?.delta
            default: return try? state.sortedSetIncrement(word, by: score, dot: dot, now: 0)
            }
        case .list:
            let count = state.listCount(now: 0)
            if count > 0, random.below(2) == 0 {
                let index = random.below(count)
                return random.below(2) == 0
                    ? try? state.listSet(word, at: index, dot: dot, now: 0)
                    : try? state.listRemove(at: [index..<index + 1], dot: dot, now: 0)
            }
            return try? state.listInsert(
                [word, self.word()], at: random.below(count + 1), dot: dot, now: 0)
        case .boundedCounter: return changeBounded(&state, dot)
        }
    }

    private mutating func changeBounded(_ state: inout CRDTState, _ dot: Dot) -> Delta? {
        let amount = one(of: [0, 1, 10, .max] as [Int64])
        switch random.below(4) {
        case 0:
            return try? state.boundedCreate(
                amount, bound: one(of: [0, 1, .min]), dot: dot, now: 0)
        case 1: return try? state.boundedIncrement(by: amount, dot: dot, now: 0)
        case 2: return try? state.boundedDecrement(by: amount, dot: dot, now: 0)
        default: return try? state.boundedTransfer(amount, to: identity(), dot: dot, now: 0)
        }
    }
}
