/// One end of a range of words, which is what Redis calls lexicographical: `[a`, `(a`, `-`, `+`.
public enum WordBound: Equatable, Sendable {
    /// `-`: before every word.
    case lowest
    /// `+`: behind every word.
    case highest
    /// Index of an argument, in which the word follows one byte; whether the word itself lies
    /// outside of the range.
    case word(index: Int, isExclusive: Bool)

    /// - Throws: `OptionRefusal.wordBound`.
    public init(_ arguments: borrowing Arguments, _ index: Int) throws(CommandError) {
        let argument = arguments[index]
        switch argument.first {
        case UInt8(ascii: "["): self = .word(index: index, isExclusive: false)
        case UInt8(ascii: "("): self = .word(index: index, isExclusive: true)
        case UInt8(ascii: "-") where argument.count == 1: self = .lowest
        case UInt8(ascii: "+") where argument.count == 1: self = .highest
        default: throw .option(.wordBound)
        }
    }
}
