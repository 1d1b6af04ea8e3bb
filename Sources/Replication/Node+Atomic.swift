import Base
import Causality
import Coding
import RESP
import Ring

// Commands that read and write in one step, and changes of a value's expiry.
//
// A leaderless quorum cannot make a read and a write one step, so with more than one replica the
// atomic ones are refused by name. Where a keyspace has one replica that replica's thread is the
// order, and they are what Redis makes of them.
extension Node {
    /// Refuses unless this node alone decides about the key; forwards to the node that does.
    private mutating func decidesAlone(
        _ spot: KeyLocation, _ what: StaticString,
        _ timeoutMilliseconds: UInt32, _ target: ReplyTarget, _ effects: inout Effects
    ) -> Bool {
        guard catalog.active[spot.keyspace].n == 1 else {
            fail(
                target,
                text: "MODE \(what) reads and writes in one step; that needs a keyspace with n=1, "
                    + "this one has n=\(catalog.active[spot.keyspace].n)", &effects)
            return false
        }
        guard isReplica(of: spot) else {
            forwardRequest(
            to: spot, timeoutMilliseconds: timeoutMilliseconds, target, &effects)
            return false
        }
        return true
    }

    /// The one live value of a key that this node alone decides about.
    private mutating func current(
        _ spot: KeyLocation, _ key: UnsafeRawBufferPointer
    ) -> (value: [UInt8], expiry: UInt64)? {
        guard let record = liveState(spot.address, key, spot.keyspace), isLive(record) else {
            return nil
        }
        guard record.isSiblingSet else { return (Array(record.body), record.expiry) }
        return SiblingSet(valid: record).siblings.last.map { ($0.value, $0.expiry) }
    }

    mutating func setAtomically(
        _ options: SetOptions, _ spot: KeyLocation,
        _ levels: WriteLevels, _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        let timeout = levels.timeoutMilliseconds
        guard decidesAlone(spot, "SET with NX, XX, GET or KEEPTTL", timeout, target, &effects)
        else { return }
        let isSetnx = CommandName(request[0]) == .setnx
        let before = current(spot, request[1])
        let previous: WriteReply = before.map { .bulk($0.value) } ?? .null
        let isMet = switch options.condition {
        case .always: true
        case .ifAbsent: before == nil
        case .ifPresent: before != nil
        }
        guard isMet else {
            let unmet: WriteReply = options.returnsPrevious ? previous : .null
            return reply(isSetnx ? .integer(0) : unmet, target, &effects)
        }
        let met: WriteReply = options.returnsPrevious ? previous : .ok
        let expiry = options.expiry == .keep
            ? before?.expiry ?? 0 : absolute(options.expiry, spot.keyspace)
        let intent = WriteIntent(
            key: request[1], change: .value(request[options.value]), expiry: expiry,
            levels: levels, success: isSetnx ? .integer(1) : met)
        write(intent, at: spot, target, &effects)
    }

    mutating func append(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        let spot = place(of: request[1])
        guard let levels = writeLevels(.none, spot.keyspace, target, &effects),
            decidesAlone(spot, "APPEND", levels.timeoutMilliseconds, target, &effects)
        else { return }
        let before = current(spot, request[1])
        var value = before?.value ?? []
        value.append(contentsOf: request[2])
        value.withUnsafeBytes { bytes in
            guard isWithinLimits(request[1], bytes, spot.keyspace, target, &effects) else { return }
            let intent = WriteIntent(
                key: request[1], change: .value(bytes), expiry: before?.expiry ?? 0,
                levels: levels, success: .integer(bytes.count))
            write(intent, at: spot, target, &effects)
        }
    }

    mutating func getDelete(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        let spot = place(of: request[1])
        guard let levels = writeLevels(.none, spot.keyspace, target, &effects),
            decidesAlone(spot, "GETDEL", levels.timeoutMilliseconds, target, &effects)
        else { return }
        guard let before = current(spot, request[1]) else { return reply(.null, target, &effects) }
        let intent = WriteIntent(
            key: request[1], change: .delete, levels: levels, success: .bulk(before.value))
        write(intent, at: spot, target, &effects)
    }

    mutating func getExpire(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        let options = try GetExpiryOptions(request)
        guard options.expiry != .keep else { return try get(target, &effects) }
        let spot = place(of: request[1])
        guard let levels = writeLevels(.none, spot.keyspace, target, &effects),
            decidesAlone(spot, "GETEX", levels.timeoutMilliseconds, target, &effects)
        else { return }
        guard let before = current(spot, request[1]) else { return reply(.null, target, &effects) }
        let expiry = options.expiry == .unset ? 0 : absolute(options.expiry, spot.keyspace)
        before.value.withUnsafeBytes { bytes in
            let intent = WriteIntent(
                key: request[1], change: .value(bytes), expiry: expiry, levels: levels,
                success: .bulk(before.value))
            write(intent, at: spot, target, &effects)
        }
    }

    mutating func expire(
        _ name: CommandName, _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        let options = try ExpireOptions(request, name)
        try changeExpiry(target, &effects) { .expire(options, $0) }
    }

    mutating func persist(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        try changeExpiry(target, &effects) { .persist($0) }
    }

    /// Reads the key, and writes it again with another expiry right behind the version that was
    /// read.
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

    /// The expiry that the command asks for, nil when its conditions forbid it; 1 deletes.
    func newExpiry(_ sibling: Sibling, _ options: ExpireOptions) -> UInt64? {
        options.expiry(present: sibling.expiry, now: now.wallMilliseconds)
    }

    /// Writes a value that was read with another expiry; nothing when there is none or the expiry
    /// is nil.
    mutating func rewrite(
        _ view: KeyView, _ key: UnsafeRawBufferPointer, _ keyspace: Int, _ change: ExpiryChange,
        _ target: ReplyTarget, _ effects: inout Effects
    ) {
        guard let sibling = view.siblings.first, let expiry = change.expiry else {
            return reply(.integer(0), target, &effects)
        }
        let isSiblings = catalog.active[keyspace].settings.conflict == .siblings
        let isPast = expiry != 0 && expiry <= now.wallMilliseconds
        sibling.value.withUnsafeBytes { bytes in
            var intent = WriteIntent(
                key: key, change: isPast ? .delete : .value(bytes), expiry: isPast ? 0 : expiry,
                levels: change.levels, success: .integer(1))
            if isSiblings {
                intent.context = view.context
            } else {
                intent.derivedFrom = sibling.dot
            }
            let place = place(of: key)
            guard isReplica(of: place),
                change.levels.writeQuorum <= catalog.active[keyspace].n
            else { return fail(target, "UNAVAILABLE the keyspace changed meanwhile", &effects) }
            effects.inScope { write(intent, at: place, target, &$0) }
        }
    }
}

extension ExpireOptions {
    /// The expiry that the command asks for: wall-clock milliseconds since 1970; nil when its
    /// conditions forbid it.
    ///
    /// - Parameters:
    ///   - present: of the value as it is, 0 for never.
    ///   - now: wall-clock milliseconds since 1970.
    func expiry(present: UInt64, now: UInt64) -> UInt64? {
        let base = isAbsolute ? 0 : Int64(now)
        let wanted = UInt64(max(1, base + milliseconds))
        if conditions.contains(.absent) && present != 0 { return nil }
        if conditions.contains(.present) && present == 0 { return nil }
        if conditions.contains(.later) && (present == 0 || wanted <= present) { return nil }
        if conditions.contains(.earlier) && present != 0 && wanted >= present { return nil }
        return wanted
    }
}
