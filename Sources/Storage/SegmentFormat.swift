import Base
import Coding

/// What a file of batches holds.
enum SegmentKind: UInt32 {
    case journal = 1
    case checkpoint = 2
}

/// The front of a segment or checkpoint file, in a block of 4,096 bytes of its own, little-endian:
///
///     0  magic    u64   "QUORATE\n"
///     8  format   u32   4
///     12 kind     u32   1 journal, 2 checkpoint
///     16 salt     u64   a random number that the file's checksums continue from
///     24 position u64   of a journal's first record, or of the last that a checkpoint covers
///     32 bytes    u64   of the whole file, padding included; 0 for a checkpoint
///     40 CRC32C   u32   of the 40 bytes before
///
/// Names carry the position in 16 hexadecimal digits, so their order is the order of the positions.
struct SegmentFormat: Equatable {
    static let headerBytes = 4096
    static let magic: UInt64 = 0x0A45_5441_524F_5551
    static let format: UInt32 = 5
    private static let coveredBytes = 40
    static let prepared = "prepared.segment"
    /// Zeros that give their room to a checkpoint when the disk is full.
    static let reserve = "reserve"
    static let unfinishedCheckpoint = "unfinished.checkpoint"

    var kind: SegmentKind
    var salt: UInt64
    var position: UInt64
    /// A segment has this size before it gets its name, so a shorter one was cut.
    var byteCount: Int

    var name: String {
        switch kind {
        case .journal: "journal-\(SegmentFormat.digits(position)).segment"
        case .checkpoint: "checkpoint-\(SegmentFormat.digits(position)).checkpoint"
        }
    }

    /// What the checksums of the file's batches continue from.
    var checksumSeed: UInt32 { SegmentFormat.checksumSeed(salt: salt) }

    static func checksumSeed(salt: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: finalMix(salt ^ 0x5EED))
    }

    func encoded() -> ByteBuffer {
        var buffer = ByteBuffer(capacity: 64)
        buffer.append(integer: SegmentFormat.magic)
        buffer.append(integer: SegmentFormat.format)
        buffer.append(integer: kind.rawValue)
        buffer.append(integer: salt)
        buffer.append(integer: position)
        buffer.append(integer: UInt64(byteCount))
        buffer.append(integer: CRC32C.checksum(buffer.bytes))
        return buffer
    }

    /// - Throws: the finding that tells why these are not the first bytes of such a file.
    init(decoding bytes: UnsafeRawBufferPointer) throws(Finding) {
        let end = SegmentFormat.coveredBytes
        guard bytes.count >= end + 4, long(bytes, 0) == SegmentFormat.magic else {
            throw .foreignFile
        }
        let covered = UnsafeRawBufferPointer(rebasing: bytes[..<end])
        guard CRC32C.checksum(covered) == word(bytes, end) else { throw .fileHeader }
        guard word(bytes, 8) == SegmentFormat.format else { throw .format(word(bytes, 8)) }
        guard
            let kind = SegmentKind(rawValue: word(bytes, 12)),
            let byteCount = Int(exactly: long(bytes, 32))
        else { throw .fileHeader }
        self.init(
            kind: kind, salt: long(bytes, 16), position: long(bytes, 24), byteCount: byteCount)
    }

    init(kind: SegmentKind, salt: UInt64, position: UInt64, byteCount: Int = 0) {
        self.kind = kind
        self.salt = salt
        self.position = position
        self.byteCount = byteCount
    }

    /// - Returns: the position in a segment's or checkpoint's name, nil for any other name.
    static func position(in name: String, of kind: SegmentKind) -> UInt64? {
        guard let dash = name.firstIndex(of: "-"), let dot = name.firstIndex(of: "."), dash < dot,
            let position = UInt64(name[name.index(after: dash)..<dot], radix: 16),
            SegmentFormat(kind: kind, salt: 0, position: position).name == name
        else { return nil }
        return position
    }

    static func digits(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
