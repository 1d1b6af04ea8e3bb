import Base
import CRDT
import Causality
import Coding
import Quorum
import RESP
import Ring

/// What replicas said that they have of a key in a crdt keyspace.
struct TypedAnswers {
    /// One an answer: the digest of the state's context, 0 for nothing.
    var digests: [UInt64] = []
    /// What the state had seen of which the client was told; nil before.
    var told: VersionVector?
    /// Writes that the client's answer lacked and that were stamped before the read began.
    var missed: [Dot] = []
    /// A comparison has asked a replica for its state.
    var isFetching = false
    /// What could not be kept here, because the disk is full or memory is: told all the same.
    var unkept: Unkept?

    struct Unkept {
        var state: CRDTState
        /// Who has it.
        let node: NodeID
    }
}

/// A command that waits until this node's state is as new as what R replicas have.
struct TypedCommand {
    let name: CommandName
    /// The request with this key only, in RESP.
    let request: [UInt8]
    let location: KeyLocation
    /// Nil for a query.
    var writes: WriteLevels?
    /// What the request asked for; levels follow from it and the keyspace as it is.
    var options = ConsistencyOptions.none
}

extension ReadPurpose {
    var isTyped: Bool {
        if case .typed = self { true } else { false }
    }
}

// Reads of crdt keyspaces. The coordinator is always a replica: it tells the others what it has
// seen, they send their state where that is not all of theirs, and it merges what comes into its
// own. So a read at level R is a read of this node's state once R replicas have been heard, and
// replicas that agree exchange a few bytes however large the value.
extension Node {
    /// What a replica has of a key.
    enum StateAnswer {
        case found(Record?, emptiedAt: Stamp)
        case covered(UInt64)
        /// Its context, for a comparison.
        case seen(VersionVector)

        static func found(_ record: Record?, _ emptiedAt: Stamp) -> StateAnswer {
            .found(record, emptiedAt: emptiedAt)
        }
    }

    /// What replicas ask each other about states, and what they answer.
    mutating func handleState(
        _ message: Message, from node: NodeID, _ effects: inout Effects
    ) {
        switch message {
        case .readState(let number, let key, let seen):
            answerState(number, key, seen, from: node, &effects)
        case .readContext(let number, let key): tellContext(number, key, from: node, &effects)
        case .covered(let number, let digest):
            answeredState(OperationID(rawValue: number), .covered(digest), from: node, &effects)
        case .contextTold(let number, let seen):
            answeredState(OperationID(rawValue: number), .seen(seen), from: node, &effects)
        default: preconditionFailure("other messages are handled elsewhere")
        }
    }

    /// Asks for a state unless it holds nothing that was not seen here.
    ///
    /// - Parameter isAnswered: the client has its answer, so that only what the state has seen is
    ///   of interest.
    func askState(
        _ id: OperationID, _ key: UnsafeRawBufferPointer, isAnswered: Bool,
        _ effects: inout Effects
    ) -> Range<Int> {
        if isAnswered {
            return effects.bytes.appendMessage(kind: 3, flag: 2, number: id.rawValue, key)
        }
        return effects.bytes.appendMessage(kind: 3, flag: 1, number: id.rawValue) { buffer in
            buffer.append(integer: UInt16(key.count))
            buffer.append(key)
            for dot in ownContext(key, catalog.index(of: key)).entries {
                buffer.append(integer: dot.identity.rawValue)
                buffer.append(integer: dot.stamp.rawValue)
            }
        }
    }

    private func ownContext(
        _ key: UnsafeRawBufferPointer, _ keyspace: Int
    ) -> VersionVector {
        liveState(store.address(of: key), key, keyspace).map { context(of: $0) } ?? VersionVector()
    }

    mutating func answerState(
        _ number: UInt64, _ key: UnsafeRawBufferPointer, _ seen: VersionVector,
        from node: NodeID, _ effects: inout Effects
    ) {
        if putOff(number, key, seen, of: node, &effects) { return }
        let keyspace = catalog.index(of: key)
        guard isWhole(store.address(of: key).range, keyspace) else {
            return decline(number, of: node, &effects)
        }
        let record = believableState(store.address(of: key), key, keyspace, &effects)
        let isBlind = configuration.plantedBug == .coveredBlindly
        guard isTyped(keyspace), let record, isBlind || seen.dominates(context(of: record)) else {
            return answerRead(number, key, from: node, &effects)
        }
        let covered = ReplicaStatus.covered.rawValue
        withUnsafeBytes(of: record.contextDigest.littleEndian) {
            send(to: node, kind: 4, flag: covered, number: number, $0, &effects)
        }
    }

    /// Tells a comparison what is here: that costs the same for a large value under load as for a
    /// small one at rest.
    mutating func tellContext(
        _ number: UInt64, _ key: UnsafeRawBufferPointer, from node: NodeID,
        _ effects: inout Effects
    ) {
        let keyspace = catalog.index(of: key)
        guard isWhole(store.address(of: key).range, keyspace), isTyped(keyspace) else {
            return decline(number, of: node, &effects)
        }
        let record = believableState(store.address(of: key), key, keyspace, &effects)
        let seen = record.map { context(of: $0) } ?? VersionVector()
        let frame = effects.bytes.appendMessage(
            kind: 4, flag: ReplicaStatus.contextTold.rawValue, number: number
        ) { buffer in
            for dot in seen.entries {
                buffer.append(integer: dot.identity.rawValue)
                buffer.append(integer: dot.stamp.rawValue)
            }
        }
        send(frame, to: node, &effects)
    }

    mutating func recordOwnState(
        _ own: Record?, from replica: Int, of id: OperationID, _ effects: inout Effects
    ) {
        let digest = own?.contextDigest ?? 0
        if reads[id]?.purpose.isComparison == true {
            let told = own.map { context(of: $0) } ?? VersionVector()
            reads[id]?.typed?.told = told
        }
        countState(digest, from: replica, of: id, &effects)
    }

    private mutating func countState(
        _ digest: UInt64, bytes: Int = 0, from replica: Int, of id: OperationID,
        _ effects: inout Effects
    ) {
        reads[id]?.answers.append((replica, nil))
        reads[id]?.typed?.digests.append(digest)
        count(replica, of: id, bytes: bytes, &effects)
    }

    mutating func answeredState(
        _ id: OperationID, _ answer: StateAnswer, from node: NodeID, _ effects: inout Effects
    ) {
        guard let read = reads[id], read.typed != nil,
            let replica = ring.position(of: node, in: read.range),
            replica < read.tally.replicaCount, read.asked & 1 << UInt64(replica) != 0
        else {
            noteLate(from: node, &effects)
            return
        }
        guard !isUnheard(read.keyspace, by: node) else {
            return declined(id, by: node, &effects)
        }
        switch answer {
        case .covered(let digest): countState(digest, from: replica, of: id, &effects)
        case .seen(let context): compare(context, from: replica, of: id, read, &effects)
        case .found(nil, let emptiedAt):
            guard !isAhead(emptiedAt) else { return disbelieve(id, replica, &effects) }
            reads[id]?.emptiedAt = max(read.emptiedAt, emptiedAt)
            countState(0, from: replica, of: id, &effects)
        case .found(.some(let record), _):
            let isKey = read.key.withUnsafeBytes { bytesEqual(record.key, $0) }
            guard isKey, !isAhead(record.dot.stamp), !record.isExpanded else {
                return disbelieve(id, replica, &effects)
            }
            take(record, id, read, from: node, &effects)
            countState(
                record.contextDigest, bytes: record.length, from: replica, of: id, &effects)
        }
    }

    /// Counts what a comparison has found. What a replica has that this node lacks is asked for
    /// unless it was written so lately that it is about to come by itself.
    private mutating func compare(
        _ context: VersionVector, from replica: Int, of id: OperationID, _ read: ReadOperation,
        _ effects: inout Effects
    ) {
        guard let newest = context.newest else {
            return countState(0, from: replica, of: id, &effects)
        }
        guard !isAhead(newest.stamp) else { return disbelieve(id, replica, &effects) }
        let own = read.key.withUnsafeBytes { ownContext($0, read.keyspace) }
        let settled = settledAnywhere(read.range, read.keyspace)
        let isLacking = !own.dominates(context) && newest.stamp > settled
        if isLacking, !isOnItsWay(newest.stamp), read.typed?.isFetching == false {
            reads[id]?.typed?.isFetching = true
            let replicas = ring.primaries(
                of: read.range, replicationFactor: read.tally.replicaCount)
            let frame = read.key.withUnsafeBytes {
                askState(id, $0, isAnswered: false, &effects)
            }
            return send(frame, to: replicas[replicas.startIndex + replica], &effects)
        }
        noteMissed(context, read, id)
        let digest = read.key.withUnsafeBytes { Record.contextDigest($0, context) }
        countState(digest, from: replica, of: id, &effects)
    }

    /// Notes what the client was not told.
    private mutating func noteMissed(
        _ context: VersionVector, _ read: ReadOperation, _ id: OperationID
    ) {
        guard let told = read.typed?.told else { return }
        let settled = settledAnywhere(read.range, read.keyspace)
        reads[id]?.typed?.missed += context.entries.filter {
            !told.contains($0) && settled < $0.stamp && $0.stamp <= read.begun
        }
    }

    /// Merges an answer into this node's state, and notes what the client was not told.
    private mutating func take(
        _ record: Record, _ id: OperationID, _ read: ReadOperation, from node: NodeID,
        _ effects: inout Effects
    ) {
        let settled = settledAnywhere(read.range, read.keyspace)
        // What is settled is known here, though it may have been compacted.
        if record.dot.stamp <= settled, isWhole(read.range, read.keyspace) { return }
        noteMissed(context(of: record), read, id)
        let isCurrent = catalog.index(of: record.key) == read.keyspace
        guard isCurrent, mergeIn(record, read.keyspace, &effects) == .acknowledged else {
            var unkept = TypedAnswers.Unkept(state: CRDTState(valid: record), node: node)
            if let earlier = read.typed?.unkept { unkept.state.join(earlier.state) }
            reads[id]?.typed?.unkept = unkept
            return
        }
        guard let stored = store.find(store.address(of: record.key), record.key) else { return }
        counters.repaired += 1
        let durability = catalog.active[read.keyspace].durability
        keep(whole(stored), durability, synced: false, token: nil, &effects)
    }

    /// R replicas have been heard: runs the command on what is here now.
    mutating func decideTyped(
        _ id: OperationID, _ read: ReadOperation, _ effects: inout Effects
    ) {
        guard case .typed(let command) = read.purpose else { return }
        let told = read.key.withUnsafeBytes { ownContext($0, read.keyspace) }
        reads[id]?.typed?.told = told
        let isCurrent = read.key.withUnsafeBytes { catalog.index(of: $0) == read.keyspace }
        guard isCurrent, isTyped(read.keyspace),
            read.emptiedAt <= catalog.goneUpTo(read.keyspace)
        else {
            count(read, .unavailable)
            return fail(
                read.head.target, "UNAVAILABLE the keyspace is being changed; try again", &effects)
        }
        guard let command = current(command, read, &effects) else {
            return count(read, .refused)
        }
        if client.wantsReceipt {
            client.evidence.answers = read.answers.count
            client.evidence.proof = proof(of: read)
        }
        // The answer may come while the parts of another request are still being walked over.
        var outer = Arguments()
        swap(&request, &outer)
        defer { swap(&request, &outer) }
        var progress = ParseProgress()
        command.request.withUnsafeBytes { bytes in
            guard parser.parse(bytes, &progress, into: &request) == .complete else {
                preconditionFailure("a command is kept as it was parsed")
            }
            effects.inScope {
                execute(command, also: read.typed?.unkept, read.head.target, &$0)
            }
        }
        compareRest(id, &effects)
        count(read, .ok)
    }

    /// The command with the levels that its keyspace gives it by now; nil, and an error reply, when
    /// it can no longer run here.
    private mutating func current(
        _ command: TypedCommand, _ read: ReadOperation, _ effects: inout Effects
    ) -> TypedCommand? {
        guard command.writes != nil else { return command }
        guard isReplica(of: command.location) else {
            fail(read.head.target, "UNAVAILABLE the keyspace changed meanwhile", &effects)
            return nil
        }
        var current = command
        current.writes = writeLevels(
            command.options, read.keyspace, read.head.target, &effects)
        return current.writes == nil ? nil : current
    }

    /// Nobody else will answer: counts how stale the client's answer was, and brings every replica
    /// that has less than this one up to it.
    mutating func settleStates(_ read: ReadOperation, _ effects: inout Effects) {
        guard let typed = read.typed else { return }
        noteStaleness(of: read, typed)
        guard catalog.active[read.keyspace].readRepairPerMille > 0, typed.unkept == nil else {
            return
        }
        read.key.withUnsafeBytes { key in
            let stored = liveState(store.address(of: key), key, read.keyspace)
            // Of what is settled nobody lacks anything; some may have compacted it already.
            let settled = settledAnywhere(read.range, read.keyspace)
            guard isTyped(read.keyspace), !isOutlived(read), let stored, stored.dot.stamp > settled,
                !isOnItsWay(stored.dot.stamp)
            else { return }
            let digest = stored.contextDigest
            let replicas = ring.primaries(
                of: read.range, replicationFactor: read.tally.replicaCount)
            var isRepaired = false
            for (answer, theirs) in zip(read.answers, typed.digests) where theirs != digest {
                let node = replicas[replicas.startIndex + answer.replica]
                let isFull = linkIndex(of: node).map { links[$0].isDiskFull } ?? false
                guard node != configuration.node, !isFull else { continue }
                isRepaired = true
                sendWhole(stored, number: 0, to: node, &effects)
            }
            if isRepaired { counters.readRepairs += 1 }
        }
    }

    /// Whether a state was written so lately that who lacks that is about to get the delta: to send
    /// the whole state would cost a key under load its size with each read.
    private func isOnItsWay(_ stamp: Stamp) -> Bool {
        clock.reach < stamp.milliseconds + 500
    }

    private mutating func noteStaleness(of read: ReadOperation, _ typed: TypedAnswers) {
        guard read.toldAnswers != nil, let told = typed.told, read.tally.replicaCount > 1 else {
            return
        }
        while staleness.count <= read.keyspace { staleness.append(StalenessFigures()) }
        guard read.answers.count == read.tally.replicaCount else {
            return staleness[read.keyspace].record(.incomplete)
        }
        guard let oldest = typed.missed.map(\.stamp).min(),
            let newest = typed.missed.map(\.stamp).max()
        else {
            let isAgreed = typed.digests.allSatisfy { $0 == typed.digests[0] }
            return staleness[read.keyspace].record(isAgreed ? .agreed : .fresh)
        }
        staleness[read.keyspace].recordStale(
            ageMilliseconds: read.begun.milliseconds - oldest.milliseconds,
            behindMilliseconds: told.newest.map {
                newest.milliseconds - min($0.stamp.milliseconds, newest.milliseconds)
            },
            newer: typed.missed.count)
    }
}
