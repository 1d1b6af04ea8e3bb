import Base
import Reactor
import Replication
import Testing

@testable import Server

@Suite("What goes wrong for a while stands in the log")
struct TroubleLogTests {
    private func start(
        _ plan: ClusterPlan, _ number: UInt16, _ path: String, above epoch: UInt64 = 0
    ) throws -> RunningServer {
        var configuration = plan.configuration(number)
        configuration.metricsPort = 0
        configuration.epochAbove = epoch
        return try RunningServer(configuration, in: plan.directory, log: Log(creating: path))
    }

    private func scrape(_ server: RunningServer) throws -> ScrapedMetrics {
        var client = try TestClient(port: try #require(server.metricsPort))
        try client.send("GET /metrics HTTP/1.0\r\n\r\n")
        let answer = try client.receiveToEnd()
        let head = try #require(answer.firstRange(of: "\r\n\r\n"))
        return try ScrapedMetrics(parsing: String(answer[head.upperBound...]))
    }

    @Test("a clock that another one contradicts: both, by how much, and what to do")
    func clock() throws {
        let plan = try ClusterPlan(nodes: 2)
        let path = plan.directory.inner("log")
        let server = try start(plan, 1, path)
        var member = try LivingMember(2, ahead: 86_400_000, of: plan, port: server.linkPort)
        let isLinked = try member.greet(NodeID(1))
        try #require(isLinked)
        let words = "clocks: no majority agrees with the clock of node 1: node 2's is 86"
        let deadline = SystemClock.monotonic() + 10_000_000_000
        while !Log.text(of: path).contains(words), SystemClock.monotonic() < deadline {
            try member.goOn()
        }
        let log = Log.text(of: path)
        #expect(log.contains(words), "\(log)")
        #expect(log.contains(" ms ahead of it; set the wrong clock right"), "\(log)")
        let metrics = try scrape(server)
        #expect(metrics["quorate_clock_undecided"] == 1)
        let ahead = try #require(metrics["quorate_link_clock_ahead_seconds{node=\"2\"}"])
        #expect((86_390...86_410).contains(ahead))
        var client = try TestClient(port: server.clientPort)
        try client.send("SET k v\r\n")
        #expect(try client.receiveLine().hasPrefix("-CLOCK no majority agrees with the clock of"))
    }

    @Test("a clock that the majority contradicts: by how much, in the log and in a metric")
    func ownClock() throws {
        let plan = try ClusterPlan(nodes: 3)
        let path = plan.directory.inner("log")
        let server = try start(plan, 1, path)
        let right = try scrape(server)
        #expect(right["quorate_clock_wall_ahead_seconds"] == 0)
        #expect(right["quorate_clock_undecided"] == 0)
        var second = try LivingMember(2, ahead: 15_000, of: plan, port: server.linkPort)
        var third = try LivingMember(3, ahead: 15_000, of: plan, port: server.linkPort)
        let areLinked = (try second.greet(NodeID(1)), try third.greet(NodeID(1)))
        try #require(areLinked == (true, true))
        let words = "clocks: the clock of node 1 is 1"
        let deadline = SystemClock.monotonic() + 10_000_000_000
        while !Log.text(of: path).contains(words), SystemClock.monotonic() < deadline {
            try second.goOn()
            try third.goOn()
        }
        let log = Log.text(of: path)
        let line = log.split(separator: "\n").first { $0.contains(words) } ?? ""
        #expect(line.contains(" ms behind the majority's, whose time is used here"), "\(log)")
        let ahead = try #require(try scrape(server)["quorate_clock_wall_ahead_seconds"])
        #expect((-15.5 ... -14.5).contains(ahead))
    }

    /// Waits until a log says so, while a server is asked.
    private func isSaid(_ words: String, in path: String, _ server: RunningServer) throws -> Bool {
        var client = try TestClient(port: server.clientPort)
        let deadline = SystemClock.monotonic() + 10_000_000_000
        while !Log.text(of: path).contains(words), SystemClock.monotonic() < deadline {
            try client.expect("+PONG\r\n", to: "PING\r\n")
        }
        return Log.text(of: path).contains(words)
    }

    private func answer(_ server: RunningServer) throws -> String {
        var client = try TestClient(port: server.clientPort)
        try client.send("GET a\r\n")
        return try client.receiveLine()
    }

    @Test("a member that hangs: silent, declared dead and back, once each")
    func silent() throws {
        let plan = try ClusterPlan(nodes: 2)
        let path = plan.directory.inner("log")
        let server = try start(plan, 1, path)
        var member = try LivingMember(2, ahead: 0, of: plan, port: server.linkPort)
        let isLinked = try member.greet(NodeID(1))
        try #require(isLinked)
        for _ in 0..<20 { try member.goOn() }
        let link = "although its link is up"
        try #require(try isSaid("node 2 is silent for ", in: path, server))
        try #require(try isSaid("node 2 is declared dead, silent for ", in: path, server))
        let deadline = SystemClock.monotonic() + 10_000_000_000
        while !Log.text(of: path).contains("node 2 is back after "),
            SystemClock.monotonic() < deadline
        {
            try member.goOn()
        }
        let lines = Log.text(of: path).split(separator: "\n").filter { $0.contains("  node 2 is ") }
        #expect(lines.count == 3 && lines[0].contains(link) && lines[1].contains(link), "\(lines)")
        #expect(lines.last?.contains("node 2 is back after ") == true)
    }

    @Test("a node that was taken out says so, in its next life too, and goes on once it is let in")
    func forgotten() throws {
        let plan = try ClusterPlan(nodes: 3)
        let paths = (0..<5).map { plan.directory.inner("log-\($0)") }
        let first = try start(plan, 1, paths[0])
        let second = try start(plan, 2, paths[1])
        let third = try start(plan, 3, paths[2])
        try TestClient.insist("+OK\r\n", "SET a 1 W 3\r\n", port: first.clientPort)
        try TestClient.insist("+OK\r\n", "CLUSTER FORGET 3\r\n", port: first.clientPort)
        let order = "CLUSTER FORGET 3, ordered by a client at 127.0.0.1:"
        #expect(try isSaid(order, in: paths[0], first))
        let words = "this node was taken out of the cluster by CLUSTER FORGET 3"
        #expect(try isSaid(words, in: paths[2], first))
        #expect(try isSaid("node 3 is taken out of the cluster", in: paths[1], first))
        let parting = "link to node 3 lost: CLUSTER FORGET took it out of the cluster"
        let partingThere = "CLUSTER FORGET took this node out of the cluster"
        #expect(
            try isSaid(parting, in: paths[0], first)
                || Log.text(of: paths[2]).contains(partingThere))
        #expect(try answer(third).hasPrefix("-REMOVED"))
        #expect(third.stop() == .stopped)
        // From its own disk.
        let again = try start(plan, 3, paths[3])
        #expect(try answer(again).hasPrefix("-REMOVED"))
        #expect(try isSaid(words, in: paths[3], first))
        var client = try TestClient(port: first.clientPort)
        try client.send("CLUSTER READMIT 3\r\n")
        #expect(try client.receiveLine().hasPrefix("+OK node 3 is let in again"))
        try #require(try isSaid("beginning a new life", in: paths[3], first))
        guard case .reborn(let epoch)? = again.awaitEnd() else {
            Issue.record("it does not begin another life")
            return
        }
        let last = try start(plan, 3, paths[4], above: epoch)
        try TestClient.insist("+OK\r\n", "SET b 2 W 3\r\n", port: last.clientPort)
        try TestClient.insist("$1\r\n", "GET a R 1\r\n", port: last.clientPort)
        #expect(!Log.text(of: paths[4]).contains(words))
        for server in [first, second, last] { #expect(server.stop() == .stopped) }
    }
}
