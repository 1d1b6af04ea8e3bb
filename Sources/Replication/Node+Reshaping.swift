import Base
import Causality
import Coding
import Ring

// Records and sums follow definitions (`Reshaping`).
extension Node {
    /// Definitions changed.
    ///
    /// - Complexity: O(keyspaces).
    mutating func reshape(from before: KeyspaceCatalog) {
        holdings.extend(to: catalog.active.count)
        guard !catalog.isShaped(like: before) else { return }
        for index in before.active.indices
        where before.active[index].isVacant && !catalog.active[index].isVacant {
            renew(index)
        }
        var (isExact, changesTrees) = (background.reshaping.isExact, false)
        var mixing: [Int] = []
        for index in catalog.active.indices where !catalog.active[index].isVacant {
            let isNew = index >= before.active.count || before.active[index].isVacant
            let former = before.active.isEmpty ? nil : before.active[isNew ? 0 : index]
            guard let former else { continue }
            let isTyped = isTyped(index)
            if catalog.active[index].n != former.n
                || isTyped != (former.settings.conflict == .crdt)
            {
                changesTrees = true
            }
            if isNew { isExact = false }
            let truncatedAt = catalog.active[index].truncatedAt
            guard truncatedAt != former.truncatedAt else { continue }
            if let latest = latestCounted(index), latest <= truncatedAt {
                holdings.empty(index, upTo: truncatedAt)
            } else {
                isExact = false
                if isTyped { mixing.append(index) }
            }
        }
        isExact = isExact || holdings.keyspaces.allSatisfy { $0.counted == 0 }
        background.reshaping.begin(
            mixing: mixing, isExact: isExact, trees: changesTrees ? clock.latest : nil)
    }

    /// What it takes to encode a record, in the bytes of a `WorkBudget`: a state that is kept as a
    /// value costs several times what it is copied for.
    static func movedBytes(_ record: Record) -> Int {
        record.length + (record.isExpanded ? 8 * record.expandedBytes : 0)
    }

    /// The latest stamp of what counts in a keyspace; nil while that is not known.
    func latestCounted(_ keyspace: Int) -> Stamp? {
        guard background.audit.isIdle else { return nil }
        return background.reshaping.isIdle
            ? holdings.keyspaces[keyspace].latest : holdings.latest
    }

    mutating func reshape(_ budget: inout WorkBudget, _ effects: inout Effects) {
        reshapeRecords(&budget)
        tellReshaped(&effects)
    }

    mutating func reshapeRecords(_ budget: inout WorkBudget) {
        var found: [(entry: RecordTable.Entry, range: KeyRange)] = []
        let next = store.visit(from: background.reshaping.cursor, &budget) { entry, range in
            let record = entry.record
            let keyspace = catalog.index(of: record.key)
            let tally = tally(record.written.stamp, keyspace)
            let isMixed = record.isMergeable && background.reshaping.isMixed(keyspace)
            let isLeft = !tally.counts || isGone(record, keyspace)
            if tally != entry.tally || isLeft || isMixed { found.append((entry, range)) }
            return isMixed ? Node.movedBytes(record) : 0
        }
        for (entry, range) in found { reshape(entry, range) }
        background.reshaping.advance(to: next)
        if background.reshaping.isIdle { endDiscarding() }
    }

    /// Whether a record is none that its keyspace keeps, and was written to a dropped one, or is
    /// one that this node should not have any more.
    private func isGone(_ record: Record, _ keyspace: Int) -> Bool {
        record.isMergeable && !isTyped(keyspace) && catalog.active[keyspace].drop.isDiscarding
            || background.reshaping.isForgotten(record.dot.stamp, keyspace)
    }

    private mutating func reshape(_ entry: RecordTable.Entry, _ range: KeyRange) {
        let record = entry.record
        let keyspace = catalog.index(of: record.key)
        let (old, tally) = (entry.tally, tally(record.written.stamp, keyspace))
        let address = RecordStore.Address(hash: entry.hash, range: range)
        guard tally.counts, !isGone(record, keyspace) else {
            takeOut(record, old, address)
            counters.emptiedCollected += 1
            return store.remove(entry, in: range)
        }
        if old != tally {
            holdings.replace(record, old, by: .init(record), tally, record.dot.stamp)
            holdings.changeTree(
                address, from: .init(record, old), to: .init(record, tally))
            entry.tally = tally
        }
        guard record.isMergeable, background.reshaping.isMixed(keyspace) else { return }
        truncateState(Array(record.key), KeyLocation(keyspace: keyspace, address: address))
    }

    /// Drops from a state what was written before its keyspace was emptied.
    private mutating func truncateState(_ key: [UInt8], _ location: KeyLocation) {
        if configuration.plantedBug == .statesNotTruncated { return }
        key.withUnsafeBytes { key in
            var held = restoredState(location, key)
            held.state.truncate(through: catalog.active[location.keyspace].truncatedAt)
            putState(held, .none, location, key)
        }
    }

    /// A change of definitions that others wait for is durable.
    mutating func reachedChange(_ change: UInt64, _ effects: inout Effects) {
        background.reshaping.noteDurable(change)
        if catalog.isHolding { catalog.releaseHeld(upTo: change) }
        tellReshaped(&effects)
    }

    /// Answers whoever waits for what is done by now.
    mutating func tellReshaped(_ effects: inout Effects) {
        for owed in background.reshaping.takeDue() {
            switch owed.recipient {
            case .own(let id): definitionsLearned(id, by: configuration.node, &effects)
            case .other(let node, let number):
                send(to: node, kind: 8, number: number, &effects)
            }
        }
    }
}
