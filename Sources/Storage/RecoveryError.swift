import Base

/// What was found where something else had to be.
public enum Finding: Error, Equatable, Sendable {
    /// The file does not start as a file of this store does.
    case foreignFile
    /// The file has a format number that this program does not read.
    case format(UInt32)
    /// The file's header fails its checksum, or differs from the file's name.
    case fileHeader
    /// The file is shorter than the size it was given when it was made.
    case cutShort(from: Int)
    /// A batch header fails its checksum.
    case batchHeader
    /// A batch says that it is longer than the file.
    case batchLength
    /// A batch's body fails its checksum.
    case batchBody
    /// A batch passes its checksum, but its records do not fill it.
    case recordLayout
    /// Zeros, where a batch that had been synced must be.
    case zeros
    /// A batch starts at another position than the one before it ended at.
    case position(expected: UInt64, found: UInt64)
    /// Records are missing between two positions, with the segment that held them.
    case missing(from: UInt64, before: UInt64)
    /// The newest segment, which starts at this position, is gone.
    case newestMissing(first: UInt64)
    /// A checkpoint without its end.
    case incompleteCheckpoint
}

/// A stretch of a file that was synced once and is no longer what it was.
public struct Damage: Error, Equatable, Sendable, CustomStringConvertible {
    /// The segment or checkpoint.
    public let file: String
    /// In bytes from the file's start.
    public let offset: Int
    /// As far as it is known; 0 when nothing but the start is.
    public let byteCount: Int
    public let finding: Finding

    public init(file: String, offset: Int, byteCount: Int, finding: Finding) {
        self.file = file
        self.offset = offset
        self.byteCount = byteCount
        self.finding = finding
    }

    public var description: String { "\(file) at byte \(offset): \(finding)" }
}

/// Why a directory was not read to its end.
public enum RecoveryError: Error, Equatable, Sendable {
    case disk(DiskError)
    /// Acknowledged records may be lost: repair from the replicas, or choose `quarantine`.
    case damaged(Damage)
}
