/// How messages between nodes stand on the wire: `length (4) | CRC32C (4) | payload`,
/// little-endian; the checksum covers the length and the payload, so a wrong length is found out as
/// well.
public enum Frame {
    public static let headerBytes = 8

    /// Reserves a header; the payload follows, then `finish`.
    ///
    /// - Returns: where the frame starts.
    @inlinable public static func begin(_ buffer: inout ByteBuffer) -> Int {
        let start = buffer.count
        buffer.append(integer: UInt64(0))
        return start
    }

    /// Fills in the header that `begin` reserved.
    public static func finish(_ buffer: inout ByteBuffer, from start: Int) {
        let length = UInt32(buffer.count - start - headerBytes)
        buffer.store(length, at: start)
        buffer.store(checksum(of: buffer[start..<buffer.count]), at: start + 4)
    }

    /// Takes one frame off the front of a stream.
    ///
    /// - Parameter payloadMax: bytes a payload may have.
    /// - Returns: the payload and the stream's bytes it took, or nil when more bytes must come
    ///   first.
    /// - Throws: `invalid` for a length above the limit or a wrong checksum: the stream cannot be
    ///   followed any further.
    public static func next(
        in stream: UnsafeRawBufferPointer, payloadMax: Int
    ) throws(DecodeError) -> (payload: UnsafeRawBufferPointer, consumed: Int)? {
        guard stream.count >= headerBytes else { return nil }
        let length = Int(UInt32(littleEndian: stream.loadUnaligned(as: UInt32.self)))
        guard length <= payloadMax else { throw .invalid("frame is larger than the limit") }
        guard stream.count >= headerBytes + length else { return nil }
        let frame = UnsafeRawBufferPointer(rebasing: stream[..<(headerBytes + length)])
        let stored = UInt32(littleEndian: frame.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        guard stored == checksum(of: frame) else { throw .invalid("frame checksum does not match") }
        return (UnsafeRawBufferPointer(rebasing: frame[headerBytes...]), frame.count)
    }

    private static func checksum(of frame: UnsafeRawBufferPointer) -> UInt32 {
        let length = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: frame[..<4]))
        let payload = UnsafeRawBufferPointer(rebasing: frame[headerBytes...])
        return CRC32C.checksum(payload, continuing: length)
    }
}
