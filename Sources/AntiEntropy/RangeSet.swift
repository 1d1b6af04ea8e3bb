import Coding

/// Some of the 256 key ranges, as bits.
public struct RangeSet: Equatable, Sendable {
    private var words = SIMD4<UInt64>()

    /// No range.
    public init() {}

    /// All 256.
    public static var all: RangeSet {
        var all = RangeSet()
        all.words = SIMD4(repeating: .max)
        return all
    }

    /// - Throws: `truncated` when there are fewer than 32 bytes.
    public init(_ reader: inout ByteReader) throws(DecodeError) {
        for index in 0..<4 { words[index] = try reader.integer() }
    }

    /// - Parameter range: 0…255.
    public func contains(_ range: UInt8) -> Bool {
        words[Int(range >> 6)] & 1 << UInt64(range & 63) != 0
    }

    /// - Parameter range: 0…255.
    public mutating func insert(_ range: UInt8) {
        words[Int(range >> 6)] |= 1 << UInt64(range & 63)
    }

    /// - Parameter range: 0…255.
    public mutating func remove(_ range: UInt8) {
        words[Int(range >> 6)] &= ~(1 << UInt64(range & 63))
    }

    /// Leaves what is in the other set too.
    public mutating func formIntersection(_ other: RangeSet) { words &= other.words }

    /// Whether no range is in it.
    public var isEmpty: Bool { words == SIMD4() }

    /// How many ranges are in it.
    public var count: Int { (0..<4).reduce(0) { $0 + words[$1].nonzeroBitCount } }

    /// Appends 32 bytes, little-endian.
    public func encode(into buffer: inout ByteBuffer) {
        for index in 0..<4 { buffer.append(integer: words[index]) }
    }
}
