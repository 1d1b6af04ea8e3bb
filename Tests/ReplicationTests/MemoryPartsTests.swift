import Base
import Testing

@testable import Replication

private let (a, b, c) = (NodeID(1), NodeID(2), NodeID(3))

/// README, "One account of memory": what a node takes besides records is held to the same limit.
@Suite("Every part of the memory account counts towards its one limit")
struct MemoryPartsTests {
    private func figures(_ cluster: Cluster) -> [String: Int] {
        var figures: [String: Int] = [:]
        for line in cluster.run(a, "INFO memory").split(separator: "\r\n") {
            let parts = line.split(separator: ":")
            if parts.count == 2, let value = Int(parts[1]) { figures[String(parts[0])] = value }
        }
        return figures
    }

    /// Something of everything.
    private func busy(_ bytesMax: Int) -> Cluster {
        let cluster = Cluster(3) { $0.memoryBytesMax = bytesMax }
        #expect(cluster.run(a, "KEYSPACE CREATE h n=2 r=1 w=1 sloppy=on") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE CREATE one n=1") == "+OK\r\n")
        for connection in 1...3 { cluster.open(a, ConnectionID(UInt32(connection))) }
        #expect(cluster.run(a, "IDEMPOTENCY i SET k v") == "+OK\r\n")
        #expect(cluster.ask(a, ConnectionID(1), ["MULTI"]) == "+OK\r\n")
        // Of some key this node is the only replica.
        let isQueued = (0..<50).contains {
            cluster.ask(a, ConnectionID(1), ["SET", "one:\($0)", "v"]) == "+QUEUED\r\n"
        }
        #expect(isQueued)
        #expect(cluster.ask(a, ConnectionID(2), ["SESSION", "ON"]) == "+OK\r\n")
        for key in 0..<20 {
            #expect(cluster.ask(a, ConnectionID(2), ["SET", "s\(key)", "v"]) == "+OK\r\n")
        }
        cluster.unlink(a, c)
        cluster.unlink(b, c)
        for key in 0..<60 {
            _ = cluster.run(a, "SET h:\(key) \(String(repeating: "v", count: 500))")
        }
        // One that does not end.
        cluster.cut = [[a, b]]
        _ = cluster.ask(a, ConnectionID(3), ["SET", "waits", "v", "W", "2", "TIMEOUT", "60000"])
        cluster.pass(milliseconds: 400)
        return cluster
    }

    @Test("INFO names the parts, and they add up to what is used")
    func sum() {
        let cluster = busy(64 << 20)
        cluster.with(a) { $0.noteBuffers(requests: 1_000, output: 200, links: 30_000) }
        let figures = figures(cluster)
        let parts = [
            "records", "operations", "request_ids", "transactions", "sessions", "hints", "replies",
            "requests", "links",
        ].map { "memory_\($0)" }
        for part in parts { #expect(figures[part, default: 0] > 0, "\(part)") }
        #expect(Set(figures.keys) == Set(parts).union(["used_memory", "maxmemory"]))
        #expect(figures["used_memory"] == parts.reduce(0) { $0 + figures[$1, default: 0] })
        #expect(figures["memory_requests"] == 1_000 && figures["memory_links"] == 30_000)
        #expect(figures["maxmemory"] == 64 << 20)
    }

    @Test("whatever part it is that fills the memory, writes are refused until it is free again")
    func limit() {
        let cluster = Cluster(1) { $0.memoryBytesMax = 8 << 20 }
        let parts: [(requests: Int, output: Int, links: Int)] = [
            (8 << 20, 0, 0), (0, 8 << 20, 0), (0, 0, 8 << 20), (3 << 20, 3 << 20, 3 << 20),
        ]
        for part in parts {
            cluster.with(a) {
                $0.noteBuffers(requests: part.requests, output: part.output, links: part.links)
            }
            cluster.pass(milliseconds: 1)
            #expect(cluster.run(a, "SET k v").hasPrefix("-OOM "), "\(part)")
            #expect(cluster.run(a, "PING") == "+PONG\r\n")
            cluster.with(a) { $0.noteBuffers(requests: 0, output: 0, links: 0) }
            cluster.pass(milliseconds: 1)
            #expect(cluster.run(a, "SET k v") == "+OK\r\n", "\(part)")
        }
    }

    @Test("what sessions have seen and what is kept for nodes that are away fills it as records do")
    func sessionsAndHints() {
        let cluster = Cluster(3) { $0.memoryBytesMax = 2 << 20 }
        #expect(cluster.run(a, "KEYSPACE CREATE h n=2 r=1 w=1 sloppy=on") == "+OK\r\n")
        cluster.unlink(a, c)
        cluster.unlink(b, c)
        let value = String(repeating: "v", count: 10_000)
        var number = 0
        while cluster.run(a, "SET h:\(number) \(value)") == "+OK\r\n", number < 2_000 {
            number += 1
            if number % 10 == 0 { cluster.pass(milliseconds: 250, by: 50) }
        }
        #expect(cluster.reply(a).hasPrefix("-OOM ") || cluster.reply(a).hasPrefix("-UNAVAILABLE"))
        cluster.pass(milliseconds: 250, by: 50)
        let account = cluster.with(a) { $0.memoryAccount }
        #expect(account.hints > 100_000)
        #expect(account.total < 2 << 20 + 30 * 10_100)
        #expect(account.total == account.named.reduce(0) { $0 + $1.bytes })
    }
}
