/// The fields and values of `HSET` and `HMSET`.
public struct HashPairs: Equatable, Sendable {
    /// How many fields there are, each with its value; at least 1.
    public let count: Int

    /// - Parameter name: `hset` or `hmset`.
    /// - Throws: `wrongArgumentCount` when a value is missing.
    public init(_ arguments: borrowing Arguments, _ name: CommandName) throws(CommandError) {
        guard arguments.count % 2 == 0 else { throw .wrongArgumentCount(name) }
        count = arguments.count / 2 - 1
    }

    /// Index of a field's name.
    public func field(_ pair: Int) -> Int { 2 + 2 * pair }

    /// Index of a field's value.
    public func value(_ pair: Int) -> Int { 3 + 2 * pair }
}
