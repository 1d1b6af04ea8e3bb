import Coding

/// Bytes that wait to leave in order, taken off the front as far as the kernel accepts them.
///
/// - Complexity: O(1) per byte, amortised: what is left moves to the front only when it is the smaller
///   half.
struct OutputQueue: ~Copyable {
    private var buffer = ByteBuffer(capacity: 16)
    private var removed = 0
    /// Bytes of memory kept when the queue has run empty.
    private let retainedBytes: Int

    init(retainedBytes: Int = 4096) { self.retainedBytes = retainedBytes }

    var count: Int { buffer.count - removed }
    var isEmpty: Bool { buffer.count == removed }

    /// What has not left yet; valid until the next change.
    var bytes: UnsafeRawBufferPointer { buffer[removed..<buffer.count] }

    mutating func append(_ bytes: UnsafeRawBufferPointer) { buffer.append(bytes) }

    /// Takes bytes off the front.
    mutating func removeFirst(_ amount: Int) {
        precondition(amount <= count, "no more is removed than there is")
        removed += amount
        if removed == buffer.count {
            buffer.removeAll()
            buffer.shrink(to: retainedBytes)
            removed = 0
        } else if removed > buffer.count / 2 {
            buffer.removeFirst(removed)
            removed = 0
        }
    }
}
