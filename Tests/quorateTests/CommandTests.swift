import Base
import Glibc
import Lab
import Replication
import Secrets
import Server
import Testing

@testable import quorate

@Suite("The command line")
struct CommandTests {
    private func failure(_ line: String) -> Failure? {
        #expect(throws: Failure.self) {
            try Command.read(line.split(separator: " ").map(String.init))
        }
    }

    @Test("an option that stands where a value should is not taken for it")
    func missingValue() {
        for line in [["--port"], ["--port", "--nodes", "3"], ["--port", "--json"]] {
            let failure = #expect(throws: Failure.self) {
                try Command.read(["cluster", "up"] + line)
            }
            #expect(failure?.kind == .usage)
            #expect(failure?.message == "--port needs a value: --port BASE")
        }
    }

    @Test("commands of one and of two words are found, with operands and options in any order")
    func commands() throws {
        let request = try Command.read([
            "keyspace", "create", "--json", "orders", "n=3", "--address=h:1",
        ])
        guard case .run(.keyspaceCreate, let arguments) = request else {
            Issue.record("not keyspace create")
            return
        }
        #expect(arguments.operands == ["orders", "n=3"])
        #expect(arguments.has("json"))
        #expect(arguments.value("address") == "h:1")
        #expect(arguments.value("directory") == nil)
    }

    @Test("behind -- everything is an operand")
    func separator() throws {
        let arguments = try Arguments(["a", "--", "--json", "-h"], options: [.json])
        #expect(arguments.operands == ["a", "--json", "-h"])
    }

    @Test("help is on everything")
    func help() throws {
        #expect(try Command.read([]) == .overview(nil))
        #expect(try Command.read(["--help"]) == .overview(nil))
        #expect(try Command.read(["cluster"]) == .overview("cluster"))
        #expect(try Command.read(["cluster", "--help"]) == .overview("cluster"))
        #expect(try Command.read(["help"]) == .overview(nil))
        #expect(try Command.read(["help", "cluster"]) == .overview("cluster"))
        #expect(try Command.read(["help", "cluster", "up"]) == .help(.clusterUp))
        #expect(failure("help frob")?.kind == .usage)
        for command in Command.allCases {
            let words = command.rawValue.split(separator: " ").map(String.init)
            #expect(try Command.read(words + ["--help"]) == .help(command))
            #expect(try Command.read(words + ["x", "-h"]) == .help(command))
            #expect(command.help.contains("usage: quorate \(command.rawValue)"))
            for option in command.options { #expect(command.help.contains("--" + option.name)) }
            #expect(Command.overview(nil).contains(command.rawValue))
        }
    }

    @Test(
        "unknown commands and options are refused with the nearest known one",
        arguments: [
            ("srve", "quorate serve"), ("cluster stauts", "quorate cluster status"),
            ("demo --secnds 3", "--seconds"),
            ("keyspaces list", "quorate keyspace"), ("cluster up --node 3", "--nodes"),
        ])
    func suggestions(line: String, suggestion: String) {
        let failure = failure(line)
        #expect(failure?.kind == .usage)
        #expect(
            failure?.hint?.contains("did you mean \(suggestion)?") == true, "\(failure?.hint ?? "")"
        )
    }

    @Test("a name that is near none gets no guess, however alike the word before it is")
    func noSuggestion() {
        let hint = failure("cluster frob")?.hint
        #expect(hint == "known here: cluster up, cluster down, cluster status")
    }

    @Test(
        "options without their value, with one too many, or twice are refused",
        arguments: [
            "demo --seconds", "demo --json=yes", "demo --json --json", "demo -x",
            "cluster frobnicate", "xyzzy",
        ])
    func usage(line: String) {
        #expect(failure(line)?.kind == .usage)
    }

    @Test("numbers are checked against their range", arguments: ["0", "65", "x", "", "3.5"])
    func numbers(text: String) throws {
        let arguments = try Arguments(["--nodes", text], options: Command.clusterUp.options)
        #expect(throws: Failure.self) { try arguments.integer("nodes", in: 1...64) }
    }

    @Test("seeds are a range with both ends or one number")
    func seeds() {
        #expect(SimulateCommand.seeds("1..100") == 1...100)
        #expect(SimulateCommand.seeds("7") == 7...7)
        for text in ["", "..", "1..", "..2", "2..1", "1.2", "1...2", "a..b", "-1..2"] {
            #expect(SimulateCommand.seeds(text) == nil)
        }
    }

    @Test(
        "wrong operands are refused before anything is asked or started",
        arguments: [
            "serve", "serve x", "cluster up 3", "cluster status now", "keyspace create",
            "keyspace create a:b",
            "keyspace create o n=x", "keyspace create o n=0", "keyspace alter o n=0",
            "keyspace create o r=0", "keyspace alter o r=0", "keyspace alter o w=33",
            "keyspace alter o dw=-1", "keyspace alter o valuebytes=8388609",
            "keyspace alter o floor=0", "keyspace alter o durability=interval(60001)",
            "keyspace alter o hedge=p100", "keyspace alter o siblings=0", "keyspace alter o",
            "keyspace drop", "keyspace drop a b",
            "keyspace list x",
            "keyspace list --address nowhere", "simulate", "simulate --seeds x", "demo now",
        ])
    func operands(line: String) throws {
        guard
            case .run(let command, let arguments) = try Command.read(
                line.split(separator: " ").map(String.init))
        else { return }
        let failure = #expect(throws: Failure.self) { try command.run(arguments) }
        #expect(failure?.kind == .usage)
    }

    @Test(
        "an error names what was typed, and the bounds",
        arguments: [
            ("keyspace alter o n=0", "n=0: expected a whole number from 1 to 32, such as n=3"),
            ("keyspace alter o r=0", "r=0: expected a number of replicas from 1 to 32"),
            ("keyspace alter o n=3 n=2", "n=2: n stands here twice"),
            ("keyspace alter o valuebytes=9000000", "whole number from 1 to 8388608"),
            ("keyspace alter o durability=interval(0)", "with 1 to 60000 milliseconds"),
            ("keyspace alter o hedge=0", "\"p0.1\" to \"p99.9\", or a delay from \"0ms\""),
            ("keyspace list --address nowhere", "--address takes HOST:PORT, not \"nowhere\""),
            ("simulate --seeds x", "--seeds takes a range of seeds or one, not \"x\""),
            ("simulate --seeds 1 --plant x", "--plant: there is no planted bug \"x\""),
        ])
    func named(line: String, problem: String) throws {
        guard
            case .run(let command, let arguments) = try Command.read(
                line.split(separator: " ").map(String.init))
        else { return }
        let failure = #expect(throws: Failure.self) { try command.run(arguments) }
        #expect(failure?.kind == .usage)
        #expect(failure?.message.contains(problem) == true, "\(failure?.message ?? "")")
    }

    @Test("the command line's bounds are those of a node")
    func bounds() throws {
        for (word, isValid) in [
            ("valuebytes=8388608", true), ("valuebytes=8388609", false), ("siblings=1000", true),
            ("siblings=1001", false), ("timeout=600000", true), ("timeout=600001", false),
            ("keybytes=65535", true), ("keybytes=65536", false), ("readrepair=1000", true),
            ("readrepair=1001", false), ("ttl=140737488355328", true),
            ("ttl=140737488355329", false), ("durability=interval(60000)", true),
            ("durability=interval(60001)", false), ("hedge=600000ms", true),
            ("hedge=600001ms", false), ("hedge=p99.9", true), ("hedge=p100", false),
            ("hedge=p0", false), ("n=32", true), ("n=33", false), ("r=0", false), ("pr=0", true),
        ] {
            let overrides = try? KeyspaceOverrides(assignments: [word])
            #expect((overrides != nil) == isValid, "\(word)")
            var settings = KeyspaceSettings()
            let problem = settings.set(word) ?? settings.objection
            #expect((problem == nil) == isValid, "\(word): \(problem ?? "")")
        }
    }

    @Test("every class of failure has an exit status, every status a meaning in the help")
    func statuses() {
        for status in ExitStatus.all {
            #expect(Command.overview(nil).contains("\(status.rawValue) "))
            #expect(Command.overview(nil).contains(status.meaning))
        }
    }

    @Test(
        "what a node has against a keyspace is said with file and line",
        arguments: [
            ("r: 2", "r=2 is outside 1..n"),
            ("dw: 1, durability: 'memory'", "dw needs durability=fsync or interval"),
        ])
    func keyspaceObjection(settings: String, problem: String) throws {
        let path = "\(LocalCluster.temporaryDirectory)/quorate-test-\(MonotonicClock.now).json5"
        let text = """
            {clusterID: "c", node: 1, dataDirectory: "/d",
             members: [{id: 1, host: "h", clientPort: 1, linkPort: 2}],
             keyspaces: {
               a: {\(settings)}}}
            """
        try Files.write(text, to: path)
        defer { Files.removeTree(path) }
        let arguments = try Arguments(["--config", path], options: Command.serve.options)
        let failure = #expect(throws: Failure.self) { try Command.serve.run(arguments) }
        #expect(failure?.kind == .badFile)
        #expect(failure?.message.hasPrefix("\(path): line 4: keyspaces.a: \(problem)") == true)
    }

    @Test("a node's error loses the code that says nothing and keeps those that do")
    func sentence() {
        #expect(KeyspaceCommand.sentence("ERR no such keyspace") == "no such keyspace")
        #expect(KeyspaceCommand.sentence("MODE no") == "MODE no")
    }

    @Test("a file's secret and recovery reach the server, and no error shows a secret")
    func secretAndRecovery() throws {
        let member = NodeSettings.Member(
            id: NodeID(1), host: "127.0.0.1", clientPort: 1, linkPort: 2)
        var settings = NodeSettings(
            clusterName: "c", node: NodeID(1), members: [member], dataDirectory: "/d")
        let plain = try Server.Configuration(settings)
        #expect(plain.secret == nil && plain.recovery == .refuse)
        let secret = try ClusterSecret(text: String(repeating: "5a", count: 32))
        let path = "\(LocalCluster.temporaryDirectory)/quorate-test-\(MonotonicClock.now).secret"
        try Files.write(secret.text + "\n", to: path)
        defer { Files.removeTree(path) }
        settings.secretFile = path
        settings.recovery = .quarantine
        let daring = try Server.Configuration(settings)
        #expect(daring.secret == secret && daring.recovery == .quarantine)
        for (text, problem) in [
            ("5a5a", "has 2 bytes where at least 32 are needed"),
            ("5a5a correct horse", "is neither hexadecimal digits nor base64"),
        ] {
            try Files.write(text, to: path)
            let failure = #expect(throws: Failure.self) { try Server.Configuration(settings) }
            #expect(failure?.kind == .badFile)
            #expect(failure?.message.contains(problem) == true)
            #expect(failure?.message.contains("5a5a") == false)
        }
        settings.secretFile = "/no/such/secret"
        let failure = #expect(throws: Failure.self) { try Server.Configuration(settings) }
        #expect(failure?.message.hasPrefix("secretFile: cannot read /no/such/secret") == true)
        for word in ["secretFile", "\"refuse\"", "\"quarantine\""] {
            #expect(Command.serve.help.contains(word))
        }
    }

    @Test("a file with the secret that others may read is warned of, whichever it is")
    func readableSecret() throws {
        let member = NodeSettings.Member(
            id: NodeID(1), host: "127.0.0.1", clientPort: 1, linkPort: 2)
        var settings = NodeSettings(
            clusterName: "c", node: NodeID(1), members: [member], dataDirectory: "/d")
        let path = "\(LocalCluster.temporaryDirectory)/quorate-test-\(MonotonicClock.now).mode"
        try Files.write("5a", to: path)
        defer { Files.removeTree(path) }
        for (mode, isWarned) in [(0o600, false), (0o640, true), (0o604, true)] {
            #expect(chmod(path, mode_t(mode)) == 0)
            #expect(ServeCommand.secretWarning(settings, at: path) == nil)
            settings.secretFile = path
            let warning = ServeCommand.secretWarning(settings, at: "/no/such")
            #expect((warning?.contains("chmod 600 \(path)") == true) == isWarned)
            settings.secretFile = nil
            settings.secret = try ClusterSecret(text: String(repeating: "5a", count: 32))
            #expect((ServeCommand.secretWarning(settings, at: path) != nil) == isWarned)
            settings.secret = nil
        }
    }

    @Test("a configuration that is missing or wrong is a bad file")
    func badFile() throws {
        let arguments = try Arguments(["--config", "/no/such"], options: Command.serve.options)
        let failure = #expect(throws: Failure.self) { try Command.serve.run(arguments) }
        #expect(failure?.kind == .badFile)
    }
}
