import Base
import Coding
import Glibc
import Reactor
import Replication
import Testing

@testable import Server

@Suite struct StopTests {
    @Test("after a stop everything that was acknowledged is there again")
    func restart() throws {
        let plan = try ClusterPlan(nodes: 1)
        let value = String(repeating: "v", count: 1000)
        let before = try RunningServer(plan.configuration(1), in: plan.directory)
        var client = try TestClient(port: before.clientPort)
        for number in 0..<300 { try client.send("SET k\(number) \(number)\(value)\r\n") }
        #expect(try client.receive(5 * 300) == String(repeating: "+OK\r\n", count: 300))
        #expect(before.stop() == .stopped)
        #expect(try client.receiveToEnd() == "")
        let after = try RunningServer(plan.configuration(1), in: plan.directory)
        var reader = try TestClient(port: after.clientPort)
        for number in [0, 150, 299] {
            let whole = "\(number)\(value)"
            try reader.expect("$\(whole.utf8.count)\r\n\(whole)\r\n", to: "GET k\(number)\r\n")
        }
    }

    @Test("a checkpoint replaces the journal before it, and a restart reads both")
    func checkpoint() throws {
        let plan = try ClusterPlan(nodes: 1)
        var configuration = plan.configuration(1)
        configuration.limits.checkpointAfterBytes = 1 << 20
        let value = String(repeating: "v", count: 10_000)
        let before = try RunningServer(configuration, in: plan.directory)
        var client = try TestClient(port: before.clientPort)
        // A hundred at a time, so that they share the disk's syncs.
        for hundred in 0..<15 {
            let requests = (0..<100).map { "SET k\($0) \(hundred * 100 + $0)\(value)\r\n" }
            try client.expect(
                String(repeating: "+OK\r\n", count: 100), to: requests.joined())
        }
        #expect(before.stop() == .stopped)
        let after = try RunningServer(configuration, in: plan.directory)
        var reader = try TestClient(port: after.clientPort)
        for number in 1_400..<1_500 {
            let whole = "\(number)\(value)"
            try reader.expect("$10004\r\n\(whole)\r\n", to: "GET k\(number % 100)\r\n")
        }
    }

    @Test("a node that is killed again and again writes a checkpoint all the same")
    func checkpointOverLives() throws {
        let plan = try ClusterPlan(nodes: 1)
        var configuration = plan.configuration(1)
        configuration.limits.checkpointAfterBytes = 7 << 20
        for life in 1...3 {
            let server = try RunningServer(configuration, in: plan.directory)
            var client = try TestClient(port: server.clientPort)
            try client.expect("+OK\r\n", to: "SET k \(life)\r\n")
            #expect(server.stop() == .stopped)
        }
        let disk = try FileDisk(path: configuration.dataDirectory)
        #expect(try disk.list().contains { $0.hasPrefix("checkpoint-") })
    }

    @Test("damage is told in plain words, with what to do about it")
    func damageInWords() throws {
        let plan = try ClusterPlan(nodes: 1)
        let configuration = plan.configuration(1)
        let server = try RunningServer(configuration, in: plan.directory)
        var client = try TestClient(port: server.clientPort)
        try client.expect("+OK\r\n", to: "SET k 1\r\n")
        server.stop()
        let name = "journal-0000000000000001.segment"
        try remove(name, in: configuration.dataDirectory)
        let failure = try #require(throws: ServerError.self) {
            try RunningServer(configuration, in: plan.directory)
        }
        #expect(failure.exitStatus == 65)
        for words in ["\(name) at byte 0: the journal's newest file is gone", "quarantine"] {
            #expect(failure.description.contains(words), "\(failure)")
        }
        var lenient = configuration
        lenient.recovery = .quarantine
        try RunningServer(lenient, in: plan.directory).stop()
    }

    @Test("a directory that another version wrote is left as it is, and nobody is told to empty it")
    func otherVersion() throws {
        let plan = try ClusterPlan(nodes: 1)
        let configuration = plan.configuration(1)
        try RunningServer(configuration, in: plan.directory).stop()
        try overwriteFormat(in: configuration.dataDirectory)
        let failure = try #require(throws: ServerError.self) {
            try RunningServer(configuration, in: plan.directory)
        }
        #expect(failure.exitStatus == 65)
        #expect(failure.description.contains("another version of this program wrote the file"))
        #expect(failure.description.contains("(format 99)"))
        for words in ["empty", "aside", "remove", "delete"] {
            #expect(!failure.description.contains(words), "\(failure)")
        }
    }

    /// Has the file `identity` name a format that there is not, behind a right checksum.
    private func overwriteFormat(in directory: String) throws {
        let disk = try FileDisk(path: directory)
        let content = UnsafeMutableRawBufferPointer.allocate(byteCount: 44, alignment: 8)
        defer { content.deallocate() }
        _ = try disk.read("identity", at: 0, into: content)
        content.storeBytes(of: UInt32(99).littleEndian, toByteOffset: 8, as: UInt32.self)
        let sum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: content[..<40]))
        content.storeBytes(of: sum.littleEndian, toByteOffset: 40, as: UInt32.self)
        try disk.write("identity", at: 0, UnsafeRawBufferPointer(content))
    }

    private func remove(_ name: String, in directory: String) throws {
        try FileDisk(path: directory).remove(name)
    }

    @Test("a data directory in use is refused")
    func directoryLock() throws {
        let plan = try ClusterPlan(nodes: 1)
        let first = try RunningServer(plan.configuration(1), in: plan.directory)
        var second = plan.configuration(1)
        second.clientPort = 0
        second.linkPort = 0
        second.limits.predecessorMilliseconds = 1
        let path = second.dataDirectory
        #expect(throws: ServerError.storage(.locked(path))) {
            try RunningServer(second, in: plan.directory)
        }
        first.stop()
        try RunningServer(second, in: plan.directory).stop()
    }

    @Test("a data directory of another node or cluster is refused")
    func foreignDirectory() throws {
        let plan = try ClusterPlan(nodes: 2)
        try RunningServer(plan.configuration(1), in: plan.directory).stop()
        let otherNode = plan.configuration(2, directory: "node-1")
        let otherCluster = plan.configuration(1, clusterID: 9)
        for (configuration, text) in [
            (otherNode, "to node 1, not to node 2"), (otherCluster, "another clusterID"),
        ] {
            let error = #expect(throws: ServerError.self) {
                try RunningServer(configuration, in: plan.directory)
            }
            #expect(error?.exitStatus == 78)
            #expect(error?.description.contains(text) == true)
        }
    }

    @Test("a port in use is refused with its address")
    func portInUse() throws {
        let plan = try ClusterPlan(nodes: 1)
        let first = try RunningServer(plan.configuration(1), in: plan.directory)
        var second = plan.configuration(1, directory: "other")
        second.linkPort = 0
        second.limits.predecessorMilliseconds = 1
        let error = #expect(throws: ServerError.self) {
            try RunningServer(second, in: plan.directory)
        }
        let text =
            "network: listen for clients on 127.0.0.1:\(first.clientPort): "
            + "Address already in use; end what uses it (ss -ltnp names it) or set another port"
        #expect(error?.description == text)
        second.clientPort = 0
        second.metricsPort = first.clientPort
        let metrics = #expect(throws: ServerError.self) {
            try RunningServer(second, in: plan.directory)
        }
        #expect(metrics?.description.contains("listen for metrics on 127.0.0.1:") == true)
    }

    @Test("a start waits, and says so, for a predecessor that is about to end")
    func predecessor() throws {
        let plan = try ClusterPlan(nodes: 1)
        let first = try RunningServer(plan.configuration(1), in: plan.directory)
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let (heard, told) = (ends[0], ends[1])
        let ending = try startThread {
            var line = [UInt8](repeating: 0, count: 500)
            let count = read(heard, &line, line.count)
            #expect(String(decoding: line[..<max(0, count)], as: UTF8.self).contains("in use"))
            first.stop()
        }
        let log = Log(descriptor: told)
        try RunningServer(plan.configuration(1), in: plan.directory, log: log).stop()
        pthread_join(ending, nil)
        close(heard)
        close(told)
    }
}
