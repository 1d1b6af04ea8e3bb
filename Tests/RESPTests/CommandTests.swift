import Coding
import Testing

@testable import RESP

/// The reply that a refusal becomes.
func refusal(_ error: CommandError, _ arguments: borrowing Arguments) -> String {
    var buffer = ByteBuffer()
    buffer.writeError(error, for: arguments)
    return String(decoding: buffer.bytes, as: UTF8.self)
}

@Suite("Commands by name")
struct CommandTests {
    /// The command's name, or the error reply.
    func resolve(_ words: String...) -> String {
        let bytes = encoded(words.map { Array($0.utf8) })
        return bytes.withUnsafeBytes { bytes in
            var arguments = Arguments()
            var progress = ParseProgress()
            _ = RequestParser().parse(bytes, &progress, into: &arguments)
            do throws(CommandError) {
                return "\(try CommandName(arguments).text)"
            } catch {
                return refusal(error, arguments)
            }
        }
    }

    @Test("Each command is found by its name, in whatever case", arguments: CommandName.allCases)
    func found(_ name: CommandName) {
        let text = "\(name.text)"
        #expect(text == "\(name)")
        for spelling in [text, text.uppercased(), text.prefix(1).uppercased() + text.dropFirst()] {
            let found = Array(spelling.utf8).withUnsafeBytes { CommandName($0) }
            #expect(found == name)
        }
    }

    @Test(
        "Nothing else is found",
        arguments: [
            "", "g", "gett", "ge", "foo", "g\u{5}t", "GE4", "get\0", "\0", " get",
            "expiretimeexpiret",
            "expiretimeexpirex", "consistencyx", "SE\u{14}", "'et", "pexpiretimes",
        ])
    func notFound(_ name: String) {
        #expect(Array(name.utf8).withUnsafeBytes { CommandName($0) } == nil)
    }

    @Test("No byte but a letter's two cases stands for that letter")
    func letters() {
        for byte in UInt8.min...UInt8.max {
            let found = [byte, 101, 116].withUnsafeBytes { CommandName($0) }
            #expect((found == .get) == (byte == 71 || byte == 103))
            #expect((found == .set) == (byte == 83 || byte == 115))
        }
    }

    @Test("Arity and unknown commands are refused in Redis's words")
    func refusals() {
        #expect(resolve("get", "k") == "get")
        #expect(resolve("GET") == "-ERR wrong number of arguments for 'get' command\r\n")
        #expect(
            resolve("SETNX", "a", "b", "c")
                == "-ERR wrong number of arguments for 'setnx' command\r\n")
        #expect(
            resolve("foo")
                == "-ERR unknown command 'foo', with args beginning with: \r\n")
        #expect(
            resolve("foo", "a", "b\r\nc")
                == "-ERR unknown command 'foo', with args beginning with: 'a' 'b  c' \r\n")
        let long = String(repeating: "x", count: 500)
        #expect(resolve(long, long, long, long).utf8.count < 400)
        #expect(
            resolve("foo", "a", long)
                == "-ERR unknown command 'foo', with args beginning with: 'a' "
                + "'\(long.prefix(124))' \r\n")
    }

    @Test(
        "Arities are Redis's",
        arguments: [
            ("get", 1), ("set", 2), ("del", 1), ("mset", 2), ("ping", 0), ("scan", 1),
            ("expire", 2),
        ])
    func leastArguments(_ name: String, _ least: Int) throws {
        let command = try #require(Array(name.utf8).withUnsafeBytes { CommandName($0) })
        let description = CommandTable.description(of: command)
        #expect(!description.accepts(count: least))
        #expect(description.accepts(count: least + 1))
    }

    @Test(
        "Key positions",
        arguments: [
            (CommandName.get, 2, [1]), (.mget, 4, [1, 2, 3]), (.mset, 5, [1, 3]), (.ping, 1, []),
            (.set, 7, [1]), (.del, 2, [1]),
        ])
    func keys(_ name: CommandName, _ count: Int, _ expected: [Int]) {
        let keys = CommandTable.description(of: name).keys
        #expect(Array(keys.indices(count: count)) == expected)
    }

    func reply(_ words: String..., dialect: Dialect = .resp2) throws(CommandError) -> String {
        let bytes = encoded(words.map { Array($0.utf8) })
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyBytes(from: bytes)
        var arguments = Arguments()
        var progress = ParseProgress()
        _ = RequestParser().parse(UnsafeRawBufferPointer(copy), &progress, into: &arguments)
        var buffer = ByteBuffer()
        try buffer.writeCommandReply(arguments, dialect)
        return String(decoding: buffer.bytes, as: UTF8.self)
    }

    @Test("COMMAND describes commands")
    func introspection() throws {
        // All but KEYS, WAIT and SMOVE, which are refused whatever the keyspace.
        let count = CommandName.allCases.count - 3
        #expect(try reply("COMMAND", "COUNT") == ":\(count)\r\n")
        let all = try reply("COMMAND")
        #expect(all.hasPrefix("*\(count)\r\n*10\r\n$4\r\nping"))
        let names = try reply("COMMAND", "LIST")
        #expect(names.hasPrefix("*\(count)\r\n"))
        for name in ["keys", "wait", "smove"] {
            #expect(!names.contains("\r\n\(name)\r\n"))
            #expect(try reply("COMMAND", "INFO", name) == "*1\r\n$-1\r\n")
        }
        #expect(
            try reply("COMMAND", "LIST", "FILTERBY", "PATTERN", "mge?")
                == "*1\r\n$4\r\nmget\r\n")
        #expect(throws: CommandError.syntax) { try reply("COMMAND", "LIST", "FILTERBY", "x") }
        #expect(
            try reply("COMMAND", "INFO", "GET", "nope")
                == "*2\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n"
                + "*0\r\n*0\r\n*0\r\n*0\r\n$-1\r\n")
        #expect(
            try reply("COMMAND", "DOCS", "echo", dialect: .resp3)
                == "%1\r\n$4\r\necho\r\n%3\r\n$7\r\nsummary\r\n$21\r\nAnswers its argument.\r\n"
                + "$5\r\ngroup\r\n$10\r\nconnection\r\n$9\r\narguments\r\n*1\r\n"
                + "%2\r\n$4\r\nname\r\n$7\r\nmessage\r\n$4\r\ntype\r\n$6\r\nstring\r\n")
        #expect(
            try reply("COMMAND", "GETKEYS", "MSET", "a", "1", "b", "2")
                == "*2\r\n$1\r\na\r\n$1\r\nb\r\n")
        #expect(
            try reply("COMMAND", "GETKEYS", "PING")
                == "-ERR The command has no key arguments\r\n")
        #expect(throws: CommandError.unknownSubcommand(.command)) { try reply("COMMAND", "X") }
    }

    @Test("COMMAND DOCS without a name tells what it tells of each command, and of no other")
    func documentation() throws {
        let names = try reply("COMMAND", "LIST").split(separator: "\r\n").dropFirst()
            .filter { !$0.hasPrefix("$") }
        #expect(names.count == CommandName.allCases.count - 3)
        let all = try reply("COMMAND", "DOCS", dialect: .resp3)
        var expected = "%\(names.count)\r\n"
        for name in names {
            let one = try reply("COMMAND", "DOCS", String(name), dialect: .resp3)
            #expect(one.hasPrefix("%1\r\n"))
            expected += String(one.dropFirst("%1\r\n".count))
        }
        #expect(all == expected)
        #expect(try reply("COMMAND", "DOCS", "GET").contains("STALENESS"))
        #expect(try !reply("COMMAND", "DOCS", "HGET").contains("STALENESS"))
        #expect(try reply("COMMAND", "DOCS").hasPrefix("*\(2 * names.count)\r\n$4\r\nping\r\n"))
    }

    @Test("Keys are found where the request itself says how many there are")
    func movableKeys() throws {
        #expect(
            try reply("COMMAND", "GETKEYS", "SINTERCARD", "2", "a", "b", "LIMIT", "1")
                == "*2\r\n$1\r\na\r\n$1\r\nb\r\n")
        for words in [["x", "a", "b"], ["3", "a", "b"], ["0", "a"], ["-1", "a"]] {
            let text = withArguments(["COMMAND", "GETKEYS", "SINTERCARD"] + words) { arguments in
                written { try? $0.writeCommandReply(arguments, .resp2) }
            }
            #expect(text == "-ERR Invalid arguments specified for command\r\n")
        }
        #expect(
            try reply("COMMAND", "GETKEYS", "SMOVE", "a", "b", "c")
                == "*2\r\n$1\r\na\r\n$1\r\nb\r\n")
        #expect(
            try reply("COMMAND", "GETKEYS", "QBOUND", "INCR", "a", "1")
                == "*1\r\n$1\r\na\r\n")
    }

    @Test("Consistency options may follow a fixed number of arguments and no variable one")
    func trailing() {
        #expect(resolve("INCR", "k", "W", "1") == "incr")
        #expect(resolve("HGET", "k", "f", "R", "1") == "hget")
        #expect(resolve("TYPE", "k", "R", "1") == "type")
        #expect(
            resolve("ECHO", "k", "R", "1")
                == "-ERR wrong number of arguments for 'echo' command\r\n")
        for description in CommandTable.ordered {
            let isAmbiguous = CommandTests.variadic.contains(description.name)
            if isAmbiguous { #expect(description.consistency == nil) }
            #expect(description.accepts(count: abs(description.arity)))
            #expect(!description.accepts(count: abs(description.arity) - 1))
        }
    }

    static let variadic: [CommandName] = [
        .sadd, .srem, .smismember, .sunion, .sinter, .sdiff, .hset, .hmset, .hmget, .hdel, .zadd,
        .zrem, .zmscore, .lpush, .rpush, .lpushx, .rpushx, .mget, .mset, .del, .exists,
    ]

    @Test("The table is at most a quarter full and a look-up takes few steps")
    func table() {
        #expect(CommandName.allCases.count <= 512 / 4)
        var taken = [Bool](repeating: false, count: 512)
        for name in CommandName.allCases {
            let text = Array("\(name.text)".utf8)
            guard let start = text.withUnsafeBytes({ FoldedName($0) })?.hash else {
                Issue.record("\(name) has no more than 16 letters")
                continue
            }
            let step = (0..<512).first { !taken[(start + $0) % 512] } ?? 512
            #expect(step < 3)
            taken[(start + step) % 512] = true
        }
    }

    @Test("Unknown subcommands are refused in Redis's words")
    func subcommands() throws {
        let text = withArguments("cluster", "fo\no") { arguments in
            refusal(.unknownSubcommand(.cluster), arguments)
        }
        #expect(text == "-ERR unknown subcommand 'fo o'. Try CLUSTER HELP.\r\n")
    }
}
