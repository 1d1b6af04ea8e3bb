import CRDT
import Causality
import Coding

/// A key and what one command did to its state: the same bytes in the journal and on the wire.
///
/// Layout, little-endian: `keyBytes (2) | key | delta`, the delta as `Delta.encode` writes it.
struct DeltaRecord {
    let bytes: UnsafeRawBufferPointer
    let key: UnsafeRawBufferPointer
    let delta: Delta

    /// - Throws: `truncated` or `invalid` for anything but one whole delta of a key.
    init(decoding bytes: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(bytes)
        let keyBytes = Int(try reader.integer(UInt16.self))
        key = try reader.slice(keyBytes)
        delta = try Delta(decoding: reader.rest())
        self.bytes = bytes
    }

    /// Of the delta alone.
    var deltaBytes: Int { bytes.count - 2 - key.count }

    /// What it has done to the size of a state.
    func change(in state: CRDTState) -> SizeChange {
        SizeChange(delta, bytes: deltaBytes, in: state)
    }

    static func encode(
        _ delta: Delta, of key: UnsafeRawBufferPointer, into buffer: inout ByteBuffer
    ) {
        buffer.append(integer: UInt16(key.count))
        buffer.append(key)
        delta.encode(into: &buffer)
    }
}
