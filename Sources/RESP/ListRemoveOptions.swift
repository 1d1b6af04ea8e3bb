/// The arguments of `LREM` behind the key.
public struct ListRemoveOptions: Equatable, Sendable {
    /// How many elements to remove at most, at least 1.
    public var limit: Int
    /// Whether the last ones go first.
    public var isFromEnd: Bool
    public var consistency: ConsistencyOptions

    /// Index of the element that the removed ones equal.
    public var element: Int { 3 }

    /// - Throws: `notAnInteger`, and what `ConsistencyOptions` throws.
    public init(_ arguments: borrowing Arguments) throws(CommandError) {
        consistency = try ConsistencyOptions(following: arguments, of: .lrem)
        let count = try arguments.integer(2)
        limit = count == 0 ? .max : Int(clamping: count.magnitude)
        isFromEnd = count < 0
    }
}
