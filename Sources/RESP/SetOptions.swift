import Coding

/// What follows the key and the value of `SET`, `QSET`, `SETEX`, `PSETEX`, `SETNX` and `GETSET`.
public struct SetOptions: Equatable, Sendable {
    /// When the value is written at all.
    public enum Condition: Sendable { case always, ifAbsent, ifPresent }

    public var condition = Condition.always
    /// Whether the value before is the answer.
    public var returnsPrevious = false
    public var expiry = Expiry.unset
    /// Index of the value.
    public var value = 2
    /// Index of the causal context's token; `QSET` only.
    public var context: Int?
    public var consistency = ConsistencyOptions.none

    @usableFromInline init() {}

    /// - Parameters:
    ///   - arguments: a request whose arity was checked.
    ///   - name: `set`, `qset`, `setex`, `psetex`, `setnx` or `getset`.
    /// - Throws: `syntax` for unknown and contradicting options, `notAnInteger`,
    ///   `invalidExpireTime`, and what `ConsistencyOptions` throws.
    @inlinable public init(
        _ arguments: borrowing Arguments, _ name: CommandName
    ) throws(CommandError) {
        self.init()
        if arguments.count == 3 && name == .set { return }
        try parse(arguments, name)
    }

    @usableFromInline mutating func parse(
        _ arguments: borrowing Arguments, _ name: CommandName
    ) throws(CommandError) {
        if name == .setnx {
            condition = .ifAbsent
        } else if name == .getset {
            returnsPrevious = true
        } else if name == .setex || name == .psetex {
            expiry = try Expiry(arguments, 2, name == .setex ? .seconds : .milliseconds, of: name)
            value = 3
        } else {
            precondition(name == .set || name == .qset, "only these commands have options of SET")
            var (index, times) = (3, Expiry.Words())
            while index < arguments.count { try take(arguments, &index, &times, name) }
            expiry = try Expiry.said(times, arguments, of: name, word: .keep) ?? .unset
        }
    }

    private mutating func take(
        _ arguments: borrowing Arguments, _ index: inout Int, _ times: inout Expiry.Words,
        _ name: CommandName
    ) throws(CommandError) {
        if try consistency.take(arguments, &index, .write) { return }
        let word: StaticString? = name == .set ? "KEEPTTL" : nil
        if try times.take(arguments, &index, word: word) { return }
        if name == .qset {
            try arguments.takeContext(&index, into: &context)
        } else {
            try takeWord(arguments, index)
            index += 1
        }
    }

    private mutating func takeWord(
        _ arguments: borrowing Arguments, _ index: Int
    ) throws(CommandError) {
        if arguments.matches(index, "NX"), condition != .ifPresent {
            condition = .ifAbsent
        } else if arguments.matches(index, "XX"), condition != .ifAbsent {
            condition = .ifPresent
        } else if arguments.matches(index, "GET") {
            returnsPrevious = true
        } else {
            throw .syntax
        }
    }
}
