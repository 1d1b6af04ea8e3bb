import Base
import Causality
import Coding
import Quorum
import RESP
import Ring

// Writes that this node coordinates: mint a dot, merge here, send to the other replicas, count.
extension Node {
    /// Starts a write on a replica of its key.
    mutating func write(
        _ wanted: WriteIntent, at location: KeyLocation, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        let intent = wanted.executed(at: now.wallMilliseconds)
        let (keyspace, address) = (location.keyspace, location.address)
        counters.writes += 1
        let n = catalog.active[keyspace].n
        guard mayWrite(intent, keyspace, address, target, &effects) else { return }
        guard writes.room(for: keyspace) > 0
        else { return overload(.write, keyspace, target, &effects) }
        if n == 1, case .delete = intent.change, replacesAll(intent, keyspace),
            isWhole(address.range, keyspace)
        {
            return remove(intent, location, target, &effects)
        }
        var place = store.locate(address, intent.key)
        if correction != nil, place.record != nil {
            _ = believableState(address, intent.key, keyspace, &effects)
            place = store.locate(address, intent.key)
        }
        guard let dot = mint(intent, keyspace, place.record, target, &effects),
            let record = merge(intent, dot, location, place, target, &effects)
        else { return ledger.failed(keyspace, .write, .refused) }
        let needsSync = intent.levels.durableWriteQuorum > 0
        let durability = catalog.active[keyspace].durability
        if n == 1 && durability == .memory {
            ledger.answeredNow(keyspace, .write)
            noteLocalWrite(intent, dot, location, target)
            _ = noteExecuted(target, dot, intent.success, &effects)
            reply(intent.success, target, &effects)
            return
        }
        let id = startWrite(intent, dot, location, n, target)
        let executed = noteExecuted(target, dot, intent.success, &effects)
        if executed != nil { keep(record, durability, synced: true, token: id, &effects) }
        spread(record, id, &effects)
        if let executed { return announce(executed, &effects) }
        keep(record, durability, synced: needsSync, token: id, &effects)
    }

    private mutating func spread(
        _ record: Record, _ id: OperationID, _ effects: inout Effects
    ) {
        guard let write = writes[id], write.primaries > 1 else { return }
        if catalog.active[write.keyspace].settings.conflict == .lww {
            writes[id]?.record = Array(record.bytes)
        }
        let needsSync = write.tally.durableWriteQuorum > 0
        sendReplicas(record, id, write.range, write.primaries, needsSync, &effects)
        refuseUnreachable(id, write.range, write.primaries, &effects)
    }

    /// Whether a write leaves nothing of what is there, seen or not by whoever asked for it.
    private func replacesAll(_ intent: WriteIntent, _ keyspace: Int) -> Bool {
        intent.context == nil || catalog.active[keyspace].settings.conflict == .lww
    }

    /// Deletes a key from its only replica: nobody else could bring it back, so no tombstone stays.
    private mutating func remove(
        _ intent: WriteIntent, _ location: KeyLocation, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        let keyspace = location.keyspace
        let durability = catalog.active[keyspace].durability
        removeStored(intent.key)
        let dot = Dot(identity: identity, stamp: clock.tick())
        _ = noteExecuted(target, dot, intent.success, &effects)
        guard durability == .fsync || intent.levels.durableWriteQuorum > 0 else {
            forget(intent.key, keyspace, &effects)
            if case .interval(let milliseconds) = durability { effects.syncWithin(milliseconds) }
            ledger.answeredNow(keyspace, .write)
            noteLocalWrite(intent, dot, location, target)
            return reply(intent.success, target, &effects)
        }
        let id = startWrite(intent, dot, location, 1, target)
        // A session requires what leaves no record.
        if !client.guarantees.isEmpty {
            effects.append { appendWritten(VersionVector(dot), into: &$0) }
        }
        effects.persist {
            $0.append(JournalKind.removal.rawValue)
            $0.append(intent.key)
        }
        effects.add(.notify(id.rawValue))
    }

    /// Refuses what is known not to work before anything has happened.
    mutating func mayWrite(
        _ intent: WriteIntent, _ keyspace: Int, _ address: RecordStore.Address,
        _ target: ReplyTarget, _ effects: inout Effects
    ) -> Bool {
        let n = catalog.active[keyspace].n
        if isFenced(intent.key) {
            countUnavailable(.write, keyspace)
            fail(target, "UNAVAILABLE the keyspace is being changed; try again", &effects)
            return false
        }
        if disk.isLimited,
            isRefusedByDisk(intent, isDelete: intent.isDelete, keyspace, target, &effects)
        {
            return false
        }
        if lacksMemory(isDelete: intent.isDelete, intent.key) {
            ledger.failed(keyspace, .write, .refused)
            fail(target, text: outOfMemory, &effects)
            return false
        }
        if case .bulk(let bytes) = intent.success, !mayTellAgain(bytes.count + 16, target) {
            fail(target, Node.tooLargeToTellAgain, &effects)
            return false
        }
        guard n > 1 else { return mayReplace(keyspace, address, target, &effects) }
        guard mayStamp(keyspace, target, &effects) else { return false }
        let location = KeyLocation(keyspace: keyspace, address: address)
        let reachable = reachableHolders(of: location, intent.levels.primaryWriteQuorum)
        guard reachable < intent.levels.writeQuorum else {
            return intent.isDelete || mayFit(intent, location, reachable, target, &effects)
        }
        countUnavailable(.write, keyspace)
        fail(
            target,
            text: "UNAVAILABLE \(reachable) of \(n) replicas reachable, "
                + "W=\(intent.levels.writeQuorum); nothing was written", &effects)
        return false
    }

    /// Refuses what this node's disk has no room for.
    ///
    /// - Parameter isDelete: it leaves nothing of the key.
    mutating func isRefusedByDisk(
        _ intent: WriteIntent, isDelete: Bool, _ keyspace: Int, _ target: ReplyTarget,
        _ effects: inout Effects
    ) -> Bool {
        let demand = DiskDemand(
            isDelete: isDelete, bytes: effects.bytes.count + intent.byteCount)
        guard let refusal = diskRefusal(intent.key, keyspace, demand) else { return false }
        ledger.failed(keyspace, .write, refusal == .diskFull ? .refused : .overloaded)
        fail(target, refusal == .diskFull ? disk.room.fullText : DiskRoom.busyText, &effects)
        return true
    }

    /// Refuses what this node's clock could not name.
    private mutating func mayStamp(
        _ keyspace: Int, _ target: ReplyTarget, _ effects: inout Effects
    ) -> Bool {
        guard clock.isUndecided else { return true }
        counters.unavailable += 1
        ledger.failed(keyspace, .write, .refused)
        fail(target, text: "CLOCK \(clockTrouble ?? ""); nothing was written", &effects)
        return false
    }

    /// Replicas that a request could go to now, this node included if it is one.
    func reachableReplicas(of range: KeyRange, _ n: Int) -> Int {
        ring.primaries(of: range, replicationFactor: n).reduce(0) {
            $0 + ($1 == configuration.node || isReachable($1) ? 1 : 0)
        }
    }

    /// Names the write: a dot later than everything that it replaces.
    mutating func mint(
        _ intent: WriteIntent, _ keyspace: Int, _ stored: Record?, _ target: ReplyTarget,
        _ effects: inout Effects
    ) -> Dot? {
        guard followSession(intent.key, target, &effects) else { return nil }
        if let stored, !clock.follow(stored.dot.stamp) {
            fail(
                target,
                "CLOCK the key was written by a clock far ahead of this node's; nothing is written",
                &effects)
            return nil
        }
        let truncatedAt = catalog.active[keyspace].truncatedAt
        guard clock.follow(truncatedAt) else {
            fail(
                target, "CLOCK the keyspace was emptied by a clock far ahead of this node's",
                &effects)
            return nil
        }
        if let seen = intent.context?.newest, !follow(seen) {
            fail(target, "CLOCK the causal context is far ahead of this node's clock", &effects)
            return nil
        }
        return Dot(identity: identity, stamp: clock.tick())
    }

    /// Merges the write into this replica's own state.
    ///
    /// - Returns: the record now stored; nil, and an error reply, when it was refused.
    private mutating func merge(
        _ intent: WriteIntent, _ dot: Dot, _ location: KeyLocation, _ place: RecordTable.Place,
        _ target: ReplyTarget, _ effects: inout Effects
    ) -> Record? {
        let (keyspace, address) = (location.keyspace, location.address)
        if catalog.active[keyspace].settings.conflict == .siblings {
            guard addSibling(intent, dot, location, target, &effects) else { return nil }
            return store.find(address, intent.key)
        }
        return storePlain(intent, dot, keyspace, address, place)
    }

    private mutating func addSibling(
        _ intent: WriteIntent, _ dot: Dot, _ location: KeyLocation, _ target: ReplyTarget,
        _ effects: inout Effects
    ) -> Bool {
        let (keyspace, address) = (location.keyspace, location.address)
        let stored = liveState(address, intent.key, keyspace)
        var set = stored.map { SiblingSet(valid: $0) } ?? SiblingSet()
        let before = set.siblings.count
        var context = intent.context ?? set.seen
        if intent.context == nil { context.join(seenBySession(address.hash, target)) }
        switch intent.change {
        case .value(let value):
            set.update(dot: dot, value: Array(value), expiry: intent.expiry, context: context)
        case .delete: set.delete(dot: dot, context: context)
        }
        guard keepLimits(&set, before: before, of: intent, target, &effects) else { return false }
        // What deletes some of the values only is a write to the other replicas.
        if disk.isLimited, intent.isDelete, !set.siblings.isEmpty,
            isRefusedByDisk(intent, isDelete: false, keyspace, target, &effects)
        {
            return false
        }
        merged.removeAll()
        let range = set.encodeRecord(key: intent.key, into: &merged)
        replaceStored(merged[range], keyspace, address)
        return true
    }

    private mutating func storePlain(
        _ intent: WriteIntent, _ dot: Dot, _ keyspace: Int, _ address: RecordStore.Address,
        _ place: RecordTable.Place
    ) -> Record {
        let body: UnsafeRawBufferPointer
        let kind: RecordKind
        switch intent.change {
        case .value(let value): (body, kind) = (value, .value)
        case .delete: (body, kind) = (UnsafeRawBufferPointer(start: nil, count: 0), .tombstone)
        }
        let tally = tally(dot.stamp, keyspace)
        let length = Record.length(keyBytes: intent.key.count, bodyBytes: body.count)
        holdings.replace(
            place.record, place.tally,
            by: .plain(
                length: length, isTombstone: kind == .tombstone, expires: intent.expiry > 0),
            tally, dot.stamp)
        let before = Holdings.TreeShare(place.record, place.tally)
        store.release(place.record)
        noteCandidate(isTombstone: kind == .tombstone, expiry: intent.expiry, address)
        let target = store.prepare(place, address, intent.key, length: length, tally)
        Record.write(
            to: target, kind: kind, dot: dot, expiry: intent.expiry, key: intent.key, body: body)
        let record = Record(at: target)
        holdings.changeTree(address, from: before, to: .init(record, tally))
        return record
    }

    mutating func startWrite(
        _ intent: WriteIntent, _ dot: Dot, _ location: KeyLocation, _ n: Int,
        _ target: ReplyTarget
    ) -> OperationID {
        let address = location.address
        let deadline =
            now.monotonic
            + .nanoseconds(milliseconds: UInt64(intent.levels.timeoutMilliseconds))
        let byteCount = store.find(address, intent.key)?.length ?? 0
        let head = OperationHead(
            target: outlasting(target, byteCount: byteCount),
            client: client, deadline: deadline, begunAt: now.monotonic)
        let id = writes.insert(
            WriteOperation(
                head: head, keyspace: location.keyspace, range: address.range, dot: dot,
                success: intent.success,
                tally: WriteTally(
                    replicaCount: extent(of: address.range, location.keyspace),
                    writeQuorum: intent.levels.writeQuorum,
                    primaryWriteQuorum: intent.levels.primaryWriteQuorum,
                    durableWriteQuorum: intent.levels.durableWriteQuorum),
                primaries: n, hash: address.hash, replaces: intent.context == nil,
                overflow: takeOverflow(), context: intent.changed ?? CausalContext()))
        watch(id, at: deadline)
        return id
    }

    /// A write that nobody else has to acknowledge belongs to a session.
    mutating func noteLocalWrite(
        _ intent: WriteIntent, _ dot: Dot, _ location: KeyLocation, _ target: ReplyTarget
    ) {
        guard !client.guarantees.isEmpty else { return }
        noteWritten(
            SessionWrite(
                hash: location.address.hash, keyspace: location.keyspace, dot: dot,
                replaces: intent.context == nil, read: intent.changed), target)
    }

    /// Sends the record, encoded once, to every other replica that can be reached, and to who
    /// stands in for those that cannot.
    mutating func sendReplicas(
        _ record: Record, _ id: OperationID, _ range: KeyRange, _ n: Int, _ needsSync: Bool,
        _ effects: inout Effects
    ) {
        let frame = effects.bytes.appendMessage(
            kind: 1, flag: needsSync ? 1 : 0, number: id.rawValue, record.bytes)
        for node in ring.primaries(of: range, replicationFactor: n)
        where node != configuration.node {
            noteSent(id.rawValue, to: node)
            if !goesWithout(node, id) { send(frame, to: node, &effects) }
        }
        sendHints(record, id, needsSync, &effects)
    }

    mutating func refuseUnreachable(
        _ id: OperationID, _ range: KeyRange, _ n: Int, _ effects: inout Effects
    ) {
        for (replica, node) in ring.primaries(of: range, replicationFactor: n).enumerated()
        where node != configuration.node {
            if !isReachable(node) {
                record(.refused(.unreachable), from: replica, of: id, &effects)
            } else if goesWithout(node, id) {
                record(.refused(.overloaded), from: replica, of: id, &effects)
            }
        }
        refuseIdleFallbacks(id, &effects)
    }
}

extension ByteBuffer {
    @inline(__always)
    mutating func write(_ reply: WriteReply, _ dialect: Dialect) {
        switch reply {
        case .ok: writeOK()
        case .integer(let value): writeInteger(value)
        case .bulk(let bytes): bytes.withUnsafeBytes { writeBulk($0) }
        case .null: writeNull(dialect)
        case .encoded(let bytes): append(bytes)
        }
    }
}

extension Refusal {
    /// The error that a client sees when every replica refused.
    var text: String {
        switch self {
        case .unreachable: "UNAVAILABLE no replica could be reached; nothing was written"
        case .overloaded: "OVERLOADED every replica is overloaded; nothing was written"
        case .wrongEpoch: "UNAVAILABLE the replicas disagree on the keyspace; nothing was written"
        case .diskFull: "DISKFULL no replica has disk space left; nothing was written"
        case .tooLarge: "SIBLINGS too many concurrent values; nothing was written"
        case .clockAhead:
            "CLOCK every replica refused the stamp as too far ahead; nothing was written"
        }
    }
}
