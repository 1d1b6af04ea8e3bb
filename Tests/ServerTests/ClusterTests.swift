import Base
import Reactor
import Replication
import Testing

@testable import Server

@Suite struct ClusterTests {
    private func start(_ plan: ClusterPlan, _ number: UInt16) throws -> RunningServer {
        try RunningServer(plan.configuration(number), in: plan.directory)
    }

    @Test("what one node took in with a majority is read on each other node")
    func replicates() throws {
        let plan = try ClusterPlan(nodes: 3)
        let servers = try [start(plan, 3), start(plan, 1), start(plan, 2)]
        try TestClient.insist("+OK\r\n", "SET a hello W 2\r\n", port: servers[0].clientPort)
        for server in servers {
            try TestClient.insist("$5\r\n", "GET a R 2\r\n", port: server.clientPort)
        }
    }

    @Test("the rest goes on without one node, and takes it in again")
    func restart() throws {
        let plan = try ClusterPlan(nodes: 3)
        let first = try start(plan, 1)
        let second = try start(plan, 2)
        let third = try start(plan, 3)
        try TestClient.insist("+OK\r\n", "SET a 1 W 3\r\n", port: first.clientPort)
        third.stop()
        try TestClient.insist("+OK\r\n", "SET b 2 W 2\r\n", port: first.clientPort)
        let again = try start(plan, 3)
        try TestClient.insist("+OK\r\n", "SET c 3 W 3\r\n", port: second.clientPort)
        try TestClient.insist("$1\r\n", "GET a R 1\r\n", port: again.clientPort)
    }
}
