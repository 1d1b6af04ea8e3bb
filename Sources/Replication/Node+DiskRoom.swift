import Base
import Causality
import RESP

/// What the journal takes now, as the node was told.
public struct DiskIntake {
    var room = DiskRoom.free { didSet { weigh() } }
    public var allowance = DiskAllowance.unlimited { didSet { weigh() } }
    /// There is something that it does not take.
    private(set) var isLimited = false
    /// What states have grown more than the journal since the allowance was told, as `charge` has
    /// it.
    private(set) var excess = 0
    /// What runs now was admitted as a whole (`Node.withRoom`).
    fileprivate(set) var isReserved = false
    /// Something was refused that another checkpoint may find room for.
    private(set) var hasRefused = false
    /// When something last found no room; nil for never.
    private var shortAt: Deadline?

    /// What a record counts for: a state that grows by more than its record needs the rest twice,
    /// in the checkpoint and beside the next one.
    static func charge(_ bytes: Int, growth: Int) -> Int { bytes + 2 * max(0, growth - bytes) }

    mutating func noteExcess(_ change: SizeChange, in bytes: Int) {
        excess += DiskIntake.charge(bytes, growth: change.growth) - bytes
    }

    /// Bytes of writes that it takes for certain.
    var roomForWrites: Int {
        if room.isFull { return 0 }
        return allowance.writes == .max ? .max : max(0, allowance.writes - excess)
    }

    /// - Returns: whether something was refused since the last call.
    public mutating func takeRefusal() -> Bool {
        defer { hasRefused = false }
        return hasRefused
    }

    mutating func noteRefusal(_ status: ReplicaStatus, at now: Deadline) {
        hasRefused = true
        if status == .diskFull { shortAt = now }
    }

    /// Whether it takes no writes, or something has found no room within the last minute.
    func isShort(at now: Deadline) -> Bool {
        room.isFull || shortAt.map { now < $0 + .nanoseconds(milliseconds: 60_000) } ?? false
    }

    /// Until when nothing is asked of others.
    var pause = RoomPause()

    private mutating func weigh() {
        isLimited = room != .free || allowance.writes != .max
        excess = 0
    }
}

/// How a record changes what is on the disk.
enum DiskUse {
    case write
    /// It takes the place of more.
    case deletion
    /// It deletes what is not here.
    case tombstone
}

/// What a record asks of the disk.
struct DiskDemand {
    let isDelete: Bool
    /// Of the record, and of what this turn has given the disk before.
    let bytes: Int
}

// What the journal takes, and what a checkpoint of it will take.
extension Node {
    /// Why this node's disk takes nothing for a key of a keyspace now; nil when it does.
    ///
    /// - Parameter bytes: of the record, and of what this turn has given the disk before.
    func diskRefusal(_ keyspace: Int, _ use: DiskUse, bytes: Int) -> ReplicaStatus? {
        guard catalog.active[keyspace].durability != .memory, !disk.isReserved else { return nil }
        if disk.room == .busy { return .overloaded }
        if disk.room == .none { return .diskFull }
        let bytesMax =
            switch use {
            case .write: disk.room == .free ? disk.allowance.writes - disk.excess : -1
            case .deletion: disk.allowance.deletions
            case .tombstone: disk.allowance.tombstones
            }
        return bytes <= bytesMax ? nil : .diskFull
    }

    /// Whether writes are refused for want of disk space, or the larger of them.
    public var isDiskShort: Bool { disk.isShort(at: now.monotonic) }

    /// The journal takes more or less than before.
    mutating func take(_ room: DiskRoom) {
        if disk.room.isFull, room == .free {
            disk.pause.end(at: now.monotonic)
            for index in links.indices { hastenExchange(index) }
        }
        disk.room = room
    }

    /// Another node says how many bytes of writes its disk takes.
    mutating func heard(room: Int, of node: NodeID) {
        guard let index = linkIndex(of: node) else { return }
        let wasFull = links[index].isDiskFull
        links[index].room = room
        if wasFull, room > 0 { hastenExchange(index) }
    }

    /// A node that sent a write for which there is no room hears at once how much there is, so that
    /// it does not begin others.
    mutating func tellRoom(to node: NodeID, _ effects: inout Effects) {
        guard let index = linkIndex(of: node), links[index].isUp,
            disk.roomForWrites < links[index].toldRoom
        else { return }
        sendHeartbeat(to: index, &effects)
    }

    /// Whether exchanges wait for room on this node's disk.
    mutating func waitsForRoom() -> Bool {
        guard disk.pause.holds(at: now.monotonic) else { return false }
        counters.exchangesWithoutRoom += 1
        return true
    }

    /// Whether some node in reach takes no more than so much.
    var isAnyLimited: Bool { disk.isLimited || links.contains { $0.isUp && $0.room != .max } }

    /// How many of a key's replicas have no room for a write of so many bytes, as far as is known.
    private func fullReplicas(_ location: KeyLocation, bytes: Int) -> Int {
        let settings = catalog.active[location.keyspace].settings
        guard settings.durability != .memory, !settings.isSloppy else { return 0 }
        let n = catalog.active[location.keyspace].n
        return ring.primaries(of: location.address.range, replicationFactor: n).count { node in
            linkIndex(of: node).map { links[$0].isUp && links[$0].room < bytes } ?? false
        }
    }

    /// Refuses what too many of the replicas have no room for.
    mutating func mayFit(
        _ intent: WriteIntent, _ location: KeyLocation, _ reachable: Int, _ target: ReplyTarget,
        _ effects: inout Effects
    ) -> Bool {
        let full = fullReplicas(location, bytes: max(1, intent.byteCount))
        guard full > 0, reachable - full < intent.levels.writeQuorum else { return true }
        ledger.failed(location.keyspace, .write, .refused)
        fail(
            target,
            text: "DISKFULL no space left for this on the disks of \(full) of "
                + "\(catalog.active[location.keyspace].n) replicas, "
                + "W=\(intent.levels.writeQuorum); nothing was written", &effects)
        return false
    }

    /// The same for a record that comes to a key, or takes the place of what is there; notes what
    /// is refused.
    mutating func diskRefusal(
        _ key: UnsafeRawBufferPointer, _ keyspace: Int, _ demand: DiskDemand
    ) -> ReplicaStatus? {
        let stored = store.find(store.address(of: key), key).map { Node.movedBytes($0) }
        let isWhole =
            catalog.active[keyspace].settings.conflict == .siblings && !demand.isDelete
            || background.keeping.contains(keyspace)
        let isKept = stored == nil && catalog.active[keyspace].n > 1
        let use = demand.isDelete ? isKept ? DiskUse.tombstone : .deletion : .write
        let bytes = demand.bytes + (isWhole ? stored ?? 0 : 0)
        guard let refusal = diskRefusal(keyspace, use, bytes: bytes) else { return nil }
        disk.noteRefusal(refusal, at: now.monotonic)
        return refusal
    }

    /// Refuses a deletion that leaves more of a key's values than the disk takes beside them.
    mutating func leavesTooMuch(
        _ deletion: Record, _ left: Int, _ keyspace: Int, _ effects: borrowing Effects
    ) -> Bool {
        guard disk.isLimited, deletion.isTombstone, left > deletion.length,
            let refusal = diskRefusal(keyspace, .write, bytes: effects.bytes.count + left)
        else { return false }
        disk.noteRefusal(refusal, at: now.monotonic)
        return true
    }

    /// About how many bytes a checkpoint takes at most.
    ///
    /// - Complexity: O(keyspaces).
    public var checkpointBytesExpected: Int {
        // Of each record: its length and its kind.
        let recordOverhead = 5
        var bytes = 4_096 + requestIDs.ledger.byteCount
        bytes += hints.reduce(0) { $0 + $1.byteCount }
        for index in holdings.keyspaces.indices
        where catalog.active[index].durability != .memory {
            let sums = holdings.keyspaces[index].contents
            bytes += sums.bytes + sums.records * recordOverhead
        }
        return bytes
    }
}

// A transaction, for which there is room or not.
extension Node {
    /// Runs what was admitted as a whole: nothing of it is refused for want of room.
    mutating func withRoom(_ body: (inout Node) -> Void) {
        disk.isReserved = true
        memory.limit = .max
        body(&self)
        disk.isReserved = false
        memory.limit = memory.bytesMax
    }

    /// Adds what the command in `request` gives the disk at most for a key, with what states grow
    /// beyond their records, behind the commands before it.
    func add(_ name: CommandName, _ location: KeyLocation, to room: inout TransactionRoom) {
        let bytes = request.consumed + Record.headerBytes
        let settings = catalog.active[location.keyspace].settings
        let isTyped = settings.conflict == .crdt
        let growth = name.isRemoval ? 0 : bytes + (isTyped ? growthMax(name) : 0)
        room.add(isTyped ? DiskIntake.charge(bytes, growth: growth) : bytes)
        let isKept = isTyped && background.keeping.contains(location.keyspace)
        let writesOthers = settings.conflict == .siblings || name == .append
        guard isKept || writesOthers && !name.isRemoval, request.count > 1 else { return }
        let stored = store.find(location.address, request[1]).map { record in
            record.length + (record.isExpanded ? record.expandedBytes : 0)
        }
        room.addWhole(stored ?? 0, growth: growth, of: location.address.hash)
    }
}

/// What the commands of a transaction give the disk at most.
struct TransactionRoom {
    private(set) var bytes = 0
    /// By the hash of a key whose record is written whole by each command: what the commands so far
    /// have added to it.
    private var grown = Table<UInt64, Int>()

    mutating func add(_ bytes: Int) { self.bytes += bytes }

    /// Adds what a record has that is written whole.
    ///
    /// - Parameters:
    ///   - stored: its bytes before the transaction.
    ///   - growth: what the command adds to it, which is counted already.
    mutating func addWhole(_ stored: Int, growth: Int, of key: UInt64) {
        let before = grown[key] ?? 0
        bytes += stored + before
        grown[key] = before + growth
    }
}

extension DiskRoom {
    var isFull: Bool { self == .deletions || self == .none }

    /// The error for a write that this node's disk has no room for.
    var fullText: StaticString {
        self == .none
            ? "DISKFULL no space left on this node's disk, for deletions neither; reads go on"
            : "DISKFULL no space left on this node's disk for this; reads and deletions go on"
    }

    static var busyText: StaticString {
        "OVERLOADED this node's disk is slower than what is written; nothing was written"
    }
}
