import Coding

/// The arguments of `SINTERCARD`.
public struct IntersectionOptions: Equatable, Sendable {
    /// Indices of the keys, at least one.
    public var keys: Range<Int>
    /// Where counting ends, 0 for nowhere.
    public var limit = 0
    public var consistency = ConsistencyOptions.none

    /// - Throws: `OptionRefusal.noKeys`, `tooManyKeys` or `negativeLimit`, `syntax`, and what
    ///   `ConsistencyOptions` throws.
    public init(_ arguments: borrowing Arguments) throws(CommandError) {
        guard let keyCount = Int64(decimal: arguments[1]), keyCount > 0 else {
            throw .option(.noKeys)
        }
        guard keyCount <= arguments.count - 2 else { throw .option(.tooManyKeys) }
        keys = 2..<2 + Int(keyCount)
        var index = keys.upperBound
        while index < arguments.count {
            if try consistency.take(arguments, &index, .read) { continue }
            guard arguments.matches(index, "LIMIT"), index + 1 < arguments.count else {
                throw .syntax
            }
            limit = try arguments.count(index + 1, else: .negativeLimit)
            index += 2
        }
    }
}
