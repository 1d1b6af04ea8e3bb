import Base
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
// Whether the time has come is for clocks to say, and one clock may be wrong. So a node only acts
// on a time that a majority has confirmed, and by twice the bound later.
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

    /// At a heartbeat, and when there was too much for one step.
    mutating func tendExpiries(_ effects: inout Effects) {
        nextElapsed = nil
        gatherExpiries()
        guard expiries.earliest <= now.wallMilliseconds, clock.isConfirmed else { return }
        let margin = links.count == 1 ? 0 : 2 * configuration.clockDriftMax
        guard now.wallMilliseconds > margin else { return }
        let time = now.wallMilliseconds - margin
        let due = expiries.take(through: time, countMax: Node.elapsedMax)
        let scope = effects.beginScope()
        defer { effects.endScope(scope) }
        for (range, hash) in due { spend(range, hash, before: time, &effects) }
        if due.count == Node.elapsedMax { goOnWithExpiries() }
    }

    private mutating func goOnWithExpiries() {
        nextElapsed = now.monotonic + .nanoseconds(milliseconds: Node.elapsedMilliseconds)
    }

    /// Notes anew when the values of a crowded range expire, some of them a step.
    private mutating func gatherExpiries() {
        guard let place = expiries.beginGathering() else { return }
        var budget = WorkBudget(units: configuration.workUnitsMax, bytes: WorkBudget.turnBytes)
        var found: [ExpiryQueue.Entry] = []
        let next = store.visit(place.range, from: place.hash, &budget) { entry in
            let record = entry.record
            if record.expiry != 0, !record.isTombstone {
                found.append(ExpiryQueue.Entry(expiry: record.expiry, hash: entry.hash))
            }
            return 0
        }
        expiries.gather(found, upTo: next)
        if next != nil { goOnWithExpiries() }
    }

    private mutating func spend(
        _ range: KeyRange, _ hash: UInt64, before time: UInt64, _ effects: inout Effects
    ) {
        var keys: [[UInt8]] = []
        store.visit(range, hash...hash) { _, record in
            guard !record.isTombstone, record.expiry != 0, record.expiry <= time else { return }
            keys.append(Array(record.key))
        }
        for key in keys {
            key.withUnsafeBytes { key in
                let keyspace = catalog.index(of: key)
                let address = store.address(of: key)
                if !isTyped(keyspace) { spend(key, keyspace, address, before: time, &effects) }
            }
        }
    }

    private mutating func spend(
        _ key: UnsafeRawBufferPointer, _ keyspace: Int, _ address: RecordStore.Address,
        before time: UInt64, _ effects: inout Effects
    ) {
        guard let stored = store.find(address, key), !isDoubted(stored.dot) else { return }
        counters.expiredSpent += 1
        if catalog.active[keyspace].n == 1 {
            removeStored(key)
            return forget(key, keyspace, &effects)
        }
        var set = SiblingSet(valid: stored)
        guard set.spend(before: time) else { return }
        merged.removeAll()
        replaceStored(merged[set.encodeRecord(key: key, into: &merged)], keyspace, address)
    }
}
