import AntiEntropy
import Base
import Causality
import Coding
import Ring

// Tombstone collection: what was deleted stays deleted, and is forgotten in the end.
//
// A tombstone may go once every replica has it, or nothing that it deletes. A replica that keeps
// the old value and hears nothing of the deletion would bring the value back otherwise, from a hint
// as well as after a year in a cupboard. Waiting for some days proves nothing; so the replicas
// prove it to each other, for each key range and n:
//
//     promise     Whatever I have stamped or am going to stamp up to P, every replica holds.
//     collection  C is the least of all replicas' P. What is stamped up to C is settled: a
//                 tombstone goes, an expired value goes, and what comes from elsewhere with such a
//                 stamp is known already and ignored.
//
// A node knows what it stamped; that the others hold it follows from hash trees that were equal
// with theirs (`EqualityLedger`), at moments later than P. From then on it stamps nothing up to P,
// as its stamps rise. P is on disk before anybody hears of it, and behind it everything it speaks
// of. No clock has to be right for this. Clocks only have a say where something was stamped by a
// node that is no replica: hints. P therefore stays behind the moments by
// `collectionGraceMilliseconds`, and where fallbacks take writes by the age at which hints are
// given up as well. What expires does so by the time, which stamps may be ahead of: both have to
// have passed.
//
// A replica that is away promises nothing, so what was deleted meanwhile waits for it, and it is
// named (`collectionFigures`). Once an operator forgets it (`CLUSTER FORGET`) the others go on.
//
// A replica whose own P is less than what somebody collected is not the one that promised: an old
// disk, a lost one, or a node that was forgotten. It may hold what was deleted. So a node says its
// P before anything else on a link; of a range that it is behind in nothing is taken from it
// (`isKeptOut`), and when it hears that it is behind, it compares what it has up to C with one that
// vouches for the range, drops what that one does not hold, and is refilled (`Node+CatchUp`).
//
// Where a majority of clocks was ahead and was set back, some have let go of what had expired, and
// others, who were away, have not. What somebody still has that is not over by the time now is
// taken again although it is settled (`isNews`); and what a replica has spent that is not over any
// more it tells the others, so that all answer the same.
//
// Promises and collections are multiples of an interval and ranges have their turn by the wall
// clock, so that replicas forget at about the same time and their trees stay equal.
//
// With one replica there is nobody to ask: what is as old as the grace goes.
//
// The journal learns that a record went: what a replay takes from before would not meet what
// replaced it any more, where a checkpoint left that out.
extension Node {
    /// At a heartbeat.
    mutating func tendCollection(_ effects: inout Effects) {
        let interval = now.wallMilliseconds / configuration.collectionMilliseconds
        if interval != collection.promisedIn {
            collection.promisedIn = interval
            promise(&effects)
            tellSettled(&effects)
        }
        for index in links.indices
        where links[index].isUp && (!links[index].hasPromised || links[index].isBehind) {
            tellPromises(to: index, asks: true, &effects)
        }
        collectDue(&effects)
    }

    /// Up to when everything of a key range is settled here: known in whatever state it ended up.
    @inline(__always)
    func settled(_ range: KeyRange, _ keyspace: Int) -> Stamp {
        collection.isBegun ? settledHere(range, keyspace) : Stamp(rawValue: 0)
    }

    func settledHere(_ range: KeyRange, _ keyspace: Int) -> Stamp {
        let n = catalog.active[keyspace].n
        let collected = collectedHere(range, n)
        // What a keyspace in memory held in the last life others may still have to bring back; also
        // when it is kept on disk by now, until this node has promised what it held later.
        let leftAt = catalog.standings[keyspace].leftMemoryAt.rawValue
        let promised = leftAt == 0 ? 0 : collection.parts[n]?.promised[range.rawValue] ?? 0
        guard isInMemoryOnly(keyspace) || promised < leftAt else { return collected }
        return min(collected, Stamp(rawValue: equalSince(range, n)))
    }

    /// Whatever is not known here of a range has seen everything up to there: what it removed or
    /// replaced needs nobody to remember it.
    func stable(_ range: KeyRange, _ keyspace: Int) -> Stamp {
        let n = catalog.active[keyspace].n
        guard n > 1 else { return generation.isClosed ? clock.last : Stamp(rawValue: 0) }
        guard let part = collection.parts[n], isRefilled(range, n) else {
            return Stamp(rawValue: 0)
        }
        return Stamp(rawValue: part.stable[range.rawValue])
    }

    /// A stamp that no clock has passed by now, as far as clocks may be apart.
    private var unpassed: UInt64 {
        Stamp(milliseconds: clock.latest.milliseconds + 1_000).rawValue
    }

    func collectedHere(_ range: KeyRange, _ n: Int) -> Stamp {
        guard let part = collection.parts[n], isRefilled(range, n) else {
            return Stamp(rawValue: 0)
        }
        return Stamp(rawValue: part.settled(range.rawValue))
    }

    /// Up to when everything of a key range is settled on all its replicas that are whole.
    func settledAnywhere(_ range: KeyRange, _ keyspace: Int) -> Stamp {
        guard let part = collection.parts[catalog.active[keyspace].n] else {
            return Stamp(rawValue: 0)
        }
        let known = part.known[range.rawValue]
        return Stamp(rawValue: known > part.revoked[range.rawValue] ? known : 0)
    }

    /// Whether a replica may have forgotten a record that others still have.
    public func isForgettable(_ record: Record) -> Bool {
        isSettled(record)
            && (record.isTombstone
                || record.expiry != 0 && record.expiry <= now.wallMilliseconds
                    && Stamp(atMost: record.expiry) <= settledAnywhere(of: record))
    }

    /// Whether a replica may have compacted a record that others have as it was.
    public func isSettled(_ record: Record) -> Bool {
        record.dot.stamp <= settledAnywhere(of: record)
    }

    private func settledAnywhere(of record: Record) -> Stamp {
        settledAnywhere(store.address(of: record.key).range, catalog.index(of: record.key))
    }

    /// The least moment at which one of the other replicas of a range was last equal to this one; a
    /// replica that was removed does not count. No later than what any of their clocks shows, so
    /// that a clock that is ahead for a while binds nobody for long.
    func equalSince(_ range: KeyRange, _ n: Int) -> UInt64 {
        var least = clock.latest.rawValue
        for node in ring.primaries(of: range, replicationFactor: n)
        where node != configuration.node && isWaitedFor(node) {
            guard let index = linkIndex(of: node) else { continue }
            let moment = equalities.last(
                link: index, replicationFactor: n, range: range.rawValue)
            least = min(least, moment, clock.reach(of: index)?.rawValue ?? 0)
        }
        return least
    }

    /// Whether nothing is forgotten that a replica may not know to be deleted.
    private func isWaitedFor(_ node: NodeID) -> Bool {
        if configuration.plantedBug == .collectedUnheard, !isHeard(node) { return false }
        return !isRemoved(node)
    }

    /// Whether a node was taken out of the cluster.
    public func isRemoved(_ node: NodeID) -> Bool {
        membership.member(node)?.record.state == .removed
    }

    /// The stamp that lies so many milliseconds before another, at the beginning of its interval.
    func settling(_ stamp: UInt64, after grace: UInt64) -> UInt64 {
        let milliseconds = Stamp(rawValue: stamp).milliseconds
        let interval = configuration.collectionMilliseconds
        guard milliseconds > grace else { return 0 }
        return Stamp(milliseconds: (milliseconds - grace) / interval * interval).rawValue
    }

    /// What is settled where there is one replica.
    var settledAlone: Stamp {
        guard generation.isClosed else { return Stamp(rawValue: 0) }
        let grace = configuration.collectionGraceMilliseconds
        return Stamp(rawValue: settling(clock.latest.rawValue, after: grace))
    }

    /// How long a promise stays behind, milliseconds.
    func grace(_ n: Int) -> UInt64 {
        let least = configuration.collectionGraceMilliseconds
        if configuration.plantedBug == .collectedBeforeHints { return least }
        let takesHints = catalog.active.contains { $0.n == n && $0.settings.isSloppy }
        let isHinted = now.wallMilliseconds < collection.parts[n]?.hintedUntil ?? 0
        return takesHints || isHinted ? least + configuration.hintMillisecondsMax : least
    }

    /// Fallbacks take no more writes for an n; the hints that they have are handed off for a while.
    mutating func noteHintedUntilNow(_ before: KeyspaceCatalog) {
        for (old, new) in zip(before.active, catalog.active)
        where old.settings.isSloppy && !(new.settings.isSloppy && new.n == old.n) {
            collection.prepare(old.n, links: links.count)
            collection.parts[old.n]?.hintedUntil =
                now.wallMilliseconds + configuration.hintMillisecondsMax
        }
    }
}

// Collection.
extension Node {
    /// Settles and sweeps the key ranges whose turn it is.
    private mutating func collectDue(_ effects: inout Effects) {
        let ranges = UInt64(KeyRange.count)
        let interval = configuration.collectionMilliseconds
        let slot = now.wallMilliseconds * ranges / interval
        // Clocks that went back a little wait.
        guard slot >= collection.nextSlot || collection.nextSlot - slot > ranges else { return }
        if slot < collection.nextSlot || slot - collection.nextSlot >= ranges {
            collection.nextSlot = slot
        }
        // Twice what falls due between two heartbeats: who was stopped for a while is not stopped
        // again by what has become due.
        let countMax = 2 * (1 + ranges * Node.heartbeatMilliseconds / interval)
        let count = min(slot + 1 - collection.nextSlot, countMax)
        let due = (0..<count).map {
            KeyRange(UInt8(truncatingIfNeeded: collection.nextSlot + $0))
        }
        collection.nextSlot += count
        settle(due, &effects)
        background.sweep.begin(due.filter { isOfUse($0) })
        workInBackground(&effects)
    }

    /// Raises what is collected to what all replicas have promised by now.
    private mutating func settle(_ ranges: [KeyRange], _ effects: inout Effects) {
        var marker = CollectionMarker()
        for n in replicationFactors {
            var raised = RangeStamps()
            for range in ranges
            where Int(ranks[Int(range.rawValue)]) < n && isRefilled(range, n) {
                let least = leastPromise(range, n)
                let part = collection.parts[n]
                let before = max(
                    part?.collected[range.rawValue] ?? 0, part?.revoked[range.rawValue] ?? 0)
                guard least > before else { continue }
                collection.collect(least, n, range.rawValue)
                collection.ripen(n, range.rawValue, moment: unpassed)
                raised[range.rawValue] = least
            }
            if raised.latest > 0 { marker.parts.append(.init(n: n, collected: raised)) }
        }
        guard !marker.parts.isEmpty else { return }
        for index in links.indices { noteBehind(index) }
        guard configuration.plantedBug != .collectionForgotten else { return }
        effects.append { marker.encode(into: &$0) }
    }

    private func leastPromise(_ range: KeyRange, _ n: Int) -> UInt64 {
        guard let part = collection.parts[n] else { return 0 }
        var least = part.promised[range.rawValue]
        for node in ring.primaries(of: range, replicationFactor: n)
        where node != configuration.node && isWaitedFor(node) {
            guard let index = linkIndex(of: node) else { continue }
            least = min(least, part.others[index][range.rawValue])
        }
        return least
    }

    /// A sweep of a range begins: what becomes a candidate meanwhile is one again.
    mutating func beginSweep(_ range: KeyRange) {
        background.sweep.isCollecting = collection.candidates.contains(range.rawValue)
        collection.candidates.remove(range.rawValue)
    }

    mutating func endCollecting(_ range: KeyRange) {
        guard background.sweep.isCollecting else { return }
        collection.waiting[range.rawValue] = background.sweep.oldest
        if background.sweep.leavesCandidates { collection.candidates.insert(range.rawValue) }
    }

    /// Removes what is settled and holds no value.
    ///
    /// - Returns: where to go on; nil when the range is done.
    mutating func collect(
        _ range: KeyRange, from hash: UInt64, _ budget: inout WorkBudget,
        _ effects: inout Effects
    ) -> UInt64? {
        let alone = settledAlone
        let grace = configuration.collectionGraceMilliseconds
        // A time that no majority has confirmed ends nothing for good.
        let expired =
            clock.isConfirmed ? now.wallMilliseconds - min(grace, now.wallMilliseconds) : 0
        var gone: [RecordTable.Entry] = []
        var back: [RecordTable.Entry] = []
        var oldest = background.sweep.oldest
        var isMoreLeft = false
        let next = store.visit(range, from: hash, &budget) { entry in
            let record = entry.record
            guard record.isTombstone || record.expiry != 0 || !entry.tally.counts else { return 0 }
            let keyspace = catalog.index(of: record.key)
            let active = catalog.active[keyspace]
            let limit = active.n > 1 ? settledHere(range, keyspace) : alone
            let isLeft =
                max(record.dot.stamp, Stamp(atMost: record.expiry)) > limit
                || !record.isTombstone && record.expiry > expired
            guard isLeft, record.written.stamp > active.truncatedAt else {
                gone.append(entry)
                return 0
            }
            isMoreLeft = true
            if record.isTombstone {
                if clock.isConfirmed, record.expiry > now.wallMilliseconds { back.append(entry) }
                oldest = min(oldest == 0 ? .max : oldest, record.dot.stamp.rawValue)
            }
            return 0
        }
        for entry in back { tell(entry.record, range, &effects) }
        for entry in gone { collect(entry, range, &effects) }
        background.sweep.oldest = oldest
        if isMoreLeft { background.sweep.leavesCandidates = true }
        return next
    }

    private mutating func collect(
        _ entry: RecordTable.Entry, _ range: KeyRange, _ effects: inout Effects
    ) {
        let record = entry.record
        let keyspace = catalog.index(of: record.key)
        if record.written.stamp <= catalog.active[keyspace].truncatedAt {
            counters.emptiedCollected += 1
        } else if record.expiry == 0 {
            counters.tombstonesCollected += 1
        } else {
            counters.expiredCollected += 1
        }
        forget(record.key, keyspace, &effects)
        remove(entry, in: range)
    }

    /// What was over when it was spent here, and is not any more, is to be over elsewhere too.
    private mutating func tell(_ spent: Record, _ range: KeyRange, _ effects: inout Effects) {
        let n = catalog.active[catalog.index(of: spent.key)].n
        let frame = effects.bytes.appendMessage(kind: 1, number: 0) {
            appendWhole(spent, into: &$0)
        }
        for node in ring.primaries(of: range, replicationFactor: n)
        where node != configuration.node && isResponsive(node) {
            send(frame, to: node, &effects)
        }
    }

    /// Forgets a record that a walk came by.
    mutating func remove(_ entry: RecordTable.Entry, in range: KeyRange) {
        takeOut(entry.record, entry.tally, .init(hash: entry.hash, range: range))
        store.remove(entry, in: range)
    }

    /// Forgets what is stored of a key.
    mutating func removeStored(_ key: UnsafeRawBufferPointer) {
        let address = store.address(of: key)
        let place = store.locate(address, key)
        guard let stored = place.record else { return }
        takeOut(stored, place.tally, address)
        store.remove(address, key)
    }

    /// A stored record is about to be removed.
    mutating func takeOut(
        _ stored: Record, _ tally: RecordTally, _ address: RecordStore.Address
    ) {
        if !absences.isEmpty { absences.noteRemoval(of: stored.key) }
        holdings.takeOut(stored, tally)
        holdings.changeTree(address, from: .init(stored, tally), to: .init())
        store.release(stored)
    }
}

// Recovery and checkpoints.
extension Node {
    mutating func adopt(_ marker: CollectionMarker) {
        for part in marker.parts {
            collection.prepare(part.n, links: links.count)
            let known = collection.parts[part.n]?.hintedUntil ?? 0
            collection.parts[part.n]?.hintedUntil = max(known, part.hintedUntil)
            for range in KeyRange.all {
                let number = range.rawValue
                collection.promise(part.promised[number], part.n, number)
                collection.collect(part.collected[number], part.n, number)
                collection.revoke(part.revoked[number], part.n, number)
            }
        }
        clock.resume(after: Stamp(rawValue: collection.latestPromise))
    }

    /// Appends what a checkpoint says, as `exportState` writes it.
    func exportCollection(into buffer: inout ByteBuffer) {
        var marker = CollectionMarker()
        for n in collection.replicationFactors {
            guard let part = collection.parts[n] else { continue }
            let isKept = configuration.plantedBug != .collectionForgotten
            marker.parts.append(
                .init(
                    n: n, hintedUntil: part.hintedUntil, promised: part.promised,
                    collected: isKept ? part.collected : RangeStamps(), revoked: part.revoked))
        }
        buffer.appendSized { marker.encode(into: &$0) }
    }
}
