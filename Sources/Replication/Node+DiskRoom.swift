import Base

// What the journal takes, and what a checkpoint of it will take.
extension Node {
    /// Why this node's disk takes nothing for a key of a keyspace now; nil when it does.
    func diskRefusal(_ keyspace: Int, isDelete: Bool) -> ReplicaStatus? {
        guard catalog.active[keyspace].settings.durability != .memory else { return nil }
        return switch diskRoom {
        case .free: nil
        case .busy: .overloaded
        case .deletions: isDelete ? nil : .diskFull
        case .none: .diskFull
        }
    }

    /// About how many bytes a checkpoint takes at most.
    ///
    /// - Complexity: O(keyspaces).
    public var checkpointBytesExpected: Int {
        // Of each record: its length, its kind, and what its encoding may add to its memory.
        let recordOverhead = 16
        var bytes = 4_096 + requestIDs.ledger.byteCount
        bytes += hints.reduce(0) { $0 + $1.byteCount }
        for index in holdings.keyspaces.indices
        where catalog.active[index].settings.durability != .memory {
            let sums = holdings.keyspaces[index].contents
            bytes += sums.bytes + sums.records * recordOverhead
        }
        return bytes
    }
}

extension DiskRoom {
    var isFull: Bool { self == .deletions || self == .none }

    /// The error for a write that this node's disk has no room for.
    var fullText: StaticString {
        self == .none
            ? "DISKFULL no space left on this node's disk, for deletions neither; reads go on"
            : "DISKFULL no space left on this node's disk; reads and deletions go on"
    }

    static var busyText: StaticString {
        "OVERLOADED this node's disk is slower than what is written; nothing was written"
    }
}
