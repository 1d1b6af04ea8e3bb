/// The arguments of `LINSERT` behind the key.
public struct ListInsertOptions: Equatable, Sendable {
    /// Whether the element goes before the pivot, not after it.
    public var isBefore: Bool
    public var consistency: ConsistencyOptions

    /// Index of the element to look for.
    public var pivot: Int { 3 }

    /// Index of the element to insert.
    public var element: Int { 4 }

    /// - Throws: `syntax`, and what `ConsistencyOptions` throws.
    public init(_ arguments: borrowing Arguments) throws(CommandError) {
        consistency = try ConsistencyOptions(following: arguments, of: .linsert)
        isBefore = arguments.matches(2, "BEFORE")
        guard isBefore || arguments.matches(2, "AFTER") else { throw .syntax }
    }
}
