import Coding

/// What follows the key and the element of `LPOS`.
public struct ListSearchOptions: Equatable, Sendable {
    /// Which match is the first to be told, at least 1.
    public var rank = 1
    /// Whether matches and comparisons are counted from the end.
    public var isFromEnd = false
    /// How many matches to tell, 0 for all; nil for one, which is then answered without an array.
    public var count: Int?
    /// How many elements to compare, 0 for all.
    public var comparisonsMax = 0
    public var consistency = ConsistencyOptions.none

    /// - Throws: `syntax`, `notAnInteger`, `ValueRefusal.countOutOfRange`,
    ///   `OptionRefusal.zeroRank`, `negativeCount` or `negativeMaxLength`, and what
    ///   `ConsistencyOptions` throws.
    public init(_ arguments: borrowing Arguments) throws(CommandError) {
        var index = 3
        while index < arguments.count {
            if try consistency.take(arguments, &index, .read) { continue }
            guard index + 1 < arguments.count else { throw .syntax }
            if arguments.matches(index, "RANK") {
                try takeRank(arguments, index + 1)
            } else if arguments.matches(index, "COUNT") {
                count = try arguments.count(index + 1, else: .negativeCount)
            } else if arguments.matches(index, "MAXLEN") {
                comparisonsMax = try arguments.count(index + 1, else: .negativeMaxLength)
            } else {
                throw .syntax
            }
            index += 2
        }
    }

    private mutating func takeRank(
        _ arguments: borrowing Arguments, _ index: Int
    ) throws(CommandError) {
        let value = try arguments.integer(index)
        guard value != 0 else { throw .option(.zeroRank) }
        guard value != .min else { throw .value(.countOutOfRange) }
        rank = Int(value.magnitude)
        isFromEnd = value < 0
    }
}

extension Arguments {
    /// An argument as a number of at least 0.
    func count(_ index: Int, else refusal: OptionRefusal) throws(CommandError) -> Int {
        guard let value = Int64(decimal: self[index]), value >= 0 else { throw .option(refusal) }
        return Int(value)
    }
}
