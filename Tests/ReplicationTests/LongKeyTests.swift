import Base
import Testing

@testable import Replication

@Suite("Replies that consist of long keys are bounded")
struct LongKeyTests {
    private let a = NodeID(1)

    @Test("SCAN ends early by bytes whatever its COUNT, and finds all of them", arguments: [1, 3])
    func scan(nodes: Int) {
        let cluster = Cluster(nodes)
        cluster.open(a, ConnectionID(1))
        let tail = String(repeating: "k", count: 4_000)
        for number in 0..<600 {
            let words = ["SET", "\(100 + number)\(tail)", "v"]
            #expect(cluster.ask(a, ConnectionID(1), words) == "+OK\r\n")
        }
        var (cursor, calls) = ("0", 0)
        var found: Set<String> = []
        repeat {
            let reply = cluster.ask(
                a, ConnectionID(1), ["SCAN", cursor, "COUNT", "10000", "MATCH", "*"])
            #expect(reply.utf8.count <= 1 << 20 + 10_000)
            let lines = reply.split(separator: "\r\n")
            guard lines.count > 3 else { break }
            cursor = String(lines[2])
            for line in lines.dropFirst(4) where line.hasSuffix(tail) {
                found.insert(String(line.prefix(3)))
            }
            calls += 1
        } while cursor != "0" && calls < 10_000
        #expect(found.count == 600)
        #expect(calls > 2)
    }
}
