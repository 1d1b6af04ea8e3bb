import Coding

/// The arguments of `SCAN`.
public struct ScanOptions: Equatable, Sendable {
    /// Where to go on, 0 to begin.
    public var cursor: UInt64
    /// Index of the pattern, for `Glob`.
    public var pattern: Int?
    /// How many keys to look at, at least 1.
    public var count = 10
    /// Index of the type's name.
    public var type: Int?

    /// - Throws: `invalidCursor`, `syntax` for unknown options or a count below 1, `notAnInteger`,
    ///   `patternTooLong`.
    public init(_ arguments: borrowing Arguments) throws(CommandError) {
        guard let cursor = UInt64(decimal: arguments[1]) else { throw .invalidCursor }
        self.cursor = cursor
        var index = 2
        while index < arguments.count {
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
            } else if arguments.matches(index, "TYPE") {
                type = index + 1
            } else {
                throw .syntax
            }
            index += 2
        }
    }
}
