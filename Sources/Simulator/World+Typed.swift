import Base

// What clients ask of typed keyspaces.
extension World {
    /// Powers of two that one key's increments have between them.
    private static let bitsMax = 50
    /// Elements that clients put there again and again.
    private static let sharedElements = 3

    func role(_ key: Int) -> TypedRole {
        if keyspace(of: key).life == .turned { return .mixed }
        let digits = history.keys[key].name.split(separator: UInt8(ascii: ":"))[1]
        return TypedRole(Int(String(decoding: digits, as: UTF8.self)) ?? 0)
    }

    func makeTypedRequest(_ index: Int, _ drawn: Int) {
        // One key of the run is hot, so that much happens to it at a time.
        let keyspace = keyspace(of: drawn)
        let isHot = clients[index].random.chance(perMille: 300)
        let hotName = Array("\(keyspace.name):\(keyspace.hotKey)".utf8)
        let hot = history.keys.firstIndex { $0.name == hotName }
        let key = isHot ? hot ?? drawn : drawn
        let role = role(key)
        let draw = clients[index].random.below(1_000)
        if role == .mixed { return makeAnything(index, key) }
        if sendAgain(index) { return }
        if plan.changesExpiries, clients[index].random.chance(perMille: 200) {
            return prolongTyped(index, key)
        }
        if plan.expiresTyped, role != .bounded, clients[index].random.chance(perMille: 40) {
            return expireTyped(index, key)
        }
        if role == .bounded { return draw < 300 ? readTyped(index, key) : bound(index, key) }
        if draw < 40 {
            readSeveralTyped(index, role)
        } else if draw < 300 {
            readTyped(index, key)
        } else if draw < 330 {
            remove(index, key, words("DEL"), TypedChange(removesAll: true))
        } else if draw < 480 {
            removeTyped(index, key)
        } else if draw < 600, [.counter, .hash, .sortedSet].contains(role) {
            increment(index, key)
        } else {
            addTyped(index, key)
        }
    }

    /// One request in the phases in which everything must succeed.
    func makeScriptedTyped(_ index: Int, _ key: Int) {
        guard phase == .writes else { return readTyped(index, key) }
        switch role(key) {
        case .bounded: bound(index, key)
        case .mixed:
            let command = words("SET") + [history.keys[key].name] + words("\(time)")
            change(index, key, .change, TypedChange(), command)
        case .counter, .set, .hash, .sortedSet, .list, .register: addTyped(index, key)
        }
    }

    private func keyspace(of key: Int) -> PlannedKeyspace {
        plan.keyspaces[history.keys[key].keyspace]
    }

    private func ask(
        _ index: Int, _ question: TypedQuestion, _ key: Int, _ name: [[UInt8]],
        _ arguments: [String]
    ) {
        let command = name + [history.keys[key].name] + arguments.map { Array($0.utf8) }
        ask(index, .typed(question), [], command)
    }

    private func change(
        _ index: Int, _ key: Int, _ question: TypedQuestion, _ change: TypedChange,
        _ command: [[UInt8]]
    ) {
        let write = operation(.write, key, level: keyspace(of: key).w, change: change)
        ask(index, .typed(question), [write], command)
    }

    // MARK: Reads

    private func readTyped(_ index: Int, _ key: Int) {
        let (role, keyspace) = (role(key), keyspace(of: key))
        let level = isLive ? keyspace.n : keyspace.r
        let read = operation(.read, key, level: level)
        let name = [history.keys[key].name]
        var command =
            switch role {
            case .counter, .register: words("GET") + name
            case .set: words("SMEMBERS") + name
            case .hash: words("HGETALL") + name
            case .sortedSet: words("ZRANGE") + name + words("0", "-1", "WITHSCORES")
            case .list: words("LRANGE") + name + words("0", "-1")
            case .bounded: words("QBOUND", "GET") + name
            case .mixed: words("TYPE") + name
            }
        if isLive, role != .mixed { command += words("R", "\(level)") }
        ask(index, .typed(.contents(role)), [read], command)
    }

    /// `MGET` of strings, or `SUNION` of sets.
    private func readSeveralTyped(_ index: Int, _ role: TypedRole) {
        let isUnion = role == .set
        let wanted: [TypedRole] = isUnion ? [.set] : [.counter, .register]
        let chosen = history.keys.indices.filter {
            keyspace(of: $0).isTyped && wanted.contains(self.role($0))
        }
        let reads = chosen.map { operation(.read, $0, level: keyspace(of: $0).r) }
        let names = chosen.map { history.keys[$0].name }
        let question = isUnion ? TypedQuestion.union : .several(chosen.map { self.role($0) })
        ask(index, .typed(question), reads, words(isUnion ? "SUNION" : "MGET") + names)
    }

    // MARK: Writes

    private func typedFilling(_ index: Int) -> Int {
        let isLarge = clients[index].random.chance(perMille: isLive ? 0 : 100)
        return clients[index].random.below(isLarge ? 2_500 : 30)
    }

    /// Puts a new element there, or one that others put there as well.
    private func addTyped(_ index: Int, _ key: Int) {
        let role = role(key)
        if role == .counter { return increment(index, key) }
        let number = history.operations.count
        let name = [history.keys[key].name]
        var element = History.value(number, filling: typedFilling(index))
        let isShared =
            [.set, .hash, .sortedSet].contains(role)
            && clients[index].random.chance(perMille: 250)
        if isShared {
            let shared = clients[index].random.below(World.sharedElements)
            element = Array("s\(shared) of ".utf8) + history.keys[key].name
        }
        var put = TypedChange(element: element)
        switch role {
        case .set: change(index, key, .change, put, words("SADD") + name + [element])
        case .hash: change(index, key, .change, put, words("HSET") + name + [element, element])
        case .sortedSet:
            change(index, key, .change, put, words("ZADD") + name + words("\(number)") + [element])
        case .register: change(index, key, .change, put, words("SET") + name + [element])
        case .list:
            let isLeft = clients[index].random.below(2) == 0
            let isOrdered = history.replicas(of: key).contains(clients[index].machine)
            let connection = clients[index].generation
            put.push = isOrdered ? .init(isLeft: isLeft, connection: connection) : nil
            changeOnce(
                index, key, .change, put, words(isLeft ? "LPUSH" : "RPUSH") + name + [element])
        case .counter, .bounded, .mixed: break
        }
    }

    /// Sends a request with an id again that was acknowledged or of which nothing is known, through
    /// whichever node.
    ///
    /// - Returns: false when there is none.
    func sendAgain(_ index: Int) -> Bool {
        guard !clients[index].usesSessions, !repeats.order.isEmpty,
            clients[index].random.below(5) == 0
        else { return false }
        let operation = repeats.order[clients[index].random.below(repeats.order.count)]
        guard let (answer, command) = repeats.requests[operation] else { return false }
        switch history.operations[operation].outcome {
        case .failed, .pending: return false
        case .acknowledged: ask(index, .typed(.anything), [], command)
        case .unknown:
            repeats.sentAgain.insert(operation)
            history.operations[operation].outcome = .pending
            ask(index, answer, [operation], command)
        }
        counters.requestsSentAgain += 1
        return true
    }

    /// Gives some requests an id, where every restart remembers it.
    private func changeOnce(
        _ index: Int, _ key: Int, _ question: TypedQuestion, _ put: TypedChange,
        _ command: [[UInt8]]
    ) {
        guard mayHaveID(index, key), clients[index].random.below(2) == 0 else {
            return change(index, key, question, put, command)
        }
        let write = operation(.write, key, level: keyspace(of: key).w, change: put)
        askOnce(index, .typed(question), write, command)
    }

    /// Whether every restart remembers what became of a request with an id.
    func mayHaveID(_ index: Int, _ key: Int) -> Bool {
        let mayForget =
            keyspace(of: key).mayBeInMemory || plan.mayForgetIDs(n: keyspace(of: key).n)
            || plan.mayStepClocks
            || plan.nodes == 1 && plan.mayMisleadClocks
        return !isLive && !mayForget && !clients[index].usesSessions
    }

    /// Asks with an id, under which the request may be sent again.
    func askOnce(
        _ index: Int, _ answer: Client.Request.Answer, _ write: Int, _ command: [[UInt8]]
    ) {
        let whole = words("IDEMPOTENCY", "i\(write)") + command
        repeats.requests[write] = (answer, whole)
        repeats.order.append(write)
        ask(index, answer, [write], whole)
    }

    /// Changes when a key expires, without any expiry elapsing in the run.
    private func prolongTyped(_ index: Int, _ key: Int) {
        let isString = [.counter, .register].contains(role(key))
        switch clients[index].random.below(isString ? 4 : 2) {
        case 0: ask(index, .anything, key, words("PERSIST"), [])
        case 1: ask(index, .anything, key, words("EXPIRE"), ["100000"])
        case 2: ask(index, .anything, key, words("GETEX"), ["PERSIST"])
        default: ask(index, .anything, key, words("GETEX"), ["PX", "200000000"])
        }
    }

    private func expireTyped(_ index: Int, _ key: Int) {
        let milliseconds = 50 + clients[index].random.below(2_000)
        let command = words("PEXPIRE") + [history.keys[key].name] + words("\(milliseconds)")
        change(index, key, .change, TypedChange(expires: milliseconds), command)
    }

    private func increment(_ index: Int, _ key: Int) {
        let bit = history.keys[key].increments
        guard bit < World.bitsMax else { return readTyped(index, key) }
        history.keys[key].increments += 1
        let name = [history.keys[key].name]
        let put = TypedChange(element: Array("b\(bit)".utf8))
        let amount = words("\(1 << bit)")
        switch role(key) {
        case .hash:
            let command = words("HINCRBY") + name + words("c") + amount
            changeOnce(index, key, .increment(bit: bit), put, command)
        case .sortedSet:
            let command = words("ZINCRBY") + name + amount + words("c")
            changeOnce(index, key, .increment(bit: bit), put, command)
        default:
            let command = bit == 0 ? words("INCR") + name : words("INCRBY") + name + amount
            changeOnce(index, key, .increment(bit: bit), put, command)
        }
    }

    private func remove(
        _ index: Int, _ key: Int, _ name: [[UInt8]], _ removal: TypedChange,
        _ question: TypedQuestion = .change
    ) {
        let arguments = removal.removes
        change(index, key, question, removal, name + [history.keys[key].name] + arguments)
    }

    private func removeTyped(_ index: Int, _ key: Int) {
        let role = role(key)
        let candidates = history.keys[key].writes.compactMap {
            history.operations[$0].change.element
        }.filter { !TypedChange.isNumber($0) }
        let isCounted = role == .hash || role == .sortedSet
        if isCounted, clients[index].random.below(3) == 0 { return removeNumbers(index, key) }
        guard !candidates.isEmpty else { return readTyped(index, key) }
        let shared = candidates.filter { $0.first == UInt8(ascii: "s") }
        let isShared = !shared.isEmpty && clients[index].random.below(2) == 0
        let chosen = isShared ? shared : candidates
        let element = chosen[clients[index].random.below(chosen.count)]
        let isPop = clients[index].random.below(3) == 0
        let removal = isPop ? TypedChange(pops: true) : TypedChange(removes: [element])
        switch role {
        case .set where isPop: remove(index, key, words("SPOP"), removal, .pop(role))
        case .set: remove(index, key, words("SREM"), removal)
        case .hash: remove(index, key, words("HDEL"), TypedChange(removes: [element]))
        case .sortedSet: remove(index, key, words("ZREM"), TypedChange(removes: [element]))
        case .list:
            let name = clients[index].random.below(2) == 0 ? "LPOP" : "RPOP"
            remove(index, key, words(name), TypedChange(pops: true), .pop(role))
        case .register:
            remove(index, key, words("GETDEL"), TypedChange(removesAll: true), .change)
        case .counter, .bounded, .mixed: readTyped(index, key)
        }
    }

    /// Removes all increments of a hash or sorted set, or puts 0 in their place.
    private func removeNumbers(_ index: Int, _ key: Int) {
        let isHash = role(key) == .hash
        let name = [history.keys[key].name]
        if clients[index].random.below(2) == 0 {
            let removal = TypedChange(removesNumbers: true)
            let command = words(isHash ? "HDEL" : "ZREM") + name + words("c")
            change(index, key, .change, removal, command)
        } else {
            let arguments = isHash ? words("c", "0") : words("0", "c")
            let command = words(isHash ? "HSET" : "ZADD") + name + arguments
            change(index, key, .change, TypedChange(replacesNumbers: true), command)
        }
    }

    private func bound(_ index: Int, _ key: Int) {
        let name = [history.keys[key].name]
        let isMade = history.keys[key].writes.contains {
            history.operations[$0].change.created != nil
                && history.operations[$0].outcome != .failed
        }
        let amount = 1 + clients[index].random.below(30)
        let draw = clients[index].random.below(100)
        if !isMade || draw < 2 && !isLive {
            let created = TypedChange(created: amount * 4)
            let command = words("QBOUND", "CREATE") + name + words("\(amount * 4)")
            change(index, key, .change, created, command)
        } else if isLive {
            readTyped(index, key)
        } else if draw < 12 {
            let node = 1 + clients[index].random.below(plan.nodes)
            ask(
                index, .anything, key, words("QBOUND", "GRANT"),
                ["\(amount)", "NODE", "\(node)"])
        } else {
            let adds = draw < 30
            let command = words("QBOUND", adds ? "INCR" : "DECR") + name + words("\(amount)")
            change(index, key, .change, TypedChange(amount: adds ? amount : -amount), command)
        }
    }

    /// A command of any family; whether it fits the key's type is left to chance.
    private func makeAnything(_ index: Int, _ key: Int) {
        let value = String(
            decoding: History.value(Int(time), filling: typedFilling(index)),
            as: UTF8.self)
        let commands: [[String]] = [
            ["GET"], ["SET", value], ["APPEND", value], ["INCRBY", "3"], ["DEL"], ["GETDEL"],
            ["SADD", "a", value], ["SREM", "a"], ["SPOP"], ["HSET", "f", value], ["HDEL", "f"],
            ["HINCRBY", "n", "2"], ["HINCRBY", "m", "3"], ["HDEL", "n", "f"],
            ["RPUSH", "x", value], ["LPUSH", value], ["LPOP"], ["RPOP"], ["ZADD", "1.5", "m"],
            ["ZINCRBY", "2.25", "m"], ["ZINCRBY", "2", "n"], ["ZREM", "m"], ["ZPOPMIN"],
            ["PEXPIRE", "\(20 + clients[index].random.below(2_000))"], ["PERSIST"], ["TYPE"],
            ["SMEMBERS"], ["HGETALL"], ["LRANGE", "0", "-1"], ["LSET", "0", value],
            ["LTRIM", "0", "4"], ["LREM", "0", "x"], ["INCRBYFLOAT", "0.5"], ["STRLEN"],
            ["SET", value, "PX", "\(50 + clients[index].random.below(2_000))"], ["SETNX", "7"],
        ]
        let chosen = commands[clients[index].random.below(commands.count)]
        ask(index, .anything, key, words(chosen[0]), Array(chosen.dropFirst()))
    }
}
