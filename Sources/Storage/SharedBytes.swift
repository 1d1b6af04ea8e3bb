import Coding

/// Bytes with two owners: the journal that filled them, and the disk job that writes them.
///
/// Hand-over: the journal touches them only while no job that carries them is in flight, and a job
/// only reads them; so they never have two users at once, which is what makes the unchecked
/// conformance hold.
public final class SharedBytes: @unchecked Sendable {
    var buffer: ByteBuffer

    init(_ buffer: consuming ByteBuffer) { self.buffer = buffer }

    var bytes: UnsafeRawBufferPointer { buffer.bytes }
}
