import Coding
import Testing

@testable import RESP

/// What may follow commands that have subcommands, against the line that describes them.
struct SubcommandTests {
    @Test(
        "a subcommand takes what its usage says, and is told when it gets something else",
        arguments: [
            ("CLUSTER FORGET", "cluster|forget"), ("CLUSTER FORGET 3 FORCE 3", "cluster|forget"),
            ("cluster keyslot", "cluster|keyslot"), ("CLUSTER INFO all", "cluster|info"),
            ("SESSION USE t t", "session|use"),
            ("SESSION TOKEN t", "session|token"), ("KEYSPACE ALTER k", "keyspace|alter"),
            ("KEYSPACE CREATE", "keyspace|create"), ("CONFIG GET", "config|get"),
            ("CLIENT SETNAME", "client|setname"), ("DEBUG CUT 1", "debug|cut"),
            ("DEBUG HEAL now", "debug|heal"), ("COMMAND COUNT 1", "command|count"),
        ])
    func counts(request: String, told: String) throws {
        let text = try withArguments(words(request)) { arguments in
            let name = try #require(CommandName(arguments[0]))
            #expect(refused(arguments) == .wrongSubcommandCount(name))
            return refusal(.wrongSubcommandCount(name), arguments)
        }
        #expect(text == "-ERR wrong number of arguments for '\(told)' command\r\n")
    }

    @Test(
        "what the usage allows passes",
        arguments: [
            "CLUSTER REFILL", "CLUSTER FORGET 3 FORCE", "CLUSTER REFILL WITHOUT 3",
            "SESSION ON a b c", "SESSION",
            "KEYSPACE CREATE k", "KEYSPACE CREATE k a b c", "CLIENT LIST ID 1 2 3", "COMMAND",
            "COMMAND LIST FILTERBY PATTERN *", "DEBUG CUT 1 2", "DEBUG CUT 1 2 IN",
            "client no-evict on",
        ])
    func allowed(request: String) {
        withArguments(words(request)) { arguments in #expect(refused(arguments) == nil) }
    }

    @Test(
        "what is none is told so",
        arguments: ["CLUSTER HELP", "CLUSTER FORGETS", "SESSION \u{1}"])
    func unknown(request: String) throws {
        try withArguments(words(request)) { arguments in
            let name = try #require(CommandName(arguments[0]))
            #expect(refused(arguments) == .unknownSubcommand(name))
        }
    }

    private func words(_ request: String) -> [String] {
        request.split(separator: " ").map(String.init)
    }

    private func refused(_ arguments: borrowing Arguments) -> CommandError? {
        guard let name = CommandName(arguments[0]) else { return .unknownCommand }
        do throws(CommandError) { try arguments.checkSubcommand(of: name) } catch { return error }
        return nil
    }

    @Test("of a command of its own the error names all that there are")
    func named() {
        let text = withArguments(["QBOUND", "x"]) { refusal(.unknownSubcommand(.qbound), $0) }
        #expect(
            text == "-ERR unknown subcommand 'x'. Try QBOUND HELP. There are CREATE, GET, INCR, "
                + "DECR, RIGHTS, GRANT.\r\n")
    }

    @Test("HELP tells each subcommand with its arguments")
    func help() {
        var buffer = ByteBuffer(capacity: 64)
        buffer.writeHelp(.receipt)
        let text = String(decoding: buffer.bytes, as: UTF8.self)
        #expect(text.hasPrefix("*4\r\n+How the last answer came about"))
        #expect(text.hasSuffix("\r\nRECEIPT ON\r\n$11\r\nRECEIPT OFF\r\n$12\r\nRECEIPT LAST\r\n"))
    }
}
