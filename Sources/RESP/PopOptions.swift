import Coding

/// What follows the key of `SPOP`, `LPOP`, `RPOP`, `ZPOPMIN` and `ZPOPMAX`.
public struct PopOptions: Equatable, Sendable {
    /// How many to take, at least 0; nil for one, which is then answered without an array.
    public var count: Int?
    public var consistency = ConsistencyOptions.none

    /// - Throws: `ValueRefusal.notPositive`, `syntax`, `wrongArgumentCount`, and what
    ///   `ConsistencyOptions` throws.
    public init(_ arguments: borrowing Arguments, _ name: CommandName) throws(CommandError) {
        var index = 2
        var hasCount = false
        while index < arguments.count {
            if try consistency.take(arguments, &index, .write) { continue }
            guard index == 2 else {
                throw name == .lpop || name == .rpop ? .wrongArgumentCount(name) : .syntax
            }
            hasCount = true
            index = 3
        }
        guard hasCount else { return }
        guard let value = Int64(decimal: arguments[2]), value >= 0 else {
            throw .value(.notPositive)
        }
        count = Int(value)
    }
}
