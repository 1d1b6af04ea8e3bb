/// How a command behaves, as `COMMAND` names it.
public struct CommandFlags: OptionSet, Sendable {
    public let rawValue: UInt16

    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// May change a key.
    public static let write = CommandFlags(rawValue: 1)
    /// Looks at keys and changes none.
    public static let readonly = CommandFlags(rawValue: 2)
    /// May need memory, and is refused when there is none.
    public static let denyOOM = CommandFlags(rawValue: 4)
    /// Takes time that does not grow with what is stored.
    public static let fast = CommandFlags(rawValue: 8)
    /// For operators.
    public static let admin = CommandFlags(rawValue: 16)
    /// Allowed before authentication.
    public static let noAuth = CommandFlags(rawValue: 32)
    /// Allowed while the node is loading its journal.
    public static let loading = CommandFlags(rawValue: 64)
    /// May answer later than it was asked.
    public static let blocking = CommandFlags(rawValue: 128)

    /// Each flag with its Redis name.
    static let names: [(CommandFlags, StaticString)] = [
        (.write, "write"), (.readonly, "readonly"), (.denyOOM, "denyoom"), (.fast, "fast"),
        (.admin, "admin"), (.noAuth, "no_auth"), (.loading, "loading"), (.blocking, "blocking"),
    ]
}

/// Which arguments are keys, in Redis's convention.
public struct KeyPositions: Equatable, Sendable {
    /// Index of the first key, 0 for a command without keys.
    public let first: Int
    /// Index of the last key; negative counts from the end of the request.
    public let last: Int
    /// From one key to the next.
    public let step: Int

    static let none = KeyPositions(first: 0, last: 0, step: 0)
    static let one = KeyPositions(first: 1, last: 1, step: 1)
    static let all = KeyPositions(first: 1, last: -1, step: 1)
    static let pairs = KeyPositions(first: 1, last: -1, step: 2)

    /// The indices of a request's keys.
    ///
    /// - Parameter count: arguments of the request, its name included.
    public func indices(count: Int) -> StrideThrough<Int> {
        guard first > 0 else { return stride(from: 1, through: 0, by: 1) }
        let end = last < 0 ? count + last : min(last, count - 1)
        return stride(from: first, through: end, by: step)
    }
}

/// What is known of one command.
public struct CommandDescription: Sendable {
    /// What kind of thing a command deals with, as `COMMAND DOCS` groups them.
    public enum Group: Sendable { case connection, server, string, generic, cluster, quorate }

    public let name: CommandName
    /// The name in lower case.
    public let text: StaticString
    /// Arguments, the name included; negative for at least so many.
    public let arity: Int
    public let flags: CommandFlags
    public let keys: KeyPositions
    public let group: Group
    /// One line for people.
    public let summary: StaticString
}
