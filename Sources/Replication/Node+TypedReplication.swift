import Base
import CRDT
import Causality
import Coding
import Ring

// Deltas between replicas. A replica that lacks what a delta stands upon says so and is sent the
// whole state; one that was away is brought up by exchanges, as for every keyspace.
extension Node {
    static let deltaKind: UInt8 = 13

    /// Sends what a command did to every other replica that can be reached, encoded once.
    mutating func sendDelta(
        _ record: UnsafeRawBufferPointer, _ id: OperationID, _ range: KeyRange, _ needsSync: Bool,
        _ effects: inout Effects
    ) {
        guard let n = writes[id]?.tally.replicaCount, n > 1 else { return }
        let frame = effects.bytes.appendMessage(
            kind: Node.deltaKind, flag: needsSync ? 1 : 0, number: id.rawValue, record)
        counters.deltasSent += n - 1
        counters.deltaBytes += (n - 1) * frame.count
        for node in ring.primaries(of: range, replicationFactor: n)
        where node != configuration.node {
            noteSent(id.rawValue, to: node)
            if !goesWithout(node, id) { send(frame, to: node, &effects) }
        }
    }

    /// A replica lacks what the delta stands upon: it gets the key's whole state, under the number
    /// that the delta had.
    mutating func sendState(
        _ id: OperationID, to node: NodeID, _ effects: inout Effects
    ) {
        guard let write = writes[id], let key = write.typedKey else {
            counters.lateAnswers += 1
            return
        }
        key.withUnsafeBytes { key in
            let address = store.address(of: key)
            guard let stored = believableState(address, key, write.keyspace, &effects) else {
                return
            }
            counters.statesSent += 1
            let flag: UInt8 = write.tally.durableWriteQuorum > 0 ? 1 : 0
            sendWhole(stored, flag: flag, number: id.rawValue, to: node, &effects)
        }
    }

    /// Sends a stored record for another replica to merge.
    func sendWhole(
        _ record: Record, flag: UInt8 = 0, number: UInt64, to node: NodeID,
        _ effects: inout Effects
    ) {
        let frame = effects.bytes.appendMessage(kind: 1, flag: flag, number: number) {
            appendWhole(record, into: &$0)
        }
        send(frame, to: node, &effects)
    }

    /// Does here what a command did on another replica.
    mutating func replicate(
        _ number: UInt64, _ record: DeltaRecord, _ durability: Message.ReplicateDurability,
        from node: NodeID, _ effects: inout Effects
    ) {
        turn.spend(bytesCoded: record.bytes.count)
        turn.spend(elementsSought: record.delta.elementCount)
        let keyspace = catalog.index(of: record.key)
        let kept = catalog.active[keyspace].durability
        let isKept = configuration.plantedBug != .deltasNotKept
        let needsSync = isKept && (kept == .fsync || durability == .synced)
        let isTaken = isTyped(keyspace) && !isUnheard(keyspace, by: node)
        let isInDoubt = isTaken && isAllInDoubt(record.key, by: node)
        var status =
            if isInDoubt {
                ungrounded()
            } else {
                isTaken ? apply(record, keyspace, &effects) : refuseDropped()
            }
        if status == .acknowledged || status == .durable {
            noteReceived(number, from: node)
            // What is vouched for must be durable, also when it was here already.
            if isKept, status == .acknowledged || needsSync {
                keepDelta(
                    record.bytes, kept, synced: needsSync, token: nil, &effects)
            }
            status = needsSync || !isKept ? .durable : .acknowledged
        }
        acknowledge(number, status, nil, to: node, &effects)
    }

    /// - Returns: `acknowledged` for news, `durable` for what was here already.
    private mutating func apply(
        _ record: DeltaRecord, _ keyspace: Int, _ effects: inout Effects
    ) -> ReplicaStatus {
        let stamp = record.delta.dot.stamp
        let demand = DiskDemand(record, after: effects.bytes.count)
        if let refusal = refusal(of: stamp, record.key, keyspace, demand) { return refusal }
        let location = KeyLocation(keyspace: keyspace, address: store.address(of: record.key))
        let drop = catalog.active[keyspace].drop
        guard stamp > drop.emptiedAt, stamp > settled(location.address.range, keyspace) else {
            return .durable
        }
        guard !drop.isDiscarding else { return refuseDropped() }
        var held = takeState(location, record.key, &effects)
        if let newest = held.state.context.newest, isAhead(newest.stamp) {
            putBack(held)
            return .clockAhead
        }
        let before = mayExceed(held, record) ? held : nil
        let isEmptied = record.delta.empties && held.bytes > ExpandedStates.remainsBytesMin
        let whole = isEmptied ? held.state : nil
        defer { if let whole { store.expanded.bury(whole) } }
        switch held.state.apply(record.delta) {
        case .tooMany:
            putBack(held)
            return .tooManySiblings
        case .alreadyKnown:
            putBack(held)
            return .durable
        case .needsState:
            putBack(held)
            return ungrounded()
        case .applied:
            if let before, !held.fits(configuration.recordBytesMax, record.key) {
                putBack(before)
                return .tooManySiblings
            }
            store(held, record.change(in: held.state), by: record.bytes.count, location, record.key)
            return .acknowledged
        }
    }

    /// A delta stands upon what is not here.
    private mutating func ungrounded() -> ReplicaStatus {
        counters.deltasUngrounded += 1
        if configuration.plantedBug == .groundlessAcknowledged { return .durable }
        // There would be no room for the whole state.
        return disk.room.isFull ? .diskFull : .needsState
    }

    /// Whether a state is so near its limit that it is measured with a delta, and put back as it
    /// was if it is over.
    private mutating func mayExceed(_ held: HeldState, _ record: DeltaRecord) -> Bool {
        let identities = held.state.context.entries.count + 1
        let growth = record.delta.growth(bytes: record.deltaBytes, identities: identities)
        let more = growth + record.key.count + 128
        func exceeds(_ bytes: Int) -> Bool {
            bytes + HeldState.dotGrowth(bytes, identities) + more > configuration.recordBytesMax
        }
        return exceeds(held.bytes) && exceeds(measuredBytes(held))
    }

    /// Hands a delta to the journal as its keyspace demands.
    ///
    /// - Parameters:
    ///   - record: as `DeltaRecord.encode` writes it.
    ///   - token: the write whose own acknowledgement this is.
    mutating func keepDelta(
        _ record: UnsafeRawBufferPointer, _ durability: Durability, synced: Bool,
        token: OperationID?, _ effects: inout Effects
    ) {
        if durability == .memory {
            if let token { acknowledgeOwn(token, durable: false, &effects) }
            return
        }
        let start = effects.bytes.count
        if let whole = wholeRecord(inPlaceOf: record) {
            effects.bytes.append(JournalKind.record.rawValue)
            appendWhole(whole, into: &effects.bytes)
        } else {
            effects.bytes.append(JournalKind.delta.rawValue)
            effects.bytes.append(record)
        }
        persist(start..<effects.bytes.count, durability, synced: synced, token: token, &effects)
    }

    /// Takes a delta back from the journal. One that does not fit stands upon what was lost from
    /// it; exchanges bring that back.
    mutating func restore(_ record: DeltaRecord) {
        let keyspace = catalog.index(of: record.key)
        noteRestored(record.delta.dot, keyspace)
        guard isTyped(keyspace), !isInMemoryOnly(keyspace),
            record.delta.dot.stamp > catalog.active[keyspace].truncatedAt
        else { return }
        let location = KeyLocation(keyspace: keyspace, address: store.address(of: record.key))
        var held = restoredState(location, record.key)
        guard held.state.apply(record.delta) == .applied else { return putBack(held) }
        putState(held, record.change(in: held.state), location, record.key)
    }
}

extension DiskDemand {
    /// What only takes away shortens the state by what it takes itself, so it needs no more room
    /// than the smallest deletion.
    fileprivate init(_ record: DeltaRecord, after bytes: Int) {
        guard !record.delta.isRemoval else {
            self.init(isDelete: true, bytes: bytes + min(record.bytes.count, 512))
            return
        }
        let growth = record.delta.growth(bytes: record.deltaBytes, identities: 1)
        self.init(
            isDelete: false,
            bytes: bytes + DiskIntake.charge(record.bytes.count, growth: growth))
    }
}
