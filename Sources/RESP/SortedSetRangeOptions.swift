/// What follows the two ends of a range of a sorted set.
public struct SortedSetRangeOptions: Equatable, Sendable {
    /// What the two ends are.
    public enum Order: Sendable { case ranks, scores, words }

    public var order = Order.ranks
    /// Whether the answer begins with the highest, as then the range does.
    public var isReversed = false
    /// How many members of the range to leave out first; not for ranks.
    public var offset = 0
    /// How many members to answer at most, at least 0; not for ranks.
    public var limit = Int.max
    private var hasLimit = false
    /// Whether the scores are asked for as well.
    public var hasScores = false
    public var consistency = ConsistencyOptions.none

    /// - Throws: `syntax`, `wrongArgumentCount`, `notAnInteger`, `OptionRefusal.limitOfRanks`,
    ///   `scoresOfWords`, and what `ConsistencyOptions` throws.
    init(_ arguments: borrowing Arguments, _ name: CommandName) throws(CommandError) {
        isReversed = name == .zrevrange || name == .zrevrangebyscore
        let isByScore = name == .zrangebyscore || name == .zrevrangebyscore
        if isByScore || name == .zcount { order = .scores }
        var index = 4
        while index < arguments.count {
            if try consistency.take(arguments, &index, .read) { continue }
            guard name != .zcount else { throw .wrongArgumentCount(name) }
            if arguments.matches(index, "LIMIT") {
                try takeLimit(arguments, &index)
            } else {
                try takeWord(arguments, index, name)
                index += 1
            }
        }
        if order == .ranks {
            guard !hasLimit else { throw .option(.limitOfRanks) }
            // Without a number of members Redis does not look at the offset either.
            (offset, limit) = (0, .max)
        }
        guard order != .words || !hasScores else { throw .option(.scoresOfWords) }
    }

    private mutating func takeLimit(
        _ arguments: borrowing Arguments, _ index: inout Int
    ) throws(CommandError) {
        guard index + 2 < arguments.count else { throw .syntax }
        let first = try arguments.integer(index + 1)
        let count = try arguments.integer(index + 2)
        offset = Int(max(first, 0))
        limit = first < 0 ? 0 : count < 0 ? .max : Int(count)
        hasLimit = count != -1
        index += 3
    }

    private mutating func takeWord(
        _ arguments: borrowing Arguments, _ index: Int, _ name: CommandName
    ) throws(CommandError) {
        if arguments.matches(index, "WITHSCORES") {
            hasScores = true
        } else if name == .zrange, arguments.matches(index, "REV"), !isReversed {
            isReversed = true
        } else if name == .zrange, arguments.matches(index, "BYSCORE"), order == .ranks {
            order = .scores
        } else if name == .zrange, arguments.matches(index, "BYLEX"), order == .ranks {
            order = .words
        } else {
            throw .syntax
        }
    }
}
