import Coding

/// The arguments of `SCAN`, `SSCAN`, `HSCAN` and `ZSCAN`.
public struct ScanOptions: Equatable, Sendable {
    /// Where to go on, 0 to begin.
    public var cursor: UInt64
    /// Index of the pattern, for `Glob`.
    public var pattern: Int?
    /// How many keys, members or fields to look at, at least 1.
    public var count = 10
    /// Index of the type's name; `SCAN` only.
    public var type: Int?
    public var consistency = ConsistencyOptions.none

    /// - Parameter name: `scan`, or one whose cursor follows a key.
    /// - Throws: `invalidCursor`, `syntax` for unknown options or a count below 1, `notAnInteger`,
    ///   `patternTooLong`, and what `ConsistencyOptions` throws.
    public init(
        _ arguments: borrowing Arguments, _ name: CommandName = .scan
    ) throws(CommandError) {
        let start = name == .scan ? 1 : 2
        guard let cursor = UInt64(decimal: arguments[start]) else { throw .invalidCursor }
        self.cursor = cursor
        var index = start + 1
        while index < arguments.count {
            if name != .scan, try consistency.take(arguments, &index, .read) { continue }
            guard index + 1 < arguments.count else { throw .syntax }
            if arguments.matches(index, "MATCH") {
                guard arguments[index + 1].count <= Glob.patternBytesMax else {
                    throw .patternTooLong
                }
                pattern = index + 1
            } else if arguments.matches(index, "COUNT") {
                let value = try arguments.integer(index + 1)
                guard value >= 1 else { throw .syntax }
                count = Int(value)
            } else if name == .scan, arguments.matches(index, "TYPE") {
                type = index + 1
            } else {
                throw .syntax
            }
            index += 2
        }
    }
}
