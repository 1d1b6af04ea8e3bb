import Coding

/// When a written value expires.
public enum Expiry: Equatable, Sendable {
    /// Never, or when the keyspace's default says.
    case unset
    /// When the value before it did.
    case keep
    /// So many milliseconds from now, at least 1.
    case after(milliseconds: UInt64)
    /// At a wall-clock time in milliseconds since 1970, at least 1; possibly in the past.
    case at(milliseconds: UInt64)

    /// The latest time there is, as in Redis.
    public static let millisecondsMax = UInt64(Int64.max)

    /// One of the options that give a time: `EX`, `PX`, `EXAT`, `PXAT`.
    enum Unit { case seconds, milliseconds, secondsAt, millisecondsAt }

    /// When a value that is written now expires: milliseconds since 1970; nil for `unset` and
    /// `keep`.
    ///
    /// - Parameter now: wall-clock milliseconds since 1970.
    /// - Throws: `invalidExpireTime` for what is later than `millisecondsMax`.
    public func time(now: UInt64, of name: CommandName) throws(CommandError) -> UInt64? {
        switch self {
        case .unset, .keep: return nil
        case .at(let milliseconds): return milliseconds
        case .after(let milliseconds):
            guard now <= Expiry.millisecondsMax,
                milliseconds <= Expiry.millisecondsMax - now
            else { throw .invalidExpireTime(name) }
            return now + milliseconds
        }
    }

    /// - Throws: `notAnInteger`, or `invalidExpireTime` for zero, less, or more than
    ///   `millisecondsMax`.
    init(_ arguments: borrowing Arguments, _ index: Int, _ unit: Unit, of name: CommandName)
        throws(CommandError)
    {
        let amount = try arguments.integer(index)
        let scale: Int64 = unit == .seconds || unit == .secondsAt ? 1000 : 1
        guard amount > 0, amount <= Int64(Expiry.millisecondsMax) / scale else {
            throw .invalidExpireTime(name)
        }
        let milliseconds = UInt64(amount * scale)
        self =
            unit == .seconds || unit == .milliseconds
            ? .after(milliseconds: milliseconds) : .at(milliseconds: milliseconds)
    }
}

extension Expiry.Unit {
    /// The unit that an option names, nil when it is another option.
    init?(_ arguments: borrowing Arguments, _ index: Int) {
        if arguments.matches(index, "EX") {
            self = .seconds
        } else if arguments.matches(index, "PX") {
            self = .milliseconds
        } else if arguments.matches(index, "EXAT") {
            self = .secondsAt
        } else if arguments.matches(index, "PXAT") {
            self = .millisecondsAt
        } else {
            return nil
        }
    }
}
