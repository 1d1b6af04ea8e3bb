/// What follows the key of `SRANDMEMBER` and `HRANDFIELD`.
public struct RandomOptions: Equatable, Sendable {
    /// How many to choose, at least 0, whatever a reply may hold; nil for one, which is then
    /// answered without an array.
    public var count: Int?
    /// Whether one may be chosen twice, and there are exactly so many whatever is there.
    public var mayRepeat = false
    /// Whether the fields' values are asked for as well; `HRANDFIELD` only.
    public var hasValues = false
    public var consistency = ConsistencyOptions.none

    /// - Throws: `notAnInteger`, `ValueRefusal.countOutOfRange`, `ValueRefusal.outOfRange`,
    ///   `syntax`, and what `ConsistencyOptions` throws.
    public init(_ arguments: borrowing Arguments, _ name: CommandName) throws(CommandError) {
        var index = 2
        var hasCount = false
        while index < arguments.count {
            if try consistency.take(arguments, &index, .read) { continue }
            if index == 2 {
                hasCount = true
                if name == .hrandfield { try takeCount(arguments) }
            } else {
                guard name == .hrandfield, index == 3, arguments.matches(3, "WITHVALUES") else {
                    throw .syntax
                }
                hasValues = true
            }
            index += 1
        }
        if hasCount, name == .srandmember { try takeCount(arguments) }
        if let count, hasValues, count > Int.max / 2 { throw .value(.outOfRange) }
    }

    private mutating func takeCount(_ arguments: borrowing Arguments) throws(CommandError) {
        let value = try arguments.integer(2)
        guard value != .min else { throw .value(.countOutOfRange) }
        count = Int(value.magnitude)
        mayRepeat = value < 0
    }
}
