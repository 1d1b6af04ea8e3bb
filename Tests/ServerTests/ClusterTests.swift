import Base
import Reactor
import Replication
import Testing

@testable import Server

@Suite struct ClusterTests {
    private func start(_ plan: ClusterPlan, _ number: UInt16) throws -> RunningServer {
        try RunningServer(plan.configuration(number), in: plan.directory)
    }

    /// Repeats a command until the answer is right: links take a moment to come up.
    private func insist(_ answer: String, _ command: String, port: UInt16) throws {
        var client = try TestClient(port: port)
        let deadline = SystemClock.monotonic() + 10_000_000_000
        var got = ""
        repeat {
            try client.send(command)
            got = try client.receiveLine()
        } while got != answer && SystemClock.monotonic() < deadline
        #expect(got == answer)
    }

    @Test("what one node took in with a majority is read on each other node")
    func replicates() throws {
        let plan = try ClusterPlan(nodes: 3)
        let servers = try [start(plan, 3), start(plan, 1), start(plan, 2)]
        try insist("+OK\r\n", "SET a hello W 2\r\n", port: servers[0].clientPort)
        for server in servers {
            try insist("$5\r\n", "GET a R 2\r\n", port: server.clientPort)
        }
    }

    @Test("the rest goes on without one node, and takes it in again")
    func restart() throws {
        let plan = try ClusterPlan(nodes: 3)
        let first = try start(plan, 1)
        let second = try start(plan, 2)
        let third = try start(plan, 3)
        try insist("+OK\r\n", "SET a 1 W 3\r\n", port: first.clientPort)
        third.stop()
        try insist("+OK\r\n", "SET b 2 W 2\r\n", port: first.clientPort)
        let again = try start(plan, 3)
        try insist("+OK\r\n", "SET c 3 W 3\r\n", port: second.clientPort)
        try insist("$1\r\n", "GET a R 1\r\n", port: again.clientPort)
    }
}
