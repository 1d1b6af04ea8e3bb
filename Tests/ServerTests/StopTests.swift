import Base
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
        for number in 0..<1_500 {
            try client.expect("+OK\r\n", to: "SET k\(number % 100) \(number)\(value)\r\n")
        }
        #expect(before.stop() == .stopped)
        let after = try RunningServer(configuration, in: plan.directory)
        var reader = try TestClient(port: after.clientPort)
        for number in 1_400..<1_500 {
            let whole = "\(number)\(value)"
            try reader.expect("$10004\r\n\(whole)\r\n", to: "GET k\(number % 100)\r\n")
        }
    }

    @Test("a data directory in use is refused")
    func directoryLock() throws {
        let plan = try ClusterPlan(nodes: 1)
        let first = try RunningServer(plan.configuration(1), in: plan.directory)
        var second = plan.configuration(1)
        second.clientPort = 0
        second.linkPort = 0
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
        for configuration in [otherNode, otherCluster] {
            let error = #expect(throws: ServerError.self) {
                try RunningServer(configuration, in: plan.directory)
            }
            #expect(error?.exitStatus == 78)
        }
    }

    @Test("a port in use is refused with its address")
    func portInUse() throws {
        let plan = try ClusterPlan(nodes: 1)
        let first = try RunningServer(plan.configuration(1), in: plan.directory)
        var second = plan.configuration(1, directory: "other")
        second.linkPort = 0
        let error = #expect(throws: ServerError.self) {
            try RunningServer(second, in: plan.directory)
        }
        let text = "network: listen on 127.0.0.1:\(first.clientPort): Address already in use"
        #expect(error?.description == text)
    }
}
