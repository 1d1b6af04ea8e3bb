import Base
import Coding
import Testing

@testable import RESP

@Suite("Typed commands with any arguments")
struct TypedFuzzTests {
    static let words = [
        "", "k", "0", "1", "-1", "2", "9223372036854775807", "-9223372036854775808",
        "9223372036854775808", "-9223372036854775807", "1.5", "(1.5", "(", "[", "[a", "(inf",
        "-inf", "+", "-", "nan", "NX", "XX", "GT", "LT", "CH", "INCR", "DECR", "GET", "CREATE",
        "RIGHTS", "GRANT", "NODE", "MIN", "BYSCORE", "BYLEX", "REV", "LIMIT", "WITHSCORES",
        "WITHVALUES", "RANK", "COUNT", "MAXLEN", "MATCH", "TYPE", "BEFORE", "AFTER", "ENABLE",
        "DISABLE", "R", "W", "PR", "DW", "TIMEOUT", "ALL", "65536", "\u{0}", "é",
    ]

    /// Runs each parser of typed options, whichever command it is for, when its command asks.
    static func parse(_ arguments: borrowing Arguments) throws(CommandError) {
        let name = try CommandName(arguments)
        let description = CommandTable.description(of: name)
        for index in description.keyIndices(in: arguments) {
            precondition(index < arguments.count, "keys are arguments")
        }
        switch name {
        case .incr, .decr, .incrby, .decrby, .incrbyfloat, .hincrby, .hincrbyfloat, .zincrby:
            let options = try CounterOptions(arguments, name)
            if case .decimal(let index) = options.amount { _ = try arguments.score(index) }
        case .spop, .lpop, .rpop, .zpopmin, .zpopmax: _ = try PopOptions(arguments, name)
        case .srandmember, .hrandfield: _ = try RandomOptions(arguments, name)
        case .sintercard:
            let keys = try IntersectionOptions(arguments).keys
            precondition(Array(keys) == Array(description.keyIndices(in: arguments)))
        case .sscan, .hscan, .zscan: _ = try ScanOptions(arguments, name)
        case .hset, .hmset:
            let pairs = try HashPairs(arguments, name)
            precondition(pairs.value(pairs.count - 1) == arguments.count - 1)
        case .zadd:
            let options = try SortedSetAddOptions(arguments)
            precondition(options.member(options.count - 1) == arguments.count - 1)
            for pair in 0..<options.count { _ = try arguments.score(options.score(pair)) }
        case .zrange, .zrevrange, .zrangebyscore, .zrevrangebyscore, .zcount:
            let range = try SortedSetRange(arguments, name)
            precondition(range.options.offset >= 0 && range.options.limit >= 0)
            if case .ranks(let ranks) = range.selection { check(ranks) }
        case .lrange, .ltrim: check(try IndexRange(arguments, at: 2))
        case .linsert: _ = try ListInsertOptions(arguments)
        case .lrem:
            let options = try ListRemoveOptions(arguments)
            precondition(options.limit > 0)
        case .lpos:
            let options = try ListSearchOptions(arguments)
            precondition(options.rank > 0)
        case .qflag: _ = try FlagOptions(arguments)
        case .qbound: _ = try BoundedCounterOptions(arguments)
        default:
            if description.arity > 0 {
                _ = try ConsistencyOptions(following: arguments, of: name)
            }
        }
    }

    static func check(_ range: IndexRange) {
        for count in [0, 1, 5, Int.max] {
            let positions = range.positions(of: count)
            precondition(positions.lowerBound >= 0 && positions.upperBound <= count)
        }
    }

    @Test("No arguments trap, and each refusal is one line")
    func random() {
        var random = PRNG(seed: 3)
        let memory = GuardedBytes()
        var arguments = Arguments()
        var (accepted, refused) = (0, 0)
        for round in 0..<60_000 {
            let description = CommandTable.ordered[round % CommandTable.ordered.count]
            var request = [Array("\(description.text)".utf8)]
            for _ in 0..<abs(description.arity) - 1 + random.below(6) {
                request.append(Array(Self.words[random.below(Self.words.count)].utf8))
            }
            var progress = ParseProgress()
            let bytes = memory.place(encoded(request)[...])
            _ = RequestParser().parse(bytes, &progress, into: &arguments)
            do throws(CommandError) {
                try Self.parse(arguments)
                accepted += 1
            } catch {
                refused += 1
                let text = refusal(error, arguments)
                if !text.hasPrefix("-") || text.utf8.filter({ $0 == 10 }).count != 1 {
                    Issue.record("\(text)")
                }
            }
        }
        #expect(accepted > 5_000 && refused > 5_000)
    }

    @Test(
        "Refusals of values are worded as Redis words them",
        arguments: [
            (
                ValueRefusal.wrongType,
                "WRONGTYPE Operation against a key holding the wrong kind of value"
            ),
            (.noSuchKey, "ERR no such key"), (.indexOutOfRange, "ERR index out of range"),
            (.notAFloat, "ERR value is not a valid float"),
            (.hashValueNotAnInteger, "ERR hash value is not an integer"),
            (.hashValueNotAFloat, "ERR hash value is not a float"),
            (.overflow, "ERR increment or decrement would overflow"),
            (.decrementOverflow, "ERR decrement would overflow"),
            (.incrementNotFinite, "ERR increment would produce NaN or Infinity"),
            (.notFinite, "ERR value is NaN or Infinity"),
            (.scoreNotANumber, "ERR resulting score is not a number (NaN)"),
            (.outOfRange, "ERR value is out of range"),
            (
                .countOutOfRange,
                "ERR value is out of range, value must between "
                    + "-9223372036854775807 and 9223372036854775807"
            ),
            (.notPositive, "ERR value is out of range, must be positive"),
        ])
    func values(_ error: ValueRefusal, _ text: String) {
        let written = withArguments("x") { arguments in refusal(.value(error), arguments) }
        #expect(written == "-\(text)\r\n")
    }

    @Test(
        "Refusals of options are worded as Redis words them",
        arguments: [
            (OptionRefusal.scoreBound, "ERR min or max is not a float"),
            (.wordBound, "ERR min or max not valid string range item"),
            (.noKeys, "ERR numkeys should be greater than 0"),
            (.tooManyKeys, "ERR Number of keys can't be greater than number of args"),
            (.negativeLimit, "ERR LIMIT can't be negative"),
            (.negativeCount, "ERR COUNT can't be negative"),
            (.negativeMaxLength, "ERR MAXLEN can't be negative"),
            (
                .zeroRank,
                "ERR RANK can't be zero: use 1 to start from the first match, 2 from the "
                    + "second ... or use negative to start from the end of the list"
            ),
            (.presentBesideAbsent, "ERR XX and NX options at the same time are not compatible"),
            (
                .comparisonsBesideAbsent,
                "ERR GT, LT, and/or NX options at the same time are not compatible"
            ),
            (.severalIncrements, "ERR INCR option supports a single increment-element pair"),
            (
                .limitOfRanks,
                "ERR syntax error, LIMIT is only supported in combination with either "
                    + "BYSCORE or BYLEX"
            ),
            (
                .scoresOfWords,
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX"
            ),
        ])
    func options(_ error: OptionRefusal, _ text: String) {
        let written = withArguments("x") { arguments in refusal(.option(error), arguments) }
        #expect(written == "-\(text)\r\n")
    }
}
