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
}

extension Server {
    /// Begins a checkpoint when the journal has grown enough, and feeds the one under way a piece a
    /// turn.
    mutating func tendCheckpoint() {
        if checkpoint.stage == .idle {
            let limit = configuration.limits.checkpointAfterBytes
            guard lane.journal.bytesSinceCheckpoint >= limit,
                lane.journal.beginCheckpoint()
            else { return }
            checkpoint.stage = .begun
        }
        guard lane.journal.isCheckpointing else {
            checkpoint.stage = .idle
            return
        }
        if lane.journal.checkpointHasRoom { feedCheckpoint() }
    }

    /// The next turn is to bring the next piece.
    var feedsCheckpoint: Bool { checkpoint.stage != .idle && lane.journal.checkpointHasRoom }

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
