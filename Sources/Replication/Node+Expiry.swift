import Base
import Causality
import Coding
import RESP
import Ring

/// An expiry for values that a command has read.
struct ExpiryChange {
    /// What was read.
    let read: SiblingSet
    /// The values that get the expiry.
    let dots: [Dot]
    /// Wall-clock milliseconds since 1970, 0 for never.
    let milliseconds: UInt64
    let levels: WriteLevels
    let success: WriteReply
}

// EXPIRE, PERSIST and GETEX where values are plain: they read the key, and give another expiry to
// the value that they have read, under a dot of their own (`SiblingSet.expire`). The value goes
// along under the dot it has, for replicas that lack it; so nothing is written that a replica has
// already replaced, and what was written beside the command keeps the expiry that it has.
//
// A time that is over when the command is executed makes it a DEL of what it has read: otherwise an
// EXPIRE on the other side of a cut, given later, would undo it. Under lww too it removes only that
// value, whose place it keeps in the order of writes: with a later one it would win over a SET that
// came before it on the other side.
extension Node {
    mutating func expire(
        _ name: CommandName, _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        let options = try ExpireOptions(request, name, now: now.wallMilliseconds)
        let keyspace = catalog.index(of: request[1])
        guard options.conditions.isEmpty || catalog.active[keyspace].n == 1 else {
            let n = catalog.active[keyspace].n
            return fail(target, text: Node.inOneStep(name, n), &effects)
        }
        try changeExpiry(target, &effects) { .expire(options, $0) }
    }

    mutating func persist(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        try changeExpiry(target, &effects) { .persist($0) }
    }

    mutating func getExpire(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        guard request.count > 2 else { return try get(target, &effects) }
        let milliseconds: UInt64
        do throws(CommandError) {
            let options = try GetExpiryOptions(request)
            milliseconds = try options.expiry.time(now: now.wallMilliseconds, of: .getex) ?? 0
        } catch {
            // As in Redis a time is looked at behind the key.
            guard error != .syntax else { throw error }
            return try changeExpiry(target, &effects) { .getWithoutExpiry(error, $0) }
        }
        try changeExpiry(target, &effects) { .getExpire(milliseconds, $0) }
    }

    private mutating func changeExpiry(
        _ target: ReplyTarget, _ effects: inout Effects,
        _ purpose: (WriteLevels) -> ReadPurpose
    ) throws(CommandError) {
        let key = request[1]
        let spot = place(of: key)
        guard let levels = writeLevels(.none, spot.keyspace, target, &effects),
            let readLevels = readLevels(.none, spot.keyspace, target, &effects)
        else { return }
        guard isReplica(of: spot) else {
            return forwardRequest(
                to: spot, timeoutMilliseconds: levels.timeoutMilliseconds, target, &effects)
        }
        read(key, keyspace: spot.keyspace, readLevels, purpose(levels), target, &effects)
    }

    /// Goes on with a command once its key was read.
    mutating func changeExpiry(
        _ purpose: ReadPurpose, _ key: UnsafeRawBufferPointer, _ record: Record?,
        _ target: ReplyTarget, _ effects: inout Effects
    ) {
        let keyspace = catalog.index(of: key)
        let read = record.map { SiblingSet(valid: $0) } ?? SiblingSet()
        let live = liveSiblings(read, keyspace)
        guard let first = live.first else {
            return reply(purpose.isGet ? .null : .integer(0), target, &effects)
        }
        guard live.withoutRepeats().count == 1 else {
            return failAmbiguous(live.count, target, &effects)
        }
        if case .getWithoutExpiry(let error, _) = purpose {
            let start = effects.bytes.count
            effects.bytes.writeError(error, for: request)
            return deliver(target, from: start, &effects)
        }
        guard let milliseconds = purpose.expiry(of: first),
            let levels = purpose.writeLevels
        else { return reply(purpose.isGet ? .bulk(first.value) : .integer(0), target, &effects) }
        let place = place(of: key)
        guard isReplica(of: place), levels.writeQuorum <= catalog.active[keyspace].n else {
            return fail(target, "UNAVAILABLE the keyspace changed meanwhile", &effects)
        }
        let change = ExpiryChange(
            read: read, dots: live.map(\.dot), milliseconds: milliseconds, levels: levels,
            success: purpose.isGet ? .bulk(first.value) : .integer(1))
        // The write tells what was read, once it is acknowledged.
        learned = nil
        effects.inScope { give(change, to: key, at: place, target, &$0) }
    }

    /// What a reader sees of a key's values.
    func liveSiblings(_ set: SiblingSet, _ keyspace: Int) -> [Sibling] {
        let truncatedAt = catalog.active[keyspace].truncatedAt
        return set.siblings.filter {
            $0.dot.stamp > truncatedAt && $0.isLive(at: now.wallMilliseconds)
        }
    }

    private mutating func give(
        _ change: ExpiryChange, to key: UnsafeRawBufferPointer, at location: KeyLocation,
        _ target: ReplyTarget, _ effects: inout Effects
    ) {
        let (keyspace, address) = (location.keyspace, location.address)
        let isOver = isOver(change)
        if isOver, catalog.active[keyspace].n == 1 || !isNewestOnly(keyspace) {
            return end(change, of: key, at: location, target, &effects)
        }
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        var intent = WriteIntent(
            key: key, change: isOver ? .delete : .value(empty), levels: change.levels,
            success: change.success)
        // Not nil: the command saw this, and does not replace it.
        intent.context = change.read.seen
        intent.isOfExpiry = true
        intent.bytesBeside = change.read.encodedBytes
        counters.writes += 1
        guard mayWrite(intent, keyspace, address, target, &effects) else { return }
        guard !writes.isFull else { return overload(.write, keyspace, target, &effects) }
        let stored = believableState(address, key, keyspace, &effects)
        guard let dot = mint(intent, keyspace, stored, target, &effects) else {
            return ledger.failed(keyspace, .write, .refused)
        }
        let set = changed(change, dot, stored, keyspace)
        merged.removeAll()
        guard set.isWithinLimits,
            set.encodedBytes + Record.headerBytes + key.count <= configuration.recordBytesMax
        else {
            ledger.failed(keyspace, .write, .refused)
            return fail(
                target, "SIBLINGS more concurrent values than a record holds", &effects)
        }
        replaceStored(merged[set.encodeRecord(key: key, into: &merged)], keyspace, address)
        send(intent, (dot, change.dots.max()), location, target, &effects)
    }

    private func isOver(_ change: ExpiryChange) -> Bool {
        change.milliseconds != 0 && change.milliseconds <= now.wallMilliseconds
    }

    private func isNewestOnly(_ keyspace: Int) -> Bool {
        catalog.active[keyspace].settings.conflict == .lww
    }

    /// Deletes what a command has read that gives it a time which is over.
    private mutating func end(
        _ change: ExpiryChange, of key: UnsafeRawBufferPointer, at location: KeyLocation,
        _ target: ReplyTarget, _ effects: inout Effects
    ) {
        let isAlone = catalog.active[location.keyspace].n == 1
        let intent = WriteIntent(
            key: key, change: .delete, context: isAlone ? nil : change.read.seen,
            levels: change.levels, success: change.success)
        write(intent, at: location, target, &effects)
    }

    /// What a change makes of what is stored here and of what it has read.
    private func changed(
        _ change: ExpiryChange, _ dot: Dot, _ stored: Record?, _ keyspace: Int
    ) -> SiblingSet {
        var set = change.read
        if let stored { set.join(SiblingSet(valid: stored)) }
        if isNewestOnly(keyspace) { set.keepNewest() }
        if configuration.plantedBug == .expiryCarriesValue {
            let value = change.read.siblings.first { $0.dot == change.dots.first }?.value ?? []
            set.update(
                dot: dot, value: value, expiry: change.milliseconds, context: change.read.seen)
            return set
        }
        if isOver(change) {
            set.remove(change.dots, dot: dot)
        } else {
            set.expire(at: change.milliseconds, change.dots, dot: dot)
        }
        if isNewestOnly(keyspace) { set.keepNewest() }
        // Nobody else has the value: it may as well be written under this dot, which takes less.
        if catalog.active[keyspace].n == 1, set.siblings.count == 1, set.context.entries.count == 1,
            let only = set.siblings.first, only.expiryDot == dot
        {
            set = SiblingSet(dot: dot, value: only.value, expiry: only.expiry)
        }
        return set
    }

    /// Sends the key's state to the other replicas, and keeps it.
    private mutating func send(
        _ intent: WriteIntent, _ dots: (own: Dot, written: Dot?), _ location: KeyLocation,
        _ target: ReplyTarget, _ effects: inout Effects
    ) {
        let (keyspace, address) = (location.keyspace, location.address)
        let n = catalog.active[keyspace].n
        let durability = catalog.active[keyspace].durability
        if n == 1 && durability == .memory {
            ledger.answeredNow(keyspace, .write)
            noteLocalWrite(intent, dots.own, location, target)
            _ = noteExecuted(target, dots.own, intent.success, &effects)
            return reply(intent.success, target, &effects)
        }
        guard let record = store.find(address, intent.key) else { return }
        let needsSync = intent.levels.durableWriteQuorum > 0
        let id = startWrite(intent, dots.own, location, n, target)
        writes[id]?.written = n > 1 ? dots.written : nil
        let executed = noteExecuted(target, dots.own, intent.success, &effects)
        if executed != nil { keep(record, durability, synced: true, token: id, &effects) }
        if n > 1 {
            sendReplicas(record, id, address.range, n, needsSync, &effects)
            refuseUnreachable(id, address.range, n, &effects)
        }
        if let executed { return announce(executed, &effects) }
        keep(record, durability, synced: needsSync, token: id, &effects)
    }
}

extension ReadPurpose {
    /// Whether a value's expiry is changed because of it.
    @inline(__always) var changesExpiry: Bool {
        switch self {
        case .expire, .persist, .getExpire, .getWithoutExpiry: true
        case .get, .exists, .strlen, .type, .timeToLive, .siblings, .compare, .typed: false
        }
    }

    fileprivate var isGet: Bool {
        switch self {
        case .getExpire, .getWithoutExpiry: true
        case .expire, .persist: false
        case .get, .exists, .strlen, .type, .timeToLive, .siblings, .compare, .typed: false
        }
    }

    fileprivate var writeLevels: WriteLevels? {
        switch self {
        case .expire(_, let levels), .persist(let levels), .getExpire(_, let levels),
            .getWithoutExpiry(_, let levels):
            levels
        case .get, .exists, .strlen, .type, .timeToLive, .siblings, .compare, .typed: nil
        }
    }

    /// The expiry that a value gets; nil to leave it as it is.
    fileprivate func expiry(of sibling: Sibling) -> UInt64? {
        switch self {
        case .expire(let options, _): options.expiry(present: sibling.expiry)
        case .persist: sibling.expiry == 0 ? nil : 0
        case .getExpire(let milliseconds, _):
            sibling.expiry == milliseconds && milliseconds == 0 ? nil : milliseconds
        case .getWithoutExpiry: nil
        case .get, .exists, .strlen, .type, .timeToLive, .siblings, .compare, .typed: nil
        }
    }
}

extension ExpireOptions {
    /// The expiry that the command asks for: wall-clock milliseconds since 1970; nil when its
    /// conditions forbid it.
    ///
    /// - Parameter present: of the value as it is, 0 for never.
    func expiry(present: UInt64) -> UInt64? {
        let wanted = UInt64(max(1, milliseconds))
        if conditions.contains(.absent) && present != 0 { return nil }
        if conditions.contains(.present) && present == 0 { return nil }
        if conditions.contains(.later) && (present == 0 || wanted <= present) { return nil }
        if conditions.contains(.earlier) && present != 0 && wanted >= present { return nil }
        return wanted
    }
}

extension [Sibling] {
    /// Of equal values the one that lives longest: a write that was sent again is one value to
    /// whoever reads.
    func withoutRepeats() -> [Sibling] {
        guard count > 1 else { return self }
        var places = Table<[UInt8], Int>()
        var distinct: [Sibling] = []
        for sibling in self {
            guard let place = places[sibling.value] else {
                places[sibling.value] = distinct.count
                distinct.append(sibling)
                continue
            }
            let kept = distinct[place].expiry
            if kept != 0, sibling.expiry == 0 || sibling.expiry > kept { distinct[place] = sibling }
        }
        return distinct
    }
}
