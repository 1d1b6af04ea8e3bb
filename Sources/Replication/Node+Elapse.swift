import Base
import CRDT
import Causality
import Coding
import RESP
import Ring

// What has expired gives its bytes back.
//
// A replica replaces an expired value by what is left of it (`SiblingSet.spend`): the dots alone,
// which is collected as a tombstone is. It sends nothing and names nothing, because every replica
// does the same; and where a client gave the value a longer life in time, at a replica that could
// not be heard, that state still wins when it comes. A value with one replica is removed.
//
// Of a typed value a part may have expired, and to remove it is a write of its own, under a dot: a
// replica does it as a command would, once it has heard as many others as it takes to know of every
// change of an expiry that was acknowledged.
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
            if record.isTombstone { return 0 }
            let partly = record.isMergeable ? expiries.noted(entry.hash) : nil
            guard let expiry = record.expiry != 0 ? record.expiry : partly else { return 0 }
            found.append(ExpiryQueue.Entry(expiry: expiry, hash: entry.hash))
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
        guard let stored = store.find(address, key), !isDoubted(stored.dot) else { return }
        counters.expiredSpent += 1
        if catalog.active[keyspace].n == 1, isWhole(address.range, keyspace) {
            removeStored(key)
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
    /// After how many milliseconds another replica removes what the one before it has not.
    private static let removalMilliseconds: UInt64 = 2_000

    private mutating func removeElapsed(
        _ key: UnsafeRawBufferPointer, _ location: KeyLocation, before time: UInt64,
        _ effects: inout Effects
    ) {
        let held = restoredState(location, key)
        let expiry = held.state.nextExpiry
        putBack(held)
        let address = location.address
        guard expiry > 0, expiry <= time else {
            // When a part of it expires does not stand in the record: this is all that says so.
            let isPart = expiry > 0 && store.find(address, key)?.expiry == 0
            return isPart ? expiries.note(expiry, address.hash, address.range) : ()
        }
        let isCrowded = reads.room(for: location.keyspace) <= reads.capacity / 4
        let later = now.wallMilliseconds + (isCrowded ? 100 : Node.removalMilliseconds)
        expiries.note(later, address.hash, address.range)
        guard !isCrowded, isTurn(at: location, since: time - expiry) else { return }
        counters.expiredSpent += 1
        var request = ByteBuffer(capacity: 32 + key.count)
        request.writeArrayHeader(count: 2)
        request.writeBulk(CommandTable.description(of: .exists).text)
        request.writeBulk(key)
        // As a write it removes what has expired, and then it only looks.
        let active = catalog.active[location.keyspace]
        let command = TypedCommand(
            name: .exists, request: Array(request.bytes), location: location, writes: active.writes)
        client = ClientContext()
        ask(key, location, removalLevels(location), .typed(command), .nobody, &effects)
    }

    /// One of them has every change of an expiry that was acknowledged as the keyspace asks for.
    private func removalLevels(_ location: KeyLocation) -> ReadLevels {
        let active = catalog.active[location.keyspace]
        let least = active.n - active.writes.writeQuorum + 1
        return ReadLevels(
            readQuorum: max(least, active.reads.readQuorum), primaryReadQuorum: 0,
            timeoutMilliseconds: UInt32(Node.removalMilliseconds))
    }

    /// Whether enough replicas are in reach, and this one is to remove what was over so long ago.
    private func isTurn(at location: KeyLocation, since milliseconds: UInt64) -> Bool {
        let active = catalog.active[location.keyspace]
        let present = ring.primaries(of: location.address.range, replicationFactor: active.n)
            .filter { $0 == configuration.node || isResponsive($0) }
        guard active.writes.writeQuorum <= present.count,
            removalLevels(location).readQuorum <= present.count
        else { return false }
        let turn = Int(milliseconds / Node.removalMilliseconds % UInt64(present.count))
        return present[turn] == configuration.node
    }
}
