import Base
import Causality
import Coding
import RESP
import Ring

// Reading strings and what is known of keys.
extension Node {
    mutating func get(_ target: ReplyTarget, _ effects: inout Effects) throws(CommandError) {
        let options =
            request.count == 2
            ? ConsistencyOptions.none : try ConsistencyOptions(following: request, of: .get)
        let key = request[1]
        let keyspace = catalog.index(of: key)
        guard let levels = readLevels(options, keyspace, target, &effects) else { return }
        read(key, keyspace: keyspace, levels, .get, target, &effects)
    }

    /// A command that reads one key, with consistency options behind it.
    mutating func readOne(
        _ purpose: ReadPurpose, _ name: CommandName, _ target: ReplyTarget,
        _ effects: inout Effects
    ) throws(CommandError) {
        let options =
            request.count == 2
            ? ConsistencyOptions.none : try ConsistencyOptions(following: request, of: name)
        let key = request[1]
        let keyspace = catalog.index(of: key)
        guard let levels = readLevels(options, keyspace, target, &effects) else { return }
        read(key, keyspace: keyspace, levels, purpose, target, &effects)
    }

    mutating func getMany(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        gather(.array, .get, 1..<request.count, target, &effects)
    }

    mutating func count(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        guard request.count > 2 else {
            return try readOne(.exists, .exists, target, &effects)
        }
        gather(.sum, .exists, 1..<request.count, target, &effects)
    }

    /// Reads one of several keys.
    mutating func readPart(
        _ purpose: ReadPurpose, at index: Int, _ place: ReplyTarget, _ effects: inout Effects
    ) {
        let key = request[index]
        let keyspace = catalog.index(of: key)
        if isTyped(keyspace) {
            let name: CommandName = if case .get = purpose { .get } else { .exists }
            runTyped(name, index, .none, place, &effects)
        } else if let levels = readLevels(.none, keyspace, place, &effects) {
            read(key, keyspace: keyspace, levels, purpose, place, &effects)
        }
    }

    /// Tells the result of a read, or goes on with the write that it was for.
    @inline(__always)
    mutating func finish(
        _ purpose: ReadPurpose, _ key: UnsafeRawBufferPointer, _ keyspace: Int,
        _ record: Record?, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        if !client.guarantees.isEmpty { noteRead(key, keyspace, record, target) }
        guard let record, record.isSiblingSet else {
            let truncatedAt = catalog.active[keyspace].truncatedAt
            let live = record.flatMap { isLive($0) && $0.written.stamp > truncatedAt ? $0 : nil }
            if case .get = purpose, !client.wantsReceipt {
                let start = effects.bytes.count
                if let live {
                    effects.bytes.writeBulk(live.body)
                } else {
                    effects.bytes.writeNull(client.dialect)
                }
                return deliver(target, from: start, &effects)
            }
            return finishSlowly(purpose, key, record, target, &effects)
        }
        finishSlowly(purpose, key, record, target, &effects)
    }

    private mutating func finishSlowly(
        _ purpose: ReadPurpose, _ key: UnsafeRawBufferPointer, _ record: Record?,
        _ target: ReplyTarget, _ effects: inout Effects
    ) {
        if purpose.changesExpiry { return changeExpiry(purpose, key, record, target, &effects) }
        let keyspace = catalog.index(of: key)
        let set = record.map { SiblingSet(valid: $0) } ?? SiblingSet()
        let live = liveSiblings(set, keyspace)
        let view = KeyView(siblings: live.withoutRepeats(), context: set.seen)
        finish(purpose, key, keyspace, view, target, &effects)
    }

    private mutating func finish(
        _ purpose: ReadPurpose, _ key: UnsafeRawBufferPointer, _ keyspace: Int,
        _ view: KeyView, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        let (siblings, context) = (view.siblings, view.context)
        switch purpose {
        case .compare: return
        case .siblings: return tell(siblings, of: key, context, target, &effects)
        case .exists: return tell(integer: siblings.isEmpty ? 0 : 1, context, target, &effects)
        case .type:
            let start = effects.bytes.count
            effects.bytes.writeSimple(siblings.isEmpty ? "none" : "string")
            return deliver(target, from: start, &effects)
        case .get, .strlen, .timeToLive, .expire, .persist, .getExpire, .getWithoutExpiry, .typed:
            break
        }
        guard siblings.count < 2 else { return failAmbiguous(siblings.count, target, &effects) }
        switch purpose {
        case .get: tell(siblings.first, context, target, &effects)
        case .strlen: tell(integer: siblings.first?.value.count ?? 0, context, target, &effects)
        case .timeToLive(let form):
            tell(integer: timeToLive(siblings.first, form), context, target, &effects)
        case .compare, .siblings, .exists, .type, .typed, .expire, .persist, .getExpire,
            .getWithoutExpiry:
            break
        }
    }

    mutating func failAmbiguous(
        _ count: Int, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        fail(
            target,
            text: "SIBLINGS \(count) concurrent values; "
                + "read them with QGET and write with its context", &effects)
    }

    private mutating func tell(
        _ sibling: Sibling?, _ context: CausalContext, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        let start = effects.bytes.count
        if client.wantsReceipt { writeReadReceipt(context, target, &effects) }
        if let sibling {
            sibling.value.withUnsafeBytes { effects.bytes.writeBulk($0) }
        } else {
            effects.bytes.writeNull(client.dialect)
        }
        deliver(target, from: start, &effects)
    }

    private mutating func tell(
        integer value: Int, _ context: CausalContext, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        let start = effects.bytes.count
        if client.wantsReceipt { writeReadReceipt(context, target, &effects) }
        effects.bytes.writeInteger(value)
        deliver(target, from: start, &effects)
    }

    /// The context's token, then every value.
    private mutating func tell(
        _ siblings: [Sibling], of key: UnsafeRawBufferPointer, _ context: CausalContext,
        _ target: ReplyTarget, _ effects: inout Effects
    ) {
        let start = effects.bytes.count
        if client.wantsReceipt { writeReadReceipt(context, target, &effects) }
        effects.bytes.writeArrayHeader(count: 1 + siblings.count)
        var token = ByteBuffer(capacity: 64)
        context.encodeToken(of: key, sealedBy: keys.contexts, into: &token)
        effects.bytes.writeBulk(token.bytes)
        for sibling in siblings { sibling.value.withUnsafeBytes { effects.bytes.writeBulk($0) } }
        deliver(target, from: start, &effects)
    }

    private func timeToLive(_ sibling: Sibling?, _ form: TimeToLive) -> Int {
        guard let sibling else { return -2 }
        guard sibling.expiry > 0 else { return -1 }
        let left = Int(sibling.expiry) - Int(now.wallMilliseconds)
        switch form {
        case .seconds: return (left + 500) / 1_000
        case .milliseconds: return left
        case .atSeconds: return Int((sibling.expiry + 500) / 1_000)
        case .atMilliseconds: return Int(sibling.expiry)
        }
    }
}

// Writing strings.
extension Node {
    mutating func set(
        _ name: CommandName, _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        var options = try SetOptions(request, name)
        let key = request[1]
        let place = place(of: key)
        guard isWithinLimits(key, request[options.value], place.keyspace, target, &effects) else {
            return
        }
        let expiry = try expiry(options.expiry, place.keyspace, name)
        let levels = writeLevels(options.consistency, place.keyspace, target, &effects)
        guard let levels else { return }
        if options.condition != .always || options.returnsPrevious || options.expiry == .keep {
            if options.expiry != .keep, expiry > 0 { options.expiry = .at(milliseconds: expiry) }
            return setAtomically(options, place, levels, target, &effects)
        }
        var intent = WriteIntent(
            key: key, change: .value(request[options.value]),
            expiry: expiry, levels: levels, success: .ok)
        if let index = options.context {
            guard let context = context(at: index, target, &effects) else { return }
            intent.context = context
        }
        if name == .qset && options.context == nil { intent.context = CausalContext() }
        if standsIn(at: place) { return standIn(intent, at: place, target, &effects) }
        if !coordinates(place) {
            return intent.context == nil
                ? forward(intent, to: place, target, &effects)
                : forwardRequest(
                    to: place, timeoutMilliseconds: levels.timeoutMilliseconds, target, &effects)
        }
        write(intent, at: place, target, &effects)
    }

    mutating func isWithinLimits(
        _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ keyspace: Int,
        _ target: ReplyTarget, _ effects: inout Effects
    ) -> Bool {
        let settings = catalog.active[keyspace].settings
        let keyBytesMax = Int(settings.keyBytesMax)
        let room =
            settings.conflict == .siblings
            ? max(0, ownBytesMax(settings, keyBytes: key.count) - SiblingSet.siblingHeadBytes)
            : configuration.recordBytesMax - Record.headerBytes - key.count
        let valueBytesMax = min(Int(settings.valueBytesMax), room)
        guard key.count <= keyBytesMax else {
            fail(target, text: Node.tooLong(keyBytesMax), &effects)
            return false
        }
        guard value.count <= valueBytesMax else {
            let isChosen = valueBytesMax == Int(settings.valueBytesMax)
            let reason = isChosen ? "its keyspace's valuebytes" : "what a record has room for"
            fail(target, text: "ERR value exceeds \(valueBytesMax) bytes, \(reason)", &effects)
            return false
        }
        return true
    }

    static func tooLong(_ keyBytesMax: Int) -> String {
        "ERR key must have at most \(keyBytesMax) bytes, its keyspace's keybytes"
    }

    private mutating func context(
        at index: Int, _ target: ReplyTarget, _ effects: inout Effects
    ) -> CausalContext? {
        do throws(DecodeError) {
            return try CausalContext(
                token: request[index], of: request[1], sealedBy: keys.contexts)
        } catch {
            counters.contextsRefused += 1
            let isForeign = error == CausalContext.foreignToken
            fail(
                target,
                isForeign
                    ? "ERR the causal context was not given out for this key here; QGET it again"
                    : "ERR causal context is not one that QGET gave", &effects)
            return nil
        }
    }

    /// When a value that is written now expires.
    private func expiry(
        _ expiry: Expiry, _ keyspace: Int, _ name: CommandName
    ) throws(CommandError) -> UInt64 {
        try expiry.time(now: now.wallMilliseconds, of: name) ?? defaultExpiry(keyspace)
    }

    /// The same where the command does not say.
    func defaultExpiry(_ keyspace: Int) -> UInt64 {
        let ttl = catalog.active[keyspace].settings.ttlMilliseconds
        return ttl == 0 ? 0 : now.wallMilliseconds + ttl
    }

    mutating func setMany(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        guard request.count % 2 == 1 else { throw .wrongArgumentCount(.mset) }
        guard request.count > 3 else { return setPart(at: 1, target, &effects) }
        gather(.allOK, .set, 1..<request.count, target, &effects)
    }

    /// Writes one of several keys.
    mutating func setPart(at index: Int, _ place: ReplyTarget, _ effects: inout Effects) {
        let (key, value) = (request[index], request[index + 1])
        let spot = self.place(of: key)
        if isTyped(spot.keyspace) { return runTyped(.mset, index, .none, place, &effects) }
        guard isWithinLimits(key, value, spot.keyspace, place, &effects),
            let levels = writeLevels(.none, spot.keyspace, place, &effects)
        else { return }
        let intent = WriteIntent(
            key: key, change: .value(value), expiry: defaultExpiry(spot.keyspace),
            levels: levels, success: .ok)
        effects.inScope { writeOrForward(intent, spot, place, &$0) }
    }

    mutating func delete(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        guard request.count > 2 else { return deletePart(at: 1, target, &effects) }
        gather(.sum, .delete, 1..<request.count, target, &effects)
    }

    /// Deletes one of several keys, or the only one.
    mutating func deletePart(at index: Int, _ place: ReplyTarget, _ effects: inout Effects) {
        let key = request[index]
        let spot = self.place(of: key)
        if isTyped(spot.keyspace) { return runTyped(.del, index, .none, place, &effects) }
        guard let levels = writeLevels(.none, spot.keyspace, place, &effects) else { return }
        effects.inScope { deleteOne(key, nil, levels, spot, place, &$0) }
    }

    mutating func deleteSiblings(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        let options = try DeleteOptions(request)
        let key = request[1]
        let spot = place(of: key)
        guard let levels = writeLevels(options.consistency, spot.keyspace, target, &effects)
        else { return }
        var seen: CausalContext?
        if let index = options.context {
            seen = context(at: index, target, &effects)
            guard seen != nil else { return }
            guard coordinates(spot) || standsIn(at: spot) else {
                return forwardRequest(
                    to: spot, timeoutMilliseconds: levels.timeoutMilliseconds, target, &effects)
            }
        }
        deleteOne(key, seen, levels, spot, target, &effects)
    }

    mutating func deleteOne(
        _ key: UnsafeRawBufferPointer, _ context: CausalContext?, _ levels: WriteLevels,
        _ spot: KeyLocation, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        let stored = liveState(spot.address, key, spot.keyspace)
        let existed = stored.map { isLive($0) } ?? false
        let goes = existed && stored.map { covers($0, context, spot.keyspace) } ?? false
        if catalog.active[spot.keyspace].n == 1, isReplica(of: spot), !existed,
            isWhole(spot.address.range, spot.keyspace)
        {
            return reply(.integer(0), target, &effects)
        }
        writeOrForward(
            WriteIntent(
                key: key, change: .delete, context: context, levels: levels,
                success: .integer(goes ? 1 : 0)), spot, target, &effects)
    }

    /// Whether a deletion under a context leaves nothing of a record; one without takes all.
    private func covers(_ record: Record, _ context: CausalContext?, _ keyspace: Int) -> Bool {
        guard let context, catalog.active[keyspace].settings.conflict == .siblings else {
            return true
        }
        guard record.isSiblingSet else { return context.contains(record.written) }
        return SiblingSet(valid: record).siblings.allSatisfy { context.contains($0.dot) }
    }

    private mutating func writeOrForward(
        _ intent: WriteIntent, _ spot: KeyLocation,
        _ target: ReplyTarget, _ effects: inout Effects
    ) {
        if coordinates(spot) {
            write(intent, at: spot, target, &effects)
        } else if standsIn(at: spot) {
            standIn(intent, at: spot, target, &effects)
        } else {
            forward(intent, to: spot, target, &effects)
        }
    }
}
