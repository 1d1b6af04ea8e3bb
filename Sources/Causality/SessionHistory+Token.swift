import Base
import Coding

// The history as bytes, and as the opaque token that one client hands to another.
//
// Layout, little-endian: `format (1) | cluster (8) | order (8) | floor (8) | keys (2)`, then for
// each key, ascending, `hash (8) | floor (8) | expiry (8) | whole (1) | dots (2) | (identity (8),
// stamp (8)) …`, then `CRC32C (4)` of all that. Clients see it as base64url without padding. The
// checksum finds typing errors, not forgers: a token can demand what does not exist, which ends in
// an error after the request's time, and stamps from far ahead are refused where the token comes
// in.
extension SessionHistory {
    private static let format: UInt8 = 2
    private static let headBytes = 27
    private static let keyBytes = 27
    private static let checksumBytes = 4

    /// How many characters a token may have.
    public static var tokenBytesMax: Int {
        (headBytes + keysMax * keyBytes + dotsMax * 16 + checksumBytes) * 4 / 3 + 1
    }

    /// Appends the bytes.
    public func encode(cluster: UInt64, into buffer: inout ByteBuffer) {
        let start = buffer.count
        buffer.append(SessionHistory.format)
        for number in [cluster, order.rawValue, floor.rawValue] { buffer.append(integer: number) }
        buffer.append(integer: UInt16(entries.count))
        for (key, entry) in entries {
            buffer.append(integer: key)
            buffer.append(integer: entry.floor.rawValue)
            buffer.append(integer: entry.expiry.rawValue)
            buffer.append(entry.isWhole ? 1 : 0)
            buffer.append(integer: UInt16(entry.seen.entries.count))
            entry.seen.encodeEntries(into: &buffer)
        }
        buffer.append(integer: CRC32C.checksum(buffer[start..<buffer.count]))
    }

    /// Appends the token's characters.
    public func encodeToken(cluster: UInt64, into buffer: inout ByteBuffer) {
        var plain = ByteBuffer(capacity: 256)
        encode(cluster: cluster, into: &plain)
        Base64URL.encode(plain.bytes, into: &buffer)
    }

    /// - Parameter keysMax: as for `init(keysMax:)`; older keys go into the floor.
    /// - Throws: `truncated` or `invalid` for anything but the one encoding of a history of this
    ///   cluster.
    public init(
        decoding bytes: UnsafeRawBufferPointer, cluster: UInt64, keysMax: Int
    ) throws(DecodeError) {
        self.init(keysMax: keysMax)
        let least = SessionHistory.headBytes + SessionHistory.checksumBytes
        guard bytes.count >= least else { throw .truncated }
        let end = bytes.count - SessionHistory.checksumBytes
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
        var tail = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[end...]))
        guard CRC32C.checksum(reader.bytes) == (try tail.integer(UInt32.self)) else {
            throw .invalid("session token is damaged")
        }
        guard try reader.integer(UInt8.self) == SessionHistory.format else {
            throw .invalid("session token has an unknown format")
        }
        guard try reader.integer(UInt64.self) == cluster else {
            throw .invalid("session token is another cluster's")
        }
        try take(&reader, keysMax: keysMax)
    }

    private mutating func take(_ reader: inout ByteReader, keysMax: Int) throws(DecodeError) {
        var whole = SessionHistory(keysMax: SessionHistory.keysMax)
        whole.order = Stamp(rawValue: try reader.integer())
        whole.floor = Stamp(rawValue: try reader.integer())
        let count = Int(try reader.integer(UInt16.self))
        guard count <= SessionHistory.keysMax else { throw .invalid("session token is too large") }
        for _ in 0..<count {
            let key: UInt64 = try reader.integer()
            if let last = whole.entries.keys.last, key <= last {
                throw .invalid("session token is out of order")
            }
            let entry = try Entry(decoding: &reader)
            guard whole.dots + entry.seen.entries.count <= SessionHistory.dotsMax else {
                throw .invalid("session token is too large")
            }
            whole.put(key, entry)
        }
        try reader.end()
        floor = whole.floor
        for (key, entry) in whole.entries { put(key, entry, evicting: false) }
        evict()
        order = whole.order
    }

    /// - Throws: as `init(decoding:cluster:keysMax:)`.
    public init(
        token: UnsafeRawBufferPointer, cluster: UInt64, keysMax: Int
    ) throws(DecodeError) {
        guard token.count <= SessionHistory.tokenBytesMax else {
            throw .invalid("session token is too long")
        }
        var plain = ByteBuffer(capacity: max(1, token.count))
        try Base64URL.decode(token, into: &plain)
        try self.init(decoding: plain.bytes, cluster: cluster, keysMax: keysMax)
    }
}

extension SessionHistory.Entry {
    fileprivate init(decoding reader: inout ByteReader) throws(DecodeError) {
        floor = Stamp(rawValue: try reader.integer())
        expiry = Stamp(rawValue: try reader.integer())
        let flag: UInt8 = try reader.integer()
        guard flag < 2 else { throw .invalid("session token has unknown flags") }
        isWhole = flag == 1
        let count = Int(try reader.integer(UInt16.self))
        guard count > 0 else { throw .invalid("session token names a key without a dot") }
        seen = try VersionVector(decoding: &reader, count: count)
    }
}
