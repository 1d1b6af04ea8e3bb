import Base
import Coding

/// The front of a batch: everything that is known about it before its body is read.
struct BatchHeader: Equatable {
    /// The position of its first record; its records have consecutive positions.
    var first: UInt64
    var recordCount: UInt32
    /// Header not included.
    var bodyBytes: UInt32
    /// True for the batch that ends a checkpoint.
    var closing: Bool
    /// What each eight bytes of the body are xored with; 0 nearly always.
    var mask: UInt64 = 0
    var bodyChecksum: UInt32 = 0

    /// The position that follows its last record.
    var next: UInt64 { first + UInt64(recordCount) }
    /// Header and body.
    var byteCount: Int { BatchFormat.headerBytes + Int(bodyBytes) }
}

/// How a batch lies on disk, little-endian, starting at a multiple of 512 bytes, so that small
/// batches share a block of the file system:
///
///     0  magic      u32
///     4  flags      u32   1 closes a checkpoint
///     8  first      u64   position of the first record
///     16 bodyBytes  u32
///     20 records    u32
///     24 mask       u64   xored over the body
///     32 CRC32C     u32   of the body as it lies on disk
///     36 CRC32C     u32   of the 36 bytes before
///     40 body: records, each u32 length and payload
///
/// Checksums continue from the journal's salt, so a value that a client chose cannot pass for a
/// batch.
///
/// Batches share blocks, and none shares a sector. A write never covers a byte of an earlier batch.
/// The kernel writes the whole block again, with the earlier sectors as they are; so what was
/// acknowledged survives a torn write wherever the device writes an aligned sector, of 512 or of
/// 4,096 bytes, whole or not at all.
///
/// Invariant: every 512-byte sector of a written batch has at least two bits set; the mask sees to
/// it. Segments are zero before they are written, so an all-zero sector is one that never reached
/// the disk, and no flipped bit can fake it.
enum BatchFormat {
    static let headerBytes = 40
    static let recordHeaderBytes = 4
    static let sectorBytes = 512
    static let magic: UInt32 = 0x4842_5251

    /// What so many bytes take up on disk: whole sectors.
    static func aligned(_ count: Int) -> Int { (count + sectorBytes - 1) & ~(sectorBytes - 1) }

    /// Turns a buffer of `headerBytes` and records into a batch.
    static func seal(_ buffer: inout ByteBuffer, _ header: BatchHeader, salt: UInt32) {
        var header = header
        header.bodyBytes = UInt32(buffer.count - headerBytes)
        while hasFaintSector(buffer.bytes) {
            let mask = finalMix(header.first &+ header.mask &+ 1)
            apply(mask: header.mask ^ mask, to: buffer.mutableBytes)
            header.mask = mask
        }
        buffer.store(magic, at: 0)
        buffer.store(UInt32(header.closing ? 1 : 0), at: 4)
        buffer.store(header.first, at: 8)
        buffer.store(header.bodyBytes, at: 16)
        buffer.store(header.recordCount, at: 20)
        buffer.store(header.mask, at: 24)
        buffer.store(CRC32C.checksum(buffer[headerBytes..<buffer.count], continuing: salt), at: 32)
        buffer.store(CRC32C.checksum(buffer[0..<36], continuing: salt), at: 36)
    }

    /// - Returns: nil unless the bytes start with an intact header.
    static func header(in bytes: UnsafeRawBufferPointer, salt: UInt32) -> BatchHeader? {
        guard bytes.count >= headerBytes, word(bytes, 0) == magic else { return nil }
        let covered = UnsafeRawBufferPointer(rebasing: bytes[..<36])
        guard CRC32C.checksum(covered, continuing: salt) == word(bytes, 36) else { return nil }
        return BatchHeader(
            first: long(bytes, 8), recordCount: word(bytes, 20), bodyBytes: word(bytes, 16),
            closing: word(bytes, 4) & 1 == 1, mask: long(bytes, 24), bodyChecksum: word(bytes, 32))
    }

    /// Xors a mask over the body of a whole batch; twice is none.
    static func apply(mask: UInt64, to batch: UnsafeMutableRawBufferPointer) {
        guard mask != 0 else { return }
        var offset = headerBytes
        while offset + 8 <= batch.count {
            let value = batch.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            batch.storeBytes(of: value ^ mask.littleEndian, toByteOffset: offset, as: UInt64.self)
            offset += 8
        }
        var rest = mask
        while offset < batch.count {
            batch[offset] ^= UInt8(truncatingIfNeeded: rest)
            rest >>= 8
            offset += 1
        }
    }

    static func isBlank(_ bytes: UnsafeRawBufferPointer) -> Bool { bits(bytes, upTo: 1) == 0 }

    /// The first sector is left out: the magic number stands in it.
    private static func hasFaintSector(_ batch: UnsafeRawBufferPointer) -> Bool {
        var offset = sectorBytes
        while offset < batch.count {
            let end = min(offset + sectorBytes, batch.count)
            let sector = UnsafeRawBufferPointer(rebasing: batch[offset..<end])
            if bits(sector, upTo: 2) < 2 { return true }
            offset = end
        }
        return false
    }

    /// The number of set bits; counting stops once it is at least `limit`.
    private static func bits(_ bytes: UnsafeRawBufferPointer, upTo limit: Int) -> Int {
        var count = 0
        var offset = 0
        while offset + 8 <= bytes.count, count < limit {
            count += long(bytes, offset).nonzeroBitCount
            offset += 8
        }
        while offset < bytes.count, count < limit {
            count += bytes[offset].nonzeroBitCount
            offset += 1
        }
        return count
    }
}

func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt32 {
    UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
}

func long(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
}
