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
        /// Replicas that have not acknowledged it, by link.
        var waiting: UInt64
    }

    private(set) var batch: UInt32 = 0
    private(set) var items: [Item] = []
    private(set) var unfinished = 0
    /// Where the walk over all records goes on.
    var cursor: UInt64 = 0
    /// Something could not be handed over in this walk.
    var isIncomplete = false
    /// When the next batch is due.
    var at: Deadline = 0

    mutating func begin() {
        if unfinished > 0 { isIncomplete = true }
        batch &+= 1
        items = []
        unfinished = 0
    }

    mutating func add(_ item: Item) -> OperationID {
        items.append(item)
        unfinished += 1
        return OperationID(kind: .surplus, index: items.count - 1, generation: batch)
    }

    /// - Returns: the record that all its replicas have acknowledged now; nil while one is missing.
    mutating func acknowledged(_ id: OperationID, by link: Int) -> Item? {
        items[id.index].waiting &= ~(1 << UInt64(link))
        guard items[id.index].waiting == 0 else { return nil }
        unfinished -= 1
        return items[id.index]
    }

    func isWaiting(_ id: OperationID, for link: Int) -> Bool {
        id.generation == batch && id.index < items.count
            && items[id.index].waiting.isSet(link)
    }
}

// What a node no longer replicates is handed over to all its replicas, and then dropped.
//
// The walk goes over all records, some at a heartbeat, again and again: a node whose list of
// members is still the old one may send more. Nothing that was deleted comes back by it, because a
// replica ignores what is older than the deletions that it has settled (`mergeIn`).
extension Node {
    private static let surplusRecordsMax = 1_024
    private static let surplusBytesMax = 1 << 20
    private static let surplusPatience: UInt64 = 2_000
    private static let surplusPause: UInt64 = 60_000

    /// At a heartbeat: hands over some more.
    mutating func tendSurplus(_ effects: inout Effects) {
        guard links.count > 1, !isRefilling, surplus.at <= now.monotonic else { return }
        surplus.begin()
        for key in nextSurplus() {
            key.withUnsafeBytes { handOver($0, &effects) }
        }
        if surplus.unfinished > 0 {
            surplus.at = now.monotonic + .nanoseconds(milliseconds: Node.surplusPatience)
        } else if surplus.cursor == 0 {
            let pause = surplus.isIncomplete ? Node.surplusPatience : Node.surplusPause
            surplus.at = now.monotonic + .nanoseconds(milliseconds: pause)
            surplus.isIncomplete = false
        }
    }

    /// Keys of the next records that this node is no replica of; moves the cursor, to 0 at the end.
    private mutating func nextSurplus() -> [[UInt8]] {
        var keys: [[UInt8]] = []
        var budget = WorkBudget(
            units: Node.surplusRecordsMax * WorkBudget.recordUnits, bytes: Node.surplusBytesMax)
        let next = store.visit(from: surplus.cursor, &budget) { entry, range in
            let record = entry.record
            guard !isReplica(of: range, catalog.index(of: record.key)) else { return 0 }
            keys.append(Array(record.key))
            return Node.movedBytes(record)
        }
        surplus.cursor = next ?? 0
        return keys
    }

    private mutating func handOver(_ key: UnsafeRawBufferPointer, _ effects: inout Effects) {
        let location = place(of: key)
        guard let stored = store.find(location.address, key) else { return }
        guard counts(stored) else { return dropSurplus(key, location.keyspace, &effects) }
        let n = catalog.active[location.keyspace].n
        let replicas = ring.primaries(of: location.address.range, replicationFactor: n)
        guard replicas.allSatisfy({ isHeard($0) }) else {
            surplus.isIncomplete = true
            return
        }
        var waiting: UInt64 = 0
        for node in replicas {
            if let index = linkIndex(of: node) { waiting |= 1 << UInt64(index) }
        }
        let id = surplus.add(
            .init(
                key: Array(key), dot: stored.dot, digest: treeDigest(stored, location.keyspace),
                waiting: waiting))
        let record = whole(stored)
        let frame = effects.bytes.appendMessage(
            kind: Message.handOffKind, number: id.rawValue, record.bytes)
        for node in replicas {
            noteSent(id.rawValue, to: node)
            send(frame, to: node, &effects)
        }
    }

    /// A replica says what became of a record that was handed over to it.
    mutating func surplusTaken(
        _ id: OperationID, _ status: ReplicaStatus, by node: NodeID, _ effects: inout Effects
    ) {
        guard let link = linkIndex(of: node), surplus.isWaiting(id, for: link) else {
            counters.lateAnswers += 1
            return
        }
        switch status {
        case .acknowledged, .durable, .superseded: break
        case .diskFull, .clockAhead, .overloaded, .tooManySiblings, .found, .absent, .noReplica,
            .covered, .contextTold, .needsState, .wrongEpoch, .refilling:
            surplus.isIncomplete = true
            return
        }
        guard let item = surplus.acknowledged(id, by: link) else { return }
        item.key.withUnsafeBytes { key in
            let location = place(of: key)
            guard !isReplica(of: location), let stored = store.find(location.address, key),
                stored.dot == item.dot, treeDigest(stored, location.keyspace) == item.digest
            else { return }
            dropSurplus(key, location.keyspace, &effects)
        }
        if surplus.unfinished == 0 { surplus.at = now.monotonic }
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
