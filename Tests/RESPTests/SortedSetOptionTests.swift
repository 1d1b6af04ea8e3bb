import Testing

@testable import RESP

@Suite("Options of sorted sets")
struct SortedSetOptionTests {
    func add(_ tail: String) -> Result<SortedSetAddOptions, CommandError> {
        parse("ZADD k " + tail) { arguments throws(CommandError) in
            try SortedSetAddOptions(arguments)
        }
    }

    @Test("ZADD's options stand before the members")
    func added() throws {
        let plain = try add("1 a 2 b").get()
        #expect(plain.count == 2 && plain.score(1) == 4 && plain.member(1) == 5)
        let all = try add("XX GT CH INCR 1 a").get()
        #expect(all.conditions == [.present, .greater] && all.countsChanged && all.isIncrement)
        #expect(all.count == 1 && all.score(0) == 6 && all.member(0) == 7)
        #expect(try add("nx 1 a").get().conditions == .absent)
        #expect(try add("1 NX").get().conditions == [])
        #expect(try add("lt 1 W").get().conditions == .less)
    }

    @Test(
        "ZADD's contradictions",
        arguments: [
            ("NX 1", CommandError.syntax), ("NX XX 1", .syntax), ("1 a 2", .syntax),
            ("CH NX", .syntax), ("NX XX 1 a", .option(.presentBesideAbsent)),
            ("NX GT 1 a", .option(.comparisonsBesideAbsent)),
            ("LT NX 1 a", .option(.comparisonsBesideAbsent)),
            ("GT LT 1 a", .option(.comparisonsBesideAbsent)),
            ("INCR 1 a 2 b", .option(.severalIncrements)),
        ])
    func contradictions(_ tail: String, _ error: CommandError) {
        #expect(add(tail) == .failure(error))
    }

    func range(_ line: String) -> Result<SortedSetRange, CommandError> {
        parse(line) { arguments throws(CommandError) in
            try SortedSetRange(arguments, try CommandName(arguments))
        }
    }

    @Test("Ranges of ranks")
    func ranks() throws {
        let plain = try range("ZRANGE z 0 -1").get()
        #expect(plain.selection == .ranks(IndexRange(first: 0, last: -1)))
        #expect(!plain.options.isReversed && !plain.options.hasScores)
        let both = try range("ZRANGE z 0 1 withscores REV R 1").get()
        #expect(both.options.isReversed && both.options.hasScores)
        #expect(both.options.consistency.r == .count(1))
        #expect(try range("ZREVRANGE z 0 1 WITHSCORES").get().options.isReversed)
    }

    @Test(
        "Ranges of scores: the lower end comes second where the order is reversed",
        arguments: [
            ("ZRANGEBYSCORE z (1.5 +inf LIMIT 2 3", false), ("ZCOUNT z (1.5 inf R 1", false),
            ("ZRANGE z (1.5 inf BYSCORE", false), ("ZREVRANGEBYSCORE z Infinity (1.5", true),
            ("ZRANGE z inf (1.5 BYSCORE REV", true), ("ZRANGE z inf (1.5 REV BYSCORE", true),
        ])
    func scores(_ line: String, _ isReversed: Bool) throws {
        let found = try range(line).get()
        #expect(found.options.isReversed == isReversed)
        guard case .scores(let low, let high) = found.selection else {
            Issue.record("a range of scores")
            return
        }
        #expect(low.score == 1.5 && low.isExclusive && low.index == (isReversed ? 3 : 2))
        #expect(high.score == .infinity && !high.isExclusive)
    }

    @Test("Ranges of words")
    func words() throws {
        #expect(
            try range("ZRANGE z [a (b BYLEX").get().selection
                == .words(
                    low: .word(index: 2, isExclusive: false),
                    high: .word(index: 3, isExclusive: true)))
        #expect(
            try range("ZRANGE z + - BYLEX REV").get().selection
                == .words(low: .lowest, high: .highest))
        #expect(
            try range("ZRANGE z [ ( BYLEX").get().selection
                == .words(
                    low: .word(index: 2, isExclusive: false),
                    high: .word(index: 3, isExclusive: true)))
    }

    @Test("A limit leaves out the first; below 0 it means none at all, or no limit")
    func limits() throws {
        func limit(_ tail: String) throws -> [Int] {
            let options = try range("ZRANGEBYSCORE z 0 1 LIMIT " + tail).get().options
            return [options.offset, options.limit]
        }
        #expect(try limit("2 3") == [2, 3])
        #expect(try limit("2 -1") == [2, .max])
        #expect(try limit("-1 3") == [0, 0])
        #expect(try range("ZRANGE z 0 1").get().options.limit == .max)
        for line in ["ZRANGE z 0 1 LIMIT 1 -1", "ZRANGE z 0 1 LIMIT -1 -1 REV"] {
            let ranks = try range(line).get().options
            #expect(ranks.offset == 0 && ranks.limit == .max, "of ranks it means nothing")
        }
    }

    @Test(
        "What Redis refuses of ranges",
        arguments: [
            ("ZRANGE z x 1", CommandError.notAnInteger),
            ("ZRANGE z 0 1 LIMIT 0 1", .option(.limitOfRanks)),
            ("ZREVRANGE z 0 1 LIMIT 0 1", .option(.limitOfRanks)),
            ("ZRANGE z 0 1 LIMIT 0", .syntax), ("ZRANGE z 0 1 LIMIT x 1 BYSCORE", .notAnInteger),
            ("ZRANGE z 0 1 FOO", .syntax), ("ZRANGE z BYSCORE 1 2", .syntax),
            ("ZRANGE z [a [b BYLEX WITHSCORES", .option(.scoresOfWords)),
            ("ZRANGE z x [b BYLEX", .option(.wordBound)),
            ("ZRANGE z -a +b BYLEX", .option(.wordBound)),
            ("ZRANGE z x 1 BYSCORE", .option(.scoreBound)),
            ("ZRANGE z (1 nan BYSCORE", .option(.scoreBound)),
            ("ZRANGE z 0 1 BYSCORE BYLEX", .syntax), ("ZRANGE z 0 1 REV REV", .syntax),
            ("ZREVRANGE z 0 1 REV", .syntax), ("ZREVRANGE z 0 1 BYSCORE", .syntax),
            ("ZRANGEBYSCORE z 0 1 BYLEX", .syntax), ("ZREVRANGEBYSCORE z 1 0 REV", .syntax),
            ("ZCOUNT z x 1", .option(.scoreBound)), ("ZCOUNT z 1 x", .option(.scoreBound)),
            ("ZCOUNT z 1 2 WITHSCORES", .wrongArgumentCount(.zcount)),
            ("ZCOUNT z 1 2 LIMIT 0 1", .wrongArgumentCount(.zcount)),
        ])
    func refused(_ line: String, _ error: CommandError) {
        #expect(range(line) == .failure(error))
    }

    @Test(
        "Scores",
        arguments: [
            ("1", 1.0), ("-1.5", -1.5), ("+2", 2), ("1e3", 1000), ("1E-2", 0.01), (".5", 0.5),
            ("inf", .infinity), ("+INF", .infinity), ("-Infinity", -.infinity),
            ("17976931348623157e292", .greatestFiniteMagnitude), ("5.", 5),
        ])
    func score(_ text: String, _ value: Double) {
        #expect(Array(text.utf8).withUnsafeBytes { Double(score: $0) } == value)
    }

    @Test(
        "What is no score",
        arguments: [
            "", "x", "nan", "-nan", "1e400", "1 ", " 1", "1x", "--1", "e", "+", "infi", "-+inf",
            "1e",
            "1e-400", "1\0", String(repeating: "1", count: 129), "é", "1,5",
        ])
    func noScore(_ text: String) {
        #expect(Array(text.utf8).withUnsafeBytes { Double(score: $0) } == nil)
        let reply = withArguments("x", text) { arguments in
            do throws(CommandError) {
                return try arguments.score(1).description
            } catch {
                return refusal(error, arguments)
            }
        }
        #expect(reply == "-ERR value is not a valid float\r\n")
    }
}
