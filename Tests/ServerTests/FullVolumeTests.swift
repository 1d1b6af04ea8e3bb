import Base
import Reactor
import Testing

@testable import Server

/// A server whose files fill a small volume.
@Suite("A volume that is full")
struct FullVolumeTests {
    private static let capacity = 24 << 20
    private let plan: ClusterPlan

    init() throws { plan = try ClusterPlan(nodes: 1) }

    /// Starts the server on what is on the volume.
    private func start() throws -> (server: RunningServer, disk: FaultyDisk) {
        let configuration = plan.configuration(1)
        let disk = try FaultyDisk(path: configuration.dataDirectory)
        disk.setCapacity(Self.capacity)
        return (try RunningServer(configuration, in: plan.directory, on: disk), disk)
    }

    /// Sends a command until it is answered by more than that the disk is behind.
    private func ask(_ client: inout TestClient, _ command: String) throws -> String {
        let deadline = SystemClock.monotonic() + 20_000_000_000
        var answer = ""
        repeat {
            try client.send(command)
            answer = try client.receiveLine()
        } while answer.hasPrefix("-OVERLOADED") && SystemClock.monotonic() < deadline
        return answer
    }

    /// Writes values of a size until one finds no room.
    ///
    /// - Returns: how many did.
    private func fill(
        _ client: inout TestClient, from first: Int, _ size: Int = 60_000
    ) throws -> Int {
        let value = String(repeating: "v", count: size)
        for key in first..<first + 2_000 {
            let answer = try ask(&client, "SET k\(key) \(value)\r\n")
            if answer.hasPrefix("-DISKFULL") { return key - first }
            guard answer == "+OK\r\n" else {
                Issue.record("\(answer)")
                break
            }
        }
        Issue.record("the volume does not become full")
        return 0
    }

    @Test("DEL is taken, the server starts again, and writes find what was deleted")
    func deletions() throws {
        var kept = 0
        var first = 0
        for round in 0..<3 {
            let (server, disk) = try start()
            var client = try TestClient(port: server.clientPort)
            #expect(try ask(&client, "DBSIZE\r\n") == ":\(kept)\r\n", "round \(round)")
            let large = try fill(&client, from: first)
            #expect(large >= (round == 0 ? 50 : 5), "round \(round)")
            for key in first..<first + large {
                #expect(try ask(&client, "STRLEN k\(key)\r\n") == ":60000\r\n")
            }
            // Not even small ones are taken in the end.
            let written = large + (try fill(&client, from: first + large, 1_000))
            let gone = written / 2
            for key in first..<first + gone {
                #expect(try ask(&client, "DEL k\(key)\r\n") == ":1\r\n", "round \(round)")
            }
            kept += written - gone
            first += written
            #expect(try ask(&client, "DBSIZE\r\n") == ":\(kept)\r\n")
            #expect(server.stop() == .stopped)
            #expect(try disk.usedBytes() <= Self.capacity)
        }
    }

    /// The files that records are in.
    private func stored(_ disk: FaultyDisk) throws -> Set<String> {
        Set(try disk.list().filter { $0.hasPrefix("journal-") || $0.hasPrefix("checkpoint-") })
    }

    @Test("FLUSHALL is taken and frees files without another command")
    func flushed() throws {
        let (server, disk) = try start()
        var client = try TestClient(port: server.clientPort)
        let written = try fill(&client, from: 0)
        #expect(written >= 50)
        let full = try stored(disk)
        #expect(full.count >= 2)
        #expect(try ask(&client, "FLUSHALL\r\n") == "+OK\r\n")
        #expect(try ask(&client, "DBSIZE\r\n") == ":0\r\n")
        let deadline = SystemClock.monotonic() + 20_000_000_000
        while try full.intersection(stored(disk)).count > 1, SystemClock.monotonic() < deadline {
            try client.expect("+PONG\r\n", to: "PING\r\n")
        }
        // The last segment never goes.
        #expect(try full.intersection(stored(disk)).count <= 1)
        #expect(try fill(&client, from: 2_000) >= written * 3 / 4)
        #expect(server.stop() == .stopped)
    }
}
