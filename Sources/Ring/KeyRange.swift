/// One of the 256 runs of 64 slots that are placed, moved and repaired as a whole.
public struct KeyRange: Hashable, Comparable, Sendable {
    public static let count = 256
    public static let slotsPerRange = Slot.count / count

    /// 0…255.
    public let rawValue: UInt8

    @inlinable public init(_ rawValue: UInt8) { self.rawValue = rawValue }

    /// The range in which a slot lies.
    @inlinable public init(_ slot: Slot) {
        rawValue = UInt8(truncatingIfNeeded: Int(slot.rawValue) / KeyRange.slotsPerRange)
    }

    /// Every range, ascending.
    public static var all: LazyMapSequence<ClosedRange<UInt8>, KeyRange> {
        (UInt8.min...UInt8.max).lazy.map { KeyRange($0) }
    }

    /// The numbers of its slots.
    public var slots: Range<Int> {
        let first = Int(rawValue) * KeyRange.slotsPerRange
        return first..<first + KeyRange.slotsPerRange
    }

    @inlinable public static func < (a: KeyRange, b: KeyRange) -> Bool { a.rawValue < b.rawValue }
}
