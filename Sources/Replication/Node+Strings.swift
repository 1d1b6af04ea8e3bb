import Base
import Causality
import Coding
import RESP
import Ring

// Reading strings and what is known of keys.
extension Node {
    mutating func get(_ target: ReplyTarget, _ effects: inout Effects) throws(CommandError) {
        let options = try ConsistencyOptions(request, from: 2, .read)
        let key = request[1]
        let keyspace = catalog.index(of: key)
        guard let levels = readLevels(options, keyspace, target, &effects) else { return }
        read(key, keyspace: keyspace, levels, .get, target, &effects)
    }

    /// A command that reads one key, with consistency options from an argument on.
    mutating func readOne(
        _ purpose: ReadPurpose, options start: Int, _ target: ReplyTarget,
        _ effects: inout Effects
    ) throws(CommandError) {
        let options = try ConsistencyOptions(request, from: start, .read)
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
            return try readOne(.exists, options: 2, target, &effects)
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
            let live = record.flatMap { isLive($0) && $0.dot.stamp > truncatedAt ? $0 : nil }
            if case .get = purpose, !client.wantsReceipt {
                let start = effects.bytes.count
                if let live {
                    effects.bytes.writeBulk(live.body)
                } else {
                    effects.bytes.writeNull(client.dialect)
                }
                return deliver(target, from: start, &effects)
            }
            let sibling = live.map {
                Sibling(dot: $0.dot, expiry: $0.expiry, value: Array($0.body))
            }
            let context = record.map { CausalContext($0.dot) } ?? CausalContext()
            let view = KeyView(siblings: sibling.map { [$0] } ?? [], context: context)
            return finish(purpose, key, keyspace, view, target, &effects)
        }
        let set = SiblingSet(valid: record)
        let live = set.siblings.filter {
            $0.dot.stamp > catalog.active[keyspace].truncatedAt
                && ($0.expiry == 0 || $0.expiry > now.wallMilliseconds)
        }
        let view = KeyView(siblings: live.withoutRepeats(), context: set.context)
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
        case .get, .strlen, .timeToLive, .expire, .persist, .typed: break
        }
        guard siblings.count < 2 else {
            return fail(
                target,
                text: "SIBLINGS \(siblings.count) concurrent values; "
                    + "read them with QGET and write with its context", &effects)
        }
        switch purpose {
        case .get: tell(siblings.first, context, target, &effects)
        case .strlen: tell(integer: siblings.first?.value.count ?? 0, context, target, &effects)
        case .timeToLive(let form):
            tell(integer: timeToLive(siblings.first, form), context, target, &effects)
        case .expire(let options, let levels):
            let change = ExpiryChange(
                expiry: siblings.first.flatMap { newExpiry($0, options) }, levels: levels)
            rewrite(view, key, keyspace, change, target, &effects)
        case .persist(let levels):
            let change = ExpiryChange(
                expiry: siblings.first.flatMap { $0.expiry == 0 ? nil : 0 }, levels: levels)
            rewrite(view, key, keyspace, change, target, &effects)
        case .compare, .siblings, .exists, .type, .typed: break
        }
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
        context.encodeToken(of: key, into: &token)
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

extension [Sibling] {
    /// Of equal values the one that lives longest: a write that was sent again is one value to
    /// whoever reads.
    fileprivate func withoutRepeats() -> [Sibling] {
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

// Writing strings.
extension Node {
    mutating func set(
        _ name: CommandName, _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        let options = try SetOptions(request, name)
        let key = request[1]
        let place = place(of: key)
        guard isWithinLimits(key, request[options.value], place.keyspace, target, &effects) else {
            return
        }
        let levels = writeLevels(options.consistency, place.keyspace, target, &effects)
        guard let levels else { return }
        if options.condition != .always || options.returnsPrevious || options.expiry == .keep {
            return try setAtomically(options, place, levels, target, &effects)
        }
        var intent = WriteIntent(
            key: key, change: .value(request[options.value]),
            expiry: absolute(options.expiry, place.keyspace), levels: levels, success: .ok)
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
        guard key.count > 0, key.count <= keyBytesMax else {
            fail(target, text: "ERR key must have 1 to \(keyBytesMax) bytes", &effects)
            return false
        }
        guard value.count <= valueBytesMax else {
            fail(target, text: "ERR value exceeds \(valueBytesMax) bytes", &effects)
            return false
        }
        return true
    }

    private mutating func context(
        at index: Int, _ target: ReplyTarget, _ effects: inout Effects
    ) -> CausalContext? {
        do throws(DecodeError) {
            return try CausalContext(token: request[index], of: request[1])
        } catch {
            let isForeign = error == CausalContext.foreignToken
            fail(
                target,
                isForeign
                    ? "ERR the causal context is another key's; read this key with QGET"
                    : "ERR causal context is not one that QGET gave", &effects)
            return nil
        }
    }

    /// When a value that is written now expires.
    func absolute(_ expiry: Expiry, _ keyspace: Int) -> UInt64 {
        switch expiry {
        case .at(let milliseconds): return milliseconds
        case .after(let milliseconds): return now.wallMilliseconds + milliseconds
        case .unset, .keep:
            let ttl = catalog.active[keyspace].settings.ttlMilliseconds
            return ttl == 0 ? 0 : now.wallMilliseconds + ttl
        }
    }

    mutating func setMany(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        guard request.count % 2 == 1 else { throw .wrongArgumentCount(.mset) }
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
            key: key, change: .value(value), expiry: absolute(.unset, spot.keyspace),
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

    private mutating func deleteOne(
        _ key: UnsafeRawBufferPointer, _ context: CausalContext?, _ levels: WriteLevels,
        _ spot: KeyLocation, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        let stored = liveState(spot.address, key, spot.keyspace)
        let existed = stored.map { isLive($0) } ?? false
        let goes = existed && stored.map { covers($0, context, spot.keyspace) } ?? false
        if catalog.active[spot.keyspace].n == 1, isReplica(of: spot),
            !existed
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
        guard record.isSiblingSet else { return context.contains(record.dot) }
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
