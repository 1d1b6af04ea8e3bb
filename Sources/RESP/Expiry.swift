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

    /// What the options of a command say so far. As in Redis one may be repeated, and the last one
    /// counts; two different ones contradict each other; times are looked at behind all options.
    struct Words {
        /// `PERSIST` or `KEEPTTL`.
        fileprivate var hasWord = false
        fileprivate var time: (unit: Unit, index: Int)?
    }

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

    /// - Parameter word: what `PERSIST` or `KEEPTTL` means; nil where nothing was said.
    /// - Throws: as the initializer for one time.
    static func said(
        _ words: Words, _ arguments: borrowing Arguments, of name: CommandName, word: Expiry
    ) throws(CommandError) -> Expiry? {
        guard let time = words.time else { return words.hasWord ? word : nil }
        return try Expiry(arguments, time.index, time.unit, of: name)
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

extension Expiry.Words {
    /// Takes one option if there is one at `index`, and moves behind it.
    ///
    /// - Parameter word: `PERSIST` or `KEEPTTL`.
    /// - Returns: whether there was one.
    /// - Throws: `syntax` for one that contradicts another, or a missing time.
    mutating func take(
        _ arguments: borrowing Arguments, _ index: inout Int, word: StaticString?
    ) throws(CommandError) -> Bool {
        if let unit = Expiry.Unit(arguments, index) {
            guard !hasWord, time == nil || time?.unit == unit, index + 1 < arguments.count else {
                throw .syntax
            }
            time = (unit, index + 1)
            index += 2
        } else if let word, arguments.matches(index, word) {
            guard time == nil else { throw .syntax }
            hasWord = true
            index += 1
        } else {
            return false
        }
        return true
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
