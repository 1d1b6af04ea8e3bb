import Base
import CRDT
import Causality
import Coding
import Ring

// Compaction: what is remembered of identities of which nothing is left goes as tombstones do.
//
// Every life of a process writes under a name of its own, so the contexts of keys that live long,
// and the accounts of counters, would grow with every restart. Age tells nothing about whether an
// entry is still needed: it is as long as some replica may hold what it removed. Once the whole
// state of a key is settled (`Node+Collection`) every replica includes it, and nobody holds that
// any more; so all of them drop the entries that name nothing live. The result depends on the state
// only: their trees agree again as soon as all have done it.
//
// A replica that has not, and takes a write meanwhile, brings the entries back to the others; that
// does no harm, and the key is compacted once that write is settled. A delta that stands upon what
// was dropped is answered by `needsState`.
//
// Who has seen what is settled counts as having seen it (`settledAnywhere`), whether or not the
// state says so; therefore nothing is dropped here before the other nodes were told that it is
// settled (`Collection.told`).
//
// What is kept for how long: `CRDTState.compact`. The journal learns of it as it does of what is
// collected: a replay that met deltas behind a checkpoint which left their identities out would
// take them for news.
//
// With one replica only what is synced before it is acknowledged is compacted. Elsewhere a session
// whose writer has ended since finds in the context alone that what it saw is not lost.
extension Node {
    /// What was compacted counts from the beginning of the sweep on, so that an older state that is
    /// stored meanwhile takes it back (`noteSharedCandidate`).
    mutating func beginCompacting(_ range: KeyRange) {
        guard collection.compactible.contains(range.rawValue) else { return }
        collection.compactible.remove(range.rawValue)
        let limits = catalog.active.indices.map { compactionLimit(range, $0) }
        background.sweep.limits = catalog.active.indices.map {
            (limits[$0], compactedUpTo(range, $0))
        }
        for n in [1] + replicationFactors {
            let shared = zip(catalog.active, limits).filter { $0.0.n == n }
            let least = shared.map(\.1.rawValue).min() ?? 0
            if least > 0 { collection.noteCompacted(least, n, range.rawValue) }
        }
    }

    mutating func endCompacting(_ range: KeyRange) {
        if background.sweep.leavesCompactible { collection.compactible.insert(range.rawValue) }
    }

    /// Compacts what is settled in a range, each state once.
    ///
    /// - Returns: where to go on; nil when the range is done.
    mutating func compact(
        _ range: KeyRange, from hash: UInt64, _ budget: inout WorkBudget,
        _ effects: inout Effects
    ) -> UInt64? {
        let limits = background.sweep.limits
        var keys: [[UInt8]] = []
        var isMoreLeft = false
        let next = store.visit(range, from: hash, &budget) { entry in
            let record = entry.record
            let keyspace = catalog.index(of: record.key)
            guard entry.tally.counts, keyspace < limits.count, isCompactible(record, keyspace)
            else { return 0 }
            guard record.dot.stamp <= limits[keyspace].now else {
                isMoreLeft = true
                return 0
            }
            guard record.dot.stamp.rawValue > limits[keyspace].before else { return 0 }
            keys.append(Array(record.key))
            return Node.movedBytes(record)
        }
        for key in keys { key.withUnsafeBytes { compact($0, &effects) } }
        if isMoreLeft { background.sweep.leavesCompactible = true }
        return next
    }

    /// A state is about to be stored: whether it holds something that goes one day.
    @inline(__always)
    mutating func noteCompactible(_ record: Record, _ keyspace: Int, _ range: KeyRange) {
        if record.isSiblingSet || record.isMergeable {
            noteSharedCandidate(record, keyspace, range)
        }
    }

    private mutating func noteSharedCandidate(
        _ record: Record, _ keyspace: Int, _ range: KeyRange
    ) {
        guard isCompactible(record, keyspace) else { return }
        collection.compactible.insert(range.rawValue)
        if record.dot.stamp.rawValue <= compactedUpTo(range, keyspace) {
            collection.compacted[catalog.active[keyspace].n]?[range.rawValue] = 0
        }
    }

    private func compactedUpTo(_ range: KeyRange, _ keyspace: Int) -> UInt64 {
        collection.compacted[catalog.active[keyspace].n]?[range.rawValue] ?? 0
    }

    private func compactionLimit(_ range: KeyRange, _ keyspace: Int) -> Stamp {
        if configuration.plantedBug == .compactedUnsettled { return clock.last }
        let n = catalog.active[keyspace].n
        guard n > 1 else { return settledAlone }
        let told = collection.told[n]?[range.rawValue] ?? 0
        return min(collectedHere(range, n), Stamp(rawValue: told))
    }

    /// Whether a context names more than one identity.
    private func isCompactible(_ record: Record, _ keyspace: Int) -> Bool {
        let active = catalog.active[keyspace]
        if active.settings.conflict == .lww { return false }
        if active.n == 1, active.settings.durability != .fsync { return false }
        if record.isExpanded {
            return store.expanded[record.expandedPlace].context.entries.count > 1
        }
        if record.isMergeable { return CRDTState.contextBytes(in: record.body).count > 16 }
        return record.isSiblingSet && record.identityCount > 1
    }

    private mutating func compact(_ key: UnsafeRawBufferPointer, _ effects: inout Effects) {
        let location = KeyLocation(
            keyspace: catalog.index(of: key), address: store.address(of: key))
        guard let stored = store.find(location.address, key) else { return }
        if stored.isMergeable {
            var held = restoredState(location, key)
            // All of the state is settled, so what has ended in it is: what is left is the same on
            // every replica, whenever it compacts.
            guard held.state.compact() else { return putBack(held) }
            putState(held, .none, location, key)
        } else {
            var set = SiblingSet(valid: stored)
            guard set.compact() else { return }
            merged.removeAll()
            let range = set.encodeRecord(key: key, into: &merged)
            replaceStored(merged[range], location.keyspace, location.address)
        }
        counters.contextsCompacted += 1
        guard let compacted = store.find(location.address, key), isKeptOnDisk(compacted) else {
            return
        }
        forget(key, location.keyspace, &effects)
        keepWhole(compacted, &effects)
    }
}

extension Node {
    /// What a settled record with several values, or a state, is once it is compacted; nil where
    /// there is nothing to compact.
    public static func compacted(_ record: Record) -> [UInt8]? {
        var bytes = ByteBuffer(capacity: record.length)
        if record.isMergeable {
            var state = CRDTState(valid: record)
            guard state.compact() else { return nil }
            _ = state.encodeRecord(key: record.key, into: &bytes)
            return Array(bytes.bytes)
        }
        guard record.isSiblingSet else { return nil }
        var set = SiblingSet(valid: record)
        guard set.compact() else { return nil }
        _ = set.encodeRecord(key: record.key, into: &bytes)
        return Array(bytes.bytes)
    }
}

// What others say who have compacted, or have not.
extension Node {
    /// Tells the other nodes up to where everything is settled, if it is more than they were told.
    mutating func tellSettled(_ effects: inout Effects) {
        var isNews = false
        for n in collection.replicationFactors {
            guard let known = collection.parts[n]?.known, known != collection.told[n] else {
                continue
            }
            collection.told[n] = known
            isNews = isNews || known.latest > 0
        }
        guard isNews else { return }
        for index in links.indices where links[index].isUp {
            tellPromises(to: index, asks: false, &effects)
        }
    }

    /// Calls `body` with the answers of a read as if all replicas had compacted what is settled, so
    /// that who has not is not taken to have more.
    mutating func withCompacted<Result>(
        _ records: [Record?], _ range: KeyRange, _ keyspace: Int,
        _ body: (inout Node, [Record?]) -> Result
    ) -> Result {
        let settled = settledAnywhere(range, keyspace)
        let isConcerned = records.map { record in
            record.map {
                $0.isSiblingSet && $0.dot.stamp <= settled && isCompactible($0, keyspace)
            } ?? false
        }
        guard isConcerned.contains(true) else { return body(&self, records) }
        var bytes = ByteBuffer(capacity: 256)
        var ranges: [Range<Int>?] = []
        for (record, isConcerned) in zip(records, isConcerned) {
            guard let record, isConcerned else {
                ranges.append(nil)
                continue
            }
            var set = SiblingSet(valid: record)
            _ = set.compact()
            ranges.append(set.encodeRecord(key: record.key, into: &bytes))
        }
        let compacted = zip(records, ranges).map { record, range in
            range.flatMap { bytes[$0].baseAddress.map { Record(at: $0) } } ?? record
        }
        let result = body(&self, compacted)
        bytes.removeAll()
        return result
    }
}
