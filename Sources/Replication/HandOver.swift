import Base
import Causality
import Coding
import Ring

/// What this node holds of ranges that it no longer replicates, on its way to those that do: after
/// the list of members grew, or a keyspace's n fell.
///
/// The records are walked some a turn. Each goes to every replica of its key, as a hint would, and
/// is forgotten here once all of them have it on their disks. What a replica refuses, or does not
/// answer, is tried again in another lap; what was deleted and collected there meanwhile a replica
/// knows to be settled, and takes no harm from.
///
/// Invariant: at most `openMax` records are on their way, and those of one home of a table.
struct HandOver {
    /// One record on its way.
    struct Parcel {
        let number: UInt64
        let key: [UInt8]
        let dot: Dot
        /// Replicas, by link index, that have not answered.
        var waiting: UInt64
        let until: Deadline
    }

    static let openMax = 64
    private static let answerMilliseconds: UInt64 = 5_000
    private static let pauseMilliseconds: UInt64 = 2_000

    /// Where the walk goes on; nil while there is none.
    private(set) var cursor: UInt64?
    private(set) var open: [Parcel] = []
    /// When another lap begins; nil when none is needed.
    private(set) var againAt: Deadline?
    private var nextNumber: UInt64 = 0

    /// Whether a step of work would do anything.
    var isReady: Bool { cursor != nil && open.count < HandOver.openMax }

    /// Something may be here that belongs elsewhere.
    mutating func begin() { cursor = cursor ?? 0 }

    mutating func advance(to cursor: UInt64?) { self.cursor = cursor }

    /// - Parameter replicas: by link index.
    mutating func send(
        _ key: [UInt8], _ dot: Dot, to replicas: UInt64, now: Deadline
    ) -> OperationID {
        nextNumber += 1
        let until = now + .nanoseconds(milliseconds: HandOver.answerMilliseconds)
        open.append(
            Parcel(number: nextNumber, key: key, dot: dot, waiting: replicas, until: until))
        return OperationID(
            kind: .handOver, index: 0, generation: UInt32(truncatingIfNeeded: nextNumber))
    }

    /// A replica has a record.
    ///
    /// - Returns: the parcel, when that was the last one.
    mutating func acknowledged(_ id: OperationID, by link: Int) -> Parcel? {
        let index = open.firstIndex { UInt32(truncatingIfNeeded: $0.number) == id.generation }
        guard let index else { return nil }
        open[index].waiting &= ~(1 << UInt64(link))
        return open[index].waiting == 0 ? open.remove(at: index) : nil
    }

    /// A replica will not have a record for now.
    mutating func refused(_ id: OperationID, now: Deadline) {
        open.removeAll { UInt32(truncatingIfNeeded: $0.number) == id.generation }
        retry(now)
    }

    /// Something stays for now.
    mutating func retry(_ now: Deadline) {
        againAt = now + .nanoseconds(milliseconds: HandOver.pauseMilliseconds)
    }

    /// At a heartbeat.
    mutating func tend(_ now: Deadline) {
        if open.contains(where: { $0.until <= now }) {
            open.removeAll { $0.until <= now }
            retry(now)
        }
        guard let at = againAt, at <= now, cursor == nil else { return }
        againAt = nil
        begin()
    }
}

extension Node {
    /// Whether the ring gives a record's key to other nodes only.
    func isForeign(_ range: KeyRange, _ keyspace: Int) -> Bool {
        links.count > 1 && Int(ranks[Int(range.rawValue)]) >= catalog.active[keyspace].n
    }

    /// Goes on with handing over.
    mutating func handOver(_ budget: inout WorkBudget, _ effects: inout Effects) {
        guard let cursor = background.handOver.cursor else { return }
        var found: [RecordTable.Entry] = []
        let room = HandOver.openMax - background.handOver.open.count
        var piece = WorkBudget(
            units: min(budget.units, room * WorkBudget.recordUnits), bytes: budget.bytes)
        let before = piece
        let next = store.visit(from: cursor, &piece) { entry, range in
            guard entry.tally.counts,
                isForeign(range, catalog.index(of: entry.record.key))
            else { return 0 }
            found.append(entry)
            return Node.movedBytes(entry.record)
        }
        budget.look(slots: before.units - piece.units)
        budget.move(bytes: before.bytes - piece.bytes)
        background.handOver.advance(to: next)
        for entry in found { handOver(entry.record, &effects) }
    }

    private mutating func handOver(_ record: Record, _ effects: inout Effects) {
        let range = store.address(of: record.key).range
        let n = catalog.active[catalog.index(of: record.key)].n
        var replicas: UInt64 = 0
        for node in ring.primaries(of: range, replicationFactor: n) {
            guard let index = linkIndex(of: node), isHeard(index), !isRemoved(node) else {
                return background.handOver.retry(now.monotonic)
            }
            replicas |= 1 << UInt64(index)
        }
        let id = background.handOver.send(
            Array(record.key), record.dot, to: replicas, now: now.monotonic)
        let frame = effects.bytes.appendMessage(kind: Message.handOffKind, number: id.rawValue) {
            appendWhole(record, into: &$0)
        }
        for index in links.indices where replicas.isSet(index) {
            noteSent(id.rawValue, to: links[index].node)
            send(frame, to: links[index].node, &effects)
        }
    }

    /// A replica says what became of a record that was handed over.
    mutating func handedOver(
        _ id: OperationID, _ status: ReplicaStatus, by node: NodeID, _ effects: inout Effects
    ) {
        guard let index = linkIndex(of: node) else { return }
        switch status {
        case .acknowledged, .durable, .superseded:
            guard let parcel = background.handOver.acknowledged(id, by: index) else { return }
            forget(parcel, &effects)
        case .diskFull, .clockAhead, .overloaded, .tooManySiblings, .found, .absent, .noReplica,
            .covered, .needsState, .wrongEpoch, .refilling:
            background.handOver.refused(id, now: now.monotonic)
        }
    }

    private mutating func forget(_ parcel: HandOver.Parcel, _ effects: inout Effects) {
        parcel.key.withUnsafeBytes { key in
            let address = store.address(of: key)
            let keyspace = catalog.index(of: key)
            guard let stored = store.find(address, key), isForeign(address.range, keyspace) else {
                return
            }
            guard stored.dot == parcel.dot else { return background.handOver.retry(now.monotonic) }
            counters.handedOver += 1
            forget(key, keyspace, &effects)
            removeStored(key)
        }
    }
}
