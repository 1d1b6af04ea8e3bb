import Base
import Causality
import Coding

// Layout: format (1); the context: count (varint), identity (8) and stamp (8) each; a bit mask of
// the stores that follow (varint); each store's entries in order. Dots are an index into the
// context and a stamp.
extension CRDTState {
    static let format: UInt8 = 2

    /// Appends the state's bytes; equal states have equal bytes.
    ///
    /// - Complexity: O(entries · log identities).
    public func encode(into buffer: inout ByteBuffer) {
        buffer.append(CRDTState.format)
        var encoder = DotEncoder(buffer: buffer, identities: context.entries, own: nil)
        encoder.append(context)
        contents.encode(into: &encoder)
        buffer = encoder.buffer
    }

    /// - Throws: `truncated` or `invalid` for anything but the one encoding of a state.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(DecodeError) {
        var decoder = DotDecoder(ByteReader(bytes))
        guard try decoder.reader.integer(UInt8.self) == CRDTState.format else {
            throw .invalid("unknown format of a CRDT state")
        }
        context = try decoder.vector()
        decoder.identities = context.entries
        let contents = try Contents(decoding: &decoder)
        try decoder.reader.end()
        guard contents.allDots({ context.contains($0) }) else {
            throw .invalid("a live dot is not in the context")
        }
        self.contents = contents
    }

    /// The context as it stands in an encoded state: 16 bytes an entry, little-endian. Equal
    /// contexts hold equal contents, so these bytes stand for the state where two are compared.
    ///
    /// - Parameter bytes: what `encode` wrote.
    public static func contextBytes(in bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var count = 0
        var offset = 1
        var shift = 0
        while offset < bytes.count {
            count |= Int(bytes[offset] & 127) << shift
            shift += 7
            offset += 1
            if bytes[offset - 1] < 128 { break }
        }
        let end = offset + count * 16
        precondition(end <= bytes.count, "an encoded state begins with its context")
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<end])
    }
}
