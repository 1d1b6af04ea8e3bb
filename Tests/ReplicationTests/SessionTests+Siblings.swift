import Base
import Causality
import Testing

@testable import Replication

extension SessionTests {
    /// What changes an expiry, and what comes after it: each is a session of its own.
    @Test(
        "a session's plain write behind a change of expiry replaces what the session wrote before",
        arguments: [
            ["EXPIRE k:1 100"], ["EXPIRE k:1 100", "PERSIST k:1"], ["GETEX k:1 EX 100"],
            ["SET k:1 first EX 100", "PERSIST k:1"], ["EXPIRE k:1 100", "EXPIRE k:1 200"],
        ])
    func changedExpiry(_ changes: [String]) {
        for last in ["SET k:1 second", "DEL k:1"] {
            let cluster = cluster("r=1 w=1 conflict=siblings")
            #expect(ask(cluster, a, "SESSION ON") == "+OK\r\n")
            cluster.isolate(a)
            #expect(ask(cluster, a, "SET k:1 first") == "+OK\r\n")
            for change in changes { #expect(!ask(cluster, a, change).hasPrefix("-")) }
            handOver(cluster, from: a, to: b)
            #expect(!ask(cluster, b, last).hasPrefix("-"))
            let expected = last.hasPrefix("SET") ? "$6\r\nsecond\r\n" : "$-1\r\n"
            #expect(ask(cluster, b, "GET k:1") == expected, "nothing is left that only A has")
            cluster.cut = []
            #expect(cluster.run(c, "GET k:1 R 3") == expected, "after \(changes)")
        }
    }

    @Test("such a write leaves what another client wrote beside the value")
    func besideChangedExpiry() {
        let cluster = cluster("r=1 w=1 conflict=siblings")
        #expect(ask(cluster, a, "SESSION ON") == "+OK\r\n")
        cluster.isolate(a)
        #expect(ask(cluster, a, "SET k:1 first") == "+OK\r\n")
        #expect(ask(cluster, a, "EXPIRE k:1 100") == ":1\r\n")
        #expect(cluster.run(a, "QSET k:1 foreign") == "+OK\r\n")
        handOver(cluster, from: a, to: b)
        #expect(ask(cluster, b, "SET k:1 second") == "+OK\r\n")
        cluster.cut = []
        let all = cluster.run(c, "QGET k:1 R 3")
        #expect(all.contains("foreign") && all.contains("second") && !all.contains("first"))
    }

    @Test("until it is replaced, a change of expiry is required of every read")
    func expiryRequired() {
        let cluster = cluster("r=1 w=1 conflict=siblings")
        #expect(cluster.run(b, "SET k:1 first") == "+OK\r\n")
        cluster.pass(milliseconds: 5)
        cluster.isolate(a)
        #expect(ask(cluster, a, "SESSION ON") == "+OK\r\n")
        #expect(ask(cluster, a, "EXPIRE k:1 100") == ":1\r\n")
        handOver(cluster, from: a, to: b)
        #expect(wait(cluster, b, "TTL k:1").hasPrefix("-SESSION"))
        cluster.cut = []
        #expect(wait(cluster, b, "TTL k:1") == ":100\r\n")
    }

    @Test("what another node read for a session's command was read by the session")
    func forwardedRead() throws {
        for policy in ["lww", "siblings"] {
            let cluster = cluster("r=1 w=1 conflict=\(policy)", nodes: 5)
            let outside = try #require(
                (0..<64).lazy.map { "k:\($0)" }.first { key in
                    cluster.with(a) { node in
                        Array(key.utf8).withUnsafeBytes { !node.isReplica(of: node.place(of: $0)) }
                    }
                })
            #expect(cluster.run(a, "SET \(outside) value") == "+OK\r\n")
            for command in ["GETEX \(outside) PERSIST", "EXPIRE \(outside) 100"] {
                #expect(ask(cluster, a, "SESSION OFF") == "+OK\r\n")
                #expect(ask(cluster, a, "SESSION ON") == "+OK\r\n")
                #expect(!wait(cluster, a, command).hasPrefix("-"))
                cluster.with(a) { node in
                    let hash = Array(outside.utf8).withUnsafeBytes {
                        node.store.address(of: $0).hash
                    }
                    let history = node.sessions[Int(client.rawValue)].history
                    #expect(!history.requirement(of: hash).isNone, "\(policy): \(command)")
                    #expect(!history.replaceable(of: hash).isEmpty)
                }
            }
        }
    }
}
