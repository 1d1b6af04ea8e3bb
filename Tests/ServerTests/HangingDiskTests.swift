import Base
import Reactor
import Replication
import Testing

@testable import Server

@Suite("A member whose disk hangs for seconds")
struct HangingDiskTests {
    private func configuration(_ plan: ClusterPlan, _ number: UInt16) -> Server.Configuration {
        var keyspace = KeyspaceSettings()
        keyspace.durability = .memory
        var configuration = plan.configuration(number)
        configuration.node.keyspaces = [(Array("m".utf8), keyspace)]
        return configuration
    }

    /// What the other members believe of node 1.
    private func belief(_ client: inout TestClient) throws -> String {
        try client.send("INFO members\r\n")
        let length = Int(try client.receiveLine().filter(\.isNumber)) ?? 0
        let text = try client.receive(length + 2)
        let line = text.split(separator: "\r\n").first { $0.hasPrefix("member_1:") }
        return line.map { String($0.dropFirst("member_1:".count)) } ?? "nothing"
    }

    @Test("it stays one, and what needs no disk goes on at every replica")
    func hangs() throws {
        let plan = try ClusterPlan(nodes: 3)
        let own = configuration(plan, 1)
        let disk = try FaultyDisk(path: own.dataDirectory)
        let first = try RunningServer(own, in: plan.directory, on: disk)
        let second = try RunningServer(configuration(plan, 2), in: plan.directory)
        let third = try RunningServer(configuration(plan, 3), in: plan.directory)
        var client = try TestClient(port: first.clientPort)
        var other = try TestClient(port: second.clientPort)
        var got = ""
        let linkedBy = SystemClock.monotonic() + 10_000_000_000
        while got != "+OK\r\n", SystemClock.monotonic() < linkedBy {
            try client.send("SET m:k v W ALL\r\n")
            got = try client.receiveLine()
        }
        #expect(got == "+OK\r\n")
        disk.holdSyncs()
        defer { disk.releaseSyncs() }
        var writer = try TestClient(port: first.clientPort)
        try writer.send("SET k v W ALL TIMEOUT 60000\r\n")
        let end = SystemClock.monotonic() + 3_000_000_000
        while SystemClock.monotonic() < end {
            try client.expect("+OK\r\n", to: "SET m:k v W ALL\r\n")
            try other.expect("+OK\r\n", to: "SET m:k w W ALL\r\n")
            let state = try belief(&other)
            try #require(["alive", "suspect"].contains(state), "\(state)")
        }
        #expect(try writer.hasReceived() == false)
        disk.releaseSyncs()
        #expect(try writer.receiveLine() == "+OK\r\n")
        for server in [first, second, third] { #expect(server.stop() == .stopped) }
    }
}
