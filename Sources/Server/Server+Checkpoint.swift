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
    /// The journal's bytes when the last checkpoint began.
    var bytesBefore = 0
    var piece = ByteBuffer(capacity: 16)
}

extension Server {
    /// Begins a checkpoint when the journal has grown enough, and feeds the one under way a piece a turn.
    mutating func tendCheckpoint() {
        if checkpoint.stage == .idle {
            let grown = lane.journal.counters.bytes - checkpoint.bytesBefore
            guard grown >= configuration.limits.checkpointAfterBytes,
                lane.journal.beginCheckpoint()
            else { return }
            checkpoint.bytesBefore = lane.journal.counters.bytes
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
