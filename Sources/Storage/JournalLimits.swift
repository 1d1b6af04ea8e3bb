/// Sizes that a journal keeps to, given at init.
public struct JournalLimits: Sendable, Equatable {
    /// A segment file's size: a multiple of 4,096 bytes that holds at least three largest batches.
    public let segmentBytes: Int
    /// The largest batch, and so nearly the largest record: a multiple of 4,096 bytes.
    public let batchBytesMax: Int

    /// - Parameters:
    ///   - segmentBytes: 64 MiB unless told otherwise.
    ///   - batchBytesMax: 9 MiB unless told otherwise: a value of 8 MiB with its key.
    public init(segmentBytes: Int = 64 << 20, batchBytesMax: Int = 9 << 20) {
        precondition(
            segmentBytes % JournalLimits.blockBytes == 0
                && batchBytesMax % JournalLimits.blockBytes == 0,
            "segments and batches are whole blocks")
        precondition(batchBytesMax > 0 && batchBytesMax <= 1 << 30, "a batch has 4 KiB to 1 GiB")
        precondition(
            segmentBytes >= SegmentFormat.headerBytes + 3 * batchBytesMax,
            "a segment holds three largest batches")
        self.segmentBytes = segmentBytes
        self.batchBytesMax = batchBytesMax
    }

    private static let blockBytes = 4096

    /// Room in the segments that is left to records of deletions and definitions when the disk is
    /// full, at most.
    var reserveBytes: Int { segmentBytes / 8 }

    /// What is held on the disk for a small checkpoint and a piece of a segment behind it, where
    /// the disk is large enough; on a smaller one a half of it, or a half of that.
    var checkpointReserveBytes: Int { max(segmentBytes / 16, checkpointReserveBytesMin) }
    var checkpointReserveBytesMin: Int { 24 << 10 }

    /// By how much the next segment is extended at a time.
    var preparedPieceBytes: Int { min(1 << 20, segmentBytes / 2) }
    /// By how much at least, where the disk ends.
    var preparedPieceBytesMin: Int { min(64 << 10, JournalLimits.wholeBlocks(segmentBytes / 8)) }

    static func wholeBlocks(_ bytes: Int) -> Int { (bytes + blockBytes - 1) & ~(blockBytes - 1) }

    /// The longest payload that `append` takes, in bytes.
    public var recordBytesMax: Int {
        batchBytesMax - BatchFormat.headerBytes - BatchFormat.recordHeaderBytes
    }
}
