import Testing

@testable import RESP

private func options<Options: Sendable>(
    _ line: String,
    _ body: (borrowing Arguments, CommandName) throws(CommandError) -> Options
) -> Result<Options, CommandError> {
    parse(line) { arguments throws(CommandError) in
        try body(arguments, try CommandName(arguments))
    }
}

@Suite("Options of counters, flags and bounded counters")
struct CounterOptionsTests {
    func counter(_ line: String) -> Result<CounterOptions, CommandError> {
        options(line) { arguments, name throws(CommandError) in
            try CounterOptions(arguments, name)
        }
    }

    @Test(
        "Each command adds what it says",
        arguments: [
            ("INCR k", CounterOptions.Amount.integer(1)), ("DECR k", .integer(-1)),
            ("INCRBY k -5", .integer(-5)), ("DECRBY k 5", .integer(-5)),
            ("DECRBY k -9223372036854775807", .integer(.max)), ("HINCRBY k f 7", .integer(7)),
            ("INCRBYFLOAT k 1.5", .decimal(2)), ("HINCRBYFLOAT k f 1.5", .decimal(3)),
            ("ZINCRBY k 1.5 m", .decimal(2)),
        ])
    func amounts(_ line: String, _ amount: CounterOptions.Amount) throws {
        #expect(try counter(line).get().amount == amount)
        #expect(try counter(line).get().consistency.isNone)
        #expect(try counter(line + " W ALL R 1").get().consistency.w == .all)
        #expect(counter(line + " W ALL 1") == .failure(.syntax))
        guard case .failure(.wrongArgumentCount) = counter(line + " 1") else {
            Issue.record("what is no option is one argument too many")
            return
        }
    }

    @Test(
        "What is no amount is refused",
        arguments: [
            ("INCRBY k x", CommandError.notAnInteger), ("INCRBY k 1.5", .notAnInteger),
            ("HINCRBY k f 9223372036854775808", .notAnInteger),
            ("DECRBY k -9223372036854775808", .value(.decrementOverflow)),
            ("INCR k W 0", .invalidLevel),
        ])
    func refused(_ line: String, _ error: CommandError) {
        #expect(counter(line) == .failure(error))
    }

    @Test("QFLAG reads, enables and disables")
    func flag() throws {
        func flag(_ line: String) -> Result<FlagOptions, CommandError> {
            options(line) { arguments, _ throws(CommandError) in try FlagOptions(arguments) }
        }
        #expect(try flag("QFLAG k").get().change == nil)
        #expect(try flag("QFLAG k R 1").get().consistency.r == .count(1))
        #expect(try flag("QFLAG k enable").get().change == .enable)
        let disable = try flag("QFLAG k DISABLE DW 2").get()
        #expect(disable.change == .disable && disable.consistency.dw == .count(2))
        #expect(flag("QFLAG k W 1") == .failure(.optionOfWrites))
        #expect(flag("QFLAG k ON") == .failure(.option(.flagWord)))
        #expect(flag("QFLAG k ENABLE DISABLE") == .failure(.syntax))
    }

    func bounded(_ line: String) -> Result<BoundedCounterOptions, CommandError> {
        options(line) { arguments, _ throws(CommandError) in
            try BoundedCounterOptions(arguments)
        }
    }

    @Test(
        "QBOUND does what its second word says",
        arguments: [
            ("CREATE k 10", BoundedCounterOptions.Action.create(10, bound: 0)),
            ("create k -3 min -5", .create(-3, bound: -5)), ("GET k", .read), ("RIGHTS k", .rights),
            ("INCR k 4", .increment(4)), ("DECR k 0", .decrement(0)),
            ("GRANT k 4 NODE 65535", .grant(4, node: 65535)),
        ])
    func actions(_ tail: String, _ action: BoundedCounterOptions.Action) throws {
        #expect(try bounded("QBOUND " + tail).get().action == action)
        #expect(
            try bounded("QBOUND " + tail + " TIMEOUT 5").get()
                .consistency.timeoutMilliseconds == 5)
        #expect(bounded("QBOUND " + tail + " FOO") == .failure(.syntax))
    }

    @Test(
        "What QBOUND does not understand is refused",
        arguments: [
            ("", CommandError.wrongArgumentCount(.qbound)), ("FOO k", .unknownSubcommand(.qbound)),
            ("GET", .wrongArgumentCount(.qbound)), ("INCR k", .wrongArgumentCount(.qbound)),
            ("CREATE", .wrongArgumentCount(.qbound)), ("CREATE k", .wrongArgumentCount(.qbound)),
            ("INCR k x", .notAnInteger), ("INCR k -1", .value(.notPositive)),
            ("DECR k -1", .value(.notPositive)), ("CREATE k -1", .value(.outOfRange)),
            ("CREATE k 1 MIN 2", .value(.outOfRange)), ("CREATE k 1 MIN", .syntax),
            ("CREATE k 1 MIN x", .notAnInteger), ("GRANT k 1", .syntax),
            ("GRANT k 1 NODE", .syntax),
            ("GRANT k 1 NODE 65536", .value(.outOfRange)),
            ("GRANT k -1 NODE 1", .value(.notPositive)),
            ("GET k W 1", .optionOfWrites),
        ])
    func refusedBound(_ tail: String, _ error: CommandError) {
        #expect(bounded("QBOUND " + tail) == .failure(error))
    }
}

@Suite("Options of sets and hashes")
struct CollectionOptionsTests {
    func pop(_ line: String) -> Result<PopOptions, CommandError> {
        options(line) { arguments, name throws(CommandError) in try PopOptions(arguments, name) }
    }

    @Test("Popping takes a count", arguments: ["SPOP", "LPOP", "RPOP", "ZPOPMIN", "ZPOPMAX"])
    func pops(_ name: String) throws {
        #expect(try pop("\(name) k").get().count == nil)
        #expect(try pop("\(name) k 0").get().count == 0)
        let both = try pop("\(name) k 5 W 2").get()
        #expect(both.count == 5 && both.consistency.w == .count(2))
        let none = try pop("\(name) k W 2").get()
        #expect(none.count == nil && none.consistency.w == .count(2))
        for count in ["-1", "x", "9223372036854775808"] {
            #expect(pop("\(name) k \(count)") == .failure(.value(.notPositive)))
        }
        let isList = name == "LPOP" || name == "RPOP"
        let command = name == "LPOP" ? CommandName.lpop : .rpop
        #expect(
            pop("\(name) k 1 2")
                == .failure(isList ? .wrongArgumentCount(command) : .syntax))
        #expect(
            pop("\(name) k W 1 2")
                == .failure(isList ? .wrongArgumentCount(command) : .syntax))
    }

    func random(_ line: String) -> Result<RandomOptions, CommandError> {
        options(line) { arguments, name throws(CommandError) in
            try RandomOptions(arguments, name)
        }
    }

    @Test("A count below 0 may repeat", arguments: ["SRANDMEMBER", "HRANDFIELD"])
    func randoms(_ name: String) throws {
        #expect(try random("\(name) k").get().count == nil)
        let some = try random("\(name) k 3").get()
        #expect(some.count == 3 && !some.mayRepeat)
        let repeated = try random("\(name) k -3 R 1").get()
        #expect(repeated.count == 3 && repeated.mayRepeat)
        #expect(repeated.consistency.r == .count(1))
        #expect(random("\(name) k x") == .failure(.notAnInteger))
        #expect(random("\(name) k -9223372036854775808") == .failure(.value(.countOutOfRange)))
        #expect(random("\(name) k 1 2") == .failure(.syntax))
    }

    @Test("HRANDFIELD's values")
    func values() throws {
        #expect(try random("HRANDFIELD k 1 withvalues").get().hasValues)
        #expect(random("HRANDFIELD k WITHVALUES") == .failure(.notAnInteger))
        #expect(random("HRANDFIELD k 1 WITHVALUES x") == .failure(.syntax))
        #expect(random("HRANDFIELD k 1 FOO") == .failure(.syntax))
        #expect(random("SRANDMEMBER k 1 WITHVALUES") == .failure(.syntax))
        #expect(
            random("HRANDFIELD k -9223372036854775807 WITHVALUES")
                == .failure(.value(.outOfRange)))
    }

    @Test("SINTERCARD counts its keys")
    func intersection() throws {
        func intersection(_ line: String) -> Result<IntersectionOptions, CommandError> {
            options(line) { arguments, _ throws(CommandError) in
                try IntersectionOptions(arguments)
            }
        }
        #expect(try intersection("SINTERCARD 2 a b").get().keys == 2..<4)
        let limited = try intersection("SINTERCARD 1 LIMIT LIMIT 5 R ALL").get()
        #expect(limited.keys == 2..<3 && limited.limit == 5 && limited.consistency.r == .all)
        for count in ["0", "-1", "x"] {
            #expect(intersection("SINTERCARD \(count) a") == .failure(.option(.noKeys)))
        }
        #expect(intersection("SINTERCARD 2 a") == .failure(.option(.tooManyKeys)))
        #expect(intersection("SINTERCARD 1 a LIMIT -1") == .failure(.option(.negativeLimit)))
        #expect(intersection("SINTERCARD 1 a LIMIT x") == .failure(.option(.negativeLimit)))
        #expect(intersection("SINTERCARD 1 a LIMIT") == .failure(.syntax))
        #expect(intersection("SINTERCARD 1 a b") == .failure(.syntax))
        #expect(
            intersection("SINTERCARD 9223372036854775807 a")
                == .failure(.option(.tooManyKeys)))
    }

    @Test("Fields come with values")
    func pairs() throws {
        func pairs(_ line: String) -> Result<HashPairs, CommandError> {
            options(line) { arguments, name throws(CommandError) in
                try HashPairs(arguments, name)
            }
        }
        let two = try pairs("HSET k f 1 g 2").get()
        #expect(two.count == 2 && two.field(1) == 4 && two.value(1) == 5)
        #expect(pairs("HSET k f 1 g") == .failure(.wrongArgumentCount(.hset)))
        #expect(pairs("HMSET k f 1 g") == .failure(.wrongArgumentCount(.hmset)))
    }

    @Test("Cursors of members and fields follow the key", arguments: ["SSCAN", "HSCAN", "ZSCAN"])
    func scans(_ name: String) throws {
        func scan(_ line: String) -> Result<ScanOptions, CommandError> {
            options(line) { arguments, name throws(CommandError) in
                try ScanOptions(arguments, name)
            }
        }
        let all = try scan("\(name) k 7 MATCH a* COUNT 100 R 1").get()
        #expect(all.cursor == 7 && all.pattern == 4 && all.count == 100)
        #expect(all.consistency.r == .count(1))
        #expect(scan("\(name) k x") == .failure(.invalidCursor))
        #expect(scan("\(name) k 0 TYPE set") == .failure(.syntax))
        #expect(scan("\(name) k 0 COUNT 0") == .failure(.syntax))
        #expect(scan("\(name) k 0 MATCH") == .failure(.syntax))
        #expect(scan("SCAN 0 R 1") == .failure(.syntax))
    }
}
