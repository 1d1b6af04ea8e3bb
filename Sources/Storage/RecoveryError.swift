import Base
import Coding

/// What was found where something else had to be.
public enum Finding: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file does not start as a file of this store does.
    case foreignFile
    /// The file has a format number that this program does not read: another version wrote it, and
    /// nothing in it is damaged. It is never quarantined.
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
    /// Records that pass their checksum are none to whoever keeps them here; what is wrong with the
    /// first.
    case malformedRecords(count: Int, DecodeError)

    /// Whether nothing is damaged: another version of the program is to read it.
    public var isOtherVersion: Bool {
        if case .format = self { return true }
        return false
    }

    /// In the operator's words.
    public var description: String {
        switch self {
        case .foreignFile: "this is no file of a Quorate journal"
        case .format(let format):
            "another version of this program wrote the file: it has format \(format), and this one "
                + "reads format \(SegmentFormat.format)"
        case .fileHeader: "the file's header is damaged or belongs to a file of another name"
        case .cutShort(let size): "the file ends here and was \(size) bytes long"
        case .batchHeader: "the header of a batch of records is damaged"
        case .batchLength: "a batch of records reaches beyond the end of the file"
        case .batchBody: "a batch of records fails its checksum"
        case .recordLayout: "a batch of records has another length than its records"
        case .zeros: "there are zeros where records were written"
        case .position(let expected, let found):
            "record number \(expected) should follow, and \(found) was found"
        case .missing(let from, .max): "every record from number \(from) on is missing"
        case .missing(let from, let before):
            "records number \(from) to \(before - 1) are missing; a file may be gone"
        case .newestMissing(let first):
            "the journal's newest file is gone, with the records from number \(first) on"
        case .incompleteCheckpoint: "the checkpoint ends too early"
        case .malformedRecords(let count, let error):
            "\(count) of the records here pass the checksum and are malformed: \(error.text)"
        }
    }
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

extension DecodeError {
    /// For a log line.
    package var text: String {
        switch self {
        case .truncated: "it ends too early"
        case .invalid(let reason): reason.description
        }
    }
}
