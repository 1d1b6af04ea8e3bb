import Base
import Causality
import Coding
import Ring

/// Records of key ranges that this node does not replicate, on their way to the nodes that do.
///
/// A node comes by them when the list of members changes: it holds what the old list gave it.
struct SurplusHandOver {
    /// A record that was sent to every replica of its key.
    struct Item {
        let key: [UInt8]
        /// What was sent: only that may be dropped.
        let dot: Dot
        let digest: UInt64
        /// Replicas that have not answered, by link.
        var waiting: UInt64
        /// One of them did not take it.
        var isRefused = false
    }

    private(set) var batch: UInt32 = 0
    private(set) var items: [Item] = []
    private(set) var unfinished = 0
    /// Where the walk over all records goes on; nil between two walks.
    private(set) var cursor: UInt64?
    /// Of the definitions as the walk began: by others, other nodes replicate a key.
    private(set) var definitions: UInt64 = 0
    /// Something could not be handed over in this walk.
    var isIncomplete = false
    /// Members that were given up, by link, that records wait for.
    var keptFor: UInt64 = 0
    /// Where this batch began, and how often it was tried before.
    private var batchStart: UInt64 = 0
    private var attempts = 0
    /// Something of this batch was not taken.
    private(set) var isRefused = false
    private static let attemptsMax = 8
    /// Others wait for the end of the walk, or there is something to drop: it goes on as fast as
    /// turns and links admit.
    var isUrgent = false
    /// When the next batch is due.
    var at: Deadline = 0

    /// Begins a batch, and a walk where none is under way.
    ///
    /// - Returns: where the walk goes on.
    mutating func begin(_ definitions: UInt64) -> UInt64 {
        if unfinished > 0 { _ = mayTryAgain() }
        batch &+= 1
        items = []
        unfinished = 0
        isRefused = false
        if cursor == nil {
            self.definitions = definitions
            isIncomplete = false
        }
        batchStart = cursor ?? 0
        return batchStart
    }

    /// Something of the batch was not taken: it is tried again, some times, before the walk goes on
    /// without it.
    mutating func mayTryAgain() -> Bool {
        attempts += 1
        guard attempts <= SurplusHandOver.attemptsMax else {
            (attempts, isIncomplete) = (0, true)
            return false
        }
        cursor = batchStart
        return true
    }

    mutating func noteTaken() { attempts = 0 }

    mutating func advance(to cursor: UInt64?) { self.cursor = cursor }

    /// What was acknowledged so far counts no more.
    mutating func beginAnew() {
        (cursor, at, isUrgent) = (nil, 0, true)
        items = []
        unfinished = 0
    }

    mutating func add(_ item: Item) -> OperationID {
        items.append(item)
        unfinished += 1
        return OperationID(kind: .surplus, index: items.count - 1, generation: batch)
    }

    /// - Returns: the record that all its replicas have answered now; nil while one is missing.
    mutating func answered(_ id: OperationID, by link: Int, isTaken: Bool) -> Item? {
        items[id.index].waiting &= ~(1 << UInt64(link))
        if !isTaken { (items[id.index].isRefused, isRefused) = (true, true) }
        guard items[id.index].waiting == 0 else { return nil }
        unfinished -= 1
        return items[id.index]
    }

    func isWaiting(_ id: OperationID, for link: Int) -> Bool {
        id.generation == batch && id.index < items.count
            && items[id.index].waiting.isSet(link)
    }
}

// What a node no longer replicates is handed over to all its replicas. While the generation of the
// list is open it stays here as well (`Generation`); then it is dropped.
//
// The walk goes over all records, in batches, and again and again: without haste where nothing is
// known to be left. Nothing that was deleted comes back by it, because a replica ignores what is
// older than the deletions that it has settled (`mergeIn`), and this node leaves out what it cannot
// vouch for where another one does.
extension Node {
    private static let surplusPatience: UInt64 = 2_000
    private static let surplusPause: UInt64 = 60_000

    /// At a heartbeat, and when something has happened that the walk waits for.
    mutating func tendSurplus(_ effects: inout Effects) {
        guard links.count > 1, !background.handsOver, surplus.at <= now.monotonic, mayHandOver
        else { return }
        background.handsOver = true
        workInBackground(&effects)
    }

    private var mayHandOver: Bool {
        guard background.hasTrees else { return false }
        return generation.isClosed
            || generation.takes && !generation.hasHandedOver && generation.saving == nil
                && !isBehindSomewhere
    }

    /// The next batch of the walk.
    mutating func handOver(_ budget: inout WorkBudget, _ effects: inout Effects) {
        budget.look(records: 1)
        background.handsOver = false
        guard mayHandOver, links.allSatisfy({ !$0.isUp || $0.exchangeBudget > 0 }) else {
            surplus.at = now.monotonic + .nanoseconds(milliseconds: Node.heartbeatMilliseconds)
            return
        }
        let start = surplus.begin(catalog.digest)
        guard store.count > 0 else {
            surplus.advance(to: nil)
            return endBatch(&effects)
        }
        for key in nextSurplus(from: start, &budget) {
            key.withUnsafeBytes { handOver($0, &effects) }
        }
        guard surplus.unfinished == 0 else {
            surplus.at = now.monotonic + .nanoseconds(milliseconds: Node.surplusPatience)
            return
        }
        endBatch(&effects)
    }

    /// Keys of the next records that this node is no replica of; moves the cursor.
    private mutating func nextSurplus(
        from cursor: UInt64, _ budget: inout WorkBudget
    ) -> [[UInt8]] {
        var keys: [[UInt8]] = []
        let next = store.visit(from: cursor, &budget) { entry, range in
            let record = entry.record
            guard !isReplica(of: range, catalog.index(of: record.key)) else { return 0 }
            keys.append(Array(record.key))
            return Node.movedBytes(record)
        }
        surplus.advance(to: next)
        if !keys.isEmpty, generation.isClosed { surplus.isUrgent = true }
        return keys
    }

    /// All of a batch was answered.
    private mutating func endBatch(_ effects: inout Effects) {
        surplus.at = now.monotonic
        if !surplus.isRefused { surplus.noteTaken() }
        if surplus.isRefused, surplus.mayTryAgain() {
            surplus.at += .nanoseconds(milliseconds: Node.heartbeatMilliseconds)
            return
        }
        guard surplus.cursor == nil else {
            background.handsOver = surplus.isUrgent
            return
        }
        let isComplete = !surplus.isIncomplete && surplus.definitions == catalog.digest
        if isComplete { surplus.isUrgent = false }
        let isOver = isComplete && (generation.isClosed || noteHandedOver(&effects))
        let pause = isOver ? Node.surplusPause : Node.surplusPatience
        surplus.at += .nanoseconds(milliseconds: pause)
    }

    private mutating func handOver(_ key: UnsafeRawBufferPointer, _ effects: inout Effects) {
        let location = place(of: key)
        guard let stored = store.find(location.address, key) else { return }
        let (range, n) = (location.address.range, catalog.active[location.keyspace].n)
        let replicas = ring.primaries(of: range, replicationFactor: n)
        let isKnown =
            generation.isClosed && stored.dot.stamp <= generation.handedOverAt
            && !replicas.allSatisfy { generation.keptFor.contains($0) }
        guard counts(stored), !isKnown else {
            return dropSurplus(key, location.keyspace, &effects)
        }
        switch doubt(stored, range, n) {
        case .none: break
        case .refuted where !generation.isClosed: return
        case .refuted: return dropSurplus(key, location.keyspace, &effects)
        case .unheard:
            surplus.isIncomplete = true
            return
        }
        let awaited = replicas.filter {
            linkIndex(of: $0).map { !generation.givenUp.isSet($0) } ?? false
        }
        if awaited.isEmpty { return keep(for: replicas) }
        guard awaited.allSatisfy({ isHeard($0) && takesSurplus($0) }) else {
            surplus.isIncomplete = true
            return
        }
        handOver(stored, location.keyspace, to: awaited, &effects)
    }

    /// All replicas of a record were given up: it stays until one of them comes, and nobody waits.
    private mutating func keep(for replicas: ArraySlice<NodeID>) {
        if generation.isClosed { surplus.isIncomplete = true }
        for node in replicas {
            if let index = linkIndex(of: node) { surplus.keptFor |= 1 << UInt64(index) }
        }
    }

    private mutating func handOver(
        _ stored: Record, _ keyspace: Int, to replicas: [NodeID], _ effects: inout Effects
    ) {
        var waiting: UInt64 = 0
        for node in replicas {
            if let index = linkIndex(of: node) { waiting |= 1 << UInt64(index) }
        }
        let id = surplus.add(
            .init(
                key: Array(stored.key), dot: stored.dot, digest: treeDigest(stored, keyspace),
                waiting: waiting))
        let record = whole(stored)
        let frame = effects.bytes.appendMessage(
            kind: Message.handOffKind, number: id.rawValue, record.bytes)
        for node in replicas {
            noteSent(id.rawValue, to: node)
            spend(frame, on: node, &effects)
        }
    }

    /// Whether another node is known to take what is handed over.
    private func takesSurplus(_ node: NodeID) -> Bool {
        guard let index = linkIndex(of: node) else { return false }
        return generation.closed.isSet(index)
            || !generation.isClosed && generation.taking.isSet(index)
    }

    /// Of a record that all its former replicas may have deleted and forgotten, where this node did
    /// not promise to know.
    private enum Doubt {
        case none
        /// Another node vouches for the range, and hands the record over if it was not deleted.
        case refuted
        /// It is not known yet whether one does. Where none does it may be the last copy.
        case unheard
    }

    private func doubt(_ record: Record, _ range: KeyRange, _ n: Int) -> Doubt {
        let missed = collection.parts[n]?.missed(range.rawValue) ?? 0
        guard record.dot.stamp.rawValue <= max(missed, generation.namesDoubtedUpTo) else {
            return .none
        }
        if links.indices.contains(where: { vouches($0, range, n) }) { return .refuted }
        return isUnvouched(range, n) ? .none : .unheard
    }

    /// A replica says what became of a record that was handed over to it.
    mutating func surplusTaken(
        _ id: OperationID, _ status: ReplicaStatus, by node: NodeID, _ effects: inout Effects
    ) {
        guard let link = linkIndex(of: node), surplus.isWaiting(id, for: link) else {
            counters.lateAnswers += 1
            return
        }
        let isTaken =
            switch status {
            case .acknowledged, .durable, .superseded: true
            case .diskFull, .clockAhead, .overloaded, .tooManySiblings, .found, .absent, .noReplica,
                .covered, .contextTold, .needsState, .wrongEpoch, .refilling:
                false
            }
        guard let item = surplus.answered(id, by: link, isTaken: isTaken) else { return }
        if !item.isRefused { handedOver(item, &effects) }
        guard surplus.unfinished == 0 else { return }
        endBatch(&effects)
        if background.handsOver { workInBackground(&effects) }
    }

    /// All replicas of a record have said that they have it.
    private mutating func handedOver(
        _ item: SurplusHandOver.Item, _ effects: inout Effects
    ) {
        item.key.withUnsafeBytes { key in
            let location = place(of: key)
            guard !isReplica(of: location), let stored = store.find(location.address, key) else {
                return
            }
            guard stored.dot == item.dot, treeDigest(stored, location.keyspace) == item.digest
            else {
                surplus.isIncomplete = true
                return
            }
            if generation.isClosed { dropSurplus(key, location.keyspace, &effects) }
        }
    }

    private mutating func dropSurplus(
        _ key: UnsafeRawBufferPointer, _ keyspace: Int, _ effects: inout Effects
    ) {
        counters.surplusDropped += 1
        removeStored(key)
        forget(key, keyspace, &effects)
        effects.syncWithin(1_000)
    }
}
