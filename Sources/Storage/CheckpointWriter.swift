import Coding

/// A checkpoint on its way to disk, as the journal's upkeep: pieces of about 1 MiB, each written
/// and synced as a job.
struct CheckpointWriter {
    /// What one job does for a checkpoint.
    enum Step {
        /// Finds out whether there is room for all of it, before anything is given up for it.
        case looking
        case creating
        case writing(closing: Bool)
        case naming
        case discarding
    }

    enum Phase {
        case feeding
        /// All records are here; the batch that holds the last of them closes the file.
        case finishing
        /// The file is whole and synced, and gets its name.
        case whole
        /// The file is to be removed.
        case abandoned
    }

    static let pieceBytes = 1 << 20

    /// Covers every record up to here.
    var position: JournalPosition
    /// State has been taken in.
    var isFed = false
    /// The state that was taken in may stand upon records up to here.
    var fedThrough: JournalPosition = 0
    var phase = Phase.feeding
    var hasRoom = false
    var isCreated = false
    /// Where in the file the next piece goes.
    var offset = SegmentFormat.headerBytes
    /// The number of the next piece's first record, counted from 1.
    var nextRecord: UInt64 = 1
    var gathering = CheckpointWriter.emptyPiece()
    var gatheredRecords: UInt32 = 0

    init(position: JournalPosition) { self.position = position }

    /// State is taken in as it is with every record up to here.
    mutating func begin(at position: JournalPosition) {
        self.position = min(position, self.position)
        isFed = true
    }

    static func emptyPiece() -> SharedBytes {
        let piece = SharedBytes(ByteBuffer(capacity: pieceBytes + pieceBytes / 4))
        Journal.reserveHeader(&piece.buffer)
        return piece
    }

    /// Takes in the records of a batch that was not written.
    mutating func include(_ batch: borrowing ByteBuffer, records: UInt32) {
        guard records > 0 else { return }
        gathering.buffer.append(batch[BatchFormat.headerBytes..<batch.count])
        gatheredRecords += records
    }

    /// Seals what was gathered, as one batch.
    mutating func takePiece(salt: UInt32) -> SharedBytes {
        let piece = gathering
        let header = BatchHeader(
            first: nextRecord, recordCount: gatheredRecords, bodyBytes: 0,
            closing: phase == .finishing)
        BatchFormat.seal(&piece.buffer, header, salt: salt)
        nextRecord += UInt64(gatheredRecords)
        gatheredRecords = 0
        gathering = CheckpointWriter.emptyPiece()
        return piece
    }
}
