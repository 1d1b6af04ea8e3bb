import Base
import Causality
import Coding
import Ring

// A replica's side: merging records that others send, keeping what was merged, answering reads.
extension Node {
    /// The stored state of a key that still counts: not emptied away by a truncation.
    @inline(__always)
    func liveState(
        _ address: RecordStore.Address, _ key: UnsafeRawBufferPointer, _ keyspace: Int
    ) -> Record? {
        guard let record = store.find(address, key) else { return nil }
        return record.written.stamp > catalog.active[keyspace].truncatedAt ? record : nil
    }

    /// Whether a reader sees a value in this state.
    @inline(__always)
    func isLive(_ record: Record) -> Bool {
        !record.isTombstone && (record.expiry == 0 || record.expiry > now.wallMilliseconds)
    }

    mutating func replicate(
        _ number: UInt64, _ record: Record, _ durability: Message.ReplicateDurability,
        from node: NodeID, _ effects: inout Effects
    ) {
        let keyspace = catalog.index(of: record.key)
        guard !isUnheard(keyspace, by: node) else {
            return acknowledge(number, refuseDropped(), nil, to: node, &effects)
        }
        let isUnasked = number == 0 && isTyped(keyspace)
        let before = isUnasked ? contextDigest(of: record.key) : nil
        let status = mergeIn(record, keyspace, from: node, &effects)
        if number == 0, status == .diskFull { disk.pause.refused(at: now.monotonic) }
        // The journal has it, and to keep it again takes the whole of it.
        if let before, before == contextDigest(of: record.key) { return }
        guard status == .acknowledged || status == .superseded && number != 0 else {
            return acknowledge(number, status, nil, to: node, &effects)
        }
        noteReceived(number, from: node)
        // What is vouched for must be durable, be it the record that came or the one that wins
        // over it.
        let stored = store.find(store.address(of: record.key), record.key)
        let kept = catalog.active[keyspace].durability
        let needsSync = kept == .fsync || durability == .synced
        if let stored {
            keep(whole(stored), kept, synced: needsSync, token: nil, &effects)
        }
        if status == .superseded {
            return acknowledge(number, status, stored?.dot.stamp, to: node, &effects)
        }
        guard number != 0 else {
            counters.repaired += 1
            return
        }
        acknowledge(number, needsSync ? .durable : .acknowledged, nil, to: node, &effects)
    }

    private func contextDigest(of key: UnsafeRawBufferPointer) -> UInt64? {
        store.find(store.address(of: key), key)?.contextDigest
    }

    mutating func acknowledge(
        _ number: UInt64, _ status: ReplicaStatus, _ stamp: Stamp?, to node: NodeID,
        _ effects: inout Effects
    ) {
        guard number != 0 else { return }
        if status == .diskFull { tellRoom(to: node, &effects) }
        withUnsafeBytes(of: (stamp?.rawValue ?? 0).littleEndian) {
            send(to: node, kind: 2, flag: status.rawValue, number: number, $0, &effects)
        }
    }

    /// Merges a record that another node has sent. A mergeable state comes whole.
    private mutating func mergeIn(
        _ record: Record, _ keyspace: Int, from node: NodeID, _ effects: inout Effects
    ) -> ReplicaStatus {
        guard isRefilling, isTyped(keyspace) else { return mergeIn(record, keyspace, &effects) }
        let limit = refutedUpTo(place(of: record.key), by: node)
        return mergeIn(record, refutingUpTo: limit, &effects).0
    }

    /// Merges a record from elsewhere into this node's state.
    mutating func mergeIn(
        _ incoming: Record, _ keyspace: Int, _ effects: inout Effects
    ) -> ReplicaStatus {
        let status = meet(incoming, keyspace, &effects)
        if status == .tooManySiblings { counters.refusedTooLarge += 1 }
        return status
    }

    private mutating func meet(
        _ incoming: Record, _ keyspace: Int, _ effects: inout Effects
    ) -> ReplicaStatus {
        let demand = DiskDemand(
            isDelete: incoming.isTombstone, bytes: effects.bytes.count + incoming.length)
        let refusal = refusal(of: incoming.dot.stamp, incoming.key, keyspace, demand)
        if let refusal { return refusal }
        let active = catalog.active[keyspace]
        let address = store.address(of: incoming.key)
        guard incoming.written.stamp > active.drop.emptiedAt else { return .acknowledged }
        guard !active.drop.isDiscarding else { return refuseDropped() }
        guard isNews(incoming, address, keyspace) else {
            counters.ignoredSettled += 1
            return .acknowledged
        }
        guard incoming.length <= configuration.recordBytesMax else { return .tooManySiblings }
        if active.settings.conflict == .crdt || incoming.isMergeable {
            return mergeState(incoming, keyspace, &effects)
        }
        return mergeValues(incoming, .init(keyspace: keyspace, address: address), &effects)
    }

    private mutating func mergeValues(
        _ incoming: Record, _ location: KeyLocation, _ effects: inout Effects
    ) -> ReplicaStatus {
        let (keyspace, address) = (location.keyspace, location.address)
        let stored = believableState(address, incoming.key, keyspace, &effects)
        if let stored, isAhead(stored.dot.stamp) { return .clockAhead }
        let policy = catalog.active[keyspace].settings.conflict
        let news = policy == .siblings ? withoutRefuted(incoming, stored, location) : incoming
        merged.removeAll()
        let merge = RecordMerge.merge(
            stored: stored, incoming: news, policy: policy, into: &merged)
        counters.droppedValues += merge.droppedValues
        switch merge.outcome {
        case .keepStored:
            let isOlder = stored.map { incoming.written < $0.written } ?? false
            return policy == .lww && isOlder ? .superseded : .acknowledged
        case .takeIncoming: replaceStored(news.bytes, keyspace, address)
        case .merged where configuration.plantedBug == .mergeKeepsStored: break
        case .merged(let range):
            guard range.count <= configuration.recordBytesMax else { return .tooManySiblings }
            if leavesTooMuch(incoming, range.count, keyspace, effects) { return .diskFull }
            replaceStored(merged[range], keyspace, address)
        case .refused: return .tooManySiblings
        }
        return .acknowledged
    }

    /// Whether a record is later than what is settled here; and if it gives another expiry to a
    /// value from before, whether that is still here. What has expired was forgotten by the time:
    /// where that was set back it is not over yet.
    private func isNews(
        _ incoming: Record, _ address: RecordStore.Address, _ keyspace: Int
    ) -> Bool {
        let settled = settled(address.range, keyspace)
        guard incoming.dot.stamp > settled else { return isNotOver(incoming) }
        return !incoming.isLayered || incoming.written.stamp > settled
            || liveState(address, incoming.key, keyspace) != nil
    }

    private func isNotOver(_ incoming: Record) -> Bool {
        clock.isConfirmed && !incoming.isTombstone && incoming.expiry > now.wallMilliseconds
    }

    /// Why this node takes nothing with such a stamp for a key now; nil when it does.
    mutating func refusal(
        of stamp: Stamp, _ key: UnsafeRawBufferPointer, _ keyspace: Int, _ demand: DiskDemand
    ) -> ReplicaStatus? {
        if isFencedForReplicas(key) { return .overloaded }
        if disk.isLimited, let refusal = diskRefusal(key, keyspace, demand) { return refusal }
        if lacksMemory(isDelete: demand.isDelete, key) { return .overloaded }
        guard clock.observe(stamp) else {
            counters.refusedAhead += 1
            return .clockAhead
        }
        return nil
    }

    /// Has a replay forget what it has of a key by then, so that an earlier stamp may follow a
    /// later one.
    func forget(_ key: UnsafeRawBufferPointer, _ keyspace: Int, _ effects: inout Effects) {
        guard catalog.active[keyspace].durability != .memory else { return }
        effects.append {
            $0.append(JournalKind.removal.rawValue)
            $0.append(key)
        }
    }

    /// Has the journal remember a record as it is here.
    func keepWhole(_ record: Record, _ effects: inout Effects) {
        effects.append {
            $0.append(JournalKind.record.rawValue)
            appendWhole(record, into: &$0)
        }
    }

    /// Puts a whole record in the place of what is stored for its key.
    mutating func replaceStored(
        _ bytes: UnsafeRawBufferPointer, _ keyspace: Int, _ address: RecordStore.Address
    ) {
        guard let base = bytes.baseAddress else { return }
        let location = KeyLocation(keyspace: keyspace, address: address)
        replaceStored(bytes, location, at: store.locate(address, Record(at: base).key))
    }

    /// - Parameter place: where the key is, still valid.
    @inline(__always)
    mutating func replaceStored(
        _ bytes: UnsafeRawBufferPointer, _ location: KeyLocation, at place: RecordTable.Place
    ) {
        guard let base = bytes.baseAddress else { return }
        let record = Record(at: base)
        let (keyspace, address) = (location.keyspace, location.address)
        let tally = tally(record.written.stamp, keyspace)
        holdings.replace(
            place.record, place.tally, by: .init(record), tally, record.dot.stamp)
        let before = Holdings.TreeShare(place.record, place.tally)
        noteCandidate(isTombstone: record.isTombstone, expiry: record.expiry, address)
        noteCompactible(record, keyspace, address.range)
        store.release(place.record, for: record)
        store.prepare(place, address, record.key, length: bytes.count, tally)
            .copyMemory(from: base, byteCount: bytes.count)
        holdings.changeTree(address, from: before, to: .init(record, tally))
    }

    /// Hands a stored record to the journal as its keyspace demands.
    ///
    /// - Parameter token: the write whose own acknowledgement this is.
    mutating func keep(
        _ record: Record, _ durability: Durability, synced: Bool, token: OperationID?,
        _ effects: inout Effects
    ) {
        if durability == .memory {
            if let token { acknowledgeOwn(token, durable: false, &effects) }
            return
        }
        let start = effects.bytes.count
        effects.bytes.append(JournalKind.record.rawValue)
        effects.bytes.append(record.bytes)
        persist(start..<effects.bytes.count, durability, synced: synced, token: token, &effects)
    }

    /// Hands what was appended for the journal on as a keyspace that is kept on disk demands.
    mutating func persist(
        _ range: Range<Int>, _ durability: Durability, synced: Bool, token: OperationID?,
        _ effects: inout Effects
    ) {
        if durability == .fsync || synced {
            effects.add(.persist(range))
            if let token { effects.add(.notify(token.rawValue)) }
            return
        }
        effects.add(.append(range))
        if case .interval(let milliseconds) = durability { effects.syncWithin(milliseconds) }
        if let token { acknowledgeOwn(token, durable: false, &effects) }
    }

    mutating func answerRead(
        _ number: UInt64, _ key: UnsafeRawBufferPointer, from node: NodeID,
        _ effects: inout Effects
    ) {
        if putOff(number, key, nil, of: node, &effects) { return }
        let keyspace = catalog.index(of: key)
        let address = store.address(of: key)
        if keepsHints(address.range, keyspace) {
            return answerFromHint(number, key, from: node, &effects)
        }
        guard isWhole(address.range, keyspace) else {
            return decline(number, of: node, &effects)
        }
        guard let record = believableState(address, key, keyspace, &effects) else {
            let emptiedAt = absentUpTo(address.range, keyspace).rawValue
            return withUnsafeBytes(of: emptiedAt.littleEndian) {
                send(
                    to: node, kind: 4, flag: ReplicaStatus.absent.rawValue, number: number, $0,
                    &effects)
            }
        }
        answerFound(number, record, to: node, &effects)
    }

    mutating func answerFound(
        _ number: UInt64, _ record: Record, to node: NodeID, _ effects: inout Effects
    ) {
        let status = ReplicaStatus.found.rawValue
        send(to: node, kind: 4, flag: status, number: number, whole(record).bytes, &effects)
    }
}
