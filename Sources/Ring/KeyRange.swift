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
    public static var all: All { All() }

    /// All 256, one after the other: no generic collection, because nodes walk over them at each
    /// heartbeat, and generic code that is not specialized costs ten times as much.
    public struct All: Sequence, IteratorProtocol {
        private var index = 0

        public mutating func next() -> KeyRange? {
            guard index < KeyRange.count else { return nil }
            defer { index += 1 }
            return KeyRange(UInt8(truncatingIfNeeded: index))
        }
    }

    /// The numbers of its slots.
    public var slots: Range<Int> {
        let first = Int(rawValue) * KeyRange.slotsPerRange
        return first..<first + KeyRange.slotsPerRange
    }

    @inlinable public static func < (a: KeyRange, b: KeyRange) -> Bool { a.rawValue < b.rawValue }
}
