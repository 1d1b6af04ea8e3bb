import Coding

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
    /// Says itself how many keys follow; `KeyPositions` cannot.
    public static let movableKeys = CommandFlags(rawValue: 256)
    /// Known, and refused whatever the keyspace; `COMMAND` does not name it.
    public static let refused = CommandFlags(rawValue: 512)

    /// Each flag with its Redis name.
    static let names: [(CommandFlags, StaticString)] = [
        (.write, "write"), (.readonly, "readonly"), (.denyOOM, "denyoom"), (.fast, "fast"),
        (.admin, "admin"), (.noAuth, "no_auth"), (.loading, "loading"), (.blocking, "blocking"),
        (.movableKeys, "movablekeys"),
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
    static let two = KeyPositions(first: 1, last: 2, step: 1)
    static let second = KeyPositions(first: 2, last: 2, step: 1)
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
    public enum Group: Sendable {
        case connection, server, string, set, hash, sortedSet, list, generic, transactions
        case cluster, quorate
    }

    public let name: CommandName
    /// The name in lower case.
    public let text: StaticString
    /// Arguments without consistency options, the name included; negative for at least so many.
    public let arity: Int
    public let flags: CommandFlags
    public let keys: KeyPositions
    /// Which consistency options may end a request of this command; nil for none.
    ///
    /// The rule: a command takes them when they cannot be mistaken for anything else. They follow a
    /// fixed number of arguments (`HGET key field R 1`), or stand among other options (`ZRANGE key
    /// 0 9 REV R 1`). A command whose last arguments are any number of keys, members or fields
    /// takes none, because `SADD key a R 1` adds three members: there the connection's defaults
    /// (`CONSISTENCY`) and the keyspace's serve.
    public var consistency: ConsistencyScope?
    public let group: Group
    /// One line for people.
    public let summary: StaticString
}

extension CommandDescription {
    /// Whether it deals with typed values only.
    var isTyped: Bool { [.set, .hash, .sortedSet, .list].contains(group) }

    /// The arity that requests are held to: with consistency options, at least `arity`.
    var acceptedArity: Int { arity > 0 && consistency != nil ? -arity : arity }

    /// Whether a request may have so many arguments, its name included.
    public func accepts(count: Int) -> Bool {
        acceptedArity < 0 ? count >= -acceptedArity : count == acceptedArity
    }

    /// The indices of a request's keys, counted from its name; none where the request is wrong
    /// about them.
    ///
    /// - Parameters:
    ///   - arguments: hold a request of this command.
    ///   - start: index of the command's name.
    public func keyIndices(
        in arguments: borrowing Arguments, from start: Int = 0
    ) -> StrideThrough<Int> {
        let count = arguments.count - start
        guard flags.contains(.movableKeys) else { return keys.indices(count: count) }
        guard count > 2, let keyCount = Int64(decimal: arguments[start + 1]), keyCount > 0,
            keyCount <= count - 2
        else { return KeyPositions.none.indices(count: count) }
        return stride(from: 2, through: 1 + Int(keyCount), by: 1)
    }
}
