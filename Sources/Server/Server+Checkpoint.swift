import Base
import Coding
import Replication
import Storage

/// How far the checkpoint under way has taken in the node's state.
struct CheckpointFeed: ~Copyable {
    enum Stage: Equatable {
        case idle
        /// Begun; nothing taken in.
        case begun
        /// Everything before the node's cursor is in.
        case feeding(UInt64)
    }

    var stage = Stage.idle
    var piece = ByteBuffer(capacity: 16)
    /// When it is looked again whether one is due.
    private var reviewAt: Deadline = 0

    /// - Returns: whether it is to be looked now: at any time where room is scarce.
    mutating func reviews(at now: UInt64, isUrgent: Bool) -> Bool {
        guard stage == .idle, isUrgent || now >= reviewAt else { return false }
        reviewAt = now + .nanoseconds(milliseconds: 100)
        return true
    }
}

extension Server {
    /// Begins a checkpoint when one is due, and feeds the one under way a piece a turn; more when
    /// writes wait for it.
    mutating func tendCheckpoint() {
        if node.disk.takeRefusal() {
            lane.journal.isWanted = true
            logDiskShort()
        }
        if checkpoint.reviews(at: now.monotonic, isUrgent: lane.journal.isScarce) {
            lane.journal.checkpointBytesExpected = node.checkpointBytesExpected
            if lane.journal.checkpointIsDue(after: configuration.limits.checkpointAfterBytes),
                lane.journal.beginCheckpoint()
            {
                checkpoint.stage = .begun
            }
        }
        if checkpoint.stage != .idle, !lane.journal.isCheckpointing { checkpoint.stage = .idle }
        guard feedsCheckpoint else { return }
        repeat { feedCheckpoint() } while feedsCheckpoint && lane.journal.checkpointLagsBehind
    }

    /// Tells the journal how large the state is, where that matters now, and the node what the disk
    /// takes.
    mutating func tellAllowance() {
        if lane.journal.lacksRoom || lane.hasGrown {
            lane.journal.checkpointBytesExpected = node.checkpointBytesExpected
            lane.noteExpected()
        }
        node.disk.allowance = lane.journal.allowance
    }

    /// The next turn is to bring the next piece; while the last one is written, none is.
    var feedsCheckpoint: Bool {
        checkpoint.stage != .idle && lane.journal.isCheckpointing
            && lane.journal.checkpointHasRoom
    }

    private mutating func feedCheckpoint() {
        var cursor: UInt64?
        if case .feeding(let place) = checkpoint.stage { cursor = place }
        checkpoint.piece.removeAll()
        cursor = node.exportState(from: cursor, bytesMax: 256 << 10, into: &checkpoint.piece)
        var rest = ByteReader(checkpoint.piece.bytes)
        while rest.remaining > 0 {
            guard let length: UInt32 = try? rest.integer(),
                let payload = try? rest.slice(Int(length))
            else { preconditionFailure("exported state is length-prefixed payloads") }
            lane.journal.appendToCheckpoint(payload)
        }
        if let cursor {
            checkpoint.stage = .feeding(cursor)
        } else {
            lane.journal.finishCheckpoint()
            checkpoint.stage = .idle
            checkpoint.piece.shrink(to: 1)
        }
    }
}
