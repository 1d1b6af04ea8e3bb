import Glibc

/// A growable run of bytes with one owner: what an effect, a batch or a reply is written into
/// exactly once.
///
/// Integers are little-endian. Writing never traps on size; the owner bounds how much it lets in.
public struct ByteBuffer: ~Copyable {
    @usableFromInline var base: UnsafeMutableRawPointer
    @usableFromInline var written = 0
    @usableFromInline var reserved: Int

    /// - Parameter capacity: bytes to reserve, at least 1.
    public init(capacity: Int = 256) {
        precondition(capacity > 0, "a buffer reserves at least one byte")
        base = ByteBuffer.found(malloc(capacity))
        reserved = capacity
    }

    /// How many bytes have been written.
    @inlinable public var count: Int { written }
    /// How many bytes fit before the buffer grows.
    @inlinable public var capacity: Int { reserved }

    deinit { free(base) }

    @inlinable public var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base, count: count)
    }

    /// The written bytes, to fill in a length or a checksum that was not known before.
    @inlinable public var mutableBytes: UnsafeMutableRawBufferPointer {
        mutating get { UnsafeMutableRawBufferPointer(start: base, count: count) }
    }

    /// A slice of what has been written; valid until the next write.
    @inlinable public subscript(range: Range<Int>) -> UnsafeRawBufferPointer {
        precondition(
            range.lowerBound >= 0 && range.upperBound <= count, "a slice lies in the buffer")
        return UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count)
    }

    /// Makes room for `extra` more bytes and returns where they go, without counting them yet.
    @inlinable public mutating func reserve(_ extra: Int) -> UnsafeMutableRawPointer {
        if count + extra > capacity { grow(to: count + extra) }
        return base + count
    }

    /// Counts `extra` bytes that were stored at what `reserve` returned.
    @inlinable public mutating func advance(_ extra: Int) {
        precondition(extra >= 0 && count + extra <= capacity, "advance stays within the reserve")
        written += extra
    }

    /// Forgets everything from `newCount` on.
    @inlinable public mutating func truncate(to newCount: Int) {
        precondition(newCount >= 0 && newCount <= count, "truncation only shortens")
        written = newCount
    }

    @inlinable public mutating func removeAll() { written = 0 }

    /// Drops the first `amount` bytes and moves the rest to the front.
    ///
    /// - Complexity: O(bytes left).
    public mutating func removeFirst(_ amount: Int) {
        precondition(amount >= 0 && amount <= count, "only written bytes are removed")
        memmove(base, base + amount, count - amount)
        written -= amount
    }

    /// Gives memory back after a burst, so that one large request does not stay allocated for ever.
    public mutating func shrink(to limit: Int) {
        guard capacity > limit, count <= limit else { return }
        reallocate(limit)
    }

    @usableFromInline mutating func grow(to needed: Int) {
        reallocate(max(needed, capacity * 2))
    }

    private mutating func reallocate(_ newCapacity: Int) {
        base = ByteBuffer.found(realloc(base, newCapacity))
        reserved = newCapacity
    }

    /// The system's allocator aligns to 16 bytes and can grow in place; `allocate` asks for the
    /// alignment by a call that costs three times as much.
    private static func found(_ memory: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer {
        guard let memory else { preconditionFailure("memory is exhausted") }
        return memory
    }
}

extension ByteBuffer {
    @inlinable public mutating func append(_ byte: UInt8) {
        reserve(1).storeBytes(of: byte, as: UInt8.self)
        written += 1
    }

    @inlinable public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress else { return }
        reserve(bytes.count).copyMemory(from: source, byteCount: bytes.count)
        written += bytes.count
    }

    @inlinable public mutating func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    @inlinable public mutating func append(_ text: StaticString) {
        append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Text from below the hot path (errors, introspection).
    public mutating func append(text: String) {
        var text = text
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    /// Little-endian, as wide as the type.
    @inlinable public mutating func append<Integer: FixedWidthInteger>(integer value: Integer) {
        let width = MemoryLayout<Integer>.size
        reserve(width).storeBytes(of: value.littleEndian, as: Integer.self)
        written += width
    }

    /// Overwrites an integer written before.
    @inlinable public mutating func store<Integer: FixedWidthInteger>(
        _ value: Integer, at offset: Int
    ) {
        precondition(
            offset >= 0 && offset + MemoryLayout<Integer>.size <= count, "stores stay inside")
        (base + offset).storeBytes(of: value.littleEndian, as: Integer.self)
    }

    /// The decimal digits of a number.
    @inlinable public mutating func append(decimal value: Int) {
        if value >= 0 && value < 10 {
            append(UInt8(48 + value))
            return
        }
        appendDigits(value)
    }

    @usableFromInline mutating func appendDigits(_ value: Int) {
        if value < 0 { append(45) }
        var rest = value.magnitude
        var width = 1
        var bound: UInt = 10
        while rest >= bound {
            width += 1
            let (next, overflow) = bound.multipliedReportingOverflow(by: 10)
            if overflow { break }
            bound = next
        }
        let target = reserve(width)
        var position = width
        while position > 0 {
            position -= 1
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            target.storeBytes(
                of: UInt8(truncatingIfNeeded: 48 &+ digit), toByteOffset: position, as: UInt8.self)
            rest = quotient
        }
        written += width
    }

    /// Appends a length (4) and then the bytes that it counts.
    @inlinable public mutating func appendSized(_ write: (inout ByteBuffer) -> Void) {
        let start = count
        append(integer: UInt32(0))
        write(&self)
        store(UInt32(count - start - 4), at: start)
    }
}
