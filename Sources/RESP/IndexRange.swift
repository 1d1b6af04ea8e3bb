/// A range of indices as clients give it: both ends belong to it, and negative ones count from the
/// end.
public struct IndexRange: Equatable, Sendable {
    /// 0 is the first, −1 the last.
    public var first: Int64
    /// The same for the last index of the range.
    public var last: Int64

    public init(first: Int64, last: Int64) {
        self.first = first
        self.last = last
    }

    /// Two arguments as such a range.
    ///
    /// - Parameter index: of the first one.
    /// - Throws: `notAnInteger`.
    public init(_ arguments: borrowing Arguments, at index: Int) throws(CommandError) {
        first = try arguments.integer(index)
        last = try arguments.integer(index + 1)
    }

    /// What of the range there is among so many.
    public func positions(of count: Int) -> Range<Int> {
        let count = Int64(count)
        let start = max(first < 0 ? first + count : first, 0)
        let end = min(last < 0 ? last + count : last, count - 1)
        return start <= end ? Int(start)..<Int(end) + 1 : 0..<0
    }
}
