import Base

/// The answers of an array's parts in the order of the parts, whatever order they come in.
///
/// What follows directly is kept together, so that the answers of a million keys are few pieces by
/// the time they leave: to hand on each alone would take longer than a turn.
struct OrderedAnswers {
    /// Bytes from which on a piece takes in no further answer.
    static let pieceBytesMin = 16_384

    /// The answers up to the first that is missing.
    private(set) var pieces: [[UInt8]] = []
    /// The part whose answer goes behind them.
    private var next = 0
    /// Answers of later parts.
    private var early = Table<Int, [UInt8]>()

    /// Takes the answer of a part that has not answered.
    mutating func add(_ answer: [UInt8], part: Int) {
        guard part == next else {
            early[part] = answer
            return
        }
        append(answer)
        guard !early.isEmpty else { return }
        while let answer = early[next] {
            early[next] = nil
            append(answer)
        }
    }

    private mutating func append(_ answer: [UInt8]) {
        next += 1
        if let last = pieces.indices.last, pieces[last].count < OrderedAnswers.pieceBytesMin,
            answer.count < OrderedAnswers.pieceBytesMin
        {
            pieces[last] += answer
        } else {
            pieces.append(answer)
        }
    }
}
