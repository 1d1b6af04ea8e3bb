/// Malformed bytes from a client, a disk or the network.
public enum DecodeError: Error, Equatable, Sendable {
    /// Fewer bytes than the layout needs.
    case truncated
    /// A field has a value that the layout forbids; the text says which and why.
    case invalid(StaticString)

    public static func == (a: DecodeError, b: DecodeError) -> Bool {
        switch (a, b) {
        case (.truncated, .truncated): true
        case (.invalid(let a), .invalid(let b)): a.description == b.description
        case (.truncated, .invalid), (.invalid, .truncated): false
        }
    }
}

/// Reads little-endian fields from borrowed bytes, checking every length; never traps on what they
/// say.
///
/// The bytes must outlive the reader, as with every unsafe buffer.
public struct ByteReader {
    /// What is read, from its first byte on.
    public let bytes: UnsafeRawBufferPointer
    @usableFromInline var position = 0

    @inlinable public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// How many bytes have been read.
    @inlinable public var offset: Int { position }

    /// How many bytes are left.
    @inlinable public var remaining: Int { bytes.count - position }

    /// - Throws: `truncated` when fewer bytes remain than the type is wide.
    @inlinable public mutating func integer<Integer: FixedWidthInteger>(
        _ type: Integer.Type = Integer.self
    ) throws(DecodeError) -> Integer {
        let width = MemoryLayout<Integer>.size
        guard remaining >= width else { throw .truncated }
        defer { position += width }
        return Integer(
            littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: Integer.self))
    }

    /// - Throws: `truncated` when fewer than `count` bytes remain or `count` is negative.
    @inlinable public mutating func slice(
        _ count: Int
    ) throws(DecodeError) -> UnsafeRawBufferPointer {
        guard count >= 0, remaining >= count else { throw .truncated }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
    }

    /// All that is left.
    public mutating func rest() -> UnsafeRawBufferPointer {
        defer { position = bytes.count }
        return UnsafeRawBufferPointer(rebasing: bytes[position...])
    }

    /// - Throws: `invalid` when bytes remain after the last field.
    public func end() throws(DecodeError) {
        guard remaining == 0 else { throw .invalid("bytes after the last field") }
    }
}
