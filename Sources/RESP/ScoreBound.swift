/// One end of a range of scores: `1.5`, `(1.5`, `-inf`, `+inf`.
public struct ScoreBound: Equatable, Sendable {
    /// Infinite for `inf` and its like, never NaN.
    public var score: Double
    /// Whether the score itself lies outside of the range.
    public var isExclusive: Bool
    /// Index of the argument, in which the number follows the `(` of an exclusive bound.
    public var index: Int

    /// - Throws: `OptionRefusal.scoreBound`.
    public init(_ arguments: borrowing Arguments, _ index: Int) throws(CommandError) {
        let argument = arguments[index]
        isExclusive = argument.first == UInt8(ascii: "(")
        let number = UnsafeRawBufferPointer(rebasing: argument.dropFirst(isExclusive ? 1 : 0))
        guard let score = Double(scoreBound: number) else { throw .option(.scoreBound) }
        self.score = score
        self.index = index
    }
}
