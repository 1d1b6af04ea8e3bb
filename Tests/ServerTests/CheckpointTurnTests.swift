import Base
import Reactor
import Testing

@testable import Server

/// README: what no client and no deadline asks for costs no turn.
@Suite("A checkpoint under way and the loop")
struct CheckpointTurnTests {
    /// Turns that a checkpoint of the state in these tests may take at once: as many as it has
    /// pieces, and some for what the disk says.
    private static let turnsMax = 200

    @Test("while it waits for the disk the loop waits as well, and then it is finished")
    func waits() throws {
        let plan = try ClusterPlan(nodes: 1)
        let configuration = plan.configuration(1)
        let disk = try FaultyDisk(path: configuration.dataDirectory)
        var server = try Server(configuration, on: disk, seed: 1, log: .silent)
        var client = try TestClient(port: server.clientAddress.port)
        let value = String(repeating: "v", count: 60_000)
        for key in 0..<70 {
            try client.send("SET k\(key) \(value)\r\n")
            while try !client.hasReceived() { try server.runTurn() }
            #expect(try client.receive(5) == "+OK\r\n")
        }
        disk.holdSyncs()
        let isBegun = server.lane.journal.beginCheckpoint()
        try #require(isBegun)
        server.checkpoint.stage = .begun
        var turns = 0
        repeat {
            try server.runTurn()
            turns += 1
        } while turns < Self.turnsMax && !isAtRest(server)
        let wait = (server.lane.journal.isCheckpointing, server.isPressed)
        #expect(wait == (true, false))
        // What comes is served, and leaves nothing that presses.
        for _ in 0..<20 {
            try client.send("PING\r\n")
            while try !client.hasReceived() { try server.runTurn() }
            #expect(try client.receive(7) == "+PONG\r\n")
            let isPressed = server.isPressed
            #expect(!isPressed)
        }
        disk.releaseSyncs()
        turns = 0
        while server.lane.journal.counters.checkpointsFinished == 0, turns < Self.turnsMax {
            try server.runTurn()
            turns += 1
        }
        let finished = server.lane.journal.counters.checkpointsFinished
        #expect(finished == 1)
    }

    /// Whether the checkpoint has taken in what it can before the disk goes on.
    private func isAtRest(_ server: borrowing Server) -> Bool {
        server.lane.journal.isCheckpointing && server.checkpoint.stage != .begun
            && !server.isPressed
    }
}
