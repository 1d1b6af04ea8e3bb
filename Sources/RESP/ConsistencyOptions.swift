import Coding

/// How many replicas must take part.
public enum Level: Equatable, Sendable {
    /// So many, 1…255.
    case count(UInt8)
    /// A majority of the replicas.
    case quorum
    /// Every replica.
    case all
}

/// The consistency a request asks for; what is nil falls back to the connection's and then to the
/// keyspace's default.
///
/// Spelled behind a request's other arguments: `GET orders:42 R QUORUM TIMEOUT 50`, `SET orders:42
/// v W ALL DW 2`. The names are Riak's.
public struct ConsistencyOptions: Equatable, Sendable {
    /// Replicas that answer a read.
    public var r: Level?
    /// Replicas that acknowledge a write.
    public var w: Level?
    /// Primaries among those that answer a read.
    public var pr: Level?
    /// Primaries among those that acknowledge a write.
    public var pw: Level?
    /// Replicas that acknowledge a write from durable storage.
    public var dw: Level?
    /// Milliseconds until the answer is given up, at least 1.
    public var timeoutMilliseconds: UInt32?
    /// Ten minutes, as for a keyspace.
    static let timeoutMillisecondsMax: Int64 = 600_000
    /// How many milliseconds old what a read reflects may be, at least 1.
    public var stalenessMilliseconds: UInt32?

    /// Nothing is asked for.
    public private(set) var isNone = true

    @inlinable public init() {}

    @inlinable public static var none: ConsistencyOptions { ConsistencyOptions() }

    /// Levels without a time or a bound.
    public init(r: Level?, w: Level?, pr: Level?, pw: Level?, dw: Level?) {
        (self.r, self.w, self.pr, self.pw, self.dw) = (r, w, pr, pw, dw)
        isNone = [r, w, pr, pw, dw].allSatisfy { $0 == nil }
    }

    /// Parses the options of a command that has no others, such as `GET`.
    ///
    /// - Parameter start: index of the first option; at most the arguments' count.
    /// - Throws: what `take` throws, and `syntax` for anything else.
    @inlinable public init(
        _ arguments: borrowing Arguments, from start: Int, _ scope: ConsistencyScope
    ) throws(CommandError) {
        if arguments.count > start { try parseAll(arguments, from: start, scope) }
    }

    /// Parses the options of a command that has a fixed number of arguments before them.
    ///
    /// - Parameter name: the request's command; `CommandDescription.consistency` says which options
    ///   it takes.
    /// - Throws: `wrongArgumentCount` for more arguments that are no options, `syntax`,
    ///   `invalidLevel` or `invalidTimeout`.
    public init(
        following arguments: borrowing Arguments, of name: CommandName
    ) throws(CommandError) {
        let description = CommandTable.description(of: name)
        precondition(description.arity > 0, "the options' place is known")
        self.init()
        guard let scope = description.consistency, arguments.count > description.arity else {
            return
        }
        var index = description.arity
        guard try take(arguments, &index, scope) else { throw .wrongArgumentCount(name) }
        try parseAll(arguments, from: index, scope)
    }

    @usableFromInline mutating func parseAll(
        _ arguments: borrowing Arguments, from start: Int, _ scope: ConsistencyScope
    ) throws(CommandError) {
        var index = start
        while index < arguments.count {
            guard try take(arguments, &index, scope) else {
                throw scope == .connection ? .option(.consistencyWord) : .syntax
            }
        }
    }

    /// Whether an argument is the name of an option.
    static func isOption(_ arguments: borrowing Arguments, _ index: Int) -> Bool {
        let names: [StaticString] = ["R", "PR", "W", "PW", "DW", "TIMEOUT", "STALENESS"]
        return names.contains { arguments.matches(index, $0) }
    }
}

/// Which consistency options a command takes.
public enum ConsistencyScope: Sendable {
    /// R, PR, TIMEOUT and STALENESS.
    case read
    /// All but STALENESS, because a conditional write reads as well.
    case write
    /// All of them, as a connection's defaults.
    case connection
}

extension ConsistencyOptions {
    /// Takes one option and its value if there is one at `index`, and moves behind them.
    ///
    /// - Returns: whether there was one.
    /// - Throws: `syntax` for a second value; for a missing one or a wrong one `invalidLevel`,
    ///   `invalidTimeout` or `invalidStaleness`; `optionOfWrites`, `optionOfReads`.
    mutating func take(
        _ arguments: borrowing Arguments, _ index: inout Int, _ scope: ConsistencyScope
    ) throws(CommandError) -> Bool {
        if arguments.matches(index, "R") {
            try Self.takeLevel(arguments, &index, into: &r)
        } else if arguments.matches(index, "PR") {
            try Self.takeLevel(arguments, &index, into: &pr)
        } else if arguments.matches(index, "TIMEOUT") {
            try takeTimeout(arguments, &index)
        } else if arguments.matches(index, "STALENESS") {
            guard scope != .write else { throw .optionOfReads }
            try takeStaleness(arguments, &index)
        } else if arguments.matches(index, "W") {
            try Self.takeWriteLevel(arguments, &index, scope, into: &w)
        } else if arguments.matches(index, "PW") {
            try Self.takeWriteLevel(arguments, &index, scope, into: &pw)
        } else if arguments.matches(index, "DW") {
            try Self.takeWriteLevel(arguments, &index, scope, into: &dw)
        } else {
            return false
        }
        isNone = false
        return true
    }

    private static func takeWriteLevel(
        _ arguments: borrowing Arguments, _ index: inout Int, _ scope: ConsistencyScope,
        into level: inout Level?
    ) throws(CommandError) {
        guard scope != .read else { throw .optionOfWrites }
        try takeLevel(arguments, &index, into: &level)
    }

    private static func takeLevel(
        _ arguments: borrowing Arguments, _ index: inout Int, into level: inout Level?
    ) throws(CommandError) {
        guard level == nil else { throw .syntax }
        guard index + 1 < arguments.count else { throw .invalidLevel }
        level = try Level(arguments, index + 1)
        index += 2
    }

    private mutating func takeTimeout(
        _ arguments: borrowing Arguments, _ index: inout Int
    ) throws(CommandError) {
        guard timeoutMilliseconds == nil else { throw .syntax }
        guard index + 1 < arguments.count, let value = Int64(decimal: arguments[index + 1]),
            1...ConsistencyOptions.timeoutMillisecondsMax ~= value
        else { throw .invalidTimeout }
        timeoutMilliseconds = UInt32(value)
        index += 2
    }
}

extension ConsistencyOptions {
    /// `500`, `500ms` or `2s`, in whatever case.
    private mutating func takeStaleness(
        _ arguments: borrowing Arguments, _ index: inout Int
    ) throws(CommandError) {
        guard stalenessMilliseconds == nil else { throw .syntax }
        guard index + 1 < arguments.count else { throw .invalidStaleness }
        let text = arguments[index + 1]
        let digits = text.prefix { 48...57 ~= $0 }
        let unit = text[digits.endIndex...].map { $0 | 0x20 }
        let factor: Int64? =
            unit.isEmpty || unit == Array("ms".utf8)
            ? 1 : unit == Array("s".utf8) ? 1_000 : nil
        guard let factor, let value = Int64(decimal: UnsafeRawBufferPointer(rebasing: digits)),
            value > 0, let milliseconds = UInt32(exactly: value.multipliedClamped(by: factor))
        else { throw .invalidStaleness }
        stalenessMilliseconds = milliseconds
        index += 2
    }
}

extension Int64 {
    fileprivate func multipliedClamped(by factor: Int64) -> Int64 {
        let (product, isTooLarge) = multipliedReportingOverflow(by: factor)
        return isTooLarge ? .max : product
    }
}

extension Level {
    /// `ONE`, `QUORUM`, `ALL` or a number, in whatever case.
    ///
    /// - Throws: `invalidLevel`.
    public init(_ arguments: borrowing Arguments, _ index: Int) throws(CommandError) {
        if arguments.matches(index, "ONE") {
            self = .count(1)
        } else if arguments.matches(index, "QUORUM") {
            self = .quorum
        } else if arguments.matches(index, "ALL") {
            self = .all
        } else {
            guard let value = Int64(decimal: arguments[index]), value > 0,
                let count = UInt8(exactly: value)
            else { throw .invalidLevel }
            self = .count(count)
        }
    }
}
