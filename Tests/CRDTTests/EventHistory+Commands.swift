/// What each command does, as Redis defines it, given what its node has seen.
extension EventHistory {
    /// Runs a command on a side of a cut.
    /// - Returns: whether it was taken; a refused one changes nothing.
    @discardableResult
    mutating func run(_ command: [String], on side: inout Side) -> Bool {
        removeElapsed(on: &side)
        let inherited = inheritance(side.seen)
        let arguments = Array(command.dropFirst(2))
        let seenType = type(side.seen)
        guard let type = EventHistory.type(of: command[0]) else {
            return generic(command[0], arguments, seenType, &side)
        }
        guard seenType.isEmpty || seenType == type else { return false }
        guard let effects = effects(command[0], type, arguments, &side) else { return false }
        guard !effects.isEmpty else { return true }
        // "The next write removes the other" type.
        let keeps = command[0] != "GETSET" && command[0] != "GETDEL"
        let lifetime = keeps ? inherited.map { [$0] } ?? [] : []
        record(effects + [.clear(except: type)] + lifetime, on: &side)
        return true
    }

    private static func type(of command: String) -> String? {
        switch command {
        case "INCR", "INCRBY", "DECR", "DECRBY", "INCRBYFLOAT", "APPEND", "GETDEL", "GETSET":
            "string"
        case "QFLAG": "flag"
        case "SADD", "SREM", "SPOP": "set"
        case "HSET", "HMSET", "HDEL", "HINCRBY", "HINCRBYFLOAT": "hash"
        case "ZADD", "ZREM", "ZINCRBY", "ZPOPMIN", "ZPOPMAX": "zset"
        case "LPUSH", "RPUSH", "LPUSHX", "RPUSHX", "LPOP", "RPOP", "LSET", "LINSERT", "LREM",
            "LTRIM":
            "list"
        default: nil
        }
    }

    /// SET and DEL take a key of any type.
    private mutating func generic(
        _ name: String, _ arguments: [String], _ type: String, _ side: inout Side
    ) -> Bool {
        switch name {
        case "SET":
            // SET key value, or SET key value PX milliseconds
            let time = arguments.count > 2 ? now + (Int(arguments[2]) ?? 0) : 0
            let lifetime: [Effect] =
                time > 0 ? [.inherit(order: events.count, time: time)] : []
            let value = Effect.put(Place(type: "string"), arguments[0])
            record([.clear(except: "string"), value] + lifetime, on: &side)
            side.order = []
        case "EXPIRE", "GETEX", "PERSIST":
            let time = name == "PERSIST" ? 0 : now + (Int(arguments[0]) ?? 0)
            if name == "GETEX", type != "string" { return true }
            guard !type.isEmpty, time > 0 || expiresInPart(side.seen) else { return true }
            record([.give(time), .clear(except: type)], on: &side)
        case "ELAPSE": break
        case "DEL", "UNLINK":
            if !type.isEmpty { record([.clear(except: nil)], on: &side) }
            side.order = []
        default:
            preconditionFailure("the model knows no \(name)")
        }
        return true
    }

    private func effects(
        _ name: String, _ type: String, _ arguments: [String], _ side: inout Side
    ) -> [Effect]? {
        switch type {
        case "string": stringEffects(name, arguments, side)
        case "flag": flagEffects(arguments, side)
        case "list": listEffects(name, arguments, &side)
        default: memberEffects(name, type, arguments, side)
        }
    }

    private func stringEffects(_ name: String, _ arguments: [String], _ side: Side) -> [Effect]? {
        let place = Place(type: "string")
        let value = parts("string", side.seen)[""]?.value
        switch name {
        case "GETDEL": return value == nil ? [] : [.clear(except: nil)]
        case "GETSET": return [.put(place, arguments[0])]
        case "APPEND": return [.put(place, (value ?? "") + arguments[0])]
        default:
            let isWhole = name != "INCRBYFLOAT"
            let amount = arguments.first.flatMap(Double.init) ?? 1
            return addition(
                place, name.hasPrefix("DECR") ? -amount : amount, to: value, isWhole: isWhole)
        }
    }

    /// - Returns: nil where what is there is no number of the kind.
    private func addition(
        _ place: Place, _ amount: Double, to value: String?, isWhole: Bool
    ) -> [Effect]? {
        guard let value else { return [.add(place, amount)] }
        guard isWhole ? Int64(value) != nil : Double(value) != nil else { return nil }
        return [.add(place, amount)]
    }

    /// "ENABLE beats DISABLE", which removes the ones that it has seen.
    private func flagEffects(_ arguments: [String], _ side: Side) -> [Effect]? {
        let flag = Place(type: "flag")
        if arguments[0] == "ENABLE" { return [.put(flag, "")] }
        return type(side.seen).isEmpty ? [] : [.clear(except: nil)]
    }

    private func memberEffects(
        _ name: String, _ type: String, _ arguments: [String], _ side: Side
    ) -> [Effect]? {
        let parts = parts(type, side.seen)
        func place(_ name: String) -> Place { Place(type: type, name: name) }
        switch name {
        case "SADD": return arguments.map { .put(place($0), "") }
        case "SREM", "HDEL", "ZREM":
            return arguments.filter { parts[$0] != nil }.map { .remove(place($0)) }
        case "SPOP":  // With as many as there are, so that chance has no say.
            return parts.keys.sorted().map { .remove(place($0)) }
        case "HSET", "HMSET":
            return stride(from: 0, to: arguments.count, by: 2).map {
                .put(place(arguments[$0]), arguments[$0 + 1])
            }
        case "ZADD":
            return stride(from: 0, to: arguments.count, by: 2).map {
                .put(place(arguments[$0 + 1]), arguments[$0])
            }
        case "HINCRBY", "HINCRBYFLOAT":
            return addition(
                place(arguments[0]), Double(arguments[1]) ?? 0, to: parts[arguments[0]]?.value,
                isWhole: name == "HINCRBY")
        case "ZINCRBY":
            let score = parts[arguments[1]].flatMap { Double($0.value) } ?? 0
            let amount = Double(arguments[0]) ?? 0
            return (score + amount).isNaN ? nil : [.add(place(arguments[1]), amount)]
        default:  // ZPOPMIN, ZPOPMAX
            let ranked = ranked(parts)
            let popped = name == "ZPOPMIN" ? ranked.first : ranked.last
            return popped.map { [.remove(place($0))] } ?? []
        }
    }

    /// Members by score, then by name.
    func ranked(_ parts: [String: Content]) -> [String] {
        parts.keys.sorted { a, b in
            let (x, y) = (Double(parts[a]?.value ?? "") ?? 0, Double(parts[b]?.value ?? "") ?? 0)
            return x == y ? a < b : x < y
        }
    }

    /// An element is named after the event that made it. Where it stands among those that its side
    /// sees is kept beside the events, see `ListOrder`.
    private func listEffects(
        _ name: String, _ arguments: [String], _ side: inout Side
    ) -> [Effect]? {
        let parts = parts("list", side.seen)
        side.order = side.order.filter { parts[$0] != nil }
        func index(_ text: String) -> Int {
            let index = Int(text) ?? 0
            return index < 0 ? side.order.count + index : index
        }
        switch name {
        case "LPUSH", "RPUSH", "LPUSHX", "RPUSHX":
            if name.hasSuffix("X"), side.order.isEmpty { return [] }
            return insertions(arguments, at: name.hasPrefix("L") ? 0 : nil, &side)
        case "LINSERT":
            guard let pivot = side.order.firstIndex(where: { parts[$0]?.value == arguments[1] })
            else { return [] }
            return insertions(
                [arguments[2]], at: arguments[0] == "BEFORE" ? pivot : pivot + 1, &side)
        case "LSET":
            let target = index(arguments[0])
            guard side.order.indices.contains(target) else { return nil }
            return [.put(Place(type: "list", name: side.order[target]), arguments[1])]
        case "LREM":
            let matches = side.order.filter { parts[$0]?.value == arguments[1] }
            let count = Int(arguments[0]) ?? 0
            let taken =
                count > 0
                ? matches.prefix(count) : count < 0 ? matches.suffix(-count) : matches[...]
            return drop(Array(taken), &side)
        case "LTRIM":
            let (first, last) = (max(index(arguments[0]), 0), index(arguments[1]))
            return drop(
                side.order.enumerated().filter { $0.offset < first || $0.offset > last }
                    .map(\.element), &side)
        default:  // LPOP, RPOP
            let count = min(arguments.first.flatMap(Int.init) ?? 1, side.order.count)
            return drop(
                Array(name == "LPOP" ? side.order.prefix(count) : side.order.suffix(count)), &side)
        }
    }

    private func insertions(
        _ values: [String], at index: Int?, _ side: inout Side
    ) -> [Effect] {
        values.enumerated().map { offset, value in
            let element = "\(events.count).\(offset)"
            // LPUSH puts one after the other in front; the others put them behind each other.
            side.order.insert(element, at: index ?? side.order.count)
            return .put(Place(type: "list", name: element), value)
        }
    }

    private func drop(_ elements: [String], _ side: inout Side) -> [Effect] {
        side.order.removeAll { elements.contains($0) }
        return elements.map { .drop(element: $0) }
    }
}
