import Base
import CRDT
import Causality
import Coding
import Quorum
import RESP
import Ring

// Commands on crdt keyspaces that change a state: what they may not, what they are named, and how
// what they did is kept and sent.
extension Node {
    mutating func mayChange(
        _ command: TypedCommand, _ key: UnsafeRawBufferPointer, _ writes: WriteLevels,
        _ target: ReplyTarget, _ effects: inout Effects
    ) -> Bool {
        counters.writes += 1
        let (keyspace, address) = (command.location.keyspace, command.location.address)
        let keyBytesMax = Int(catalog.active[keyspace].settings.keyBytesMax)
        guard key.count <= keyBytesMax else {
            fail(target, text: Node.tooLong(keyBytesMax), &effects)
            return false
        }
        let isRemoval = command.name.isRemoval
        let change = isRemoval ? WriteIntent.Change.delete : .value(key)
        let intent = WriteIntent(
            key: key, change: change, levels: writes, success: .ok,
            bytesBeside: !isRemoval && isAnyLimited ? growthMax(command.name) : 0)
        guard mayWrite(intent, keyspace, address, target, &effects) else { return false }
        guard self.writes.room(for: keyspace) > 0 else {
            overload(.write, keyspace, target, &effects)
            return false
        }
        return true
    }

    /// Refuses what came of a command and adds something for which the disk has no room: also a
    /// time that one has added which may only remove. The other replicas would refuse it.
    ///
    /// - Parameter bytes: of what this turn has given the disk before.
    mutating func checkDisk(
        _ key: UnsafeRawBufferPointer, _ keyspace: Int, _ delta: Delta, given bytes: Int
    ) throws(TypedRefusal) {
        exported.removeAll()
        DeltaRecord.encode(delta, of: key, into: &exported)
        let growth = delta.growth(bytes: exported.count - 2 - key.count, identities: 1)
        let charge = DiskIntake.charge(exported.count, growth: growth)
        let demand = DiskDemand(isDelete: false, bytes: bytes + charge)
        guard let refusal = diskRefusal(key, keyspace, demand) else { return }
        throw .text(refusal == .diskFull ? disk.room.fullText : DiskRoom.busyText)
    }

    /// Behind `mintDot`.
    mutating func boundedCounterContext(
        _ location: KeyLocation
    ) -> BoundedCounterContext {
        var identities = links.compactMap(\.identity)
        identities.append(identity)
        identities.sort()
        let isProven =
            catalog.active[location.keyspace].settings.durability == .fsync
            && isWhole(location.address.range, location.keyspace)
            && (catalog.active[location.keyspace].n == 1 || knowsItsPast)
        return BoundedCounterContext(
            identities: identities, members: links.map(\.node).sorted(),
            spareDot: Dot(identity: identity, stamp: clock.tick()),
            provenEpoch: isProven ? catalog.standings[location.keyspace].provenEpoch : .max)
    }

    /// Whether anybody who could has told that this node's disk is older than what it has done.
    var knowsItsPast: Bool { links.count == 1 || links.contains(where: \.hasSpoken) }

    /// Names what a command is about to do: a dot later than all that the state has seen.
    mutating func mintDot(
        _ held: HeldState, _ location: KeyLocation
    ) throws(TypedRefusal) -> Dot {
        if let newest = held.state.context.newest,
            !clock.follow(newest.stamp)
        {
            throw .text(
                "CLOCK the key was written by a clock far ahead of this node's; nothing is written")
        }
        let truncatedAt = catalog.active[location.keyspace].truncatedAt
        guard clock.follow(truncatedAt) else {
            throw .text("CLOCK the keyspace was emptied by a clock far ahead of this node's")
        }
        return Dot(identity: identity, stamp: clock.tick())
    }

    /// Up to here a command may bring a state. Each replica fills what is left on its own side of
    /// a partition, and what all of them added still has to fit into one record.
    ///
    /// The state without what the command removes is what counts. Whatever is live in a merge of
    /// several replicas was live in the state of its writer when that last added something: what
    /// the writer had removed by then it has seen, so it is in no merge that the writer is part of.
    /// So a merge of n holds no more than n such states, each of which kept to its limit.
    ///
    /// Example: N=3, 9 MB. A, B and C have a value of 3 MB, are cut off from each other, and each
    /// replaces it by one of 3 MB. They merge to the three new ones. A state that has merged to
    /// more than the limit is replaced as a whole or only made smaller: if each side gave a part
    /// of it a new value of the same size, the three values would not fit beside the rest.
    func stateBytesMax(_ keyspace: Int) -> Int {
        configuration.recordBytesMax / max(1, catalog.active[keyspace].n)
    }

    /// What the request can add to a state, bytes: each argument at most itself, its length, a
    /// dot, and a place in a list; and once a context entry, what its type needs, and the path of
    /// those places, which is longer than this only where replicas have pushed in turn while one
    /// was away.
    func growthMax(_ name: CommandName) -> Int {
        (1..<max(1, request.count)).reduce(Node.growthOfAny) {
            $0 + growthMax(name, request[$1].count)
        }
    }

    static let growthOfAny = 512

    /// What an argument of so many bytes can add.
    func growthMax(_ name: CommandName, _ bytes: Int) -> Int {
        bytes + (CommandTable.description(of: name).group == .list ? 48 : 24)
    }

    static let argumentTooLarge: StaticString =
        "ERR an argument exceeds the keyspace's valuebytes"
    static let valueTooLarge: StaticString =
        "ERR the value would be larger than its replicas could merge (9 MB / n)"

    /// APPEND writes the whole value, which is as long as a SET may make it.
    private func checkAppended(
        _ held: HeldState, _ command: TypedCommand, _ location: KeyLocation
    ) throws(TypedRefusal) {
        guard command.name == .append else { return }
        let text = held.state.string(now: now.wallMilliseconds)?.text ?? []
        let settings = catalog.active[location.keyspace].settings
        guard text.count + request[2].count <= settings.valueBytesMax else {
            throw .text("ERR the value would exceed the keyspace's valuebytes")
        }
    }

    /// What of a request is refused before it is known what comes of it.
    func checkLimits(
        _ held: HeldState, _ command: TypedCommand, _ location: KeyLocation
    ) throws(TypedRefusal) {
        guard command.writes != nil, !command.name.isRemoval else { return }
        for index in 1..<max(1, request.count) {
            guard request[index].count <= catalog.active[location.keyspace].settings.valueBytesMax
            else { throw .text(Node.argumentTooLarge) }
        }
        try checkAppended(held, command, location)
        let n = catalog.active[location.keyspace].n
        guard held.state.mayGrow(by: identity, replicas: n) else {
            throw .text("ERR too many lives of nodes have written what is left of the key")
        }
    }

    /// What has to be measured of a state once a command is done.
    enum SizeCheck {
        /// It fits with all that the request may add to it.
        case nothing
        /// A time, or the loss of what was over, may outgrow the record: what running totals were
        /// is noted beside them.
        case notes
        /// It fits only without what the command replaces.
        case whole
    }

    mutating func sizeCheck(
        _ execution: borrowing TypedExecution, _ command: TypedCommand
    ) -> SizeCheck {
        guard command.writes != nil else { return .nothing }
        let (name, held, keyspace) = (command.name, execution.held, command.location.keyspace)
        let growth = growthMax(name)
        if !name.isRemoval, !name.givesTime, !hasRoom(held.state, held.bytes, growth, keyspace) {
            let bytes = measuredBytes(held) + Record.headerBytes + request[1].count
            if !hasRoom(held.state, bytes, growth, keyspace) { return .whole }
        }
        let mayNote = name.givesTime || execution.isElapsing && !name.isRemoval
        return mayNote && 3 * held.bytes > stateBytesMax(keyspace) - growth ? .notes : .nothing
    }

    /// Whether a state of so many bytes stays within its limit with what is added.
    private func hasRoom(
        _ state: CRDTState, _ bytes: Int, _ growth: Int, _ keyspace: Int
    ) -> Bool {
        // Each replica may bring in as many identities.
        let identities = catalog.active[keyspace].n * (state.context.entries.count + 1)
        let most = stateBytesMax(keyspace) - growth
        return bytes + HeldState.dotGrowth(bytes, identities) <= most
    }

    /// - Parameter before: the state without the command.
    /// - Complexity: O(entries), unless all that the command writes are new elements.
    mutating func checkSize(
        _ execution: borrowing TypedExecution, from before: CRDTState, _ command: TypedCommand,
        _ check: SizeCheck
    ) throws(TypedRefusal) {
        guard let delta = execution.delta, check != .nothing else { return }
        let (key, state) = (request[execution.keyIndex], execution.held.state)
        let added = state.elementCount - before.elementCount
        if check == .whole, delta.onlyAdds, added > 0, added == delta.elementCount {
            throw .text(Node.valueTooLarge)
        }
        let head = Record.headerBytes + key.count
        let bytes = head + state.encodedBytes
        turn.spend(bytesCoded: bytes)
        let keyspace = command.location.keyspace
        var record = ByteBuffer(capacity: 1_024)
        DeltaRecord.encode(delta, of: key, into: &record)
        var fits = record.count <= configuration.recordBytesMax
        if check == .whole {
            fits = fits && hasRoom(state, bytes, 0, keyspace)
        } else if bytes > stateBytesMax(keyspace) {
            // Where others do the same at the same time, all of it has to fit.
            let growth = max(0, bytes - head - before.encodedBytes)
            let sum = bytes + (catalog.active[keyspace].n - 1) * growth
            fits = fits && sum <= configuration.recordBytesMax
        }
        guard fits else { throw .text(Node.valueTooLarge) }
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

    /// Stores what a command did.
    ///
    /// - Returns: the delta's record; nothing where nobody asks for it.
    private mutating func storeChange(
        _ command: TypedCommand, _ execution: borrowing TypedExecution, _ delta: Delta,
        isAlone: Bool
    ) -> ByteBuffer {
        let (key, held) = (request[execution.keyIndex], execution.held)
        let isMeasured = isAlone && held.place == nil
        var record = ByteBuffer(capacity: isMeasured ? 1 : 256)
        if !isMeasured { DeltaRecord.encode(delta, of: key, into: &record) }
        let change =
            isMeasured
            ? SizeChange(growth: growthMax(command.name))
            : SizeChange(delta, bytes: record.count - 2 - key.count, in: held.state)
        store(held, change, by: record.count, command.location, key)
        return record
    }

    /// Stores and keeps what a command did, and sends it to the other replicas.
    mutating func finish(
        _ command: TypedCommand, _ execution: inout TypedExecution, _ delta: Delta,
        _ target: ReplyTarget, _ effects: inout Effects
    ) {
        let key = request[execution.keyIndex]
        var delta = delta
        tidy(&execution.held, &delta, command, keyBytes: key.count)
        guard let writes = command.writes else { preconditionFailure("a query changes nothing") }
        let (keyspace, address) = (command.location.keyspace, command.location.address)
        let n = catalog.active[keyspace].n
        let durability = catalog.active[keyspace].durability
        let isAlone = n == 1 && durability == .memory
        let record = storeChange(command, execution, delta, isAlone: isAlone)
        let context = seenBySession(execution.held.state)
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
    private mutating func startWrite(
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
