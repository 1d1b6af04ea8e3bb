import Base
import Coding
import Testing

@testable import Server

/// README, "One account of memory": replies that clients have not taken have a quarter, and the
/// client with most unread replies is disconnected.
@Suite("Clients that do not read leave room for others")
struct UnreadReplyTests {
    private static let memoryBytes = 16 << 20
    /// A quarter, or what one client alone may be owed while there is memory: 4 MiB and a reply.
    private static let heldMax = 5 << 20

    /// A server with keyspaces for typed values, `t`, and for plain ones, `m`.
    private func server(memoryBytes: Int) throws -> RunningServer {
        let server = try RunningServer.single { $0.node.memoryBytesMax = memoryBytes }
        var client = try TestClient(port: server.clientPort)
        for keyspace in ["t conflict=crdt", "m"] {
            try client.expect(
                "+OK\r\n", to: "KEYSPACE CREATE \(keyspace) n=1 durability=memory\r\n")
        }
        return server
    }

    /// A request in RESP.
    private func request(_ words: [String]) -> String {
        "*\(words.count)\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
    }

    /// Some different words of 100 bytes, ascending.
    private func words(_ count: Int) -> [String] {
        let tail = String(repeating: "m", count: 93)
        return (0..<count).map { String(1_000_000 + $0) + tail }
    }

    /// Makes a value of each type, of about so many bytes.
    private func fill(_ client: inout TestClient, bytes: Int) throws {
        let members = words(bytes / 100)
        let count = members.count
        try client.expect(":\(count)\r\n", to: request(["SADD", "t:s"] + members))
        try client.expect(":\(count)\r\n", to: request(["RPUSH", "t:l"] + members))
        let value = String(repeating: "v", count: bytes)
        try client.expect("+OK\r\n", to: request(["SET", "m:k", value]))
    }

    /// The number of a field of INFO.
    private func figure(_ name: String, _ client: inout TestClient) throws -> Int {
        try client.send("INFO\r\n")
        let length = Int(try client.receiveLine().filter(\.isNumber)) ?? 0
        let text = try client.receive(length + 2)
        let line = text.split(separator: "\r\n").first { $0.hasPrefix(name + ":") }
        return try #require(line.flatMap { Int($0.dropFirst(name.utf8.count + 1)) })
    }

    @Test(
        "of whatever the replies are, those that are not read are bounded, and writes go on",
        arguments: ["SMEMBERS t:s", "LRANGE t:l 0 -1", "GET m:k", "MGET m:k m:k m:k"])
    func unread(_ command: String) throws {
        let server = try server(memoryBytes: UnreadReplyTests.memoryBytes)
        var other = try TestClient(port: server.clientPort)
        try fill(&other, bytes: 500_000)
        let silent = try (0..<12).map { _ in try KeptClient(port: server.clientPort) }
        for one in silent {
            for _ in 0..<40 { try one.client.send(command + "\r\n") }
        }
        var rounds = 0
        // Where values leave as they were, one is disconnected; where requests wait, nobody is.
        let roundsMax = command.contains("t:") ? 300 : 60
        while try figure("connected_clients", &other) > 11, rounds < roundsMax {
            try other.expect("+OK\r\n", to: "SET m:other v\r\n")
            let held = try figure("memory_replies", &other)
            #expect(held <= UnreadReplyTests.heldMax)
            rounds += 1
        }
        for _ in 0..<100 { try other.expect("+OK\r\n", to: "SET m:other v\r\n") }
        let held = try figure("memory_replies", &other)
        #expect(held <= UnreadReplyTests.heldMax)
        server.stop()
        // Plain requests wait, each client's for its replies; values leave as they were, whole.
        if command.contains("t:") { #expect(try server.counters.clientsOverOutputLimit > 0) }
    }

    @Test("one reply that is longer than the share leaves while there is memory")
    func longReply() throws {
        let server = try server(memoryBytes: 1_600_000)
        var client = try TestClient(port: server.clientPort)
        let members = words(6_000)
        try client.expect(":6000\r\n", to: request(["SADD", "t:s"] + members))
        let answer = "*6000\r\n" + members.map { "$100\r\n\($0)\r\n" }.joined()
        try client.send("SMEMBERS t:s\r\n")
        #expect(try client.receive(answer.utf8.count).utf8.count == answer.utf8.count)
        server.stop()
        #expect(try server.counters.clientsOverOutputLimit == 0)
    }
}

@Suite("Freed memory goes back to the kernel")
struct HeapReleaseTests {
    private let second: UInt64 = 1_000_000_000

    @Test("once 16 MiB were freed, and then after twenty times what it took")
    func due() {
        var heap = HeapRelease()
        heap.note(bytes: 40 << 20, at: second)
        heap.note(bytes: 30 << 20, at: second)
        #expect(heap.dueAt == .max)
        heap.note(bytes: 20 << 20, at: 2 * second)
        #expect(heap.dueAt == 2 * second)
        heap.done(from: 2 * second, to: 2 * second + 3)
        #expect(heap.dueAt == .max)
        heap.note(bytes: 1 << 20, at: 2 * second + 10)
        #expect(heap.dueAt == 2 * second + 63)
        // What is taken again need not be given back.
        heap.note(bytes: 15 << 20, at: 2 * second + 20)
        #expect(heap.dueAt == .max)
    }
}
