import Base
import Coding
import Secrets

/// What a client has read of one key and hands back with its next write, so that the write replaces
/// just that.
///
/// Clients see an opaque token: base64url without padding of `format (1) | count (2) |
/// (identity (8), stamp (8)) …`, little-endian, sealed for the key with the cluster's secret (see
/// `Seal`). So a context that was made up, changed, or given out for another key or by another
/// cluster is refused. The newest stamp of a context from outside
/// must still pass `HybridLogicalClock.observe` before the context may be used.
public typealias CausalContext = VersionVector

extension VersionVector {
    /// How many identities a context may name.
    public static let entriesMax = 4_096
    /// How many characters a token may have.
    public static let tokenBytesMax = (headBytes + entriesMax * 16 + Seal.codeBytes) * 4 / 3 + 2
    /// A token that this cluster did not give out for this key.
    public static let foreignToken = DecodeError.invalid(
        "causal context was not given out for this key by this cluster, or was changed")

    private static let tokenFormat: UInt8 = 3
    private static let headBytes = 3

    /// Appends the characters of a key's token; of a context beyond its limit, which no node takes
    /// from another, those of its first entries.
    ///
    /// - Parameter seal: the cluster's for contexts.
    public func encodeToken(
        of key: UnsafeRawBufferPointer, sealedBy seal: Seal, into buffer: inout ByteBuffer
    ) {
        let count = min(entries.count, VersionVector.entriesMax)
        var plain = ByteBuffer(capacity: VersionVector.headBytes + count * 16)
        plain.append(VersionVector.tokenFormat)
        plain.append(integer: UInt16(count))
        for dot in entries.prefix(count) { dot.encode(into: &plain) }
        seal.close(plain.bytes, for: key).withUnsafeBytes { Base64URL.encode($0, into: &buffer) }
    }

    /// - Parameter seal: the cluster's for contexts.
    /// - Throws: `truncated` or `invalid` for anything but the one token of a context;
    ///   `foreignToken` for one that was not made by `encodeToken` for this key and with this seal.
    public init(
        token: UnsafeRawBufferPointer, of key: UnsafeRawBufferPointer, sealedBy seal: Seal
    ) throws(DecodeError) {
        guard token.count <= VersionVector.tokenBytesMax else {
            throw .invalid("causal context is too long")
        }
        var sealed = ByteBuffer(capacity: max(1, token.count))
        try Base64URL.decode(token, into: &sealed)
        guard let plain = seal.open(sealed.bytes, for: key) else {
            throw VersionVector.foreignToken
        }
        self = try plain.withDecodedBytes { reader throws(DecodeError) in
            guard try reader.integer(UInt8.self) == VersionVector.tokenFormat else {
                throw .invalid("causal context has an unknown format")
            }
            let count = Int(try reader.integer(UInt16.self))
            let context = try VersionVector(decoding: &reader, count: count)
            try reader.end()
            return context
        }
    }

    /// Appends the entries, 16 bytes each.
    func encodeEntries(into buffer: inout ByteBuffer) {
        for dot in entries { dot.encode(into: &buffer) }
    }

    /// - Parameter limit: how many entries there may be.
    /// - Throws: `truncated`, or `invalid` for too many entries or entries out of order.
    public init(
        decoding reader: inout ByteReader, count: Int, limit: Int = VersionVector.entriesMax
    ) throws(DecodeError) {
        guard count <= limit else {
            throw .invalid("causal context is too large")
        }
        guard reader.remaining >= count * 16 else { throw .truncated }
        entries.reserveCapacity(count)
        for _ in 0..<count {
            let dot = try Dot(decoding: &reader)
            if let last = entries.last, dot.identity <= last.identity {
                throw .invalid("causal context is out of order")
            }
            guard dot.stamp.rawValue > 0 else {
                throw .invalid("causal context has a stamp of zero")
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

extension [UInt8] {
    /// Reads fields from these bytes.
    func withDecodedBytes<Result>(
        _ body: (inout ByteReader) throws(DecodeError) -> Result
    ) throws(DecodeError) -> Result {
        let outcome = withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            return Swift.Result { () throws(DecodeError) in try body(&reader) }
        }
        return try outcome.get()
    }
}
