import Base
import Causality
import Testing

@testable import Replication

private let (a, b, c) = (NodeID(1), NodeID(2), NodeID(3))

/// README: a time that is over when a command is executed makes it a DEL of what it has seen.
@Suite("A time that is over is a deletion")
struct PastExpiryTests {
    /// What ends a key, and what it answers; 1 is when the clock showed 1970.
    static let commands: [(line: String, reply: String)] = [
        ("EXPIRE k:1 -1", ":1\r\n"), ("EXPIRE k:1 0", ":1\r\n"), ("PEXPIRE k:1 -5", ":1\r\n"),
        ("EXPIREAT k:1 1", ":1\r\n"), ("PEXPIREAT k:1 1", ":1\r\n"),
        ("EXPIREAT k:1 -1", ":1\r\n"), ("GETEX k:1 EXAT 1", "$1\r\nv\r\n"),
        ("GETEX k:1 PXAT 1", "$1\r\nv\r\n"), ("SET k:1 w PXAT 1", "+OK\r\n"),
        ("SET k:1 w EXAT 1", "+OK\r\n"),
    ]
    static let policies = ["lww", "siblings", "crdt"]

    private func cluster(_ settings: String) -> Cluster {
        let cluster = Cluster(3)
        let made = cluster.run(a, "KEYSPACE CREATE k \(settings) timeout=300")
        #expect(made == "+OK\r\n")
        return cluster
    }

    private func isDeleted(_ cluster: Cluster, _ node: NodeID, _ key: String = "k:1") -> Bool {
        cluster.with(node) { node in
            Array(key.utf8).withUnsafeBytes { key in
                guard let record = node.store.find(node.store.address(of: key), key) else {
                    return true
                }
                return record.isTombstone && record.expiry == 0 && record.bodyBytes < 100
            }
        }
    }

    @Test("an EXPIRE on the other side of a cut does not undo it", arguments: policies)
    func bothSides(_ policy: String) {
        for command in PastExpiryTests.commands {
            for isLater in [false, true] {
                let cluster = cluster("n=3 r=1 w=1 conflict=\(policy)")
                #expect(cluster.run(a, "SET k:1 v W 3") == "+OK\r\n")
                cluster.isolate(a)
                if !isLater { #expect(cluster.run(b, "EXPIRE k:1 100") == ":1\r\n") }
                cluster.pass(milliseconds: 20)
                #expect(cluster.run(a, command.line) == command.reply, "\(command.line)")
                #expect(isDeleted(cluster, a), "\(policy): \(command.line)")
                cluster.pass(milliseconds: 20)
                if isLater { #expect(cluster.run(b, "EXPIRE k:1 100") == ":1\r\n") }
                cluster.cut = []
                cluster.pass(milliseconds: 5_000, by: 5)
                for node in cluster.ids {
                    #expect(cluster.run(node, "EXISTS k:1") == ":0\r\n", "\(command.line)")
                    if policy == "crdt" { continue }
                    #expect(isDeleted(cluster, node), "\(policy): \(command.line)")
                    cluster.with(node) { $0.checkInvariants(recounting: true) }
                }
            }
        }
    }

    /// Under lww a SET with a time that is over is as late as any other.
    @Test("what was written beside it, unseen, stays", arguments: policies)
    func unseen(_ policy: String) {
        for command in PastExpiryTests.commands {
            if policy == "lww", command.line.hasPrefix("SET") { continue }
            let cluster = cluster("n=3 r=1 w=1 conflict=\(policy)")
            #expect(cluster.run(a, "SET k:1 v W 3") == "+OK\r\n")
            cluster.isolate(a)
            #expect(cluster.run(b, "SET k:1 x") == "+OK\r\n")
            cluster.pass(milliseconds: 20)
            #expect(cluster.run(a, command.line) == command.reply)
            #expect(cluster.run(a, "EXISTS k:1") == ":0\r\n", "\(command.line)")
            cluster.cut = []
            cluster.pass(milliseconds: 5_000, by: 5)
            for node in cluster.ids {
                #expect(cluster.run(node, "GET k:1") == "$1\r\nx\r\n", "\(command.line)")
                cluster.with(node) { $0.checkInvariants(recounting: true) }
            }
        }
    }

    @Test("a key that is absent is left alone, and NX still asks for one without a time")
    func conditions() {
        for policy in PastExpiryTests.policies {
            let cluster = cluster("n=1 conflict=\(policy)")
            #expect(cluster.run(a, "EXPIRE k:1 -1") == ":0\r\n")
            #expect(cluster.run(a, "GETEX k:1 EXAT 1") == "$-1\r\n")
            #expect(cluster.run(a, "SET k:1 v EX 100") == "+OK\r\n")
            #expect(cluster.run(a, "EXPIRE k:1 -1 NX") == ":0\r\n")
            #expect(cluster.run(a, "GET k:1") == "$1\r\nv\r\n")
            #expect(cluster.run(a, "EXPIRE k:1 -1 LT") == ":1\r\n")
            #expect(cluster.run(a, "EXISTS k:1") == ":0\r\n")
            #expect(cluster.run(a, "SET k:1 v PXAT 1 NX GET") == "$-1\r\n")
            #expect(cluster.run(a, "SET k:1 v PXAT 1") == "+OK\r\n")
            #expect(cluster.run(a, "EXISTS k:1") == ":0\r\n")
            for node in cluster.ids { cluster.with(node) { $0.checkInvariants(recounting: true) } }
        }
    }

    @Test("through every door: by another node, with an id, in a transaction", arguments: policies)
    func doors(_ policy: String) throws {
        for command in PastExpiryTests.commands {
            let cluster = Cluster(5)
            let settings = "n=3 r=1 w=1 conflict=\(policy) timeout=300"
            #expect(cluster.run(a, "KEYSPACE CREATE k \(settings)") == "+OK\r\n")
            #expect(cluster.run(a, "KEYSPACE CREATE o n=1 conflict=\(policy)") == "+OK\r\n")
            for id in cluster.ids {
                #expect(cluster.run(id, "SET k:1 v") == "+OK\r\n")
                #expect(cluster.run(id, command.line) == command.reply)
                #expect(cluster.run(id, "EXISTS k:1 k:2") == ":0\r\n")
            }
            let holders = cluster.ids.filter { id in
                cluster.with(id) { node in
                    Array("k:1".utf8).withUnsafeBytes { node.isReplica(of: node.place(of: $0)) }
                }
            }
            for id in holders { #expect(isDeleted(cluster, id)) }
            #expect(cluster.run(a, "SET k:1 v") == "+OK\r\n")
            let withID = "IDEMPOTENCY x \(command.line)"
            #expect(cluster.run(a, withID) == command.reply, "\(policy): \(withID)")
            #expect(cluster.run(b, "SET k:1 later") == "+OK\r\n")
            #expect(cluster.run(c, withID) == command.reply, "\(policy): \(withID)")
            #expect(cluster.run(c, "GET k:1 R 3") == "$5\r\nlater\r\n", "\(policy): \(withID)")

            let line = command.line.replacing("k:1", with: "o:1")
            for id in cluster.ids {
                #expect(cluster.run(id, "SET o:1 v") == "+OK\r\n")
                #expect(cluster.run(id, "MULTI") == "+OK\r\n")
                guard cluster.run(id, line) == "+QUEUED\r\n" else {
                    _ = cluster.run(id, "DISCARD")
                    continue
                }
                #expect(cluster.run(id, "EXISTS o:1") == "+QUEUED\r\n")
                #expect(cluster.run(id, "EXEC") == "*2\r\n\(command.reply):0\r\n", "\(line)")
            }
        }
    }

    @Test("it is forgotten as a deletion is, once every replica has it", arguments: policies)
    func collected(_ policy: String) {
        let cluster = cluster("n=3 r=1 w=1 conflict=\(policy)")
        for (number, command) in PastExpiryTests.commands.enumerated() {
            let key = "k:\(number + 2)"
            #expect(cluster.run(a, "SET \(key) v W 3") == "+OK\r\n")
            let line = command.line.replacing("k:1", with: key)
            #expect(cluster.run(a, line) == command.reply)
        }
        cluster.pass(milliseconds: 90_000, by: 50)
        for node in cluster.ids {
            let records = cluster.with(node) { $0.holdings.keyspaces.map(\.contents.records) }
            #expect(records.allSatisfy { $0 == 0 }, "\(records)")
        }
    }
}
