import Base
import CRDT
import Causality
import Coding
import Ring

// What has expired gives its bytes back.
//
// A replica replaces an expired value by what is left of it (`SiblingSet.spend`): the dots alone,
// which is collected as a tombstone is. It sends nothing and names nothing, because every replica
// does the same; and where a client gave the value a longer life in time, at a replica that could
// not be heard, that state still wins when it comes. A value with one replica is removed.
//
// A typed value is removed by the first of its replicas that can be reached, as a DEL would remove it
// that has seen no more than the command which gave the expiry.
//
// Whether the time has come is for clocks to say, and one clock may be wrong. So a node only acts
// on it while the clock of another node agrees with its own, and by twice the bound later.
extension Node {
    /// Expired values that are looked at in one step, and after how many milliseconds it goes on.
    private static let elapsedMax = 512
    private static let elapsedMilliseconds: UInt64 = 5

    /// A record is about to be stored: whether it is one that goes one day.
    @inline(__always)
    mutating func noteCandidate(
        isTombstone: Bool, expiry: UInt64, _ address: RecordStore.Address
    ) {
        guard isTombstone || expiry != 0 else { return }
        collection.candidates.insert(address.range.rawValue)
        if !isTombstone { expiries.note(expiry, address.hash, address.range) }
    }

    /// Whether this node's clock may be believed when it says that something is over.
    private var mayJudgeTime: Bool {
        links.count == 1 || rightSince != nil && !isContradicted
    }

    /// At a heartbeat, and when there was too much for one step.
    mutating func tendExpiries(_ effects: inout Effects) {
        nextElapsed = nil
        if let crowded = expiries.crowded { gatherExpiries(crowded) }
        guard expiries.earliest <= now.wallMilliseconds, mayJudgeTime else { return }
        let margin = links.count == 1 ? 0 : 2 * configuration.clockDriftMax
        guard now.wallMilliseconds > margin else { return }
        let time = now.wallMilliseconds - margin
        let due = expiries.take(through: time, countMax: Node.elapsedMax)
        effects.beginStep()
        for (range, hash) in due { spend(range, hash, before: time, &effects) }
        guard due.count == Node.elapsedMax else { return }
        nextElapsed = now.monotonic + .nanoseconds(milliseconds: Node.elapsedMilliseconds)
    }

    private mutating func gatherExpiries(_ range: KeyRange) {
        expiries.clear(range)
        var found: [(UInt64, UInt64)] = []
        store.visit(range, .min ... .max) { hash, record in
            if record.expiry != 0, !record.isTombstone { found.append((record.expiry, hash)) }
        }
        for (expiry, hash) in found { expiries.note(expiry, hash, range) }
        expiries.gathered(range)
    }

    private mutating func spend(
        _ range: KeyRange, _ hash: UInt64, before time: UInt64, _ effects: inout Effects
    ) {
        var keys: [[UInt8]] = []
        store.visit(range, hash...hash) { _, record in
            guard !record.isTombstone else { return }
            let isOver = record.expiry != 0 && record.expiry <= time
            if isOver || record.isMergeable { keys.append(Array(record.key)) }
        }
        for key in keys {
            key.withUnsafeBytes { key in
                let keyspace = catalog.index(of: key)
                let address = store.address(of: key)
                guard isTyped(keyspace) else {
                    return spend(key, keyspace, address, before: time, &effects)
                }
                let location = KeyLocation(keyspace: keyspace, address: address)
                removeElapsed(key, location, before: time, &effects)
            }
        }
    }

    private mutating func spend(
        _ key: UnsafeRawBufferPointer, _ keyspace: Int, _ address: RecordStore.Address,
        before time: UInt64, _ effects: inout Effects
    ) {
        guard let stored = store.find(address, key), !isDoubted(stored.dot.stamp) else { return }
        counters.expiredSpent += 1
        if catalog.active[keyspace].n == 1 {
            removeStored(key, keyspace)
            return forget(key, keyspace, &effects)
        }
        var set = SiblingSet(valid: stored)
        guard set.spend(before: time) else { return }
        merged.removeAll()
        replaceStored(merged[set.encodeRecord(key: key, into: &merged)], keyspace, address)
    }
}

// Typed values.
extension Node {
    /// When a replica looks again whether another one has removed what expired.
    private static let removalMilliseconds: UInt64 = 2_000

    private mutating func removeElapsed(
        _ key: UnsafeRawBufferPointer, _ location: KeyLocation, before time: UInt64,
        _ effects: inout Effects
    ) {
        let (keyspace, range) = (location.keyspace, location.address.range)
        var held = takeState(location, key, &effects)
        guard held.state.hasElapsed(now: time) else { return putBack(held) }
        let first = ring.primaries(of: range, replicationFactor: catalog.active[keyspace].n)
            .first { $0 == configuration.node || isReachable($0) }
        guard first == configuration.node, mayRemove(key, keyspace),
            let dot = try? mintDot(held, location),
            let delta = held.state.removeElapsed(dot: dot, now: time)
        else {
            putBack(held)
            let later = now.wallMilliseconds + Node.removalMilliseconds
            return expiries.note(later, location.address.hash, range)
        }
        counters.expiredSpent += 1
        var record = ByteBuffer(capacity: 256)
        DeltaRecord.encode(delta, of: key, into: &record)
        putState(held, grownBy: Delta.growth(record.count), location, key)
        send(delta, record, of: key, location, &effects)
    }

    private func mayRemove(_ key: UnsafeRawBufferPointer, _ keyspace: Int) -> Bool {
        let isKept = catalog.active[keyspace].settings.durability != .memory
        return !isFenced(key) && !(isDiskFull && isKept) && !writes.isFull && !isOutrun
    }

    private mutating func send(
        _ delta: Delta, _ record: borrowing ByteBuffer, of key: UnsafeRawBufferPointer,
        _ location: KeyLocation, _ effects: inout Effects
    ) {
        let active = catalog.active[location.keyspace]
        if active.n == 1 && active.settings.durability == .memory { return }
        client = ClientContext()
        let levels = WriteLevels(
            writeQuorum: 1, primaryWriteQuorum: 0, durableWriteQuorum: 0,
            timeoutMilliseconds: UInt32(Node.removalMilliseconds))
        let command = TypedCommand(name: .del, request: [], location: location, writes: levels)
        let id = startWrite(command, levels, delta.dot, [], .nobody)
        if active.n > 1 { writes[id]?.typedKey = Array(key) }
        sendDelta(record.bytes, id, location.address.range, false, &effects)
        if active.n > 1 { refuseUnreachable(id, location.address.range, active.n, &effects) }
        keepDelta(record.bytes, active.settings.durability, synced: false, token: id, &effects)
    }
}
