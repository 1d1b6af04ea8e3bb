import Base
import Glibc
import Testing

@testable import Lab
@testable import quorate

@Suite("Real processes", .serialized)
struct ProcessTests {
    /// The executable that was built beside the tests.
    private let executable: String
    private let directory: String

    init() throws {
        let own = try #require(NodeProcess.ownExecutable)
        let built = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? own
        let parts = built.split(separator: "/").map(String.init)
        let end = try #require(parts.firstIndex { $0.hasSuffix(".xctest") })
        executable = "/" + parts[..<end].joined(separator: "/") + "/quorate"
        directory =
            "\(LocalCluster.temporaryDirectory)/quorate-test-\(getpid())-\(MonotonicClock.now)"
        try Files.makeDirectory(directory)
    }

    /// Runs `quorate` to its end.
    private func quorate(_ words: String...) throws -> (status: Int32, output: String) {
        let log = "\(directory)/output-\(MonotonicClock.now)"
        let process = try NodeProcess.start([executable] + words, log: log, input: nil)
        return (exitStatus(of: process), try Files.read(log))
    }

    private func exitStatus(of process: NodeProcess) -> Int32 {
        var status: Int32 = 0
        while waitpid(process.number, &status, 0) < 0, errno == EINTR {}
        return status & 0x7F == 0 ? status >> 8 & 0xFF : -(status & 0x7F)
    }

    @Test("a cluster comes up, keeps its keys over kill -9 and over down and up, and goes down")
    func cluster() throws {
        let home = directory + "/cluster"
        defer {
            _ = try? quorate("cluster", "down", "--directory", home)
            Files.removeTree(directory)
        }
        #expect(try quorate("cluster", "up", "--directory", home).status == 0)
        let nodes = try LocalCluster.open(home).state.nodes
        #expect(nodes.allSatisfy { $0.process?.condition == .alive })
        let created = try quorate("keyspace", "create", "kept", "n=3", "w=all", "--directory", home)
        #expect(created.status == 0)
        let connection = try ClientConnection(nodes[0].client)
        #expect(try connection.ask("SET", "kept:a", "1") == .simple("OK"))

        nodes[1].process?.signal(SIGKILL)
        _ = nodes[1].process?.waitForEnd(milliseconds: 5000)
        let status = try quorate("cluster", "status", "--json", "--directory", home)
        #expect(status.output.contains(#""condition":"dead""#))
        #expect(try quorate("cluster", "up", "--directory", home).status == 0)
        let again = try LocalCluster.open(home).state.nodes[1]
        #expect(try ClientConnection(again.client).ask("GET", "kept:a", "R", "ALL").text == "1")

        #expect(try quorate("cluster", "down", "--directory", home).status == 0)
        #expect(nodes.allSatisfy { $0.process?.condition == .dead })
        #expect(try quorate("cluster", "up", "--directory", home, "--nodes", "4").status == 73)
        #expect(try quorate("cluster", "up", "--directory", home).status == 0)
        let other = try ClientConnection(nodes[2].client)
        #expect(try other.ask("GET", "kept:a").text == "1")
    }

    @Test("an interrupted demo leaves no process and no directory")
    func interruptedDemo() throws {
        defer { Files.removeTree(directory) }
        let log = directory + "/demo"
        let process = try NodeProcess.start([executable, "demo"], log: log, input: nil)
        let home = "\(LocalCluster.temporaryDirectory)/quorate-demo-\(process.number)"
        var nodes: [NodeProcess] = []
        while nodes.count < 3 {
            try #require(process.condition == .alive, "\(Files.tail(of: log, lines: 5))")
            nodes = ((try? ClusterState(parsing: Files.read(home + "/cluster.json")))?.nodes ?? [])
                .compactMap(\.process)
            sched_yield()
        }
        process.signal(SIGINT)
        #expect(exitStatus(of: process) == 130)
        #expect(nodes.allSatisfy { $0.condition == .dead })
        #expect(!Files.exists(home))
    }

    @Test("a node ends when whoever holds its standard input goes away")
    func tethered() throws {
        defer { Files.removeTree(directory) }
        let cluster = try LocalCluster.create(directory + "/one", LocalCluster.Plan())
        let words = [
            executable, "serve", "--config", cluster.path(of: NodeID(1), ".json5"),
            "--while-stdin-open",
        ]
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let process = try NodeProcess.start(words, log: directory + "/log", input: ends[0])
        close(ends[1])
        #expect(exitStatus(of: process) == 0)
        close(ends[0])
    }

    @Test("the exit status tells a wrong command line, a bad file and a missing cluster apart")
    func statuses() throws {
        defer { Files.removeTree(directory) }
        #expect(try quorate("cluster", "upp").status == 64)
        let help = try quorate("--help")
        #expect(help.status == 0 && help.output.contains("Exit status"))
        try Files.write("{node: 1, noode: 2}", to: directory + "/bad.json5")
        let bad = try quorate("serve", "--config", directory + "/bad.json5")
        #expect(bad.status == 3)
        #expect(bad.output.contains("line 1: noode: unknown setting; did you mean node?"))
        #expect(!bad.output.contains("\u{1B}"))
        #expect(try quorate("cluster", "status", "--directory", directory + "/none").status == 69)
        #expect(try quorate("keyspace", "list", "--address", "127.0.0.1:1").status == 69)
    }
}
