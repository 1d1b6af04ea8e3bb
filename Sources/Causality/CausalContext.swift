import Base
import Coding

/// What a client has read of one key and hands back with its next write, so that the write replaces
/// just that.
///
/// Clients see an opaque token: base64url without padding of `format (1) | key (2) | count (2) |
/// (identity (8), stamp (8)) … | CRC32C (4)`, little-endian; the key's field is of its own CRC32C.
/// These find typing errors and, all but one in 65,536, contexts handed in with another key; not
/// forgers: the newest stamp of a context from outside must pass `HybridLogicalClock.observe`
/// before the context may be used.
public typealias CausalContext = VersionVector

extension VersionVector {
    /// How many identities a context may name.
    public static let entriesMax = 4_096
    /// How many characters a token may have.
    public static let tokenBytesMax = (9 + entriesMax * 16) * 4 / 3 + 1
    /// The token of another key.
    public static let foreignToken = DecodeError.invalid("causal context is another key's")

    private static let tokenFormat: UInt8 = 2

    private static func mark(_ key: UnsafeRawBufferPointer) -> UInt16 {
        UInt16(truncatingIfNeeded: CRC32C.checksum(key))
    }

    /// Appends the characters of a key's token.
    public func encodeToken(of key: UnsafeRawBufferPointer, into buffer: inout ByteBuffer) {
        precondition(entries.count <= VersionVector.entriesMax, "a context stays below its limit")
        var plain = ByteBuffer(capacity: 9 + entries.count * 16)
        plain.append(VersionVector.tokenFormat)
        plain.append(integer: VersionVector.mark(key))
        plain.append(integer: UInt16(entries.count))
        encodeEntries(into: &plain)
        plain.append(integer: CRC32C.checksum(plain.bytes))
        Base64URL.encode(plain.bytes, into: &buffer)
    }

    /// - Throws: `truncated` or `invalid` for anything but the one token of a context;
    ///   `foreignToken` for that of another key.
    public init(
        token: UnsafeRawBufferPointer, of key: UnsafeRawBufferPointer
    ) throws(DecodeError) {
        guard token.count <= VersionVector.tokenBytesMax else {
            throw .invalid("causal context is too long")
        }
        var plain = ByteBuffer(capacity: max(1, token.count))
        try Base64URL.decode(token, into: &plain)
        guard plain.count >= 9 else { throw .truncated }
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: plain.bytes[..<(plain.count - 4)]))
        var tail = ByteReader(UnsafeRawBufferPointer(rebasing: plain.bytes[(plain.count - 4)...]))
        guard CRC32C.checksum(reader.bytes) == (try tail.integer(UInt32.self)) else {
            throw .invalid("causal context is damaged")
        }
        guard try reader.integer(UInt8.self) == VersionVector.tokenFormat else {
            throw .invalid("causal context has an unknown format")
        }
        let mark: UInt16 = try reader.integer()
        let count = Int(try reader.integer(UInt16.self))
        try self.init(decoding: &reader, count: count)
        try reader.end()
        guard mark == VersionVector.mark(key) else { throw VersionVector.foreignToken }
    }

    /// Appends the entries, 16 bytes each.
    func encodeEntries(into buffer: inout ByteBuffer) {
        for dot in entries { dot.encode(into: &buffer) }
    }

    /// - Throws: `truncated`, or `invalid` for too many entries or entries out of order.
    public init(decoding reader: inout ByteReader, count: Int) throws(DecodeError) {
        guard count <= VersionVector.entriesMax else {
            throw .invalid("causal context is too large")
        }
        guard reader.remaining >= count * 16 else { throw .truncated }
        entries.reserveCapacity(count)
        for _ in 0..<count {
            let dot = try Dot(decoding: &reader)
            if let last = entries.last, dot.identity <= last.identity {
                throw .invalid("causal context is out of order")
            }
            entries.append(dot)
        }
    }
}

extension Dot {
    func encode(into buffer: inout ByteBuffer) {
        buffer.append(integer: identity.rawValue)
        buffer.append(integer: stamp.rawValue)
    }

    init(decoding reader: inout ByteReader) throws(DecodeError) {
        identity = ReplicaIdentity(rawValue: try reader.integer())
        stamp = Stamp(rawValue: try reader.integer())
    }
}
