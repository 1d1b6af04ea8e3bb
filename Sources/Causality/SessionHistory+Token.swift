import Base
import Coding
import Secrets

// The history as bytes, between nodes, and as the opaque token that one client hands to another.
//
// Layout, little-endian: `format (1) | order (8) | floor (8) | keys (2)`, then for each key,
// ascending, `hash (8) | floor (8) | expiry (8) | whole (1) | seen | changes`, and where it is not
// whole what is replaceable, each as `dots (2) | (identity (8), stamp (8)) …`. Clients see it
// sealed with the cluster's secret (see `Seal`), as base64url without padding: they can neither
// make nor change one, nor learn the hashes of keys, by which tables place them. A token that was
// given out by another cluster, or changed on its way, is refused.
extension SessionHistory {
    private static let format: UInt8 = 3
    private static let headBytes = 19
    private static let keyBytes = 31

    /// How many characters a token may have.
    public static var tokenBytesMax: Int {
        (headBytes + keysMax * keyBytes + dotsMax * 16 + Seal.codeBytes) * 4 / 3 + 2
    }

    /// Appends the bytes.
    public func encode(into buffer: inout ByteBuffer) {
        buffer.append(SessionHistory.format)
        for number in [order.rawValue, floor.rawValue] { buffer.append(integer: number) }
        buffer.append(integer: UInt16(entries.count))
        for (key, entry) in entries {
            buffer.append(integer: key)
            buffer.append(integer: entry.floor.rawValue)
            buffer.append(integer: entry.expiry.rawValue)
            buffer.append(entry.isWhole ? 1 : 0)
            for dots in [entry.seen, entry.changes] + (entry.isWhole ? [] : [entry.replaceable]) {
                buffer.append(integer: UInt16(dots.entries.count))
                dots.encodeEntries(into: &buffer)
            }
        }
    }

    /// Appends the token's characters.
    ///
    /// - Parameter seal: the cluster's for sessions.
    public func encodeToken(sealedBy seal: Seal, into buffer: inout ByteBuffer) {
        var plain = ByteBuffer(capacity: 256)
        encode(into: &plain)
        let nowhere = UnsafeRawBufferPointer(start: nil, count: 0)
        seal.close(plain.bytes, for: nowhere).withUnsafeBytes {
            Base64URL.encode($0, into: &buffer)
        }
    }

    /// - Parameter keysMax: as for `init(keysMax:)`; older keys go into the floor.
    /// - Throws: `truncated` or `invalid` for anything but the one encoding of a history.
    public init(decoding bytes: UnsafeRawBufferPointer, keysMax: Int) throws(DecodeError) {
        self.init(keysMax: keysMax)
        var reader = ByteReader(bytes)
        guard try reader.integer(UInt8.self) == SessionHistory.format else {
            throw .invalid("session token has an unknown format")
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
            guard whole.dots + entry.dots <= SessionHistory.dotsMax else {
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

    /// - Parameter seal: the cluster's for sessions.
    /// - Throws: as `init(decoding:keysMax:)`, and `invalid` for a token that was not made by
    ///   `encodeToken` with this seal.
    public init(
        token: UnsafeRawBufferPointer, sealedBy seal: Seal, keysMax: Int
    ) throws(DecodeError) {
        guard token.count <= SessionHistory.tokenBytesMax else {
            throw .invalid("session token is too long")
        }
        var sealed = ByteBuffer(capacity: max(1, token.count))
        try Base64URL.decode(token, into: &sealed)
        let nowhere = UnsafeRawBufferPointer(start: nil, count: 0)
        guard let plain = seal.open(sealed.bytes, for: nowhere) else {
            throw .invalid("session token was not given out by this cluster, or was changed")
        }
        let history = plain.withUnsafeBytes { bytes in
            Result { () throws(DecodeError) in
                try SessionHistory(decoding: bytes, keysMax: keysMax)
            }
        }
        self = try history.get()
    }
}

extension SessionHistory.Entry {
    fileprivate init(decoding reader: inout ByteReader) throws(DecodeError) {
        floor = Stamp(rawValue: try reader.integer())
        expiry = Stamp(rawValue: try reader.integer())
        let flag: UInt8 = try reader.integer()
        guard flag < 2 else { throw .invalid("session token has unknown flags") }
        seen = try Self.dots(&reader)
        changes = try Self.dots(&reader)
        guard !seen.isEmpty || !changes.isEmpty else {
            throw .invalid("session token names a key without a dot")
        }
        replaceable = flag == 1 ? seen : try Self.dots(&reader)
        guard isWhole == (flag == 1) else {
            throw .invalid("session token names what is replaceable twice")
        }
    }

    private static func dots(_ reader: inout ByteReader) throws(DecodeError) -> VersionVector {
        let count = Int(try reader.integer(UInt16.self))
        return try VersionVector(decoding: &reader, count: count)
    }
}
