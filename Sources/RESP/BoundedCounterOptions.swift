import Coding

/// The arguments of `QBOUND`, whose key is argument 2.
public struct BoundedCounterOptions: Equatable, Sendable {
    /// What to do with the counter; amounts are at least 0.
    public enum Action: Equatable, Sendable {
        /// `CREATE key value [MIN bound]`: puts a counter there that never falls below the bound,
        /// which is 0 unless it is given.
        case create(Int64, bound: Int64)
        /// `GET key`: its value.
        case read
        /// `INCR key n`: adds, and gives this node the right to take as much away.
        case increment(Int64)
        /// `DECR key n`: takes away what this node has the rights to.
        case decrement(Int64)
        /// `RIGHTS key`: how much each node may take away.
        case rights
        /// `GRANT key n NODE id`: hands rights of this node to another.
        case grant(Int64, node: UInt16)
    }

    public var action: Action
    public var consistency = ConsistencyOptions.none

    /// Index of the counter's key.
    public var key: Int { 2 }

    /// - Throws: `unknownSubcommand`, `wrongArgumentCount`, `syntax`, `notAnInteger`,
    ///   `ValueRefusal.notPositive` for a negative amount, `ValueRefusal.outOfRange` for a value
    ///   below its bound or no node's number, and what `ConsistencyOptions` throws.
    public init(_ arguments: borrowing Arguments) throws(CommandError) {
        let index: Int
        let isRead = arguments.matches(1, "GET") || arguments.matches(1, "RIGHTS")
        if isRead {
            action = arguments.matches(1, "GET") ? .read : .rights
            index = 3
        } else {
            (action, index) = try BoundedCounterOptions.change(arguments)
        }
        guard arguments.count >= index else { throw .wrongArgumentCount(.qbound) }
        consistency = try ConsistencyOptions(arguments, from: index, isRead ? .read : .write)
    }

    /// - Returns: a change, and the index behind its arguments.
    private static func change(
        _ arguments: borrowing Arguments
    ) throws(CommandError) -> (Action, Int) {
        let isCreation = arguments.matches(1, "CREATE")
        let isGrant = arguments.matches(1, "GRANT")
        let isIncrement = arguments.matches(1, "INCR")
        guard isCreation || isGrant || isIncrement || arguments.matches(1, "DECR") else {
            throw .unknownSubcommand(.qbound)
        }
        guard arguments.count > 3 else { throw .wrongArgumentCount(.qbound) }
        let amount = try arguments.integer(3)
        if isCreation { return try creation(arguments, amount) }
        guard amount >= 0 else { throw .value(.notPositive) }
        guard isGrant else { return (isIncrement ? .increment(amount) : .decrement(amount), 4) }
        guard arguments.matches(4, "NODE"), arguments.count > 5 else { throw .syntax }
        guard let node = UInt16(exactly: try arguments.integer(5)) else {
            throw .value(.outOfRange)
        }
        return (.grant(amount, node: node), 6)
    }

    private static func creation(
        _ arguments: borrowing Arguments, _ value: Int64
    ) throws(CommandError) -> (Action, Int) {
        guard arguments.matches(4, "MIN") else {
            guard value >= 0 else { throw .value(.outOfRange) }
            return (.create(value, bound: 0), 4)
        }
        guard arguments.count > 5 else { throw .syntax }
        let bound = try arguments.integer(5)
        guard value >= bound else { throw .value(.outOfRange) }
        return (.create(value, bound: bound), 6)
    }
}
