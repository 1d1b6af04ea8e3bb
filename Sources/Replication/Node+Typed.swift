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
        let isOne =
            keys.last == keys.first
            || keys.first == 1 && request.count == 2 && name != .mget && name != .watch
        guard keys.first > 0, keys.first < request.count, isOne,
            isTyped(catalog.index(of: request[keys.first]))
        else { return false }
        if try runInPieces(name, target, &effects) { return true }
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
        case .smove: fail(target, Node.changesTwoKeys, &effects)
        default:
            if name == .qbound { _ = try BoundedCounterOptions(request) }
            failUntyped(name, target, &effects)
        }
    }

    /// Refuses a typed command on a key that is in no crdt keyspace, and says how to get one.
    private mutating func failUntyped(
        _ name: CommandName, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        fail(target, text: Node.untyped(name), &effects)
    }

    /// Reads several sets, each where it is, and puts them together.
    private mutating func combineSets(
        _ combination: GatherOperation.Combination, keys: Range<Int>, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        // Before any of them is read; of many keys, each when its turn comes.
        for index in keys.prefix(Node.partsAtOnce)
        where !isTyped(catalog.index(of: request[index])) {
            return failUntyped(CommandName(request[0]) ?? .smembers, target, &effects)
        }
        gather(combination, .members, keys, target, &effects)
    }

    /// Reads one of several sets.
    mutating func readMembers(at index: Int, _ place: ReplyTarget, _ effects: inout Effects) {
        guard isTyped(catalog.index(of: request[index])) else {
            return failUntyped(CommandName(request[0]) ?? .smembers, place, &effects)
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
        let writes = isWrite ? writeLevels(options, keyspace, target, &effects) : nil
        guard !isWrite || writes != nil else { return }
        let timeout = writes?.timeoutMilliseconds ?? reads.timeoutMilliseconds
        guard coordinates(location) else {
            return forward(name, index, timeoutMilliseconds: timeout, target, &effects)
        }
        let scope = effects.beginScope()
        defer { effects.endScope(scope) }
        let mayBegin = isWrite && catalog.active[keyspace].n > 1 || reads.readQuorum > 1
        guard mayBegin || isWhole(location.address.range, keyspace) else {
            if !isWrite, case .node(let node, let number) = target {
                return decline(number, of: node, &effects)
            }
            return fail(target, text: Node.unrefilled + refillNote, &effects)
        }
        if isWrite, !followSession(key, target, &effects) { return }
        let isUnheard = configuration.plantedBug == .removesUnheard && isWrite
        guard reads.readQuorum == 1 || isUnheard, coversHere(key, location, target, &effects)
        else {
            let part = part(name, index)
            let command = TypedCommand(
                name: name, request: Array(part.bytes), location: location, writes: writes,
                options: options)
            return ask(key, location, reads, .typed(command), target, &effects)
        }
        let command = TypedCommand(name: name, request: [], location: location, writes: writes)
        if client.wantsReceipt, writes == nil { client.evidence.proof = proofHere(location) }
        execute(command, keyAt: index, target, &effects)
        if writes == nil { compareInBackground(key, location, reads, &effects) }
    }

    static let unrefilled = "UNAVAILABLE no replica in reach has been refilled"

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

    /// Sends one key's part of a request to one of its replicas.
    private mutating func forward(
        _ name: CommandName, _ index: Int, timeoutMilliseconds: UInt32, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        let location = place(of: request[index])
        let part = part(name, index)
        forward(
            part.bytes, to: location, timeoutMilliseconds: timeoutMilliseconds, target, &effects)
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
        _ command: TypedCommand, also unkept: TypedAnswers.Unkept?, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        let index = CommandTable.description(of: command.name).keys.first
        execute(command, keyAt: index, also: unkept, target, &effects)
    }

    private mutating func execute(
        _ command: TypedCommand, keyAt index: Int, also unkept: TypedAnswers.Unkept? = nil,
        _ target: ReplyTarget, _ effects: inout Effects
    ) {
        let location = command.location
        if let writes = command.writes {
            guard mayChange(command, request[index], writes, target, &effects) else { return }
            if let unkept { return passOn(command, to: unkept.node, target, &effects) }
        }
        var execution = execution(on: location, keyAt: index, target, &effects)
        spend(on: command.name, execution.held)
        let isLarge = execution.held.bytes > ExpandedStates.remainsBytesMin
        let mayEmpty = command.name.takesWhole || execution.isElapsing
        let whole = isLarge && mayEmpty ? execution.held.state : nil
        defer { if let whole { store.expanded.bury(whole) } }
        let isTriedOut = unkept != nil || isWithID(target) || execution.isElapsing
        let check = sizeCheck(execution, command)
        let kept = isTriedOut || check != .nothing || disk.isLimited ? execution.held : nil
        if let unkept { execution.held.state.join(unkept.state) }
        let given = effects.bytes.count
        do throws(TypedRefusal) {
            try run(command, &execution, target, given: given)
            if let kept { try checkSize(execution, from: kept.state, command, check) }
        } catch {
            putBack(kept ?? execution.held)
            return refuse(error, command, target, &effects)
        }
        turn.spend(elementsSought: request.count + execution.taken)
        random = execution.random
        guard let delta = execution.delta else {
            let context = notedContext(execution.held.state)
            putBack(kept ?? execution.held)
            return tell(execution, context, location.address.hash, target, &effects)
        }
        finish(command, &execution, delta, target, &effects)
    }

    /// What a command takes that looks at all of a value.
    private mutating func spend(on name: CommandName, _ held: HeldState) {
        if name.isWalked { return turn.spend(elements: ElementWalk.elementsMax / 4) }
        if name.walksWhole, !name.isToldInPieces { turn.spend(bytesTold: held.bytes) }
    }

    /// Has a replica that holds more of the key do what cannot be done here: there is no room for
    /// what that has, and a command that changes a state stands upon all of it.
    private mutating func passOn(
        _ command: TypedCommand, to node: NodeID, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        guard client.mayForward, !isWithID(target), !command.request.isEmpty, isReachable(node),
            let timeout = command.writes?.timeoutMilliseconds
        else {
            let text: StaticString =
                disk.isLimited
                ? "DISKFULL this node's disk has no room for what other replicas have of the key"
                : "UNAVAILABLE what other replicas have of the key finds no room here"
            return refuse(.text(text), command, target, &effects)
        }
        command.request.withUnsafeBytes {
            forward(
                $0, to: node, command.location, timeoutMilliseconds: timeout, target, &effects)
        }
    }

    private mutating func run(
        _ command: TypedCommand, _ execution: inout TypedExecution, _ target: ReplyTarget,
        given bytes: Int
    ) throws(TypedRefusal) {
        let location = command.location
        try begin(&execution, command)
        equip(&execution, for: command)
        try checkLimits(execution.held, command, location)
        try execution.run(command.name, request)
        if disk.isLimited, let delta = execution.delta, !delta.isRemoval {
            let key = request[execution.keyIndex]
            try checkDisk(key, location.keyspace, delta, given: bytes)
        }
        if isWithID(target), !mayTellAgain(execution.wholeReply.count, target) {
            throw .text(Node.tooLargeToTellAgain)
        }
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

    /// Names a command, and takes away what has expired before it: for good, or from its view.
    private mutating func begin(
        _ execution: inout TypedExecution, _ command: TypedCommand
    ) throws(TypedRefusal) {
        guard command.writes != nil else { return execution.hideElapsed() }
        execution.dot = try mintDot(execution.held, command.location)
        guard execution.removeElapsed() else { return }
        execution.dot = try mintDot(execution.held, command.location)
    }

    /// Gives a command what only it needs.
    private mutating func equip(_ execution: inout TypedExecution, for command: TypedCommand) {
        switch command.name {
        case .qget: execution.contexts = keys.contexts
        case .qbound: execution.bounded = boundedCounterContext(command.location)
        default: break
        }
        execution.heard = heardByAll(command.location)
        execution.carriesValue = configuration.plantedBug == .expiryCarriesValue
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
        if let walk = execution.walk { return goOnLater(walk, context, target, &effects) }
        if case .gather(let id, let part) = target, isForSets(target),
            let members = execution.rest.pieces?.elements
        {
            if client.wantsReceipt { writeReadReceipt(context, target, &effects) }
            return gathered(id, part, members, bytes: execution.rest.byteCount, &effects)
        }
        if case .node = target, !execution.rest.isEmpty, memory.isCrowded {
            return fail(
                target, "OVERLOADED this node has too many replies that nobody has taken yet",
                &effects)
        }
        let start = effects.bytes.count
        if client.wantsReceipt { writeReadReceipt(context, target, &effects) }
        effects.bytes.append(execution.reply.bytes)
        guard !execution.rest.isEmpty else { return deliver(target, from: start, &effects) }
        let reply = Reply(takeBack(start, &effects), execution.rest, client.dialect)
        deliver(reply, to: target, &effects)
    }

    private mutating func refuse(
        _ refusal: TypedRefusal, _ command: TypedCommand, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        if case .inPieces(let work) = refusal {
            return goInPieces(command, work, target, &effects)
        }
        if command.writes != nil { ledger.failed(command.location.keyspace, .write, .refused) }
        switch refusal {
        case .command(let error):
            counters.commandErrors += 1
            let start = effects.bytes.count
            effects.bytes.writeError(error, for: request)
            deliver(target, from: start, &effects)
        case .text(let text): fail(target, text, &effects)
        case .sentence(let text): fail(target, text: text, &effects)
        case .inOneStep:
            let n = catalog.active[command.location.keyspace].n
            fail(target, text: Node.inOneStep(command.name, n), &effects)
        case .inPieces: return
        }
    }
}
