/// The arguments of `ZRANGE`, `ZREVRANGE`, `ZRANGEBYSCORE`, `ZREVRANGEBYSCORE` and `ZCOUNT` behind
/// the key.
public struct SortedSetRange: Equatable, Sendable {
    /// Which members, in the set's own order, whatever the order of the answer.
    public enum Selection: Equatable, Sendable {
        /// Counted in the order of the answer, as the only one.
        case ranks(IndexRange)
        case scores(low: ScoreBound, high: ScoreBound)
        case words(low: WordBound, high: WordBound)
    }

    public var selection: Selection
    public var options: SortedSetRangeOptions

    /// - Parameter name: one of the commands above.
    /// - Throws: what `SortedSetRangeOptions` throws; `notAnInteger`, `OptionRefusal.scoreBound` or
    ///   `wordBound` for the ends.
    public init(_ arguments: borrowing Arguments, _ name: CommandName) throws(CommandError) {
        options = try SortedSetRangeOptions(arguments, name)
        let (low, high) = options.isReversed ? (3, 2) : (2, 3)
        switch options.order {
        case .ranks: selection = .ranks(try IndexRange(arguments, at: 2))
        case .scores:
            selection = .scores(
                low: try ScoreBound(arguments, low), high: try ScoreBound(arguments, high))
        case .words:
            selection = .words(
                low: try WordBound(arguments, low), high: try WordBound(arguments, high))
        }
    }
}
