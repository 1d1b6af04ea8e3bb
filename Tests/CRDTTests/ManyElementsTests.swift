import Base
import Causality
import Testing

@testable import CRDT

extension CRDTState {
    /// Removes elements by their places, in whatever order these are.
    mutating func listRemove(
        at places: [Int], dot: Dot, now: UInt64
    ) throws(CRDTRefusal) -> Delta? {
        try listRemove(at: Set(places).sorted().map { $0..<$0 + 1 }, dot: dot, now: now)
    }
}

/// README: a command with many elements is one command, whatever its size.
@Suite("Many elements in one command")
struct ManyElementsTests {
    private let identity = ReplicaIdentity(node: NodeID(1), epoch: 1)

    private func dot(_ stamp: UInt64) -> Dot {
        Dot(identity: identity, stamp: Stamp(rawValue: stamp))
    }

    private func dot(_ stamp: UInt64, of identity: ReplicaIdentity) -> Dot {
        Dot(identity: identity, stamp: Stamp(rawValue: stamp))
    }

    private func word(_ number: Int) -> Bytes { Bytes(Array("element:\(number)".utf8)) }

    /// Some numbers, in no order and some of them several times.
    private func numbers(_ count: Int, below bound: Int, _ random: inout PRNG) -> [Int] {
        (0..<count).map { _ in random.below(bound) }
    }

    @Test("keys come in ascending order, each once, and the last of equal ones counts")
    func ascending() {
        var random = PRNG(seed: 1)
        for _ in 0..<500 {
            let lengths = 1 + random.below(12)
            let given = (0..<random.below(60)).map { _ in
                Bytes((0..<random.below(lengths)).map { _ in UInt8(random.below(3)) })
            }
            let sorted = AscendingKeys(given)
            #expect(sorted.keys == Set(given).sorted())
            #expect(sorted.places == sorted.keys.map { given.lastIndex(of: $0) })
        }
    }

    @Test("sets, hashes and sorted sets hold what a model says, here and where the delta arrives")
    func models() throws {
        var random = PRNG(seed: 4)
        var (sets, hashes, scores) = (CRDTState(), CRDTState(), CRDTState())
        var (setCopy, hashCopy, scoreCopy) = (CRDTState(), CRDTState(), CRDTState())
        var (setModel, hashModel, scoreModel) = (Set<Bytes>(), [Bytes: Bytes](), [Bytes: Double]())
        for step in 1...40 {
            let stamp = dot(UInt64(step))
            let chosen = numbers(1 + random.below(1_200), below: 3_000, &random)
            let words = chosen.map(word)
            var deltas: [Delta?] = []
            if random.chance(perMille: 650) {
                let added = try sets.setAdd(words, dot: stamp, now: 0)
                #expect(added.added == Set(words).subtracting(setModel).count)
                let fields = words.enumerated().map { (field: $1, value: word($0 + step)) }
                let set = try hashes.hashSet(fields, dot: stamp, now: 0)
                let pairs = words.enumerated().map { (member: $1, score: Double($0 % 50)) }
                let scored = try scores.sortedSetAdd(pairs, dot: stamp, now: 0)
                #expect(set.added == added.added && scored.added == added.added)
                setModel.formUnion(words)
                for (field, value) in fields { hashModel[field] = value }
                for (member, score) in pairs { scoreModel[member] = score }
                deltas = [added.delta, set.delta, scored.delta]
            } else {
                let removed = try sets.setRemove(words, dot: stamp, now: 0)
                let fields = try hashes.hashRemove(words, dot: stamp, now: 0)
                let members = try scores.sortedSetRemove(words, dot: stamp, now: 0)
                #expect(removed?.removed ?? 0 == Set(words).intersection(setModel).count)
                setModel.subtract(words)
                for word in words { hashModel[word] = nil }
                for word in words { scoreModel[word] = nil }
                deltas = [removed?.delta, fields?.delta, members?.delta]
            }
            if let delta = deltas[0] { #expect(setCopy.apply(delta) == .applied) }
            if let delta = deltas[1] { #expect(hashCopy.apply(delta) == .applied) }
            if let delta = deltas[2] { #expect(scoreCopy.apply(delta) == .applied) }
            #expect(sets.setElements(now: 0) == setModel.sorted())
            #expect(hashes.hashFields(now: 0).map(\.field) == hashModel.keys.sorted())
            #expect(
                hashes.hashFields(now: 0).allSatisfy {
                    hashModel[$0.field].map { .bytes($0) } == $0.value
                })
            let order = scoreModel.sorted { ($0.value, $0.key) < ($1.value, $1.key) }
            let members = scores.members(0..<Int.max, now: 0)
            #expect(members.map(\.member) == order.map(\.key))
            #expect(members.map(\.score) == order.map(\.value))
            #expect(setCopy == sets && hashCopy == hashes && scoreCopy == scores)
        }
    }

    @Test("increments that a command with many elements has seen end with them")
    func increments() throws {
        let other = ReplicaIdentity(node: NodeID(2), epoch: 1)
        for isRemoval in [true, false] {
            var here = CRDTState()
            let words = (0..<300).map(word)
            let fields = words.map { (field: $0, value: Bytes(Array("5".utf8))) }
            _ = try here.hashSet(fields, dot: dot(1), now: 0)
            var there = here
            let grown = try there.hashIncrement(
                words[7], by: Quantity(3), dot: dot(2, of: other), now: 0)
            #expect(here.apply(grown) == .applied)
            if isRemoval {
                _ = try here.hashRemove(words, dot: dot(3), now: 0)
            } else {
                _ = try here.hashSet(fields, dot: dot(3), now: 0)
            }
            _ = try there.hashIncrement(
                words[7], by: Quantity(1), dot: dot(4, of: other), now: 0)
            here.join(there)
            let value = here.hashField(words[7], now: 0)
            #expect(value == .number(Quantity(isRemoval ? 1 : 6)))
        }
    }

    @Test("a list holds what an array says, here and where the delta arrives")
    func lists() throws {
        var random = PRNG(seed: 5)
        var (list, copy) = (CRDTState(), CRDTState())
        var model: [Bytes] = []
        for step in 1...80 {
            let stamp = dot(UInt64(step))
            let delta: Delta?
            if model.count < 100 || random.chance(perMille: 600) {
                let words = numbers(1 + random.below(700), below: 1_000, &random).map(word)
                let place = [0, model.count, random.below(model.count + 1)][random.below(3)]
                delta = try list.listInsert(words, at: place, dot: stamp, now: 0)
                model.insert(contentsOf: words, at: place)
            } else {
                let cuts = [random.below(model.count + 1), random.below(model.count + 1)].sorted()
                let ranges =
                    random.chance(perMille: 500)
                    ? [cuts[0]..<cuts[1]] : [0..<cuts[0], cuts[1]..<model.count + 5]
                delta = try list.listRemove(at: ranges, dot: stamp, now: 0)
                for range in ranges.reversed() {
                    model.removeSubrange(range.clamped(to: model.indices))
                }
            }
            if let delta { #expect(copy.apply(delta) == .applied) }
            #expect(list.listElements(0..<model.count, now: 0) == model)
            #expect(copy == list)
        }
    }

    @Test("elements are those of one moment, in whatever order they are asked for")
    func elements() throws {
        var random = PRNG(seed: 6)
        var state = CRDTState()
        let words = Set(numbers(5_000, below: 9_000, &random).map(word)).sorted()
        _ = try state.setAdd(words, dot: dot(1), now: 0)
        var members = state.setMembers(now: 0)
        let places = (0..<3_000).map { _ in random.below(words.count) }
        var chosen = members.choosing(places)
        _ = try state.setRemove(Array(words.prefix(4_000)), dot: dot(2), now: 0)
        #expect(members.count == words.count)
        #expect(chosen.byteCount(each: 2) == places.reduce(0) { $0 + words[$1].count + 2 })
        #expect(members.all() == words)
        #expect(members.count == 0)
        #expect(chosen.all() == places.map { words[$0] })

        var list = CRDTState()
        _ = try list.listInsert(words, at: 0, dot: dot(1), now: 0)
        for _ in 0..<20 {
            let cuts = [random.below(words.count), random.below(words.count)].sorted()
            var backwards = list.listRange(cuts[0]..<cuts[1], isReversed: true, now: 0)
            #expect(backwards.all() == words[cuts[0]..<cuts[1]].reversed())
            var forwards = list.listRange(cuts[0]..<cuts[1], now: 0)
            #expect(forwards.all() == Array(words[cuts[0]..<cuts[1]]))
        }
    }
}
