import Base
import Causality
import Coding
import Testing

@testable import Replication

@Suite("What was deleted and forgotten does not come back with what was written to its key later")
struct RefutationTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    /// One of a key's kinds: how it is filled, what is written to it later, and what it holds when
    /// only that is left.
    struct Kind: CustomTestStringConvertible {
        let key: String
        let first: String
        let later: String
        let read: String
        let left: String
        /// What removes the first write without emptying the key; nil for DEL.
        var removal: String?
        var filler: String?

        var testDescription: String { "\(first), then \(later)" }

        func write(_ command: String) -> String {
            command.replacingOccurrences("KEY", key)
        }
    }

    static let kinds = [
        Kind(
            key: "c:{k}set", first: "SADD KEY old", later: "SADD KEY new", read: "SMEMBERS KEY",
            left: "*1\r\n$3\r\nnew\r\n"),
        Kind(
            key: "c:{k}counter", first: "INCRBY KEY 1000", later: "INCRBY KEY 1", read: "GET KEY",
            left: "$1\r\n1\r\n"),
        Kind(
            key: "c:{k}hash", first: "HSET KEY f old", later: "HSET KEY g new",
            read: "HGETALL KEY", left: "*2\r\n$1\r\ng\r\n$3\r\nnew\r\n"),
        Kind(
            key: "c:{k}total", first: "HINCRBY KEY f 1000", later: "HINCRBY KEY f 1",
            read: "HGET KEY f", left: "$1\r\n1\r\n"),
        Kind(
            key: "c:{k}sorted", first: "ZADD KEY 1 old", later: "ZADD KEY 2 new",
            read: "ZRANGE KEY 0 -1", left: "*1\r\n$3\r\nnew\r\n"),
        Kind(
            key: "c:{k}score", first: "ZINCRBY KEY 1000 m", later: "ZINCRBY KEY 1 m",
            read: "ZSCORE KEY m", left: "$1\r\n1\r\n"),
        Kind(
            key: "c:{k}list", first: "RPUSH KEY old", later: "RPUSH KEY new",
            read: "LRANGE KEY 0 -1", left: "*1\r\n$3\r\nnew\r\n"),
        Kind(
            key: "c:{k}kept", first: "SADD KEY old", later: "SADD KEY new", read: "SCARD KEY",
            left: ":2\r\n", removal: "SREM KEY old", filler: "SADD KEY stays"),
        Kind(
            key: "s:{k}", first: "QSET KEY old", later: "QSET KEY new", read: "GET KEY",
            left: "$3\r\nnew\r\n"),
    ]

    private func cluster(_ bug: NodeConfiguration.PlantedBug? = nil) -> Cluster {
        let cluster = Cluster(3) { configuration in
            configuration.collectionGraceMilliseconds = 2_000
            configuration.collectionMilliseconds = 1_000
            configuration.plantedBug = bug
        }
        for (name, conflict) in [("c", "crdt"), ("s", "siblings")] {
            #expect(
                cluster.run(a, "KEYSPACE CREATE \(name) conflict=\(conflict)") == "+OK\r\n")
        }
        return cluster
    }

    /// Until what all know to be deleted is forgotten.
    private func settle(_ cluster: Cluster) { cluster.pass(milliseconds: 14_000, by: 20) }

    private func fill(_ cluster: Cluster, _ kind: Kind) {
        #expect(!cluster.run(b, kind.write(kind.first)).hasPrefix("-"))
        if let filler = kind.filler { #expect(cluster.run(a, kind.write(filler)) == ":1\r\n") }
        cluster.pass(milliseconds: 1_000, by: 20)
    }

    private func remove(_ cluster: Cluster, _ kind: Kind) {
        #expect(cluster.run(a, kind.write(kind.removal ?? "DEL KEY") + " W 2") == ":1\r\n")
        settle(cluster)
    }

    private func expect(_ cluster: Cluster, _ kind: Kind) {
        settle(cluster)
        for node in cluster.ids {
            #expect(cluster.with(node) { !$0.isRefilling })
            #expect(cluster.run(node, kind.write(kind.read)) == kind.left)
        }
    }

    private func replaceDisk(_ cluster: Cluster, _ old: [[UInt8]]) throws {
        for node in [a, b] {
            try cluster.restart(node, epoch: 2_000, on: cluster.journals[node] ?? [], after: 1)
        }
        try cluster.restart(c, epoch: 2_000, on: old, after: 1)
    }

    @Test("an old disk returns while writes go on", arguments: kinds)
    func writesGoOn(_ kind: Kind) throws {
        let cluster = cluster()
        fill(cluster, kind)
        let old = cluster.journals[c] ?? []
        remove(cluster, kind)
        try replaceDisk(cluster, old)
        #expect(!cluster.run(a, kind.write(kind.later)).hasPrefix("-"))
        expect(cluster, kind)
    }

    @Test("a node on an old disk takes a write before it meets anybody", arguments: kinds)
    func aloneFirst(_ kind: Kind) throws { expect(try writtenAlone(kind), kind) }

    @Test("it came back when records were judged as a whole", arguments: kinds)
    func planted(_ kind: Kind) throws {
        let cluster = try writtenAlone(kind, .behindJudgesWhole)
        settle(cluster)
        for node in cluster.ids { #expect(cluster.run(node, kind.write(kind.read)) != kind.left) }
    }

    private func writtenAlone(
        _ kind: Kind, _ bug: NodeConfiguration.PlantedBug? = nil
    ) throws -> Cluster {
        let cluster = cluster(bug)
        fill(cluster, kind)
        let old = cluster.journals[c] ?? []
        remove(cluster, kind)
        cluster.isolate(c)
        try replaceDisk(cluster, old)
        for node in [a, b] { cluster.unlink(c, node) }
        #expect(cluster.run(c, "CONSISTENCY R 1 W 1") == "+OK\r\n")
        #expect(!cluster.run(c, kind.write(kind.later)).hasPrefix("-"))
        cluster.cut = []
        cluster.meet(c)
        return cluster
    }

    @Test("two of three nodes return on old disks and take a write", arguments: kinds)
    func twoOld(_ kind: Kind) throws {
        let cluster = cluster()
        fill(cluster, kind)
        let old = (b: cluster.journals[b] ?? [], c: cluster.journals[c] ?? [])
        remove(cluster, kind)
        (cluster.journals[b], cluster.journals[c]) = old
        for node in cluster.ids {
            try cluster.restartAlone(node, epoch: 2_000)
            cluster.with(node) { $0.resumes(after: [1]) }
        }
        cluster.link(b, c)
        cluster.link(c, b)
        #expect(cluster.run(b, "CONSISTENCY R 1 W 1") == "+OK\r\n")
        #expect(!cluster.run(b, kind.write(kind.later)).hasPrefix("-"))
        cluster.pass(milliseconds: 1_000, by: 20)
        cluster.link(a, b)
        cluster.link(b, a)
        cluster.pass(milliseconds: 3_000, by: 20)
        cluster.link(a, c)
        cluster.link(c, a)
        expect(cluster, kind)
    }

    @Test("a disk loses a deletion and keeps what was written later", arguments: kinds)
    func damaged(_ kind: Kind) throws {
        let cluster = cluster()
        fill(cluster, kind)
        let old = cluster.journals[c] ?? []
        remove(cluster, kind)
        let before = cluster.journals[c] ?? []
        #expect(!cluster.run(a, kind.write(kind.later)).hasPrefix("-"))
        cluster.pass(milliseconds: 200, by: 20)
        let after = (cluster.journals[c] ?? []).dropFirst(before.count)
        try cluster.restart(c, epoch: 2_000, on: old + after, after: 1)
        cluster.with(c) { $0.distrustMemory() }
        expect(cluster, kind)
    }

    @Test("a node that was forgotten is let in again while writes go on", arguments: kinds)
    func readmitted(_ kind: Kind) throws {
        let cluster = cluster()
        fill(cluster, kind)
        cluster.isolate(c)
        cluster.pass(milliseconds: 6_000, by: 20)
        #expect(cluster.run(a, "CLUSTER FORGET 3") == "+OK\r\n")
        for node in [a, b] { cluster.unlink(node, c) }
        remove(cluster, kind)
        cluster.cut = []
        #expect(cluster.run(a, "CLUSTER READMIT 3").hasPrefix("+OK"))
        cluster.pass(milliseconds: 1_000, by: 20)
        try cluster.restart(c, epoch: 2_000, on: cluster.journals[c] ?? [], after: 1)
        #expect(!cluster.run(a, kind.write(kind.later)).hasPrefix("-"))
        expect(cluster, kind)
    }
}

extension String {
    fileprivate func replacingOccurrences(_ part: String, _ other: String) -> String {
        split(separator: part, omittingEmptySubsequences: false).joined(separator: other)
    }
}
