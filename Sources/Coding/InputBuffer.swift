/// Bytes that a connection has sent and that nobody has consumed, with up to two owners: the driver
/// that reads them, and a long request whose arguments outlast the step in which it was parsed.
///
/// Hand-over: whoever keeps a part of them only reads, and the driver, once it is not the only
/// owner, goes on with a buffer of its own. So nobody changes what another reads, which is what
/// makes the unchecked conformance hold.
public final class InputBuffer: @unchecked Sendable {
    public var buffer: ByteBuffer

    public init(capacity: Int = 16) { buffer = ByteBuffer(capacity: capacity) }

    public init(_ bytes: UnsafeRawBufferPointer) {
        buffer = ByteBuffer(capacity: max(16, bytes.count))
        buffer.append(bytes)
    }

    public var count: Int { buffer.count }
    /// Valid until the buffer is written to.
    public var bytes: UnsafeRawBufferPointer { buffer.bytes }

    /// Drops the first bytes, which are consumed: those of a buffer with another owner stay there,
    /// and this owner goes on with what is left in one of its own.
    ///
    /// - Complexity: O(bytes left).
    public static func removeFirst(_ amount: Int, of own: inout InputBuffer) {
        guard isKnownUniquelyReferenced(&own) else {
            own = InputBuffer(UnsafeRawBufferPointer(rebasing: own.bytes[amount...]))
            return
        }
        own.buffer.removeFirst(amount)
        if own.count == 0 { own.buffer.shrink(to: 4096) }
    }
}
