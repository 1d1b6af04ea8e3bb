import Base
import Coding

/// What several replicas' answers to one read add up to, and which replicas need repair.
public struct AnswerMerge: Equatable, Sendable {
    /// Where the sum of all answers stands.
    public enum Result: Equatable, Sendable {
        /// No replica has anything.
        case nothing
        /// It is this answer; the first of several that are equal.
        case answer(Int)
        /// It is none of the answers, but this record in the buffer.
        case merged(Range<Int>)
        /// It exceeds the limits of `SiblingSet`.
        case refused
    }

    public let result: Result
    /// Which answers, ascending, lack something that the sum has.
    public let stale: [Int]
    /// As in `RecordMerge`.
    public let droppedValues: Int

    /// Merges answers of one key, the same in whatever order they came.
    ///
    /// - Parameters:
    ///   - answers: one a replica; nil where the replica has nothing.
    ///   - buffer: takes the new record if there is one; must not hold any of the answers.
    public init(
        _ answers: [Record?], policy: ConflictPolicy, into buffer: inout ByteBuffer
    ) {
        if let newest = AnswerMerge.newestPlain(answers, policy) {
            self.init(.answer(newest), answers)
            return
        }
        var sum = SiblingSet()
        for answer in answers { if let answer { sum.join(SiblingSet(valid: answer)) } }
        let dropped = policy == .lww ? sum.keepNewest() : 0
        self.init(AnswerMerge.place(sum, among: answers, into: &buffer), answers, dropped)
    }

    private init(_ result: Result, _ answers: [Record?], _ droppedValues: Int = 0) {
        self.result = result
        self.droppedValues = droppedValues
        switch result {
        case .nothing, .refused: stale = []
        case .merged: stale = Array(answers.indices)
        case .answer(let index):
            stale = answers.indices.filter { other in
                guard let whole = answers[index], let part = answers[other] else { return true }
                return !whole.isEqual(to: part)
            }
        }
    }

    /// The answer that headers alone show to be the sum; nil when that takes the whole sets.
    private static func newestPlain(_ answers: [Record?], _ policy: ConflictPolicy) -> Int? {
        var newest: (index: Int, record: Record)?
        for (index, answer) in answers.enumerated() {
            guard let answer else { continue }
            guard let best = newest?.record else {
                if answer.isSiblingSet || answer.isLayered { return nil }
                newest = (index, answer)
                continue
            }
            let isOrdered = policy == .lww || answer.dot.identity == best.dot.identity
            guard isOrdered, !answer.isSiblingSet, !answer.isLayered else { return nil }
            if answer.supersedes(best) { newest = (index, answer) }
        }
        return newest?.index
    }

    private static func place(
        _ sum: SiblingSet, among answers: [Record?], into buffer: inout ByteBuffer
    ) -> Result {
        guard let key = answers.lazy.compactMap({ $0 }).first?.key else { return .nothing }
        guard sum.isWithinLimits else { return .refused }
        let start = buffer.count
        let range = sum.encodeRecord(key: key, into: &buffer)
        let encoded = buffer[range]
        let equal = answers.firstIndex { answer in
            guard let answer, answer.length == encoded.count else { return false }
            return answer.bytes.elementsEqual(encoded)
        }
        guard let equal else { return .merged(range) }
        buffer.truncate(to: start)
        return .answer(equal)
    }
}
