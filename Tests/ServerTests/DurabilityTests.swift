import Base
import Glibc
import Reactor
import Testing

@testable import Server

@Suite struct DurabilityTests {
    private func onFaultyDisk() throws -> (server: RunningServer, disk: FaultyDisk) {
        let plan = try ClusterPlan(nodes: 1)
        let configuration = plan.configuration(1)
        let disk = try FaultyDisk(path: configuration.dataDirectory)
        return (try RunningServer(configuration, in: plan.directory, on: disk), disk)
    }

    @Test("no write is acknowledged before its sync; others are served meanwhile, in order")
    func waitsForSync() throws {
        let (server, disk) = try onFaultyDisk()
        var writer = try TestClient(port: server.clientPort)
        disk.holdSyncs()
        try writer.send("SET a 1\r\nPING\r\n")
        try writer.expectSilence(whilePinging: server.clientPort)
        disk.releaseSyncs()
        #expect(try writer.receive(12) == "+OK\r\n+PONG\r\n")
    }

    @Test("nothing but the writes that wait for it waits for a disk that hangs")
    func hangingDisk() throws {
        let plan = try ClusterPlan(nodes: 1)
        var configuration = plan.configuration(1)
        configuration.limits.diskBacklogBytesMax = 256 << 10
        let disk = try FaultyDisk(path: configuration.dataDirectory)
        let server = try RunningServer(configuration, in: plan.directory, on: disk)
        var client = try TestClient(port: server.clientPort)
        try client.expect("+OK\r\n", to: "KEYSPACE CREATE m durability=memory\r\n")
        disk.holdSyncs()
        let value = String(repeating: "v", count: 100_000)
        var writer = try TestClient(port: server.clientPort)
        for key in 10..<30 {
            try writer.send("*3\r\n$3\r\nSET\r\n$2\r\n\(key)\r\n$100000\r\n\(value)\r\n")
        }
        var answer = ""
        for _ in 0..<200 where answer.isEmpty {
            var other = try TestClient(port: server.clientPort)
            try other.send("SET k v\r\n")
            for _ in 0..<5 { try client.expect("+OK\r\n", to: "SET m:1 v\r\n") }
            if try other.hasReceived() { answer = try other.receiveLine() }
        }
        #expect(answer.hasPrefix("-OVERLOADED"))
        #expect(try writer.hasReceived() == false)
        disk.releaseSyncs()
        #expect(try writer.receiveLine() == "+OK\r\n")
        repeat {
            try client.send("SET k w\r\n")
            answer = try client.receiveLine()
        } while answer.hasPrefix("-OVERLOADED")
        #expect(answer == "+OK\r\n")
    }

    @Test("a slow disk keeps nobody from stopping the server cleanly")
    func stopsBehindSync() throws {
        let (server, disk) = try onFaultyDisk()
        var writer = try TestClient(port: server.clientPort)
        disk.holdSyncs()
        try writer.send("SET a 1\r\n")
        try writer.expectSilence(whilePinging: server.clientPort)
        server.requestStop()
        disk.releaseSyncs()
        #expect(try writer.receiveToEnd() == "+OK\r\n")
        #expect(server.awaitEnd() == .stopped)
    }

    @Test("after a failed sync the server stops at once, acknowledges nothing, and says why")
    func failedSync() throws {
        let (server, disk) = try onFaultyDisk()
        var writer = try TestClient(port: server.clientPort)
        try writer.expect("+OK\r\n", to: "SET a 1\r\n")
        let error = DiskError.failed("journal", errno: EIO)
        disk.failSyncs(error)
        try writer.send("SET a 2\r\n")
        #expect(try writer.receiveToEnd() == "")
        let ending = server.awaitEnd()
        #expect(ending == .failed(.storage(error)))
        #expect(ending?.exitStatus == 74)
    }

    @Test("on a full disk writes are refused and reads go on; with room it recovers by itself")
    func fullDisk() throws {
        let (server, disk) = try onFaultyDisk()
        var client = try TestClient(port: server.clientPort)
        try client.expect("+OK\r\n", to: "SET small 1\r\n")
        disk.setFull(true)
        let value = String(repeating: "v", count: 100_000)
        let command = "*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$100000\r\n\(value)\r\n"
        var answer = "+OK\r\n"
        for _ in 0..<200 where answer == "+OK\r\n" {
            try client.send(command)
            answer = try client.receiveLine()
        }
        #expect(answer.hasPrefix("-"))
        try client.expect("$1\r\n1\r\n", to: "GET small\r\n")
        disk.setFull(false)
        let deadline = SystemClock.monotonic() + 10_000_000_000
        repeat {
            try client.send("SET small 2\r\n")
            answer = try client.receiveLine()
        } while answer != "+OK\r\n" && SystemClock.monotonic() < deadline
        #expect(answer == "+OK\r\n")
    }
}
