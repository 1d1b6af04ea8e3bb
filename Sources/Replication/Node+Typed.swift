import Base
import CRDT
import Causality
import Coding
import Quorum
import RESP
import Ring

// Commands on crdt keyspaces: find the key, bring its state up to date as far as the levels ask
// for, run the command on it (`TypedExecution`), and send what that did to the other replicas.
//
// Any replica takes any command. It first hears R replicas, so that it sees what they had
// acknowledged: also one that only adds, because a SET replaces the increments that it sees, a push
// goes behind the elements that it sees, and what they answer is what is there. With R=1 a replica
// does it at once, on both sides of a partition.
extension Node {
    /// Runs a request with one key if that is in a crdt keyspace.
    ///
    /// - Returns: false, and nothing has happened, when it is not.
    mutating func runTyped(
        _ name: CommandName, _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) -> Bool {
        let keys = CommandTable.description(of: name).keys
        let isOne = keys.last == keys.first
            || keys.first == 1 && request.count == 2 && name != .mget
        guard keys.first > 0, isOne, isTyped(catalog.index(of: request[keys.first])) else {
            return false
        }
        let options = try ConsistencyOptions(trailing: name, request)
        runTyped(name, keys.first, options, target, &effects)
        return true
    }

    /// A command that only crdt keyspaces serve, on a key elsewhere or on several keys.
    mutating func typed(
        _ name: CommandName, _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        switch name {
        case .sunion: combineSets(.union, keys: 1..<request.count, target, &effects)
        case .sinter: combineSets(.intersection, keys: 1..<request.count, target, &effects)
        case .sdiff: combineSets(.difference, keys: 1..<request.count, target, &effects)
        case .sintercard:
            let options = try IntersectionOptions(request)
            combineSets(
                .intersectionCount(limit: options.limit), keys: options.keys, target, &effects)
        case .smove: fail(target, "MODE SMOVE changes two keys in one step", &effects)
        default:
            fail(target, text: "MODE \(name.text) needs a keyspace with conflict=crdt", &effects)
        }
    }

    /// Reads several sets, each where it is, and puts them together.
    private mutating func combineSets(
        _ combination: GatherOperation.Combination, keys: Range<Int>, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        gather(combination, .members, keys, target, &effects)
    }

    /// Reads one of several sets.
    mutating func readMembers(at index: Int, _ place: ReplyTarget, _ effects: inout Effects) {
        guard isTyped(catalog.index(of: request[index])) else {
            return fail(place, "MODE sets need a keyspace with conflict=crdt", &effects)
        }
        runTyped(.smembers, index, .none, place, &effects)
    }

    /// Runs one key's part of a request.
    ///
    /// - Parameter index: of the key among the arguments.
    mutating func runTyped(
        _ name: CommandName, _ index: Int, _ options: ConsistencyOptions, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        let key = request[index]
        let location = place(of: key)
        let (keyspace, isWrite) = (location.keyspace, name.writes(request))
        guard
            let reads = typedReadLevels(options, keyspace, isWrite: isWrite, target, &effects)
        else { return }
        var writes: WriteLevels?
        if isWrite {
            writes = writeLevels(options, keyspace, target, &effects)
            if writes == nil { return }
        }
        let timeout = writes?.timeoutMilliseconds ?? reads.timeoutMilliseconds
        guard coordinates(location) else {
            let part = part(name, index)
            return forward(
                part.bytes, to: location, timeoutMilliseconds: timeout, target, &effects)
        }
        effects.beginStep()
        guard isWrite || reads.readQuorum > 1 || isWhole(location.address.range, keyspace)
        else {
            return fail(target, "UNAVAILABLE this replica is being refilled; try again", &effects)
        }
        if isWrite, !followSession(target, &effects) { return }
        let isUnheard = configuration.plantedBug == .removesUnheard && isWrite
        guard reads.readQuorum == 1 || isUnheard, coversHere(key, location, target, &effects)
        else {
            let part = part(name, index)
            let command = TypedCommand(
                name: name, request: Array(part.bytes), location: location, writes: writes)
            return ask(key, location, reads, .typed(command), target, &effects)
        }
        let command = TypedCommand(name: name, request: [], location: location, writes: writes)
        if client.wantsReceipt, writes == nil { receiptProof = proofHere(location) }
        execute(command, keyAt: index, target, &effects)
        if writes == nil { compareInBackground(key, location, reads, &effects) }
    }

    /// Compares a sample of the answers that this node gave alone with all replicas.
    private mutating func compareInBackground(
        _ key: UnsafeRawBufferPointer, _ location: KeyLocation, _ reads: ReadLevels,
        _ effects: inout Effects
    ) {
        counters.reads += 1
        ledger.answeredNow(location.keyspace, .read)
        let n = catalog.active[location.keyspace].n
        guard n > 1, isSampled(catalog.active[location.keyspace].readRepairPerMille) else { return }
        let all = ReadLevels(
            readQuorum: n, primaryReadQuorum: 0, timeoutMilliseconds: reads.timeoutMilliseconds)
        ask(key, location, all, .compare, .nobody, &effects)
    }

    /// The request as one for this key only, in RESP.
    private func part(_ name: CommandName, _ index: Int) -> ByteBuffer {
        var buffer = ByteBuffer(capacity: 256)
        let isOnly = CommandTable.description(of: name).keys.last == index || request.count == 2
        if isOnly, CommandName(request[0]) == name {
            buffer.writeArrayHeader(count: request.count)
            for index in 0..<request.count { buffer.writeBulk(request[index]) }
            return buffer
        }
        let words = name == .mset ? 3 : 2
        buffer.writeArrayHeader(count: words)
        buffer.writeBulk(CommandTable.description(of: name).text)
        for offset in 0..<words - 1 { buffer.writeBulk(request[index + offset]) }
        return buffer
    }

    /// Runs a command that waited; `request` holds its arguments.
    mutating func execute(
        _ command: TypedCommand, also unkept: CRDTState?, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        let index = CommandTable.description(of: command.name).keys.first
        execute(command, keyAt: index, also: unkept, target, &effects)
    }

    private mutating func execute(
        _ command: TypedCommand, keyAt index: Int, also unkept: CRDTState? = nil,
        _ target: ReplyTarget, _ effects: inout Effects
    ) {
        let location = command.location
        if let writes = command.writes {
            guard mayChange(command, request[index], writes, target, &effects) else { return }
        }
        var execution = execution(on: location, keyAt: index, target, &effects)
        let isLarge = execution.held.bytes > ExpandedStates.remainsBytesMin
        let whole = isLarge && command.name.takesWhole ? execution.held.state : nil
        defer { if let whole { store.expanded.bury(whole) } }
        let isElapsing = execution.isElapsing
        let kept = unkept == nil && !isElapsing ? nil : execution.held
        if let unkept {
            guard command.writes == nil else {
                putBack(execution.held)
                let text: StaticString = "UNAVAILABLE what other replicas have finds no room here"
                return refuse(.text(text), command, target, &effects)
            }
            execution.held.state.join(unkept)
        }
        do throws(TypedRefusal) {
            if command.writes == nil {
                if execution.isElapsing { execution.hideElapsed() }
            } else {
                execution.dot = try mintDot(execution.held, location)
                if isElapsing {
                    execution.removeElapsed()
                    execution.dot = try mintDot(execution.held, location)
                }
            }
            if command.name == .qbound { execution.bounded = boundedCounterContext(location) }
            try checkSize(execution.held, command, location)
            try execution.run(command.name, request)
        } catch {
            putBack(kept ?? execution.held)
            return refuse(error, command, target, &effects)
        }
        random = execution.random
        guard let delta = execution.delta else {
            let context = notedContext(execution.held.state)
            putBack(kept ?? execution.held)
            return tell(execution, context, location.address.hash, target, &effects)
        }
        finish(command, execution, delta, target, &effects)
    }

    /// A command at work on what is stored.
    private mutating func execution(
        on location: KeyLocation, keyAt index: Int, _ target: ReplyTarget, _ effects: inout Effects
    ) -> TypedExecution {
        var execution = TypedExecution(
            takeState(location, request[index], &effects), keyIndex: index,
            isAlone: catalog.active[location.keyspace].n == 1, now: now.wallMilliseconds,
            random: random)
        execution.dialect = client.dialect
        if isForSets(target) { execution.writtenBytesMax = 0 }
        return execution
    }

    private mutating func tell(
        _ execution: borrowing TypedExecution, _ context: VersionVector, _ hash: UInt64,
        _ target: ReplyTarget, _ effects: inout Effects
    ) {
        guard !execution.rest.isTooLong else {
            return fail(
                target, "ERR the reply would have more than 60 MB; ask for less at once", &effects)
        }
        if !client.guarantees.isEmpty { noteSeen(hash, context, target) }
        if case .gather(let id, let part) = target, !execution.rest.isEmpty, isForSets(target) {
            return gathered(id, part, execution.rest, &effects)
        }
        let start = effects.bytes.count
        if client.wantsReceipt { writeReadReceipt(context, target, &effects) }
        effects.bytes.append(execution.reply.bytes)
        guard !execution.rest.isEmpty else { return deliver(target, from: start, &effects) }
        let reply = Reply(takeBack(start, &effects), execution.rest, client.dialect)
        deliver(reply, to: target, &effects)
    }

    /// Whether a reply is one of several sets that are put together.
    private func isForSets(_ target: ReplyTarget) -> Bool {
        guard case .gather(let id, _) = target else { return false }
        return gathers[id]?.combination.isOfSets == true
    }

    private mutating func refuse(
        _ refusal: TypedRefusal, _ command: TypedCommand, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        if command.writes != nil { ledger.failed(command.location.keyspace, .write, .refused) }
        switch refusal {
        case .command(let error):
            counters.commandErrors += 1
            let start = effects.bytes.count
            effects.bytes.writeError(error, for: request)
            deliver(target, from: start, &effects)
        case .text(let text): fail(target, text, &effects)
        }
    }
}

// Changing a state
extension Node {
    private mutating func mayChange(
        _ command: TypedCommand, _ key: UnsafeRawBufferPointer, _ writes: WriteLevels,
        _ target: ReplyTarget, _ effects: inout Effects
    ) -> Bool {
        counters.writes += 1
        let (keyspace, address) = (command.location.keyspace, command.location.address)
        let keyBytesMax = Int(catalog.active[keyspace].settings.keyBytesMax)
        guard key.count <= keyBytesMax else {
            fail(target, text: "ERR key must have 1 to \(keyBytesMax) bytes", &effects)
            return false
        }
        let isRemoval = command.name.isRemoval
        let change = isRemoval ? WriteIntent.Change.delete : .value(key)
        let intent = WriteIntent(key: key, change: change, levels: writes, success: .ok)
        guard mayWrite(intent, keyspace, address, target, &effects) else { return false }
        guard self.writes.room(for: keyspace) > 0 else {
            overload(.write, keyspace, target, &effects)
            return false
        }
        return true
    }

    /// Behind `mintDot`.
    private mutating func boundedCounterContext(
        _ location: KeyLocation
    ) -> BoundedCounterContext {
        var identities = links.compactMap(\.identity)
        identities.append(identity)
        identities.sort()
        let settings = catalog.active[location.keyspace].settings
        return BoundedCounterContext(
            identities: identities,
            spareDot: Dot(identity: identity, stamp: tick()),
            inheritsRights: settings.durability == .fsync)
    }

    /// Names what a command is about to do: a dot later than all that the state has seen.
    mutating func mintDot(
        _ held: HeldState, _ location: KeyLocation
    ) throws(TypedRefusal) -> Dot {
        if let newest = held.state.context.newest,
            !clock.observe(newest.stamp, wallMilliseconds: now.wallMilliseconds) {
            throw .text(
                "CLOCK the key was written by a clock far ahead of this node's; nothing is written")
        }
        let truncatedAt = catalog.active[location.keyspace].truncatedAt
        guard clock.observe(truncatedAt, wallMilliseconds: now.wallMilliseconds) else {
            throw .text("CLOCK the keyspace was emptied by a clock far ahead of this node's")
        }
        return Dot(identity: identity, stamp: tick())
    }

    /// Up to here a command may bring a state. Each replica fills what is left on its own side of
    /// a partition, and what all of them added still has to fit into one record.
    private func stateBytesMax(_ keyspace: Int) -> Int {
        configuration.recordBytesMax / max(1, catalog.active[keyspace].n)
    }

    /// What the request can add to a state, bytes.
    private var growthMax: Int {
        (1..<max(1, request.count)).reduce(0) { $0 + request[$1].count + 64 }
    }

    /// A state must fit into one record, with all that the request may add to it.
    private mutating func checkSize(
        _ held: HeldState, _ command: TypedCommand, _ location: KeyLocation
    ) throws(TypedRefusal) {
        guard command.writes != nil, !command.name.isRemoval else { return }
        for index in 1..<max(1, request.count) {
            guard request[index].count <= catalog.active[location.keyspace].settings.valueBytesMax
            else { throw .text("ERR an argument exceeds the keyspace's valuebytes") }
        }
        let room = stateBytesMax(location.keyspace) - growthMax
        guard held.bytes > room else { return }
        let bytes = held.place.map { store.expanded.measure($0, held.state) } ?? held.bytes
        guard bytes + Record.headerBytes + request[1].count <= room else {
            throw .text("ERR the value would be larger than its replicas could merge (9 MB / n)")
        }
    }

    /// Answers a write that is done, because nobody else has the key and no disk.
    private mutating func finishAlone(
        _ bytes: [UInt8], _ keyspace: Int, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        ledger.answeredNow(keyspace, .write)
        guard !client.wantsReceipt else { return reply(.encoded(bytes), target, &effects) }
        let start = effects.bytes.count
        effects.bytes.append(bytes)
        deliver(target, from: start, &effects)
    }

    /// Stores and keeps what a command did, and sends it to the other replicas.
    private mutating func finish(
        _ command: TypedCommand, _ execution: borrowing TypedExecution, _ delta: Delta,
        _ target: ReplyTarget, _ effects: inout Effects
    ) {
        let key = request[execution.keyIndex]
        guard let writes = command.writes else { preconditionFailure("a query changes nothing") }
        let (keyspace, address) = (command.location.keyspace, command.location.address)
        let n = catalog.active[keyspace].n
        let durability = catalog.active[keyspace].settings.durability
        let isAlone = n == 1 && durability == .memory
        var record = ByteBuffer(capacity: isAlone ? 1 : 256)
        if !isAlone { DeltaRecord.encode(delta, of: key, into: &record) }
        let context = seenBySession(execution.held.state)
        let growth = isAlone ? growthMax : Delta.growth(record.count)
        putState(execution.held, grownBy: growth, command.location, key)
        let reply = execution.wholeReply
        if isAlone {
            noteLocalWrite(delta.dot, context, command.location, target)
            _ = noteExecuted(target, delta.dot, .encoded(reply), &effects)
            return finishAlone(reply, keyspace, target, &effects)
        }
        let id = startWrite(command, writes, delta.dot, reply, target)
        self.writes[id]?.context = context
        if n > 1 { self.writes[id]?.typedKey = Array(key) }
        let executed = noteExecuted(target, delta.dot, .encoded(reply), &effects)
        let needsSync = writes.durableWriteQuorum > 0 || executed != nil
        // The next life of this node takes over the rights that its journal has left, so nobody
        // may acknowledge that some were used before the journal says so.
        let isKeptFirst = command.name == .qbound || executed != nil
        let bytes = record.bytes
        if isKeptFirst { keepDelta(bytes, durability, synced: needsSync, token: id, &effects) }
        sendDelta(bytes, id, address.range, needsSync, &effects)
        if n > 1 { refuseUnreachable(id, address.range, n, &effects) }
        if let executed { announce(executed, &effects) }
        if !isKeptFirst { keepDelta(bytes, durability, synced: needsSync, token: id, &effects) }
    }

    /// Begins to count the replicas that acknowledge a command.
    mutating func startWrite(
        _ command: TypedCommand, _ writes: WriteLevels, _ dot: Dot, _ reply: [UInt8],
        _ target: ReplyTarget
    ) -> OperationID {
        let keyspace = command.location.keyspace
        let n = catalog.active[keyspace].n
        let timeout = UInt64(writes.timeoutMilliseconds)
        let head = OperationHead(
            target: outlasting(target), client: client,
            deadline: now.monotonic + .nanoseconds(milliseconds: timeout),
            begunAt: now.monotonic)
        let id = self.writes.insert(
            WriteOperation(
                head: head, keyspace: keyspace, range: command.location.address.range, dot: dot,
                success: .encoded(reply),
                tally: WriteTally(
                    replicaCount: n, writeQuorum: writes.writeQuorum,
                    primaryWriteQuorum: writes.primaryWriteQuorum,
                    durableWriteQuorum: writes.durableWriteQuorum),
                primaries: n, hash: command.location.address.hash))
        watch(id, at: head.deadline)
        return id
    }
}
