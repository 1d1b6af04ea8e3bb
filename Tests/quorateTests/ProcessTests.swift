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
        // Taken as a request, and answered as one.
        let many = try connection.ask(["PING"] + Array(repeating: "a", count: (1 << 20) - 1))
        #expect(many == .error("ERR wrong number of arguments for 'ping' command"))

        nodes[1].process?.signal(SIGKILL)
        _ = nodes[1].process?.waitForEnd(milliseconds: 5000)
        let status = try quorate("cluster", "status", "--json", "--directory", home)
        #expect(status.output.contains(#""condition":"dead""#))
        #expect(try quorate("cluster", "up", "--directory", home).status == 0)
        let again = try LocalCluster.open(home).state.nodes[1]
        #expect(try ClientConnection(again.client).ask("GET", "kept:a", "R", "ALL").text == "1")

        #expect(try quorate("cluster", "down", "--directory", home).status == 0)
        #expect(nodes.allSatisfy { $0.process?.condition == .dead })
        let down = try quorate("cluster", "status", "--json", "--directory", home)
        #expect(down.status == 69 && down.output.contains(#""pid":null"#))
        #expect(try quorate("cluster", "up", "--directory", home, "--nodes", "4").status == 73)
        #expect(try quorate("cluster", "up", "--directory", home).status == 0)
        let other = try ClientConnection(nodes[2].client)
        #expect(try other.ask("GET", "kept:a").text == "1")
    }

    @Test("a node that cannot start says why at once, and the others go on serving")
    func damagedNode() throws {
        let home = directory + "/cluster"
        defer {
            _ = try? quorate("cluster", "down", "--directory", home)
            Files.removeTree(directory)
        }
        #expect(try quorate("cluster", "up", "--directory", home).status == 0)
        let nodes = try LocalCluster.open(home).state.nodes
        nodes[2].process?.signal(SIGKILL)
        _ = nodes[2].process?.waitForEnd(milliseconds: 5000)
        try Files.write("no identity", to: home + "/node-3/identity")
        let up = try quorate("cluster", "up", "--directory", home)
        #expect(up.status == 73)
        #expect(up.output.contains("node 3 ended by itself: data directory is damaged"))
        #expect(nodes.map { $0.process?.condition } == [.alive, .alive, .dead])
    }

    private func listener(on port: Int) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(bound == 0 && listen(descriptor, 1) == 0)
        return descriptor
    }

    @Test("a port that was taken since the cluster was made is what cannot be had")
    func takenPort() throws {
        defer { Files.removeTree(directory) }
        var plan = LocalCluster.Plan()
        plan.nodes = 1
        let home = directory + "/cluster"
        let port = try LocalCluster.create(home, plan).state.nodes[0].client.port
        let listener = try listener(on: port)
        defer { close(listener) }
        let up = try quorate("cluster", "up", "--directory", home)
        #expect(up.status == 73)
        #expect(up.output.contains("node 1 ended by itself: network: "))
    }

    @Test("of two writes, one after the other was acknowledged, a quorum read finds the second")
    func orderAcrossACut() throws {
        let home = directory + "/cluster"
        defer {
            _ = try? quorate("cluster", "down", "--directory", home)
            Files.removeTree(directory)
        }
        for _ in 0..<2 {
            #expect(try quorate("cluster", "up", "--faults", "--directory", home).status == 0)
        }
        let connections = try LocalCluster.open(home).state.nodes.map {
            try ClientConnection($0.client)
        }
        #expect(try connections[1].ask("DEBUG", "CUT", "1", "60000") == .simple("OK"))
        #expect(try connections[0].ask("DEBUG", "CUT", "2", "60000") == .simple("OK"))
        var inverted = 0
        for number in 0..<300 {
            let key = "k\(number)"
            guard try connections[1].ask("SET", key, "first") == .simple("OK"),
                try connections[0].ask("SET", key, "second") == .simple("OK")
            else { continue }
            if try connections[2].ask("GET", key).text != "second" { inverted += 1 }
        }
        // Nodes that cannot hear each other stamp within one millisecond in either order, and the
        // replica that has the first write acknowledges the second although it loses to it.
        #expect(inverted == 0)
    }

    /// What `INFO` says under a name.
    private func field(_ name: String, _ connection: ClientConnection) throws -> String {
        let lines = try connection.ask("INFO").text?.split(whereSeparator: \.isNewline) ?? []
        return lines.first { $0.hasPrefix(name + ":") }.map { String($0.dropFirst(name.count + 1)) }
            ?? ""
    }

    @Test("a node whose directory is gone misses no acknowledged write in any quorum read")
    func emptiedDirectory() throws {
        let home = directory + "/cluster"
        defer {
            _ = try? quorate("cluster", "down", "--directory", home)
            Files.removeTree(directory)
        }
        #expect(try quorate("cluster", "up", "--faults", "--directory", home).status == 0)
        let nodes = try LocalCluster.open(home).state.nodes
        var connections = try nodes.map { try ClientConnection($0.client) }
        // Node 3 is cut off and behind; what node 1 and node 2 acknowledge it does not have.
        for other in ["1", "2"] {
            #expect(try connections[2].ask("DEBUG", "CUT", other, "600000") == .simple("OK"))
        }
        let keys = (0..<300).map { "k\($0)" }
        for key in keys { #expect(try connections[0].ask("SET", key, key) == .simple("OK")) }

        nodes[0].process?.signal(SIGKILL)
        _ = nodes[0].process?.waitForEnd(milliseconds: 5000)
        awaitClosed(nodes[0].client)
        Files.removeTree(home + "/node-1")
        // Node 2 is away as well: all that is left is a replica that is empty and one behind.
        nodes[1].process?.signal(SIGSTOP)
        defer { nodes[1].process?.signal(SIGCONT) }
        #expect(try connections[2].ask("DEBUG", "HEAL") == .simple("OK"))
        let words = [executable, "serve", "--config", home + "/node-1.json5"]
        let again = try NodeProcess.start(words, log: directory + "/log", input: nil)
        defer { again.end(graceMilliseconds: 2_000) }
        connections[0] = try awaited(nodes[0].client)
        var (missed, told) = (0, 0)
        for key in keys.prefix(30) {
            for node in [0, 2] {
                let reply = try connections[node].ask("GET", key, "TIMEOUT", "50")
                if reply == .bulk(nil) { missed += 1 }
                if reply.text == key { told += 1 }
            }
        }
        #expect(missed == 0 && told == 0)
        #expect(try field("refilling", connections[0]) == "1")
        #expect(try field("refill_waiting_for", connections[0]).contains("2"))

        nodes[1].process?.signal(SIGCONT)
        let deadline = MonotonicClock.now + 20_000_000_000
        while try field("refilling", connections[0]) != "0", MonotonicClock.now < deadline {
            for node in [0, 2] {
                let key = keys[Int.random(in: keys.indices)]
                if try connections[node].ask("GET", key) == .bulk(nil) { missed += 1 }
            }
        }
        #expect(try field("refilling", connections[0]) == "0")
        missed += try keys.count { try connections[0].ask("GET", $0).text != $0 }
        #expect(missed == 0)
    }

    /// A killed process keeps its ports for as long as one of its threads is in a sync.
    private func awaitClosed(_ address: NodeSettings.Endpoint) {
        let deadline = MonotonicClock.now + 10_000_000_000
        while (try? ClientConnection(address)) != nil, MonotonicClock.now < deadline {
            sched_yield()
        }
    }

    private func awaited(_ address: NodeSettings.Endpoint) throws -> ClientConnection {
        let deadline = MonotonicClock.now + 10_000_000_000
        while true {
            do {
                let connection = try ClientConnection(address)
                if try connection.ask("PING") == .simple("PONG") { return connection }
            } catch {
                guard MonotonicClock.now < deadline else {
                    Issue.record("\(Files.tail(of: directory + "/log", lines: 5))")
                    throw error
                }
                sched_yield()
            }
        }
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
        #expect(try !Files.exists(home))
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
        #expect(exitStatus(of: process) == 0, "\(Files.tail(of: directory + "/log", lines: 5))")
        close(ends[0])
    }

    @Test("SIGHUP and SIGUSR1 leave a node serving; SIGINT and SIGTERM end it in order")
    func signals() throws {
        defer { Files.removeTree(directory) }
        var plan = LocalCluster.Plan()
        plan.nodes = 1
        let cluster = try LocalCluster.create(directory + "/one", plan)
        let words = [executable, "serve", "--config", cluster.path(of: NodeID(1), ".json5")]
        let address = cluster.state.nodes[0].client
        for (life, end) in [SIGINT, SIGTERM].enumerated() {
            let process = try NodeProcess.start(words, log: directory + "/log", input: nil)
            defer { process.end(graceMilliseconds: 2_000) }
            let connection = try awaited(address)
            for (number, signal) in [SIGHUP, SIGUSR1, SIGHUP].enumerated() {
                process.signal(signal)
                let key = "k\(life)\(number)"
                #expect(try connection.ask("SET", key, "v") == .simple("OK"))
            }
            process.signal(end)
            #expect(exitStatus(of: process) == 0, "\(Files.tail(of: directory + "/log", lines: 5))")
        }
        let process = try NodeProcess.start(words, log: directory + "/log", input: nil)
        defer { process.end(graceMilliseconds: 2_000) }
        let connection = try awaited(address)
        #expect(try connection.ask("DBSIZE") == .integer(6))
    }

    @Test("the exit status tells a wrong command line, a bad file and a missing cluster apart")
    func statuses() throws {
        defer { Files.removeTree(directory) }
        #expect(try quorate("cluster", "upp").status == 64)
        let release = try quorate("--version")
        #expect(release.status == 0 && release.output == "quorate 0.1.0\n")
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
