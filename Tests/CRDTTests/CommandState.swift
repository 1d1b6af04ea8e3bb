import Base
import Causality

@testable import CRDT

/// A replica that runs commands as clients give them, on its state.
struct CommandReplica {
    let identity: ReplicaIdentity
    var state = CRDTState()

    init(_ node: UInt16) { identity = CRDTTests.identity(node) }

    /// - Returns: the delta; nil for a command that is refused or does nothing.
    mutating func run(_ command: [String], at time: UInt64) -> Delta? {
        let stamp = Stamp(milliseconds: time)
        let removal = state.removeElapsed(dot: Dot(identity: identity, stamp: stamp), now: time)
        let dot = Dot(identity: identity, stamp: stamp.next)
        let before = state
        let inherited = state.inheritance(now: time)
        do {
            guard var delta = try perform(command, dot, time) else { return removal }
            if let inherited {
                state.cover(&delta, by: inherited)
            } else {
                state.keepApart(&delta, from: before)
            }
            guard var first = removal else { return delta }
            precondition(first.append(delta), "what follows a removal empties nothing else")
            return first
        } catch {
            precondition(state == before, "a refused command changes nothing")
            return removal
        }
    }

    private mutating func perform(
        _ command: [String], _ dot: Dot, _ time: UInt64
    ) throws -> Delta? {
        let arguments = Array(command.dropFirst(2))
        switch command[0] {
        case "EXPIRE":
            let milliseconds = UInt64(arguments[0]) ?? 0
            return state.expire(at: time + milliseconds, dot: dot, now: time)
        case "GETEX":
            let milliseconds = UInt64(arguments[0]) ?? 0
            guard state.type(now: time) == .string else { return nil }
            return state.expire(at: time + milliseconds, dot: dot, now: time)
        case "PERSIST": return state.expire(at: 0, dot: dot, now: time)
        case "ELAPSE": return nil
        case "SET" where arguments.count > 2:
            let milliseconds = UInt64(arguments[2]) ?? 0
            return try state.set(bytes(arguments[0]), expiry: time + milliseconds, dot: dot)
        default: return try perform(command[0], arguments, dot)
        }
    }

    private mutating func perform(
        _ name: String, _ arguments: [String], _ dot: Dot
    ) throws -> Delta? {
        let words = arguments.map { bytes($0) }
        switch name {
        case "DEL", "UNLINK": return state.delete(dot: dot)
        case "SET": return try state.set(words[0], dot: dot)
        case "GETDEL": return state.string(now: 0) == nil ? nil : state.delete(dot: dot)
        case "GETSET", "APPEND":
            if let type = state.type, type != .string { return nil }
            let old = name == "GETSET" ? "" : state.string(now: 0).map(text) ?? ""
            let keeps = name == "APPEND" && state.type != nil
            return try state.set(bytes(old + arguments[0]), expiry: keeps ? nil : 0, dot: dot)
        case "INCR", "INCRBY", "DECR", "DECRBY", "INCRBYFLOAT":
            let amount = arguments.first ?? "1"
            let signed = name.hasPrefix("DECR") ? "-" + amount : amount
            return try increment(signed, isWhole: name != "INCRBYFLOAT", dot)
        case "QFLAG":
            return arguments[0] == "ENABLE"
                ? try state.enable(dot: dot, now: 0) : try state.disable(dot: dot, now: 0)
        case "SADD": return try state.setAdd(words, dot: dot, now: 0).delta
        case "SREM": return try state.setRemove(words, dot: dot, now: 0)?.delta
        case "SPOP": return try state.setRemove(state.setElements(now: 0), dot: dot, now: 0)?.delta
        default: return try performParts(name, arguments, dot)
        }
    }

    private mutating func increment(_ amount: String, isWhole: Bool, _ dot: Dot) throws -> Delta? {
        guard let amount = Quantity(decimal: amount.utf8) else { return nil }
        if isWhole, let value = state.string(now: 0), Int64(text(value)) == nil { return nil }
        return try state.increment(by: amount, dot: dot, now: 0)
    }

    private mutating func performParts(
        _ name: String, _ arguments: [String], _ dot: Dot
    ) throws -> Delta? {
        let words = arguments.map { bytes($0) }
        switch name {
        case "HSET", "HMSET":
            let fields = stride(from: 0, to: words.count, by: 2).map {
                (field: words[$0], value: words[$0 + 1])
            }
            return try state.hashSet(fields, dot: dot, now: 0).delta
        case "HDEL": return try state.hashRemove(words, dot: dot, now: 0)?.delta
        case "HINCRBY", "HINCRBYFLOAT":
            guard let amount = Quantity(decimal: arguments[1].utf8) else { return nil }
            if name == "HINCRBY", let value = state.hashField(words[0], now: 0),
                Int64(text(value)) == nil
            {
                return nil
            }
            return try state.hashIncrement(words[0], by: amount, dot: dot, now: 0)
        case "ZADD":
            let members = stride(from: 0, to: words.count, by: 2).map {
                (member: words[$0 + 1], score: Double(arguments[$0]) ?? 0)
            }
            return try state.sortedSetAdd(members, dot: dot, now: 0).delta
        case "ZINCRBY":
            let amount = Double(arguments[0]) ?? 0
            return try state.sortedSetIncrement(words[1], by: amount, dot: dot, now: 0)
        case "ZREM": return try state.sortedSetRemove(words, dot: dot, now: 0)?.delta
        case "ZPOPMIN", "ZPOPMAX":
            let all = state.members(0..<state.sortedSetCount(now: 0), now: 0)
            guard let popped = name == "ZPOPMIN" ? all.first : all.last else { return nil }
            return try state.sortedSetRemove([popped.member], dot: dot, now: 0)?.delta
        case "QBOUND": return try performBounded(arguments, dot)
        default: return try performList(name, arguments, dot)
        }
    }

    /// `QBOUND key action amount`, with the action behind the key as everywhere here.
    private mutating func performBounded(_ arguments: [String], _ dot: Dot) throws -> Delta? {
        let amount = Int64(arguments[1]) ?? 0
        switch arguments[0] {
        case "CREATE": return try state.boundedCreate(amount, dot: dot, now: 0)
        case "INCR": return try state.boundedIncrement(by: amount, dot: dot, now: 0)
        default: return try state.boundedDecrement(by: amount, dot: dot, now: 0)
        }
    }

    private mutating func performList(
        _ name: String, _ arguments: [String], _ dot: Dot
    ) throws -> Delta? {
        let words = arguments.map { bytes($0) }
        let texts = state.listTexts(now: 0)
        let isAbsent = state.type == nil
        func place(_ text: String) -> Int {
            let index = Int(text) ?? 0
            return index < 0 ? texts.count + index : index
        }
        switch name {
        case "LPUSHX" where isAbsent, "RPUSHX" where isAbsent: return nil
        case "LPUSH", "LPUSHX":
            return try state.listInsert(words.reversed(), at: 0, dot: dot, now: 0)
        case "RPUSH", "RPUSHX":
            return try state.listInsert(words, at: texts.count, dot: dot, now: 0)
        case "LINSERT":
            guard let pivot = texts.firstIndex(of: arguments[1]) else { return nil }
            return try state.listInsert(
                [words[2]], at: arguments[0] == "BEFORE" ? pivot : pivot + 1, dot: dot, now: 0)
        case "LSET": return try state.listSet(words[1], at: place(arguments[0]), dot: dot, now: 0)
        case "LREM":
            let found = texts.indices.filter { texts[$0] == arguments[1] }
            let count = Int(arguments[0]) ?? 0
            let taken =
                count > 0
                ? found.prefix(count)
                : count < 0 ? found.suffix(-count) : found[...]
            return try state.listRemove(at: Array(taken), dot: dot, now: 0)
        case "LTRIM":
            let kept = max(0, place(arguments[0]))...max(place(arguments[1]), place(arguments[0]))
            return try state.listRemove(
                at: texts.indices.filter { !kept.contains($0) }, dot: dot, now: 0)
        default:
            let count = min(arguments.first.flatMap(Int.init) ?? 1, texts.count)
            let range = name == "LPOP" ? 0..<count : texts.count - count..<texts.count
            return try state.listRemove(at: Array(range), dot: dot, now: 0)
        }
    }

    /// What clients read, but for the order of a list.
    ///
    /// - Parameter time: wall-clock milliseconds since 1970.
    func shown(at time: UInt64) -> [String] {
        let state = state.withoutElapsed(now: time)
        guard let type = state.type else { return [] }
        switch type {
        case .string: return ["string", state.string(now: 0).map(text) ?? ""]
        case .flag: return ["flag"]
        case .set: return ["set"] + state.setElements(now: 0).map(text)
        case .hash:
            return ["hash"] + state.hashFields(now: 0).map { "\(text($0.field))=\(text($0.value))" }
        case .sortedSet:
            let members = state.members(0..<state.sortedSetCount(now: 0), now: 0)
            return ["zset"] + members.map { "\(text($0.member))=\(text($0.score))" }
        case .list: return ["list"] + state.listTexts(now: 0).sorted()
        case .boundedCounter: return ["bounded", "\(state.boundedValue(now: 0) ?? 0)"]
        }
    }
}

extension EventHistory {
    /// The same by definition.
    func shown(_ seen: EventSet) -> [String] {
        let (type, parts) = visible(seen)
        switch type {
        case "": return []
        case "string": return [type, parts[""]?.value ?? ""]
        case "flag": return [type]
        case "set": return [type] + parts.keys.sorted()
        case "hash": return [type] + parts.keys.sorted().map { "\($0)=\(parts[$0]?.value ?? "")" }
        case "list": return [type] + parts.values.map(\.value).sorted()
        default: return [type] + ranked(parts).map { "\($0)=\(parts[$0]?.value ?? "")" }
        }
    }
}
