import Base
import Causality
import Coding
import RESP
import Ring

// Commands that read and write in one step.
//
// A leaderless quorum cannot make a read and a write one step, so with more than one replica the
// atomic ones are refused by name. Where a keyspace has one replica that replica's thread is the
// order, and they are what Redis makes of them.
extension Node {
    /// Refuses unless this node alone decides about the key; forwards to the node that does.
    private mutating func decidesAlone(
        _ spot: KeyLocation, _ name: CommandName,
        _ timeoutMilliseconds: UInt32, _ target: ReplyTarget, _ effects: inout Effects
    ) -> Bool {
        guard catalog.active[spot.keyspace].n == 1 else {
            let n = catalog.active[spot.keyspace].n
            fail(target, text: Node.inOneStep(name, n), &effects)
            return false
        }
        guard isReplica(of: spot) else {
            forwardRequest(
                to: spot, timeoutMilliseconds: timeoutMilliseconds, target, &effects)
            return false
        }
        guard isWhole(spot.address.range, spot.keyspace) else {
            countUnavailable(.write, spot.keyspace)
            fail(target, text: awaitsHandOver, &effects)
            return false
        }
        guard coversHere(request[1], spot, target, &effects) else {
            countUnavailable(.write, spot.keyspace)
            refuseSession(target, &effects)
            return false
        }
        return true
    }

    /// Refuses a write of a key's only replica while what it replaces may still have to come; under
    /// lww it is later than that in any case.
    mutating func mayReplace(
        _ keyspace: Int, _ address: RecordStore.Address, _ target: ReplyTarget,
        _ effects: inout Effects
    ) -> Bool {
        let isBlind = catalog.active[keyspace].settings.conflict == .lww
        guard !isBlind, !isWhole(address.range, keyspace) else { return true }
        countUnavailable(.write, keyspace)
        fail(target, text: awaitsHandOver, &effects)
        return false
    }

    /// What is told where a key has one replica, whose former one may still have to hand it over.
    var awaitsHandOver: String {
        "UNAVAILABLE the list of members has changed, and members have yet to hand over their keys"
            + refillNote
    }

    /// The live values of a key that this node alone decides about, but for repeats.
    private mutating func current(
        _ spot: KeyLocation, _ key: UnsafeRawBufferPointer
    ) -> [Sibling] {
        guard let record = liveState(spot.address, key, spot.keyspace), isLive(record) else {
            return []
        }
        guard record.isSiblingSet else { return record.sibling.map { [$0] } ?? [] }
        return liveSiblings(SiblingSet(valid: record), spot.keyspace).withoutRepeats()
    }

    /// The same for a command that has room for one value: nobody can tell which one it would be.
    ///
    /// - Returns: false, and an error reply, when there are several.
    private mutating func isOne(
        _ values: [Sibling], _ target: ReplyTarget, _ effects: inout Effects
    ) -> Bool {
        guard values.count > 1 else { return true }
        failAmbiguous(values.count, target, &effects)
        return false
    }

    mutating func setAtomically(
        _ options: SetOptions, _ spot: KeyLocation,
        _ levels: WriteLevels, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        let timeout = levels.timeoutMilliseconds
        guard let name = CommandName(request[0]),
            decidesAlone(spot, name, timeout, target, &effects)
        else { return }
        let isSetnx = name == .setnx
        let values = current(spot, request[1])
        let takesOne = options.returnsPrevious || options.expiry == .keep
        guard !takesOne || isOne(values, target, &effects) else { return }
        let before = values.first
        let previous: WriteReply = before.map { .bulk($0.value) } ?? .null
        let isMet =
            switch options.condition {
            case .always: true
            case .ifAbsent: before == nil
            case .ifPresent: before != nil
            }
        guard isMet else {
            let unmet: WriteReply = options.returnsPrevious ? previous : .null
            return reply(isSetnx ? .integer(0) : unmet, target, &effects)
        }
        let met: WriteReply = options.returnsPrevious ? previous : .ok
        let expiry: UInt64 =
            switch options.expiry {
            case .at(let milliseconds): milliseconds
            case .keep: before?.expiry ?? defaultExpiry(spot.keyspace)
            case .unset, .after: 0
            }
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
            decidesAlone(spot, .append, levels.timeoutMilliseconds, target, &effects)
        else { return }
        let values = current(spot, request[1])
        guard isOne(values, target, &effects) else { return }
        let before = values.first
        var value = before?.value ?? []
        value.append(contentsOf: request[2])
        value.withUnsafeBytes { bytes in
            guard isWithinLimits(request[1], bytes, spot.keyspace, target, &effects) else { return }
            let intent = WriteIntent(
                key: request[1], change: .value(bytes),
                expiry: before?.expiry ?? defaultExpiry(spot.keyspace), levels: levels,
                success: .integer(bytes.count))
            write(intent, at: spot, target, &effects)
        }
    }

    mutating func getDelete(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        let spot = place(of: request[1])
        guard let levels = writeLevels(.none, spot.keyspace, target, &effects),
            decidesAlone(spot, .getdel, levels.timeoutMilliseconds, target, &effects)
        else { return }
        let values = current(spot, request[1])
        guard isOne(values, target, &effects) else { return }
        guard let before = values.first else { return reply(.null, target, &effects) }
        let intent = WriteIntent(
            key: request[1], change: .delete, levels: levels, success: .bulk(before.value))
        write(intent, at: spot, target, &effects)
    }
}
