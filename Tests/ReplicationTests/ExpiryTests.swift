import Base
import Coding
import Testing

@testable import Replication

private let (a, b, c) = (NodeID(1), NodeID(2), NodeID(3))

/// What a change of an expiry does to a value that is replaced beside it.
@Suite("An expiry carries no value")
struct ExpiryTests {
    /// A sets v; B, cut off, changes when it expires; A meanwhile does something else.
    ///
    /// - Returns: what each node answers to `question` when all have met.
    private func answers(
        _ conflict: String, _ change: String, beside other: String, _ question: String,
        _ bug: NodeConfiguration.PlantedBug? = nil
    ) -> Set<String> {
        let cluster = Cluster(3) { $0.plantedBug = bug }
        let create = "KEYSPACE CREATE s n=3 r=1 w=1 conflict=\(conflict)"
        guard cluster.run(a, create) == "+OK\r\n" else { return ["no keyspace"] }
        _ = cluster.run(a, "SET s:k v PX 100000 W ALL")
        cluster.isolate(b)
        _ = cluster.run(a, other)
        cluster.pass(milliseconds: 50)
        _ = cluster.run(b, change)
        cluster.cut = []
        cluster.pass(milliseconds: 5_000, by: 10)
        return Set(cluster.ids.map { cluster.run($0, question) })
    }

    private static let changes = ["EXPIRE s:k 1000", "PERSIST s:k", "GETEX s:k EX 500"]

    @Test(
        "what was set beside it stays, as one value", arguments: ["lww", "siblings", "crdt"],
        changes)
    func replaced(conflict: String, change: String) {
        #expect(answers(conflict, change, beside: "SET s:k w", "GET s:k") == ["$1\r\nw\r\n"])
        #expect(answers(conflict, change, beside: "SET s:k w", "TTL s:k") == [":-1\r\n"])
    }

    @Test(
        "what was deleted beside it stays deleted", arguments: ["lww", "siblings", "crdt"], changes)
    func deleted(conflict: String, change: String) {
        #expect(answers(conflict, change, beside: "DEL s:k", "GET s:k") == ["$-1\r\n"])
    }

    @Test("of two times the later given one counts", arguments: ["lww", "siblings", "crdt"])
    func later(conflict: String) {
        let answers = answers(conflict, "PERSIST s:k", beside: "EXPIRE s:k 7", "PTTL s:k")
        #expect(answers == [":-1\r\n"])
    }

    @Test("one that carries the value is found", arguments: ["lww", "siblings", "crdt"])
    func planted(conflict: String) {
        let answers = answers(
            conflict, "EXPIRE s:k 1000", beside: "SET s:k w", "GET s:k", .expiryCarriesValue)
        #expect(answers != ["$1\r\nw\r\n"])
    }

    @Test(
        "conditions hold where one node decides, and are refused where replicas could differ",
        arguments: ["lww", "siblings", "crdt"])
    func conditions(conflict: String) {
        let cluster = Cluster(3)
        for (name, n) in [("one", 1), ("s", 3)] {
            let create = "KEYSPACE CREATE \(name) n=\(n) conflict=\(conflict)"
            #expect(cluster.run(a, create) == "+OK\r\n")
            #expect(cluster.run(a, "SET \(name):k v") == "+OK\r\n")
        }
        for condition in ["NX", "XX", "GT", "LT"] {
            for line in ["EXPIRE s:k 10", "PEXPIRE s:k 10000", "EXPIREAT s:k 99999999999"] {
                let reply = cluster.run(b, "\(line) \(condition)")
                #expect(reply.hasPrefix("-MODE "), "\(line) \(condition): \(reply)")
            }
        }
        #expect(cluster.run(a, "TTL s:k") == ":-1\r\n")
        for (line, reply) in [
            ("EXPIRE one:k 10 XX", ":0"), ("EXPIRE one:k 10 GT", ":0"), ("TTL one:k", ":-1"),
            ("EXPIRE one:k 10 NX", ":1"), ("EXPIRE one:k 20 NX", ":0"),
            ("EXPIRE one:k 5 GT", ":0"), ("EXPIRE one:k 5 LT", ":1"), ("EXPIRE one:k 7 LT", ":0"),
            ("TTL one:k", ":5"), ("PEXPIRE one:k 20000 GT", ":1"), ("EXPIRE one:k 30 XX", ":1"),
            ("TTL one:k", ":30"), ("PERSIST one:k", ":1"), ("EXPIRE one:k 9 LT", ":1"),
            ("TTL one:k", ":9"),
        ] {
            for id in cluster.ids where line.hasPrefix("TTL") {
                #expect(cluster.run(id, line) == reply + "\r\n", "\(line)")
            }
            if line.hasPrefix("TTL") { continue }
            #expect(cluster.run(a, line) == reply + "\r\n", "\(line)")
        }
    }

    @Test(
        "an expired value gives its bytes back although a replica is away",
        arguments: ["lww", "siblings", "crdt"])
    func bytes(conflict: String) {
        let cluster = Cluster(3)
        let create = "KEYSPACE CREATE s n=3 r=quorum w=quorum conflict=\(conflict)"
        #expect(cluster.run(a, create) == "+OK\r\n")
        cluster.isolate(c)
        let value = String(repeating: "x", count: 5_000)
        for key in 0..<20 {
            _ = cluster.run(a, "SET s:\(key) \(value) PX 1000")
            // A typed one hears another replica first, and asks again where one is away.
            cluster.pass(milliseconds: 50, by: 10)
            #expect(cluster.reply(a) == "+OK\r\n")
        }
        cluster.pass(milliseconds: 4_000, by: 10)
        for node in [a, b] {
            #expect(cluster.run(node, "DBSIZE") == ":0\r\n")
            let figures = cluster.with(node) { node in
                node.holdings.keyspaces.reduce(0) { $0 + $1.contents.bytes }
            }
            #expect(figures < 20 * 100)
        }
    }
}
