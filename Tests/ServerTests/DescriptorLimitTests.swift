import Base
import Glibc
import Reactor
import Replication
import Testing

@testable import Server

/// In processes of their own: the limit holds for all of a process.
@Suite("Files and connections that a process may open")
struct DescriptorLimitTests {
    private static func limit(to count: Int) throws {
        var limit = rlimit(rlim_cur: rlim_t(count), rlim_max: rlim_t(count))
        try #require(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
    }

    /// What is kept for the journal and the other nodes of a cluster of two.
    private static func reserved(_ limits: Server.Limits) -> Int {
        FileDisk.descriptorsMax + 64 + 2 + limits.strangersMax + limits.scrapesMax
    }

    @Test("clients beyond it are told so; the journal goes on, and a member is let in")
    func clients() async {
        await #expect(processExitsWith: .success) {
            let plan = try ClusterPlan(nodes: 2)
            var configuration = plan.configuration(1)
            configuration.node.keyspaces = [(Array("default".utf8), DescriptorLimitTests.alone)]
            configuration.limits.checkpointAfterBytes = 1 << 20
            // A new directory would wait for the other node to say which keyspaces there are.
            try RunningServer(configuration, in: plan.directory).stop()
            try DescriptorLimitTests.limit(
                to: DescriptorLimitTests.reserved(configuration.limits) + 3)
            let path = plan.directory.inner("log")
            let server = try RunningServer(
                configuration, in: plan.directory, log: Log(creating: path))
            var first = try TestClient(port: server.clientPort)
            var second = try TestClient(port: server.clientPort)
            var third = try TestClient(port: server.clientPort)
            try first.expect("+PONG\r\n", to: "PING\r\n")
            try second.expect("+PONG\r\n", to: "PING\r\n")
            try third.expect("+PONG\r\n", to: "PING\r\n")
            for _ in 0..<20 {
                var more = try TestClient(port: server.clientPort)
                let answer = try more.receiveToEnd()
                try #require(answer == "-ERR max number of clients reached\r\n", "\(answer)")
            }
            // More than a segment of the journal, and checkpoints.
            let value = String(repeating: "v", count: 60_000)
            for number in 0..<100 {
                try first.expect("+OK\r\n", to: "SET k\(number % 10) \(value)\r\n")
            }
            var member = try CallingMember(2, of: plan, port: server.linkPort)
            let step = try member.greet(1)
            try #require(CallingMember.isLinked(step))
            server.stop()
            let counters = try server.counters
            try #require(counters.clientsRefused == 20 && counters.linksOpened == 1)
            let log = Log.text(of: path)
            try #require(log.contains("it lets in 3 clients instead of 10000"), "\(log)")
        }
    }

    @Test("a limit that leaves room for no client is named, with the one that would do")
    func none() async {
        await #expect(processExitsWith: .success) {
            let plan = try ClusterPlan(nodes: 2)
            let configuration = plan.configuration(1)
            let reserved = DescriptorLimitTests.reserved(configuration.limits)
            try DescriptorLimitTests.limit(to: reserved)
            do {
                _ = try RunningServer(configuration, in: plan.directory)
                throw ServerError.configuration("it started")
            } catch ServerError.configuration(let text) {
                try #require(text.contains("may open \(reserved) files and connections"), "\(text)")
                try #require(text.contains("to \(10_000 + reserved)"), "\(text)")
            }
        }
    }

    private static let alone: KeyspaceSettings = {
        var settings = KeyspaceSettings()
        (settings.replicationFactor, settings.readQuorum, settings.writeQuorum) = (2, .one, .one)
        return settings
    }()
}
