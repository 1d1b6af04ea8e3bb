import Base
import Reactor
import Replication
import Testing

@testable import Server

@Suite("What an operator orders stands in the log of the node that took it")
struct OrderLogTests {
    private func start(
        _ configuration: Server.Configuration, _ plan: ClusterPlan, _ path: String
    ) throws -> RunningServer {
        try RunningServer(configuration, in: plan.directory, log: Log(creating: path))
    }

    /// The lines of a log that hold these words, once there is one; commands are served meanwhile.
    private func lines(
        with words: String, in path: String, _ server: RunningServer
    ) throws -> [String] {
        var client = try TestClient(port: server.clientPort)
        let deadline = SystemClock.monotonic() + 10_000_000_000
        while !Log.text(of: path).contains(words), SystemClock.monotonic() < deadline {
            try client.expect("+PONG\r\n", to: "PING\r\n")
        }
        let lines = Log.text(of: path).split(separator: "\n").map(String.init)
        return lines.filter { $0.contains(words) }
    }

    @Test("keyspaces that are made, changed, dropped and emptied: one line each, with the client")
    func keyspaces() throws {
        let plan = try ClusterPlan(nodes: 1)
        let path = plan.directory.inner("log")
        let server = try start(plan.configuration(1), plan, path)
        var client = try TestClient(port: server.clientPort)
        try client.expect("-ERR", to: "KEYSPACE CREATE orders r=7\r\n")
        _ = try client.receiveLine()
        for command in [
            "KEYSPACE CREATE orders r=1 ttl=500", "KEYSPACE ALTER orders ttl=0", "SET orders:1 v",
            "FLUSHALL", "FLUSHDB", "KEYSPACE DROP orders",
        ] {
            try client.expect("+OK\r\n", to: command + "\r\n")
        }
        let last = "KEYSPACE DROP orders, ordered by a client at"
        #expect(try lines(with: last, in: path, server).count == 1)
        let log = Log.text(of: path)
        #expect(log.contains("KEYSPACE CREATE orders n=1 r=1 w=quorum ttl=500, ordered by a"))
        #expect(log.contains("KEYSPACE ALTER orders ttl=0 (was 500), ordered by"), "\(log)")
        #expect(log.split(separator: "\n").count { $0.contains("FLUSHALL or FLUSHDB") } == 2)
        #expect(!log.contains("r=7"))
        #expect(server.stop() == .stopped)
    }

    @Test("each of many orders leaves its line, also when one turn takes them all")
    func many() throws {
        let plan = try ClusterPlan(nodes: 1)
        let path = plan.directory.inner("log")
        let server = try start(plan.configuration(1), plan, path)
        var client = try TestClient(port: server.clientPort)
        let names = (0..<40).map { "name-\($0)" }
        for verb in ["CREATE", "DROP"] {
            try client.send(names.map { "KEYSPACE \(verb) \($0)\r\n" }.joined())
            for _ in names { #expect(try client.receiveLine() == "+OK\r\n") }
        }
        try client.send(String(repeating: "FLUSHALL\r\n", count: 90))
        for _ in 0..<90 { #expect(try client.receiveLine() == "+OK\r\n") }
        try client.expect("+OK\r\n", to: "KEYSPACE CREATE last\r\n")
        _ = try lines(with: "KEYSPACE CREATE last", in: path, server)
        let log = Log.text(of: path).split(separator: "\n")
        let counts = ["KEYSPACE CREATE name-", "KEYSPACE DROP name-", "FLUSHALL or"].map { words in
            log.count { $0.contains(words) }
        }
        #expect(counts == [40, 40, 90])
        #expect(server.stop() == .stopped)
    }

    @Test("a list of members that grows leaves n as it is, and says of which keyspaces")
    func grown() throws {
        let plan = try ClusterPlan(nodes: 3)
        var alone = plan
        alone.members = [plan.members[0]]
        let paths = (0..<3).map { plan.directory.inner("log-\($0)") }
        let words = "the list of members has grown, and n stays 1 in these keyspaces: "
        let first = try start(alone.configuration(1), plan, paths[0])
        var client = try TestClient(port: first.clientPort)
        try client.expect("+OK\r\n", to: "KEYSPACE CREATE orders\r\n")
        try client.expect("+OK\r\n", to: "SET orders:1 v\r\n")
        #expect(first.stop() == .stopped)
        #expect(!Log.text(of: paths[0]).contains(words))
        var longer = plan.configuration(1)
        longer.takesOtherMembers = true
        let second = try start(longer, plan, paths[1])
        let told = try lines(with: words, in: paths[1], second)
        #expect(told.count == 1)
        #expect(told.first?.contains("keyspaces: default, orders. There is one copy") == true)
        let reason = "the list of members has changed, and members have yet to hand over their keys"
        #expect(try lines(with: reason, in: paths[1], second).count == 1)
        #expect(!Log.text(of: paths[1]).contains("data directory is new"))
        #expect(second.stop() == .stopped)
        let third = try start(plan.configuration(1), plan, paths[2])
        _ = try lines(with: reason, in: paths[2], third)
        #expect(!Log.text(of: paths[2]).contains(words))
        #expect(third.stop() == .stopped)
    }
}
