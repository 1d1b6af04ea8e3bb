import Base
import Coding
import Replication
import Testing

@testable import Server

/// README, "One account of memory": requests that have arrived in part have an eighth of it, and
/// each must arrive in time.
@Suite("Requests that are half read leave room for others")
struct HalfReadRequestTests {
    private func server(
        bulkBytes: Int = 512 << 10, _ change: (inout Server.Configuration) -> Void
    ) throws -> RunningServer {
        try .single { configuration in
            configuration.node.memoryBytesMax = 8 << 20
            configuration.node.requestLimits = .init(
                bulkBytesMax: bulkBytes, requestBytesMax: 2 << 20 + bulkBytes)
            change(&configuration)
        }
    }

    private func figure(_ name: String, _ client: inout TestClient) throws -> Int {
        try client.send("INFO memory\r\n")
        let length = Int(try client.receiveLine().filter(\.isNumber)) ?? 0
        let text = try client.receive(length + 2)
        let line = text.split(separator: "\r\n").first { $0.hasPrefix(name + ":") }
        return try #require(line.flatMap { Int($0.dropFirst(name.utf8.count + 1)) })
    }

    private func half(_ bytes: Int) -> [UInt8] {
        Array("*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$400000\r\n".utf8)
            + [UInt8](repeating: 7, count: bytes)
    }

    @Test(
        "all together have their share of memory, and whole requests of others are served",
        arguments: [512 << 10, 64 << 20])
    func bytes(bulkBytes: Int) throws {
        let server = try server(bulkBytes: bulkBytes) { _ in }
        var other = try TestClient(port: server.clientPort)
        let slow = try (0..<20).map { _ in try KeptClient(port: server.clientPort) }
        let part = half(200_000)
        // A MiB is an eighth; what arrives in one piece is taken before it is counted.
        let most = 1 << 20 + 20 * ClientBuffers.requestBytesFree + 256 << 10
        for one in slow {
            _ = try? one.client.send(part)
            try other.expect("+OK\r\n", to: "SET k v\r\n")
            #expect(try figure("memory_requests", &other) <= most)
        }
        for _ in 0..<50 { try other.expect("+OK\r\n", to: "SET k v\r\n") }
        #expect(try figure("memory_requests", &other) <= most)
        for one in slow { one.client.endSending() }
        var rounds = 0
        while try figure("memory_requests", &other) > 0, rounds < 1_000 { rounds += 1 }
        #expect(try figure("memory_requests", &other) == 0)
        server.stop()
        #expect(try server.counters.requestsRefused >= 10)
    }

    @Test("one may be longer than the share of all")
    func long() throws {
        let server = try server(bulkBytes: 64 << 20) { _ in }
        var client = try TestClient(port: server.clientPort)
        let text = String(repeating: "v", count: 3 << 20)
        try client.expect(
            "$\(3 << 20)\r\n\(text)\r\n",
            to: "*2\r\n$4\r\nPING\r\n$\(3 << 20)\r\n\(text)\r\n")
        server.stop()
        #expect(try server.counters.requestsRefused == 0)
    }

    @Test("one that does not come in time is told so, and who asks nothing may stay silent")
    func time() throws {
        let server = try server { $0.limits.requestMilliseconds = 20 }
        var silent = try TestClient(port: server.clientPort)
        var slow = try TestClient(port: server.clientPort)
        try slow.send(half(10))
        #expect(
            try slow.receiveToEnd() == "-ERR the rest of the request did not come in time\r\n")
        try silent.expect("+PONG\r\n", to: "PING\r\n")
        var again = try TestClient(port: server.clientPort)
        let value = String(repeating: "v", count: 100)
        try again.send("*3\r\n$3\r\nSET\r\n")
        try again.expect("+OK\r\n", to: "$1\r\nk\r\n$100\r\n\(value)\r\n")
        server.stop()
        #expect(try server.counters.requestsRefused == 1)
    }
}
