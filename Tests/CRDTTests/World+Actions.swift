import Base
import Causality

@testable import CRDT

/// What clients do in a schedule.
enum Profile: String, CaseIterable, Sendable {
    case string, flag, set, hash, sortedSet, list, boundedCounter, mixed

    var types: [CRDTType] {
        switch self {
        case .string: [.string]
        case .flag: [.flag]
        case .set: [.set]
        case .hash: [.hash]
        case .sortedSet: [.sortedSet]
        case .list: [.list]
        case .boundedCounter: [.boundedCounter]
        case .mixed: CRDTType.allCases
        }
    }
}

enum Action {
    case delete
    case set(String)
    case increment(Int)
    case enable
    case disable
    case add([String])
    case remove([String])
    case hashSet([(String, String)])
    case hashIncrement(String, Int)
    case hashRemove([String])
    case score(String, Double)
    case scoreIncrement(String, Double)
    case scoreRemove([String])
    case insert(at: Int, count: Int)
    case listSet(Int)
    case listRemove([Int])
    case create(Int, bound: Int)
    case mint(Int)
    case use(Int)
    case grant(Int, to: ReplicaIdentity)
}

extension World {
    /// Lets a client do something random at a replica, and writes down what it should mean.
    mutating func act(_ index: Int, _ profile: Profile) {
        let action = choose(index, profile)
        let dot = mint(index)
        let view = oracle.view(replicas[index].seen, now: now)
        let shown = view.type == .list ? replicas[index].state.listTexts(now: now) : []
        let number = oracle.ops.count
        let plan = Plan(action, view, replicas[index].identity, shown: shown, number: number)
        let before = replicas[index].state
        let delta = try? perform(action, index, dot, number)
        if (delta == nil) != (plan == nil) {
            fail("\(action) at \(view.words): \(delta == nil ? "refused" : "done")")
        }
        guard var delta, let plan else {
            reached.insert(.refused)
            if replicas[index].state != before { fail("\(action): refused, and changed something") }
            return
        }
        if compacts { replicas[index].state.sweep(&delta, through: stable()) }
        oracle.ops.append(
            Op(dot: dot, seen: replicas[index].seen, kills: plan.kills, escrow: plan.escrow))
        for (type, key, content) in plan.items {
            oracle.items.append(Item(op: number, type: type, key: key, content: content))
        }
        replicas[index].seen |= 1 << UInt64(number)
        messages.append(Message(from: index, delta: delta, ops: 1 << UInt64(number)))
        if case .insert(let place, let count) = action {
            let texts = (0..<count).map { "s\(number).\($0)v" }
            if replicas[index].state.listTexts(now: now)
                != shown[..<place] + texts + shown[place...]
            {
                fail("elements were not inserted where they should be")
            }
        }
        check(index)
    }

    private mutating func choose(_ index: Int, _ profile: Profile) -> Action {
        if random.chance(perMille: 60) { return .delete }
        let letters = ["a", "b", "c", "d"]
        func letter() -> String { letters[random.below(4)] }
        let amount = random.below(9) - 3
        let type = profile.types[random.below(profile.types.count)]
        let choice = random.below(10)
        switch type {
        case .string:
            let value = random.chance(perMille: 200) ? "x" : "\(random.below(50))"
            return choice < 3 ? .set(value) : .increment(amount)
        case .flag: return choice < 6 ? .enable : .disable
        case .set:
            let elements = choice % 2 == 0 ? [letter()] : [letter(), letter()]
            return choice < 6 ? .add(elements) : .remove(elements)
        case .hash:
            let value = random.chance(perMille: 200) ? "x" : "\(random.below(50))"
            if choice < 3 { return .hashSet([(letter(), "0"), (letter(), value)]) }
            return choice < 7
                ? .hashIncrement(letter(), amount) : .hashRemove([letter(), letter()])
        case .sortedSet:
            if choice < 3 { return .score(letter(), Double(amount)) }
            return choice < 7
                ? .scoreIncrement(letter(), Double(amount) / 2)
                : .scoreRemove([letter(), letter()])
        case .list: return chooseList(index, choice)
        case .boundedCounter:
            if choice < 1 { return .create(5 + amount, bound: 2) }
            if choice < 3 { return .mint(random.below(6)) }
            if choice < 7 { return .use(random.below(6)) }
            return .grant(random.below(6), to: replicas[random.below(replicas.count)].identity)
        }
    }

    private mutating func chooseList(_ index: Int, _ choice: Int) -> Action {
        let count = replicas[index].state.listCount(now: now)
        switch choice {
        case 0...1: return .insert(at: 0, count: 1 + random.below(2))
        case 2...3: return .insert(at: count, count: 1 + random.below(3))
        case 4...6: return .insert(at: random.below(count + 1), count: 1 + random.below(2))
        case 7: return .listSet(random.below(count + 1))
        case 8: return .listRemove([0])
        default: return .listRemove([random.below(count + 1), random.below(count + 1)])
        }
    }

    private mutating func perform(
        _ action: Action, _ index: Int, _ dot: Dot, _ number: Int
    ) throws(CRDTRefusal) -> Delta? {
        switch action {
        case .delete: return replicas[index].state.delete(dot: dot)
        case .set(let value):
            return try replicas[index].state.set(bytes(value), dot: dot)
        case .increment(let amount):
            return try replicas[index].state.increment(
                by: Quantity(Int64(amount)), dot: dot, now: now)
        case .enable: return try replicas[index].state.enable(dot: dot, now: now)
        case .disable: return try replicas[index].state.disable(dot: dot, now: now)
        case .add(let elements):
            return try replicas[index].state.setAdd(elements.map(bytes), dot: dot, now: now).delta
        case .remove(let elements):
            return try replicas[index].state.setRemove(
                elements.map(bytes), dot: dot, now: now)?.delta
        case .hashSet, .hashIncrement, .hashRemove, .score, .scoreIncrement, .scoreRemove:
            return try performKeyed(action, index, dot)
        case .insert, .listSet, .listRemove: return try performList(action, index, dot, number)
        case .create, .mint, .use, .grant: return try performBounded(action, index, dot)
        }
    }

    private mutating func performKeyed(
        _ action: Action, _ index: Int, _ dot: Dot
    ) throws(CRDTRefusal) -> Delta? {
        switch action {
        case .hashSet(let fields):
            let fields = fields.map { (field: bytes($0.0), value: bytes($0.1)) }
            return try replicas[index].state.hashSet(fields, dot: dot, now: now).delta
        case .hashIncrement(let field, let amount):
            return try replicas[index].state.hashIncrement(
                bytes(field), by: Quantity(Int64(amount)), dot: dot, now: now)
        case .hashRemove(let fields):
            return try replicas[index].state.hashRemove(
                fields.map(bytes), dot: dot, now: now)?.delta
        case .score(let member, let score):
            return try replicas[index].state.sortedSetAdd(
                [(bytes(member), score)], dot: dot, now: now
            ).delta
        case .scoreIncrement(let member, let amount):
            return try replicas[index].state.sortedSetIncrement(
                bytes(member), by: amount, dot: dot, now: now)
        case .scoreRemove(let members):
            return try replicas[index].state.sortedSetRemove(
                members.map(bytes), dot: dot, now: now)?.delta
        default: return nil
        }
    }

    private mutating func performList(
        _ action: Action, _ index: Int, _ dot: Dot, _ number: Int
    ) throws(CRDTRefusal) -> Delta? {
        switch action {
        case .insert(let place, let count):
            let elements = (0..<count).map { bytes("s\(number).\($0)v") }
            return try replicas[index].state.listInsert(elements, at: place, dot: dot, now: now)
        case .listSet(let place):
            let shown = replicas[index].state.listTexts(now: now)
            let text = place < shown.count ? slot(shown[place]) + "v\(number)" : ""
            return try replicas[index].state.listSet(bytes(text), at: place, dot: dot, now: now)
        case .listRemove(let places):
            return try replicas[index].state.listRemove(at: places, dot: dot, now: now)
        default: return nil
        }
    }

    private mutating func performBounded(
        _ action: Action, _ index: Int, _ dot: Dot
    ) throws(CRDTRefusal) -> Delta? {
        switch action {
        case .create(let value, let bound):
            return try replicas[index].state.boundedCreate(
                Int64(value), bound: Int64(bound), dot: dot, now: now)
        case .mint(let amount):
            return try replicas[index].state.boundedIncrement(by: Int64(amount), dot: dot, now: now)
        case .use(let amount):
            return try replicas[index].state.boundedDecrement(by: Int64(amount), dot: dot, now: now)
        case .grant(let amount, let receiver):
            return try replicas[index].state.boundedTransfer(
                Int64(amount), to: receiver, dot: dot, now: now)
        default: return nil
        }
    }
}
