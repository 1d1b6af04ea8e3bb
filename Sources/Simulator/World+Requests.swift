import Base

// What clients ask, and what they make of the answers.
extension World {
    /// Makes one request.
    ///
    /// - Returns: false when there is nothing to ask now.
    func makeRequest(_ index: Int) -> Bool {
        if isLive { return makeScriptedRequest(index) }
        guard phase == .safety, clients[index].remaining > 0 else { return false }
        if tendSession(index) { return true }
        clients[index].remaining -= 1
        let draw = clients[index].random.below(1_000)
        let key = clients[index].random.below(history.keys.count)
        let keyspace = plan.keyspaces[history.keys[key].keyspace]
        if draw < 8 {
            alter(index)
        } else if draw < 60 {
            makeSeveral(index)
        } else if keyspace.isTyped {
            makeTypedRequest(index, key)
        } else if plan.changesExpiries || keyspace.isPlain,
            clients[index].random.chance(perMille: keyspace.isPlain ? 400 : 200)
        {
            prolong(index, key)
        } else if keyspace.isSiblings {
            draw < 480 ? readSiblings(index, key, level: nil) : writeSiblings(index, key)
        } else if sendAgain(index) {
            return true
        } else if draw < 450 {
            read(index, key, level: drawLevel(index, keyspace))
        } else if draw < 530 {
            delete(index, key)
        } else if draw < 570 {
            expire(index, key)
        } else {
            write(index, key, expires: draw < 600, level: drawLevel(index, keyspace))
        }
        return true
    }

    /// Mostly what the keyspace says; sometimes a level of the request's own.
    private func drawLevel(_ index: Int, _ keyspace: PlannedKeyspace) -> Int? {
        guard clients[index].random.chance(perMille: 100) else { return nil }
        let level = 1 + clients[index].random.below(keyspace.n)
        return keyspace.life == .resized ? nil : level
    }

    func operation(
        _ kind: History.Kind, _ key: Int, level: Int, replaces: [Int] = [],
        change: TypedChange = TypedChange()
    ) -> Int {
        let keyspace = history.keys[key].keyspace
        let isUsual = plan.keyspaces[keyspace].life == .resized && level != History.all
        return history.begin(
            .init(
                kind: kind, keyspace: keyspace, key: key, level: isUsual ? 0 : level,
                invoked: time, replaces: replaces, change: change))
    }

    func ask(
        _ index: Int, _ answer: Client.Request.Answer, _ operations: [Int], _ command: [[UInt8]]
    ) {
        clients[index].nextNumber += 1
        let request = Client.Request(
            number: clients[index].nextNumber, answer: answer, operations: operations)
        transmit(index, request, command)
    }

    func words(_ words: String...) -> [[UInt8]] { words.map { Array($0.utf8) } }

    func filling(_ index: Int) -> Int {
        let isLarge = clients[index].random.chance(perMille: 50)
        return clients[index].random.below(isLarge ? 3_000 : 60)
    }

    private func read(_ index: Int, _ key: Int, level: Int?) {
        let usual = plan.keyspaces[history.keys[key].keyspace].r
        let read = operation(.read, key, level: level ?? usual)
        var command = words("GET") + [history.keys[key].name]
        if level == nil { command += drawBound(index, read) }
        if let level { command += words("R", level == History.all ? "ALL" : "\(level)") }
        ask(index, .read, [read], command)
    }

    /// How stale a read may be, as often as the plan says.
    private func drawBound(_ index: Int, _ read: Int) -> [[UInt8]] {
        let keyspace = plan.keyspaces[history.operations[read].keyspace]
        guard keyspace.life == .fixed, !keyspace.isSloppy, plan.boundedReadsPerMille > 0,
            clients[index].random.chance(perMille: plan.boundedReadsPerMille)
        else { return [] }
        let milliseconds = [10, 100, 300, 500, 2_000][clients[index].random.below(5)]
        history.operations[read].staleness = .nanoseconds(milliseconds: UInt64(milliseconds))
        return words("STALENESS", "\(milliseconds)ms")
    }

    private func write(_ index: Int, _ key: Int, expires: Bool, level: Int?) {
        let usual = plan.keyspaces[history.keys[key].keyspace].w
        let write = operation(.write, key, level: level ?? usual)
        let value = History.value(write, filling: filling(index))
        var command = words("SET") + [history.keys[key].name, value]
        if expires { history.noteExpiry(of: key) }
        if expires { command += words("PX", "\(50 + clients[index].random.below(3_000))") }
        if let level { command += words("W", "\(level)") }
        guard level == nil, mayHaveID(index, key), clients[index].random.below(5) == 0 else {
            return ask(index, .write, [write], command)
        }
        // What has little time ends while it may or may not have happened.
        if clients[index].random.below(2) == 0 {
            command += words("TIMEOUT", "\(1 + clients[index].random.below(30))")
        }
        askOnce(index, .write, write, command)
    }

    private func delete(_ index: Int, _ key: Int) {
        guard history.keys[key].openDelete == nil, !history.keys[key].hasLostDelete else {
            return read(index, key, level: nil)
        }
        let level = plan.keyspaces[history.keys[key].keyspace].w
        let delete = operation(.delete, key, level: level)
        ask(index, .write, [delete], words("DEL") + [history.keys[key].name])
    }

    private func expire(_ index: Int, _ key: Int) {
        history.noteExpiry(of: key)
        let milliseconds = 50 + clients[index].random.below(3_000)
        ask(
            index, .expire, [],
            words("PEXPIRE") + [history.keys[key].name] + words("\(milliseconds)"))
    }

    /// Changes when a key expires, without any expiry elapsing in the run.
    private func prolong(_ index: Int, _ key: Int) {
        let name = history.keys[key].name
        switch clients[index].random.below(3) {
        case 0: ask(index, .expire, [], words("PERSIST") + [name])
        case 1: ask(index, .expire, [], words("EXPIRE") + [name] + words("100000"))
        default: ask(index, .expire, [], words("GETEX") + [name] + words("PX", "200000000"))
        }
    }

    private func readSiblings(_ index: Int, _ key: Int, level: Int?) {
        let usual = plan.keyspaces[history.keys[key].keyspace].r
        let read = operation(.read, key, level: level ?? usual)
        var command = words("QGET") + [history.keys[key].name]
        if level == nil { command += drawBound(index, read) }
        if let level { command += words("R", "\(level)") }
        ask(index, .siblings, [read], command)
    }

    private func writeSiblings(_ index: Int, _ key: Int) {
        if plan.keyspaces[history.keys[key].keyspace].isPlain {
            return writePlainSiblings(index, key)
        }
        while clients[index].contexts.count <= key { clients[index].contexts.append(nil) }
        let mayCover = clients[index].random.below(3) > 0 || isLive
        let context = mayCover ? clients[index].contexts[key] : nil
        clients[index].contexts[key] = nil
        let level = plan.keyspaces[history.keys[key].keyspace].w
        let deletes = context != nil && clients[index].random.chance(perMille: 150)
        let write = operation(
            deletes ? .delete : .write, key, level: level, replaces: context?.values ?? [])
        var command = words(deletes ? "QDEL" : "QSET") + [history.keys[key].name]
        if !deletes {
            command.append(
                history.siblingValue(write, filling: clients[index].random.below(60)))
        }
        if let context { command += words("CONTEXT") + [context.token] }
        ask(index, .write, [write], command)
    }

    /// `MGET` or `MSET` over keyspaces that keep one value.
    private func makeSeveral(_ index: Int) {
        let plain = history.keys.indices.filter {
            let keyspace = plan.keyspaces[history.keys[$0].keyspace]
            return !keyspace.isSiblings && !keyspace.isTyped
        }
        let first = clients[index].random.below(plain.count)
        let count = min(plain.count, 1 + clients[index].random.below(4))
        let chosen = (0..<count).map { plain[(first + $0) % plain.count] }
        let writes = clients[index].random.below(2) == 0
        var command = words(writes ? "MSET" : "MGET")
        var operations: [Int] = []
        for key in chosen {
            let keyspace = plan.keyspaces[history.keys[key].keyspace]
            command.append(history.keys[key].name)
            if writes {
                operations.append(operation(.write, key, level: keyspace.w))
                command.append(
                    History.value(operations[operations.count - 1], filling: filling(index)))
            } else {
                operations.append(operation(.read, key, level: keyspace.r))
            }
        }
        ask(index, .several, operations, command)
    }

    /// Changes what no promise depends on, on either side of whatever is cut.
    private func alter(_ index: Int) {
        let keyspace = plan.keyspaces[clients[index].random.below(plan.keyspaces.count)]
        let setting =
            switch clients[index].random.below(3) {
            case 0: "readrepair=\(clients[index].random.below(1_000))"
            case 1: "timeout=\(100 + clients[index].random.below(500))"
            default: "hedge=\(PlannedKeyspace.hedges[clients[index].random.below(5)])"
            }
        ask(index, .definition, [], words("KEYSPACE", "ALTER", keyspace.name, setting))
    }

    // MARK: The phases in which everything must succeed

    private func makeScriptedRequest(_ index: Int) -> Bool {
        if endSession(index) { return true }
        if let key = clients[index].crowded.popLast() {
            readSiblings(index, key, level: nil)
            return true
        }
        guard let key = clients[index].script.popLast() else { return false }
        let keyspace = plan.keyspaces[history.keys[key].keyspace]
        if phase == .burying {
            buryKey(index, key)
        } else if keyspace.isTyped {
            makeScriptedTyped(index, key)
        } else if phase == .writes {
            keyspace.isSiblings
                ? writeSiblings(index, key) : write(index, key, expires: false, level: nil)
        } else if keyspace.isSiblings {
            readSiblings(index, key, level: keyspace.n)
        } else {
            read(index, key, level: keyspace.life == .resized ? History.all : keyspace.n)
        }
        return true
    }
}

// Answers.
extension World {
    /// Whether a request may fail although everything is healed: what an operator ordered while
    /// there were faults may take longer than healing, a typed value may be as large as it can be.
    private func mayFail(_ request: Client.Request, _ failure: String) -> Bool {
        if case .administration = request.answer { return true }
        return failure.hasPrefix("ERR the value would be larger")
    }

    func settle(_ request: Client.Request, _ reply: RedisReply, _ index: Int) {
        if reply.failure?.hasPrefix("DISKFULL") == true { counters.diskFullRefusals += 1 }
        if isLive, let failure = reply.failure {
            if case .bury(let key) = request.answer, failure.hasPrefix("OVERLOADED") {
                clients[index].script.append(key)
                return scheduleClient(index, after: 20_000_000)
            }
            let isCrowded = failure.hasPrefix("SIBLINGS too many")
            if isCrowded || failure.hasPrefix("OVERLOADED"),
                let operation = request.operations.first
            {
                settle(operation, .failed)
                let key = history.operations[operation].key
                clients[index].script.append(key)
                // Whoever has read a key can always write it.
                if isCrowded { clients[index].crowded.append(key) }
                return scheduleClient(index, after: 20_000_000)
            }
            guard mayFail(request, failure) else {
                return violate("everything is healed, and a request fails: -\(failure)")
            }
        }
        switch request.answer {
        case .write: settleWrite(request.operations[0], reply)
        case .read: settleRead(request.operations[0], reply)
        case .siblings: settleSiblings(request.operations[0], reply, index)
        case .several: settleSeveral(request.operations, reply)
        case .expire, .bury: break
        case .typed(let question): settle(question, request.operations, reply)
        case .told: clients[index].told.append(reply)
        case .administration(let change): settle(change, reply, index)
        case .definition: if case .simple = reply { counters.definitionsChanged += 1 }
        case .session(let change): settle(change, reply, index)
        }
        settleSession(request, reply, index)
        advanceWhenDone()
    }

    private func settleSeveral(_ operations: [Int], _ reply: RedisReply) {
        if case .array(let replies) = reply, replies.count == operations.count {
            for (operation, reply) in zip(operations, replies) { settleRead(operation, reply) }
        } else if case .simple("OK") = reply {
            for operation in operations { settle(operation, .acknowledged) }
        } else {
            // A refusal by name says of a change that nothing of it has happened.
            let outcome = reply.failure.map { World.outcome(of: $0) } ?? .unknown
            for operation in operations {
                let isWrite = history.operations[operation].kind == .write
                settle(operation, isWrite ? outcome : .unknown)
            }
        }
    }

    private func settleWrite(_ operation: Int, _ reply: RedisReply) {
        switch reply {
        case .simple, .integer: settle(operation, .acknowledged)
        case .error(let text): settle(operation, World.outcome(of: text))
        case .bulk, .null, .array: violate("a write was answered with \(World.text(reply))")
        }
    }

    /// What an error says about a write.
    static func outcome(of text: String) -> History.Outcome {
        text.hasPrefix("UNKNOWN") || text.hasPrefix("CONFLICT") ? .unknown : .failed
    }

    func settle(_ operation: Int, _ outcome: History.Outcome) {
        guard history.operations[operation].outcome == .pending else { return }
        var outcome = outcome
        // What is refused when it is sent again may have taken effect before.
        if outcome == .failed, repeats.sentAgain.contains(operation) { outcome = .unknown }
        history.operations[operation].outcome = outcome
        history.operations[operation].completed = outcome == .unknown ? .max : time
        guard history.operations[operation].kind != .read else { return }
        switch outcome {
        case .acknowledged: counters.acknowledged += 1
        case .unknown: counters.unknown += 1
        case .failed, .pending: counters.failed += 1
        }
        if history.operations[operation].kind == .delete {
            history.closeDelete(operation, isLost: outcome == .unknown)
        }
        if let problem = history.checkOutcome(of: operation, gap: clockGap) { violate(problem) }
        guard repeats.requests[operation] != nil else { return }
        if let problem = history.checkOrder(ofOnce: operation) { violate(problem) }
    }

    /// Nanoseconds that two clocks differ at most, with what a stamp rounds.
    private var clockGap: UInt64 { .nanoseconds(milliseconds: UInt64(plan.skewMax) + 10) }

    private func settleRead(_ operation: Int, _ reply: RedisReply) {
        history.operations[operation].completed = time
        switch reply {
        case .bulk(let bytes):
            guard let value = history.operation(of: bytes) else {
                return violate("a read returned a value that nobody wrote: \(World.text(reply))")
            }
            check(operation, value)
        case .null: check(operation, nil)
        case .error: history.operations[operation].outcome = .failed
        case .simple, .integer, .array: violate("a read was answered with \(World.text(reply))")
        }
    }

    private func check(_ operation: Int, _ value: Int?) {
        history.operations[operation].outcome = .acknowledged
        let problem = history.check(operation, returned: value, wallMax: wallMax, &counters)
        if let problem { violate(problem) }
    }

    private var wallMax: UInt64 { wallSeen }

    private func settleSiblings(_ operation: Int, _ reply: RedisReply, _ index: Int) {
        history.operations[operation].completed = time
        if case .error = reply {
            history.operations[operation].outcome = .failed
            return
        }
        guard case .array(let elements) = reply, case .bulk(let token) = elements.first else {
            return violate("a read of siblings was answered with \(World.text(reply))")
        }
        let key = history.operations[operation].key
        let keyspace = history.keys[key].keyspace
        let isUnited = plan.keyspaces[keyspace].overflow == .union
        var values: [Int] = []
        for element in elements.dropFirst() {
            guard case .bulk(let bytes) = element,
                let found = history.operations(of: bytes, in: keyspace)
            else {
                return violate("a read returned a value that nobody wrote: \(World.text(element))")
            }
            // What two nodes united at once may overlap; one value never stands twice in a union.
            let others = isUnited ? Set(values) : []
            if isUnited, others.isSuperset(of: found), others.count == found.count {
                return violate("a read returned one union twice: \(World.text(element))")
            }
            values += found.filter { !others.contains($0) }
        }
        history.operations[operation].outcome = .acknowledged
        while clients[index].contexts.count <= key { clients[index].contexts.append(nil) }
        clients[index].contexts[key] = (token, values)
        let problem = history.checkSiblings(operation, returned: values, &counters)
        if let problem { violate(problem) }
    }
}
