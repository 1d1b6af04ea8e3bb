/// The arguments of `INCR`, `DECR`, `INCRBY`, `DECRBY`, `INCRBYFLOAT`, `HINCRBY`, `HINCRBYFLOAT`
/// and `ZINCRBY` behind what they change.
public struct CounterOptions: Equatable, Sendable {
    /// What is added.
    public enum Amount: Equatable, Sendable {
        case integer(Int64)
        /// Index of a decimal number, which is not looked at here: how exact it has to be is the
        /// counter's business.
        case decimal(Int)
    }

    public var amount: Amount
    public var consistency: ConsistencyOptions

    /// - Parameter name: one of the commands above.
    /// - Throws: `notAnInteger`, `ValueRefusal.decrementOverflow`, and what `ConsistencyOptions`
    ///   throws.
    public init(_ arguments: borrowing Arguments, _ name: CommandName) throws(CommandError) {
        if name == .incr || name == .decr {
            amount = .integer(name == .incr ? 1 : -1)
        } else if name == .incrby || name == .hincrby {
            amount = .integer(try arguments.integer(name == .incrby ? 2 : 3))
        } else if name == .decrby {
            let decrement = try arguments.integer(2)
            guard decrement != .min else { throw .value(.decrementOverflow) }
            amount = .integer(-decrement)
        } else {
            precondition(
                name == .incrbyfloat || name == .hincrbyfloat || name == .zincrby,
                "only these commands add something")
            amount = .decimal(name == .hincrbyfloat ? 3 : 2)
        }
        consistency = try ConsistencyOptions(following: arguments, of: name)
    }
}
