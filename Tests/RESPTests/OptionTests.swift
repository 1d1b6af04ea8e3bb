import Coding
import Testing

@testable import RESP

/// Parses the words of a request that are parted by blanks.
func parse<Options: Sendable>(
    _ line: String, _ body: (borrowing Arguments) throws(CommandError) -> Options
) -> Result<Options, CommandError> {
    let bytes = encoded(line.split(separator: " ").map { Array($0.utf8) })
    return bytes.withUnsafeBytes { bytes in
        var arguments = Arguments()
        var progress = ParseProgress()
        let outcome = RequestParser().parse(bytes, &progress, into: &arguments)
        precondition(outcome == .complete, "the line is a request")
        do throws(CommandError) {
            return .success(try body(arguments))
        } catch {
            return .failure(error)
        }
    }
}

@Suite("How stale a read may be")
struct StalenessOptionTests {
    func options(
        _ line: String, _ scope: ConsistencyScope = .read
    ) -> Result<ConsistencyOptions, CommandError> {
        parse(line) { arguments throws(CommandError) in
            try ConsistencyOptions(arguments, from: 2, scope)
        }
    }

    @Test(
        "milliseconds, with or without their unit, or seconds",
        arguments: [
            ("500", 500), ("500ms", 500), ("500MS", 500), ("2s", 2_000), ("2S", 2_000), ("1", 1),
            ("4294967295", UInt32.max), ("4294967s", 4_294_967_000),
        ])
    func times(text: String, milliseconds: UInt32) throws {
        #expect(try options("GET k STALENESS \(text)").get().stalenessMilliseconds == milliseconds)
        #expect(try options("GET k staleness \(text) TIMEOUT 5").get().timeoutMilliseconds == 5)
    }

    @Test(
        "anything else is no time",
        arguments: [
            "0", "0s", "-1", "s", "ms", "5m", "5 s", "500msx", "1.5s", "4294967296", "4294968s",
            "99999999999999999999", "9223372036854775807s",
        ])
    func none(text: String) {
        let wrong: CommandError = text.contains(" ") ? .syntax : .invalidStaleness
        #expect(options("GET k STALENESS \(text)") == .failure(wrong))
    }

    @Test("reads and connections take it, once; writes do not")
    func scopes() {
        #expect(options("GET k STALENESS 1 STALENESS 1") == .failure(.syntax))
        #expect(options("GET k STALENESS") == .failure(.invalidStaleness))
        #expect(options("SET k STALENESS 1", .write) == .failure(.optionOfReads))
        for name in ["W", "PW", "DW"] {
            #expect(options("GET k \(name) ALL") == .failure(.optionOfWrites))
        }
        #expect((try? options("CONSISTENCY x STALENESS 1 W 2", .connection).get().w) == .count(2))
    }
}

@Suite("Options of SET and its like")
struct SetOptionsTests {
    func options(_ line: String) -> Result<SetOptions, CommandError> {
        parse(line) { arguments throws(CommandError) in
            try SetOptions(arguments, try CommandName(arguments))
        }
    }

    @Test("Plain")
    func plain() {
        #expect(options("SET k v") == .success(SetOptions()))
        #expect(options("QSET k v") == .success(SetOptions()))
    }

    @Test("Each option, in whatever case and order")
    func each() throws {
        #expect(try options("SET k v NX").get().condition == .ifAbsent)
        #expect(try options("SET k v xx").get().condition == .ifPresent)
        #expect(try options("SET k v nx nx").get().condition == .ifAbsent)
        #expect(try options("SET k v GET").get().returnsPrevious)
        #expect(try options("SET k v EX 10").get().expiry == .after(milliseconds: 10_000))
        #expect(try options("SET k v px 10").get().expiry == .after(milliseconds: 10))
        #expect(try options("SET k v EXAT 10").get().expiry == .at(milliseconds: 10_000))
        #expect(try options("SET k v PXAT 10").get().expiry == .at(milliseconds: 10))
        #expect(try options("SET k v KEEPTTL").get().expiry == .keep)
        let all = try options("SET k v W ALL GET EX 1 DW 2 NX TIMEOUT 50").get()
        #expect(all.condition == .ifAbsent && all.returnsPrevious)
        #expect(all.expiry == .after(milliseconds: 1000))
        #expect(all.consistency.w == .all && all.consistency.dw == .count(2))
        #expect(all.consistency.timeoutMilliseconds == 50)
    }

    @Test("The older commands are SET with an option")
    func relatives() throws {
        let setex = try options("SETEX k 5 v").get()
        #expect(setex.expiry == .after(milliseconds: 5000) && setex.value == 3)
        #expect(try options("PSETEX k 5 v").get().expiry == .after(milliseconds: 5))
        #expect(try options("SETNX k v").get().condition == .ifAbsent)
        #expect(try options("GETSET k v").get().returnsPrevious)
        #expect(options("SETEX k 0 v") == .failure(.invalidExpireTime(.setex)))
        #expect(options("PSETEX k x v") == .failure(.notAnInteger))
    }

    @Test(
        "Contradictions and foreign words are syntax errors",
        arguments: [
            "NX XX", "XX NX", "EX 1 PX 1", "EX 1 KEEPTTL", "KEEPTTL EX 1", "EX 1 EX 2 PX 1", "EX",
            "FOO",
            "N", "NXX", "PX", "EXAT", "R 1 R 1", "CONTEXT t", "42",
        ])
    func syntax(_ tail: String) {
        #expect(options("SET k v " + tail) == .failure(.syntax))
    }

    @Test(
        "Times that are none",
        arguments: [
            ("EX 0", CommandError.invalidExpireTime(.set)), ("EX -1", .invalidExpireTime(.set)),
            ("PX 0", .invalidExpireTime(.set)),
            ("EX 9223372036854775807", .invalidExpireTime(.set)),
            ("EX 9223372036854776", .invalidExpireTime(.set)), ("EXAT 0", .invalidExpireTime(.set)),
            ("EXAT 9223372036854776", .invalidExpireTime(.set)), ("EX 1.5", .notAnInteger),
            ("EX x", .notAnInteger), ("EX 9223372036854775808", .notAnInteger),
            ("PX +1", .notAnInteger),
        ])
    func times(_ tail: String, _ error: CommandError) {
        #expect(options("SET k v " + tail) == .failure(error))
    }

    @Test("The latest time there is")
    func latest() throws {
        let last = Expiry.millisecondsMax
        #expect(try options("SET k v PXAT \(last)").get().expiry == .at(milliseconds: last))
        let relative = try options("SET k v PX \(last - 5)").get().expiry
        #expect(try relative.time(now: 5, of: .set) == last)
        #expect(throws: CommandError.invalidExpireTime(.set)) {
            try relative.time(now: 6, of: .set)
        }
        let year = try options("SET k v EX 281474976710").get().expiry
        #expect(try year.time(now: 1, of: .set) == 281_474_976_710_001)
    }

    @Test("QSET takes a causal context and no conditions")
    func context() throws {
        let set = try options("QSET k v CONTEXT token EX 1 PW 2").get()
        #expect(set.context == 4 && set.consistency.pw == .count(2))
        #expect(options("QSET k v CONTEXT") == .failure(.syntax))
        #expect(options("QSET k v CONTEXT a CONTEXT b") == .failure(.syntax))
        #expect(options("QSET k v NX") == .failure(.syntax))
    }

    @Test("QDEL takes a causal context and consistency")
    func delete() throws {
        func options(_ line: String) -> Result<DeleteOptions, CommandError> {
            parse(line) { arguments throws(CommandError) in try DeleteOptions(arguments) }
        }
        let delete = try options("QDEL k W QUORUM CONTEXT t").get()
        #expect(delete.context == 5 && delete.consistency.w == .quorum)
        #expect(try options("QDEL k").get().context == nil)
        #expect(options("QDEL k EX 1") == .failure(.syntax))
    }

    @Test("GETEX keeps the expiry unless asked otherwise")
    func getex() throws {
        func options(_ line: String) -> Result<Expiry, CommandError> {
            parse(line) { arguments throws(CommandError) in try GetExpiryOptions(arguments).expiry }
        }
        #expect(options("GETEX k") == .success(.keep))
        #expect(options("GETEX k PERSIST") == .success(.unset))
        #expect(options("GETEX k EX 2") == .success(.after(milliseconds: 2000)))
        #expect(options("GETEX k EX") == .failure(.syntax))
        #expect(options("GETEX k EX 2 PERSIST") == .failure(.syntax))
        #expect(options("GETEX k KEEPTTL") == .failure(.syntax))
        #expect(options("GETEX k PX 0") == .failure(.invalidExpireTime(.getex)))
    }
}

@Suite("Consistency, scan, hello and expire options")
struct OtherOptionsTests {
    func read(_ line: String) -> Result<ConsistencyOptions, CommandError> {
        parse(line) { arguments throws(CommandError) in
            try ConsistencyOptions(arguments, from: 2, .read)
        }
    }

    @Test("Levels are numbers or names")
    func levels() throws {
        #expect(read("GET k") == .success(.none))
        #expect(try read("GET k R 1").get().r == .count(1))
        #expect(try read("GET k r one").get().r == .count(1))
        #expect(try read("GET k R quorum PR ALL").get().pr == .all)
        #expect(try read("GET k R 255").get().r == .count(255))
        #expect(try read("GET k TIMEOUT 600000").get().timeoutMilliseconds == 600_000)
    }

    @Test(
        "What is no level, no timeout or not for reads is refused",
        arguments: [
            ("R 0", CommandError.invalidLevel), ("R -1", .invalidLevel), ("R 256", .invalidLevel),
            ("R TWO", .invalidLevel), ("PR 01", .invalidLevel), ("TIMEOUT 0", .invalidTimeout),
            ("TIMEOUT x", .invalidTimeout), ("TIMEOUT 600001", .invalidTimeout),
            ("TIMEOUT 4294967296", .invalidTimeout),
            ("W 1", .optionOfWrites), ("DW 1", .optionOfWrites), ("R", .invalidLevel),
            ("R 1 R 2", .syntax),
            ("FOO", .syntax), ("TIMEOUT 1 TIMEOUT 2", .syntax),
        ])
    func refused(_ tail: String, _ error: CommandError) {
        #expect(read("GET k " + tail) == .failure(error))
    }

    func scan(_ line: String) -> Result<ScanOptions, CommandError> {
        parse(line) { arguments throws(CommandError) in try ScanOptions(arguments) }
    }

    @Test("SCAN")
    func scan() throws {
        let options = try scan("SCAN 18446744073709551615 match a* COUNT 100 TYPE string").get()
        #expect(options.cursor == .max && options.pattern == 3 && options.count == 100)
        #expect(options.type == 7)
        #expect(try scan("SCAN 0").get().count == 10)
        #expect(scan("SCAN x") == .failure(.invalidCursor))
        #expect(scan("SCAN -1") == .failure(.invalidCursor))
        #expect(scan("SCAN 0 COUNT 0") == .failure(.syntax))
        #expect(scan("SCAN 0 COUNT x") == .failure(.notAnInteger))
        #expect(scan("SCAN 0 MATCH") == .failure(.syntax))
        #expect(scan("SCAN 0 FOO 1") == .failure(.syntax))
        let long = String(repeating: "*", count: Glob.patternBytesMax + 1)
        #expect(scan("SCAN 0 MATCH " + long) == .failure(.patternTooLong))
    }

    func hello(_ line: String) -> Result<HelloOptions, CommandError> {
        parse(line) { arguments throws(CommandError) in try HelloOptions(arguments) }
    }

    @Test("HELLO")
    func hello() throws {
        #expect(try hello("HELLO").get().dialect == nil)
        #expect(try hello("HELLO 2").get().dialect == .resp2)
        let options = try hello("HELLO 3 AUTH user password SETNAME me").get()
        #expect(options.dialect == .resp3 && options.user == 3 && options.clientName == 6)
        #expect(hello("HELLO x") == .failure(.protocolNotAnInteger))
        for number in ["0", "1", "4", "259", "-1"] {
            #expect(hello("HELLO " + number) == .failure(.unsupportedProtocol))
        }
        #expect(hello("HELLO 3 AUTH user") == .failure(.helloSyntax(2)))
        #expect(hello("HELLO 3 SETNAME") == .failure(.helloSyntax(2)))
        #expect(hello("HELLO 3 SETNAME a\u{7F}") == .failure(.invalidClientName))
    }

    func expire(_ line: String) -> Result<ExpireOptions, CommandError> {
        parse(line) { arguments throws(CommandError) in
            try ExpireOptions(arguments, try CommandName(arguments), now: 1_000)
        }
    }

    @Test("EXPIRE and its like")
    func expire() throws {
        let seconds = try expire("EXPIRE k 10 XX GT").get()
        #expect(seconds.milliseconds == 11_000)
        #expect(seconds.conditions == [.present, .later])
        #expect(try expire("PEXPIRE k -5").get().milliseconds == 995)
        #expect(try expire("EXPIREAT k 10 lt").get().milliseconds == 10_000)
        #expect(try expire("PEXPIREAT k 10 NX").get().milliseconds == 10)
        #expect(expire("EXPIRE k x") == .failure(.notAnInteger))
        #expect(expire("EXPIRE k 9223372036854775807") == .failure(.invalidExpireTime(.expire)))
        #expect(
            try expire("PEXPIREAT k 9223370399119966").get().milliseconds == 9_223_370_399_119_966)
        #expect(try expire("PEXPIREAT k 9223372036854775807").get().milliseconds == Int64.max)
        #expect(try expire("PEXPIRE k 9223372036854774807").get().milliseconds == Int64.max)
        #expect(expire("PEXPIRE k 9223372036854774808") == .failure(.invalidExpireTime(.pexpire)))
        #expect(expire("EXPIREAT k 9223372036854776") == .failure(.invalidExpireTime(.expireat)))
        #expect(expire("EXPIRE k -9223372036854776") == .failure(.invalidExpireTime(.expire)))
        #expect(try expire("PEXPIRE k -9223372036854775808").get().milliseconds < 0)
        #expect(expire("EXPIRE k 1 FOO") == .failure(.unsupportedOption(3)))
        for other in ["XX", "GT", "LT"] {
            #expect(expire("EXPIRE k 1 NX " + other) == .failure(.absentBesideOthers))
        }
        #expect(expire("EXPIRE k 1 GT LT") == .failure(.greaterBesideLess))
    }

    @Test(
        "Refusals are worded as Redis words them",
        arguments: [
            (CommandError.syntax, "-ERR syntax error\r\n"),
            (.notAnInteger, "-ERR value is not an integer or out of range\r\n"),
            (.invalidExpireTime(.set), "-ERR invalid expire time in 'set' command\r\n"),
            (.invalidCursor, "-ERR invalid cursor\r\n"),
            (.unsupportedProtocol, "-NOPROTO unsupported protocol version\r\n"),
            (.helloSyntax(1), "-ERR Syntax error in HELLO option 'a b'\r\n"),
            (.unsupportedOption(1), "-ERR Unsupported option a b\r\n"),
        ])
    func wording(_ error: CommandError, _ text: String) {
        let written = withArguments("x", "a\nb") { arguments in refusal(error, arguments) }
        #expect(written == text)
    }
}
