import Base
import Glibc
import Secrets
import Testing

@testable import Lab

@Suite("A local cluster's processes and its directory", .serialized)
struct LocalClusterTests {
    /// A directory of its own that is gone afterwards.
    private func inDirectory(_ body: (String) throws -> Void) throws {
        let path =
            LocalCluster.temporaryDirectory + "/quorate-test-\(getpid())-\(MonotonicClock.now)"
        try Files.makeDirectory(path)
        defer { Files.removeTree(path) }
        try body(path)
        Files.removeTree(path)
        #expect(try !Files.exists(path))
    }

    @Test("a started process is known by number, start time and program, and ends on SIGTERM")
    func process() throws {
        try inDirectory { path in
            let process = try NodeProcess.start(
                ["/bin/sleep", "60"], log: path + "/log", input: nil)
            #expect(process.condition == .alive)
            #expect(getpgid(process.number) == process.number)
            #expect(process.end(graceMilliseconds: 5000))
            #expect(process.condition == .dead)
        }
    }

    @Test("a log that cannot be written is named")
    func noLog() throws {
        try inDirectory { path in
            #expect(throws: Failure(.cannotCreate, "cannot write \(path): Is a directory")) {
                _ = try NodeProcess.start(["/bin/sleep", "60"], log: path, input: nil)
            }
        }
    }

    @Test("a process that ignores SIGTERM is killed after its grace")
    func stubborn() throws {
        try inDirectory { path in
            let script = "trap '' TERM; echo ready; while :; do sleep 1; done"
            let process = try NodeProcess.start(
                ["/bin/sh", "-c", script], log: path + "/log", input: nil)
            while try Files.read(path + "/log").isEmpty { sched_yield() }
            #expect(!process.end(graceMilliseconds: 20))
            #expect(process.condition == .dead)
        }
    }

    @Test("a process of another start time or program is foreign and is never signalled")
    func foreign() throws {
        try inDirectory { path in
            let process = try NodeProcess.start(
                ["/bin/sleep", "60"], log: path + "/log", input: nil)
            defer { process.end(graceMilliseconds: 1000) }
            let other = NodeProcess(
                number: process.number, startTicks: process.startTicks - 1,
                executable: process.executable)
            let third = NodeProcess(
                number: process.number, startTicks: process.startTicks, executable: "/bin/other")
            for stranger in [other, third] {
                #expect(stranger.condition == .foreign)
                #expect(!stranger.signal(SIGKILL))
            }
            #expect(process.condition == .alive)
        }
    }

    @Test("a process that ends at once was started all the same")
    func brief() throws {
        try inDirectory { path in
            for _ in 0..<50 {
                let process = try NodeProcess.start(["/bin/true"], log: path + "/log", input: nil)
                #expect(process.waitForEnd(milliseconds: 5000))
                #expect(process.condition == .dead)
            }
        }
    }

    @Test("an ended process tells its exit status once, one ended by a signal tells none")
    func exitStatus() throws {
        try inDirectory { path in
            for _ in 0..<50 {
                let process = try NodeProcess.start(
                    ["/bin/sh", "-c", "exit 73"], log: path + "/log", input: nil)
                while process.condition == .alive { sched_yield() }
                #expect(process.collect() == 73)
                #expect(process.collect() == nil)
            }
            let process = try NodeProcess.start(
                ["/bin/sleep", "60"], log: path + "/log", input: nil)
            #expect(process.collect() == nil)
            process.signal(SIGKILL)
            while process.condition == .alive { sched_yield() }
            #expect(process.collect() == nil)
        }
    }

    @Test("a program that is not there is a clear failure")
    func missing() throws {
        try inDirectory { path in
            let failure = #expect(throws: Failure.self) {
                try NodeProcess.start(["/no/such"], log: path + "/log", input: nil)
            }
            #expect(failure?.kind == .cannotCreate)
        }
    }

    @Test(
        "a new cluster writes one valid configuration a node, all with the same members"
    )
    func create() throws {
        try inDirectory { path in
            var plan = LocalCluster.Plan()
            plan.faults = true
            plan.keyspaces["k"] = try KeyspaceOverrides(assignments: ["n=3", "w=all"])
            let state = try LocalCluster.create(path + "/c", plan).state
            let configurations = try (1...3).map {
                try NodeSettings(parsing: Files.read("\(path)/c/node-\($0).json5"))
            }
            #expect(configurations.map(\.node.rawValue) == [1, 2, 3])
            #expect(Set(configurations.map(\.clusterID)).count == 1)
            #expect(Set(configurations.map(\.secretFile)) == ["\(path)/c/secret"])
            let secret = try Files.read(path + "/c/secret")
            _ = try ClusterSecret(text: secret)
            var other = LocalCluster.Plan()
            other.nodes = 1
            _ = try LocalCluster.create(path + "/d", other)
            #expect(try Files.read(path + "/d/secret") != secret)
            #expect(
                configurations.allSatisfy { $0.members == configurations[0].members && $0.faults })
            #expect(configurations[0].keyspaces["k"]?.writeQuorum == .all)
            let ports = configurations.flatMap {
                [$0.client.port, $0.link.port, $0.metrics?.port ?? 0]
            }
            #expect(Set(ports).count == 9)
            #expect(state.nodes.map(\.metrics) == configurations.map(\.metrics))
            #expect(try LocalCluster.open(path + "/c").state == state)
        }
    }

    @Test("a directory with files of somebody else is refused, and they stay as they are")
    func othersFiles() throws {
        try inDirectory { path in
            for name in ["secret", "node-2.json5", "node-3"] {
                let directory = "\(path)/\(name)-is-there"
                try Files.makeDirectory(directory)
                try Files.write("mine", to: "\(directory)/\(name)")
                let failure = #expect(throws: Failure.self) {
                    _ = try LocalCluster.create(directory, LocalCluster.Plan())
                }
                #expect(failure?.message.contains("has \(name) and no cluster.json") == true)
                #expect(try Files.read("\(directory)/\(name)") == "mine")
                #expect(try !LocalCluster.exists(in: directory))
            }
        }
    }

    @Test("a relative directory stands in the configurations as a path from the root")
    func relativeDirectory() throws {
        try inDirectory { path in
            let here = try #require(Files.linkTarget("/proc/self/cwd"))
            let up = here.split(separator: "/").map { _ in "../" }.joined()
            _ = try LocalCluster.create(up + path.dropFirst() + "/c", LocalCluster.Plan())
            let node = try NodeSettings(parsing: Files.read(path + "/c/node-1.json5"))
            #expect(node.dataDirectory.hasPrefix("/"))
            #expect(try Files.exists(node.dataDirectory))
        }
    }

    @Test("a demo removes what killed ones have left, and nothing that is in use or is not theirs")
    func abandonedDemos() throws {
        try inDirectory { path in
            // No process has a number beyond what Linux allows.
            let names = ["9999999", "9999998", "\(getpid())", "x", "-1", "0"]
            for name in names {
                try Files.makeDirectory("\(path)/quorate-demo-\(name)")
                try Files.write("{}", to: "\(path)/quorate-demo-\(name)/cluster.json")
            }
            #expect(symlink(path, "\(path)/quorate-demo-9999997") == 0)
            Demo.removeAbandoned(in: path)
            let left = names.filter { (try? Files.exists("\(path)/quorate-demo-\($0)")) == true }
            #expect(left == ["\(getpid())", "x", "-1", "0"])
            #expect(Files.linkTarget("\(path)/quorate-demo-9999997") == path)
        }
    }

    @Test("of the ports that are picked none is given twice, however many there are")
    func distinctPorts() throws {
        for _ in 0..<20 {
            let ports = try LoopbackPorts.choose(nodes: 64, base: nil)
                .flatMap { [$0.client, $0.link, $0.metrics] }
            #expect(Set(ports).count == 3 * 64)
        }
    }

    @Test("a port in use is named")
    func portInUse() throws {
        let free = try LoopbackPorts.choose(nodes: 1, base: nil)[0].client
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(free).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        #expect(bound == 0 && listen(descriptor, 1) == 0)
        let failure = #expect(throws: Failure.self) {
            try LoopbackPorts.choose(nodes: 1, base: free)
        }
        #expect(failure?.kind == .cannotCreate)
        #expect(failure?.message.contains("port \(free)") == true)
        try inDirectory { path in
            var plan = LocalCluster.Plan()
            plan.basePort = free
            #expect(throws: Failure.self) { try LocalCluster.create(path + "/c", plan) }
            #expect((try? Files.exists(path + "/c")) == false)
        }
    }

    @Test("where nobody can look there is no cluster and none is missing: the reason is said")
    func unreadable() throws {
        let path = "/" + String(repeating: "x", count: 300)
        let failure = #expect(throws: Failure.self) { try LocalCluster.open(path) }
        #expect(failure?.kind == .badFile)
        #expect(failure?.message == "cannot read \(path)/cluster.json: File name too long")
        #expect(try !LocalCluster.exists(in: "/proc/self/stat/x"))
    }

    @Test("the state keeps processes, and nonsense in its file is a bad file")
    func state() throws {
        let node = ClusterState.Node(
            id: NodeID(3), client: .init(host: "h", port: 1), link: .init(host: "h", port: 2),
            metrics: .init(host: "h", port: 3),
            process: NodeProcess(number: 9, startTicks: 8, executable: "/x"))
        let state = ClusterState(name: "n", nodes: [node])
        #expect(try ClusterState(parsing: state.json.pretty) == state)
        try inDirectory { path in
            try Files.write("{nodes: 3}", to: path + "/cluster.json")
            let failure = #expect(throws: Failure.self) { try LocalCluster.open(path) }
            #expect(failure?.kind == .badFile)
        }
    }

    @Test("INFO's fields are read by name")
    func field() {
        let text = "# Links\r\nlinks_up:2\r\nlinks_up_total:9\r\nname:x\r\n"
        #expect(NodeHealth.field("links_up", of: text) == 2)
        #expect(NodeHealth.field("name", of: text) == nil)
        #expect(NodeHealth.field("none", of: text) == nil)
    }
}
