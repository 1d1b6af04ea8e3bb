import Coding

/// The arguments of `EXPIRE`, `PEXPIRE`, `EXPIREAT` and `PEXPIREAT` behind the key.
public struct ExpireOptions: Equatable, Sendable {
    /// Which present expiry lets itself be changed; all that are set must hold.
    public struct Conditions: OptionSet, Sendable {
        public let rawValue: UInt8

        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// NX: there is none.
        public static let absent = Conditions(rawValue: 1)
        /// XX: there is one.
        public static let present = Conditions(rawValue: 2)
        /// GT: the new one is later; no expiry counts as the latest.
        public static let later = Conditions(rawValue: 4)
        /// LT: the new one is earlier.
        public static let earlier = Conditions(rawValue: 8)
    }

    public var conditions: Conditions = []
    /// Since 1970; what lies in the past deletes the key.
    public var milliseconds: Int64

    /// - Parameters:
    ///   - name: `expire`, `pexpire`, `expireat` or `pexpireat`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Throws: `notAnInteger`, `invalidExpireTime` beyond `Expiry.millisecondsMax`,
    ///   `unsupportedOption`, `absentBesideOthers`, `greaterBesideLess`.
    public init(
        _ arguments: borrowing Arguments, _ name: CommandName, now: UInt64
    ) throws(CommandError) {
        milliseconds = 0
        for index in 3..<max(arguments.count, 3) { try take(arguments, index) }
        guard conditions == .absent || !conditions.contains(.absent) else {
            throw .absentBesideOthers
        }
        guard !conditions.isSuperset(of: [.later, .earlier]) else { throw .greaterBesideLess }
        let scale: Int64 = name == .expire || name == .expireat ? 1000 : 1
        let amount = try arguments.integer(2)
        let base = name == .expire || name == .pexpire ? Int64(clamping: now) : 0
        let (scaled, isTooLarge) = amount.multipliedReportingOverflow(by: scale)
        let (time, isTooLate) = scaled.addingReportingOverflow(base)
        guard !isTooLarge, !isTooLate else { throw .invalidExpireTime(name) }
        milliseconds = time
    }

    private mutating func take(
        _ arguments: borrowing Arguments, _ index: Int
    ) throws(CommandError) {
        if arguments.matches(index, "NX") {
            conditions.insert(.absent)
        } else if arguments.matches(index, "XX") {
            conditions.insert(.present)
        } else if arguments.matches(index, "GT") {
            conditions.insert(.later)
        } else if arguments.matches(index, "LT") {
            conditions.insert(.earlier)
        } else {
            throw .unsupportedOption(index)
        }
    }
}
