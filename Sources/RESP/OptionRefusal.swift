/// Which options of a command contradict each other or hold no sense; Redis's words for those that
/// Redis has.
public enum OptionRefusal: Equatable, Sendable {
    /// A bound of a range of scores is no number.
    case scoreBound
    /// A bound of a range of words is none of `[word`, `(word`, `-`, `+`.
    case wordBound
    /// `SINTERCARD` of no key.
    case noKeys
    /// `SINTERCARD` of more keys than the request has.
    case tooManyKeys
    case negativeLimit
    case negativeCount
    case negativeMaxLength
    /// `LPOS` with RANK 0.
    case zeroRank
    /// `ZADD` with XX beside NX.
    case presentBesideAbsent
    /// `ZADD` with two of GT, LT and NX.
    case comparisonsBesideAbsent
    /// `ZADD` with INCR and several members.
    case severalIncrements
    /// `ZRANGE` with LIMIT on a range of ranks.
    case limitOfRanks
    /// `ZRANGE` with WITHSCORES on a range of words.
    case scoresOfWords
    /// What follows the key of `QFLAG` is none of its words.
    case flagWord
    /// What follows `CONSISTENCY` is none of its words.
    case consistencyWord
    /// What follows `SESSION ON` is no guarantee.
    case guarantee

    var text: StaticString {
        switch self {
        case .scoreBound: "ERR min or max is not a float"
        case .wordBound: "ERR min or max not valid string range item"
        case .noKeys: "ERR numkeys should be greater than 0"
        case .tooManyKeys: "ERR Number of keys can't be greater than number of args"
        case .negativeLimit: "ERR LIMIT can't be negative"
        case .negativeCount: "ERR COUNT can't be negative"
        case .negativeMaxLength: "ERR MAXLEN can't be negative"
        case .zeroRank:
            """
            ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
            or use negative to start from the end of the list
            """
        case .presentBesideAbsent:
            "ERR XX and NX options at the same time are not compatible"
        case .comparisonsBesideAbsent:
            "ERR GT, LT, and/or NX options at the same time are not compatible"
        case .severalIncrements: "ERR INCR option supports a single increment-element pair"
        case .limitOfRanks:
            """
            ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX
            """
        case .scoresOfWords:
            "ERR syntax error, WITHSCORES not supported in combination with BYLEX"
        case .flagWord: "ERR syntax error: QFLAG takes ENABLE, DISABLE or neither behind the key"
        case .consistencyWord:
            """
            ERR syntax error: CONSISTENCY takes R, PR, W, PW, DW, TIMEOUT and STALENESS, each once \
            and with a value, or RESET
            """
        case .guarantee:
            """
            ERR syntax error: SESSION ON takes READ-YOUR-WRITES, MONOTONIC-READS, \
            MONOTONIC-WRITES and WRITES-FOLLOW-READS, or nothing for all of them
            """
        }
    }
}
