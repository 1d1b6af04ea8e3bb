import Base

// What the answers to typed commands say.
extension World {
    func settle(_ question: TypedQuestion, _ operations: [Int], _ reply: RedisReply) {
        if case .error(let text) = reply {
            for operation in operations {
                let isRead = history.operations[operation].kind == .read
                settle(operation, isRead ? .failed : World.outcome(of: text))
            }
            return
        }
        switch question {
        case .change: settleChange(operations[0], reply)
        case .increment(let bit): settleIncrement(operations[0], bit, reply)
        case .pop(let role): settlePop(operations[0], role, reply)
        case .contents(let role): settleContents(operations[0], role, reply)
        case .several(let roles): settleSeveral(operations, roles, reply)
        case .union: settleUnion(operations, reply)
        case .anything: break
        }
    }

    private func settleChange(_ operation: Int, _ reply: RedisReply) {
        let change = history.operations[operation].change
        if change.expires != nil, World.isNothing(reply) { return settle(operation, .failed) }
        if change.isRemoval, !change.replacesNumbers, World.isNothing(reply) {
            // It saw nothing, and so it was no write: others may have removed it just before.
            settle(operation, .failed)
            history.operations[operation].completed = time
            let problem = history.checkSawNothing(operation, &counters)
            if let problem { violate(problem) }
            return
        }
        settle(operation, .acknowledged)
        guard history.operations[operation].change.amount < 0 else { return }
        if let problem = history.checkTaken(from: history.operations[operation].key) {
            violate(problem)
        }
    }

    private func settleIncrement(_ operation: Int, _ bit: Int, _ reply: RedisReply) {
        settle(operation, .acknowledged)
        guard let number = World.number(reply), number >> bit & 1 == 1 else {
            return violate("an increment of 2^\(bit) was answered with \(World.text(reply))")
        }
    }

    private func settlePop(_ operation: Int, _ role: TypedRole, _ reply: RedisReply) {
        switch reply {
        case .null: settle(operation, .failed)
        case .bulk(let element):
            history.operations[operation].change.removes = [element]
            settle(operation, .acknowledged)
            let key = history.keys[history.operations[operation].key]
            if key.adds[element] == nil {
                violate("\(World.text(reply)) was popped, which nobody put there")
            }
        default: violate("a pop was answered with \(World.text(reply))")
        }
    }

    private func settleContents(_ operation: Int, _ role: TypedRole, _ reply: RedisReply) {
        history.operations[operation].completed = time
        history.operations[operation].outcome = .acknowledged
        if role == .mixed { return }
        if role == .bounded {
            let value = World.number(reply)
            let problem = history.checkBounded(operation, returned: value, &counters)
            if let problem { violate(problem) }
            return
        }
        guard let elements = World.elements(of: reply, role) else {
            return violate("a read of a \(role) was answered with \(World.text(reply))")
        }
        let problem = history.checkTyped(operation, role, returned: elements, &counters)
        if let problem { violate(problem) }
    }

    private func settleSeveral(
        _ operations: [Int], _ roles: [TypedRole], _ reply: RedisReply
    ) {
        guard case .array(let replies) = reply, replies.count == operations.count else {
            return violate("an MGET was answered with \(World.text(reply))")
        }
        for (operation, (role, reply)) in zip(operations, zip(roles, replies)) {
            settleContents(operation, role, reply)
        }
    }

    /// Elements name their keys, so that each key's can be told apart.
    private func settleUnion(_ operations: [Int], _ reply: RedisReply) {
        guard let elements = World.elements(of: reply, .set) else {
            return violate("a SUNION was answered with \(World.text(reply))")
        }
        var told = 0
        for operation in operations {
            history.operations[operation].completed = time
            history.operations[operation].outcome = .acknowledged
            let key = history.keys[history.operations[operation].key]
            let own = elements.filter { key.adds[$0] != nil }
            told += own.count
            let problem = history.checkTyped(operation, .set, returned: own, &counters)
            if let problem { violate(problem) }
        }
        if told != elements.count { violate("a SUNION returned what nobody put there") }
    }

    private static func isNothing(_ reply: RedisReply) -> Bool {
        switch reply {
        case .null, .integer(0): true
        case .simple, .error, .integer, .bulk, .array: false
        }
    }

    /// An integer, or a string or a score that is one.
    private static func number(_ reply: RedisReply) -> Int? {
        switch reply {
        case .integer(let number): return number
        case .bulk(let bytes):
            let text = String(decoding: bytes, as: UTF8.self)
            return Int(text) ?? Double(text).flatMap { Int(exactly: $0) }
        default: return nil
        }
    }

    /// A value's elements; nil for what is no such value.
    private static func elements(of reply: RedisReply, _ role: TypedRole) -> [[UInt8]]? {
        switch (role, reply) {
        case (.counter, .null), (.register, .null): return []
        case (.counter, _): return number(reply).flatMap { bits(of: $0) }
        case (.register, .bulk(let bytes)): return [bytes]
        case (.set, .array(let members)), (.list, .array(let members)):
            return members.compactMap { member in
                if case .bulk(let bytes) = member { bytes } else { nil }
            }
        case (.hash, .array(let words)), (.sortedSet, .array(let words)):
            return pairs(words, role)
        default: return nil
        }
    }

    private static func bits(of number: Int) -> [[UInt8]]? {
        guard number >= 0 else { return nil }
        return (0..<62).filter { number >> $0 & 1 == 1 }.map { Array("b\($0)".utf8) }
    }

    private static func pairs(_ words: [RedisReply], _ role: TypedRole) -> [[UInt8]]? {
        guard words.count % 2 == 0 else { return nil }
        var elements: [[UInt8]] = []
        for index in stride(from: 0, to: words.count, by: 2) {
            guard case .bulk(let name) = words[index] else { return nil }
            if name == [UInt8(ascii: "c")] {
                guard let number = number(words[index + 1]), let bits = bits(of: number) else {
                    return nil
                }
                elements += bits
                continue
            }
            if role == .hash, case .bulk(let value) = words[index + 1], value != name {
                return nil
            }
            elements.append(name)
        }
        return elements
    }
}
