import Coding

/// A hybrid logical clock stamp for each of the 256 key ranges; 0 for none.
public struct RangeStamps: Equatable, Sendable {
    private var stamps = Array(repeating: UInt64(0), count: 256)

    /// None.
    public init() {}

    /// - Parameter range: 0…255.
    public subscript(range: UInt8) -> UInt64 {
        get { stamps[Int(range)] }
        set { stamps[Int(range)] = newValue }
    }

    /// The latest of all.
    public var latest: UInt64 { stamps.max() ?? 0 }

    /// The stamp of a range becomes the later one of the two.
    public mutating func raise(_ range: UInt8, to stamp: UInt64) {
        stamps[Int(range)] = max(stamps[Int(range)], stamp)
    }

    /// Each becomes the later one of the two.
    public mutating func raise(to other: RangeStamps) {
        for (range, stamp) in other.stamps.enumerated() where stamps[range] < stamp {
            stamps[range] = stamp
        }
    }

    /// Appends runs of equal stamps: `ranges - 1 (1) | stamp (8)` each, 256 ranges in all.
    public func encode(into buffer: inout ByteBuffer) {
        var first = 0
        while first < stamps.count {
            let end = stamps[first...].firstIndex { $0 != stamps[first] } ?? stamps.count
            buffer.append(UInt8(end - first - 1))
            buffer.append(integer: stamps[first])
            first = end
        }
    }

    /// - Throws: `truncated` or `invalid` for anything that `encode` does not write.
    public init(_ reader: inout ByteReader) throws(DecodeError) {
        var filled = 0
        while filled < stamps.count {
            let count = Int(try reader.integer(UInt8.self)) + 1
            let stamp: UInt64 = try reader.integer()
            guard filled + count <= stamps.count else { throw .invalid("there are 256 ranges") }
            guard filled == 0 || stamps[filled - 1] != stamp else {
                throw .invalid("a run of stamps is split")
            }
            for range in filled..<filled + count { stamps[range] = stamp }
            filled += count
        }
    }
}
