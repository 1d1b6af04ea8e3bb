import Base
import Coding
import Secrets

/// The secret of a node that is its cluster's only member and was given none: made at its first
/// start and kept beside its data.
///
/// Layout, little-endian, in a file named `secret`:
///
///     0  magic      u64   "QRSECRT\n"
///     8  the secret 32 bytes
///     40 CRC32C     u32   of the 40 bytes before
///
/// A file that is damaged is made anew: nothing on the disk depends on it, and clients only have to
/// read again what they hold tokens of.
public enum SecretFile {
    static let name = "secret"
    static let temporary = "secret.temporary"
    static let magic: UInt64 = 0x0A54_5243_4553_5251
    private static let byteCount = 44

    /// Reads the secret, or makes one.
    ///
    /// - Parameter generator: one that nobody can predict.
    public static func claim(
        on disk: some Disk, from generator: inout some RandomNumberGenerator
    ) throws(DiskError) -> ClusterSecret {
        if let secret = try read(from: disk) { return secret }
        let bytes = (0..<32).map { _ in
            UInt8.random(in: .min ... .max, using: &generator)
        }
        try store(bytes, on: disk)
        guard let secret = ClusterSecret(bytes) else {
            preconditionFailure("32 bytes are a secret")
        }
        return secret
    }

    private static func read(from disk: some Disk) throws(DiskError) -> ClusterSecret? {
        guard try disk.list().contains(name) else { return nil }
        var bytes = [UInt8](repeating: 0, count: byteCount + 1)
        let outcome = bytes.withUnsafeMutableBytes { target in
            Result { () throws(DiskError) in try disk.read(name, at: 0, into: target) }
        }
        guard try outcome.get() == byteCount else { return nil }
        return bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[..<byteCount]))
            guard let magic = try? reader.integer(UInt64.self), magic == SecretFile.magic,
                let secret = try? reader.slice(32), let sum = try? reader.integer(UInt32.self),
                sum == CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[..<40]))
            else { return nil }
            return ClusterSecret(Array(secret))
        }
    }

    private static func store(_ secret: [UInt8], on disk: some Disk) throws(DiskError) {
        var buffer = ByteBuffer(capacity: byteCount)
        buffer.append(integer: magic)
        buffer.append(secret)
        buffer.append(integer: CRC32C.checksum(buffer.bytes))
        if try disk.list().contains(temporary) { try disk.remove(temporary) }
        try disk.create(temporary, size: byteCount)
        try disk.write(temporary, at: 0, buffer.bytes)
        try disk.sync(temporary)
        try disk.rename(temporary, to: name)
        try disk.syncDirectory()
    }
}
