import Base
import Reactor
import Replication
import Testing

@testable import Server

/// README: "a link that is behind is never closed: a write goes on without that node where enough
/// others are left".
@Suite("A member that does not read")
struct SlowLinkTests {
    private func configuration(_ plan: ClusterPlan) -> Server.Configuration {
        var keyspace = KeyspaceSettings()
        (keyspace.replicationFactor, keyspace.readQuorum, keyspace.writeQuorum) = (2, .one, .one)
        keyspace.durability = .memory
        var configuration = plan.configuration(1)
        configuration.node.keyspaces = [(Array("default".utf8), keyspace)]
        // It says nothing, and is not to be taken for dead meanwhile.
        configuration.node.membership.probeIntervalMilliseconds = 600_000
        configuration.limits.linkSilenceMilliseconds = 60_000
        configuration.limits.linkOutputBytesMax = 1 << 20
        configuration.metricsPort = 0
        return configuration
    }

    private func set(_ key: String, _ value: String) -> String {
        "*5\r\n$3\r\nSET\r\n$\(key.utf8.count)\r\n\(key)\r\n$\(value.utf8.count)\r\n\(value)\r\n"
            + "$1\r\nW\r\n$1\r\n1\r\n"
    }

    private func scrape(_ server: RunningServer) throws -> ScrapedMetrics {
        var client = try TestClient(port: try #require(server.metricsPort))
        try client.send("GET /metrics HTTP/1.0\r\n\r\n")
        let answer = try client.receiveToEnd()
        let head = try #require(answer.firstRange(of: "\r\n\r\n"))
        return try ScrapedMetrics(parsing: String(answer[head.upperBound...]))
    }

    /// Both are new, and have nothing to tell each other before long.
    private func meet(_ member: inout LivingMember, _ server: RunningServer) throws {
        let deadline = SystemClock.monotonic() + 10_000_000_000
        while try scrape(server)["quorate_refilling"] != 0, SystemClock.monotonic() < deadline {
            try member.goOn()
        }
        #expect(try scrape(server)["quorate_refilling"] == 0)
    }

    @Test("it costs no write and no link, and once it reads it is sent to again")
    func behind() throws {
        let plan = try ClusterPlan(nodes: 2)
        let path = plan.directory.inner("log")
        let server = try RunningServer(
            configuration(plan), in: plan.directory, log: Log(creating: path))
        var member = try LivingMember(2, ahead: 0, of: plan, port: server.linkPort)
        let isLinked = try member.greet(NodeID(1))
        try #require(isLinked)
        var client = try TestClient(port: server.clientPort)
        try meet(&member, server)
        // More than the kernel keeps for both ends.
        let value = String(repeating: "v", count: 400_000)
        for number in 0..<100 {
            try client.expect("+OK\r\n", to: set("k\(number % 10)", value))
        }
        let scraped = try scrape(server)
        let timesBehind = try #require(scraped["quorate_links_behind_total"])
        #expect(timesBehind >= 1)
        let waiting = try #require(scraped["quorate_link_backlog_bytes{node=\"2\"}"])
        #expect(waiting > 0 && waiting <= 2_097_152)
        let deadline = SystemClock.monotonic() + 10_000_000_000
        var isSentTo = false
        while !isSentTo, SystemClock.monotonic() < deadline {
            try client.expect("+OK\r\n", to: set("relieved", "w"))
            let bytes = try member.goOn()
            isSentTo = String(decoding: bytes, as: UTF8.self).contains("relieved")
        }
        #expect(isSentTo)
        #expect(!Log.text(of: path).contains("link to node 2 lost"), "\(Log.text(of: path))")
        server.stop()
        let counters = try server.counters
        #expect(counters.linksOpened == 1 && counters.malformedFrames == 0)
    }
}
