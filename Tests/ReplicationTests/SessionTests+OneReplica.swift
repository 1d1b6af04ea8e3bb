import Base
import Testing

@testable import Replication

/// A key with one replica, whose disk is what it was, or is not. README: what falls short is
/// refused with SESSION; never older data.
extension SessionTests {
    /// A cluster with a keyspace `m` of one replica, the node that has `m:{1}`, and another one.
    private func oneReplica(
        _ settings: String
    ) throws -> (cluster: Cluster, owner: NodeID, other: NodeID) {
        let cluster = cluster()
        let made = cluster.run(a, "KEYSPACE CREATE m n=1 r=1 w=1 timeout=300 \(settings)")
        #expect(made == "+OK\r\n")
        let owner = try #require(
            cluster.ids.first { id in
                cluster.with(id) { node in
                    Array("m:{1}".utf8).withUnsafeBytes { node.isReplica(of: node.place(of: $0)) }
                }
            })
        return (cluster, owner, try #require(cluster.ids.first { $0 != owner }))
    }

    private func restart(
        _ cluster: Cluster, _ owner: NodeID, _ epoch: UInt64, on journal: [[UInt8]]
    ) throws {
        try cluster.restart(owner, epoch: epoch, on: journal, after: 1)
        cluster.open(owner, client)
        cluster.pass(milliseconds: 3_000, by: 20)
    }

    /// Asks the key's node and the other one, whose connection has the session.
    private func expect(
        _ expected: String, _ line: String, _ cluster: Cluster, _ nodes: (NodeID, NodeID),
        _ comment: String
    ) {
        handOver(cluster, from: nodes.1, to: nodes.0)
        for node in [nodes.0, nodes.1] {
            let reply = wait(cluster, node, line)
            #expect(reply.hasPrefix(expected), "\(comment), \(line) at \(node): \(reply)")
        }
    }

    @Test(
        "what a session has seen is refused on an older disk and on an empty one",
        arguments: ["lww", "siblings", "crdt"], [true, false])
    func olderDisk(conflict: String, restartsBetween: Bool) throws {
        let (cluster, owner, other) = try oneReplica("conflict=\(conflict)")
        let isTyped = conflict == "crdt"
        let reads = ["GET m:{1}"] + (isTyped ? ["SMEMBERS m:{1}s"] : ["SET m:{1} x GET"])
        #expect(ask(cluster, other, "SET m:{1} old") == "+OK\r\n")
        if isTyped { #expect(ask(cluster, other, "SADD m:{1}s old") == ":1\r\n") }
        let older = cluster.journals[owner] ?? []
        let exported = cluster.exported(owner)
        if restartsBetween { try restart(cluster, owner, 3_000, on: older) }
        #expect(ask(cluster, other, "SESSION ON") == "+OK\r\n")
        #expect(ask(cluster, other, "SET m:{1} new") == "+OK\r\n")
        if isTyped { #expect(ask(cluster, other, "SADD m:{1}s new") == ":1\r\n") }
        let whole = cluster.journals[owner] ?? []
        let newer = cluster.exported(owner)
        for (index, journal) in [older, exported, []].enumerated() {
            try restart(cluster, owner, 6_000 + 6_000 * UInt64(index), on: journal)
            for line in reads {
                expect("-SESSION ", line, cluster, (owner, other), "older disk \(index)")
            }
            #expect(cluster.counters(owner).sessionRefusals > 0)
        }
        for (index, journal) in [whole, newer].enumerated() {
            try restart(cluster, owner, 30_000 + 6_000 * UInt64(index), on: journal)
            expect("$3\r\nnew", "GET m:{1}", cluster, (owner, other), "whole disk \(index)")
        }
    }

    @Test(
        "what was deleted since is answered after a restart, on the disk that has the deletion",
        arguments: ["lww", "siblings", "crdt"], [true, false])
    func deletedSince(conflict: String, isOwn: Bool) throws {
        let (cluster, owner, other) = try oneReplica("conflict=\(conflict)")
        #expect(ask(cluster, other, "SESSION ON") == "+OK\r\n")
        #expect(ask(cluster, other, "SET m:{1} value") == "+OK\r\n")
        #expect(ask(cluster, other, "GET m:{1}") == "$5\r\nvalue\r\n")
        let older = cluster.journals[owner] ?? []
        cluster.pass(milliseconds: 5)
        if isOwn {
            #expect(ask(cluster, other, "DEL m:{1}") == ":1\r\n")
        } else {
            #expect(cluster.run(owner, "DEL m:{1}") == ":1\r\n")
        }
        let (whole, newer) = (cluster.journals[owner] ?? [], cluster.exported(owner))
        for (index, journal) in [whole, newer].enumerated() {
            try restart(cluster, owner, 6_000 + 6_000 * UInt64(index), on: journal)
            expect("$-1", "GET m:{1}", cluster, (owner, other), "whole disk \(index)")
        }
        cluster.with(owner) { $0.distrustMemory() }
        #expect(conflict == "crdt" || wait(cluster, owner, "GET m:{1}").hasPrefix("-SESSION "))
        guard isOwn else { return }
        try restart(cluster, owner, 18_000, on: older)
        expect("-SESSION ", "GET m:{1}", cluster, (owner, other), "older disk")
    }

    @Test("a time to live that a session has seen is not taken back by an older disk")
    func olderExpiry() throws {
        let (cluster, owner, other) = try oneReplica("conflict=lww")
        #expect(cluster.run(other, "SET m:{1} value") == "+OK\r\n")
        let older = cluster.journals[owner] ?? []
        try restart(cluster, owner, 3_000, on: older)
        #expect(cluster.run(other, "EXPIRE m:{1} 1000") == ":1\r\n")
        #expect(ask(cluster, other, "SESSION ON") == "+OK\r\n")
        #expect(ask(cluster, other, "GET m:{1}") == "$5\r\nvalue\r\n")
        let whole = cluster.journals[owner] ?? []
        try restart(cluster, owner, 6_000, on: whole)
        expect("$5\r\nvalue", "GET m:{1}", cluster, (owner, other), "whole disk")
        try restart(cluster, owner, 9_000, on: older)
        expect("-SESSION ", "TTL m:{1}", cluster, (owner, other), "older disk")
    }
}
