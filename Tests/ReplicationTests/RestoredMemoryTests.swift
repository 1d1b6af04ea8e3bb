import Base
import CLinux
import Causality
import Coding
import Ring
import Secrets
import Testing

@testable import Replication

@Suite("A replay leaves no memory behind")
struct RestoredMemoryTests {
    private static let a = NodeID(1)

    private static func journaled(_ kind: JournalKind, _ lines: [String]) -> [[UInt8]] {
        let cluster = Cluster(1)
        _ = cluster.run(a, "KEYSPACE CREATE t conflict=crdt")
        _ = cluster.run(a, "KEYSPACE CREATE s conflict=siblings")
        cluster.journals[a] = []
        for line in lines { _ = cluster.run(a, line) }
        return (cluster.journals[a] ?? []).filter { $0[0] == kind.rawValue }
    }

    private static func restore(_ payloads: [[UInt8]], times: Int, _ cluster: Cluster) throws {
        for _ in 0..<times {
            for payload in payloads {
                try payload.withUnsafeBytes { bytes in
                    try cluster.with(a) { try $0.restore(bytes) }
                }
            }
        }
    }

    /// In a process of its own: other tests, which run beside this one, use the heap too.
    @Test("25,000 deltas and 25,000 records of a few keys that come again and again")
    func leaks() async {
        await #expect(processExitsWith: .success) {
            let deltas = RestoredMemoryTests.journaled(
                .delta,
                (0..<50).flatMap { number in
                    ["SADD t:s m\(number % 5)", "HINCRBY t:h f 1", "SREM t:s m\(number % 3)"]
                })
            let records = RestoredMemoryTests.journaled(
                .record, (0..<50).flatMap { ["SET s:\($0 % 3) v", "SET k v", "DEL s:1"] })
            try #require(deltas.count >= 100 && records.count >= 100)
            for payloads in [deltas, records] {
                let cluster = Cluster(1)
                _ = cluster.run(RestoredMemoryTests.a, "KEYSPACE CREATE t conflict=crdt")
                _ = cluster.run(RestoredMemoryTests.a, "KEYSPACE CREATE s conflict=siblings")
                try RestoredMemoryTests.restore(payloads, times: 10, cluster)
                let before = Int(quorate_heap_in_use())
                try RestoredMemoryTests.restore(payloads, times: 25_000 / payloads.count, cluster)
                // A box of 168 bytes that each one loses would be 4 MB.
                let grown = Int(quorate_heap_in_use()) - before
                try #require(grown < 100_000, "\(grown) bytes")
            }
        }
    }
}

@Suite("Where tables place keys follows from the cluster's secret")
struct TablePlaceTests {
    @Test("two secrets, and two clusters with one, place the same keys elsewhere")
    func secrets() {
        var random = PRNG(seed: 1)
        let (one, other) = (ClusterSecret(from: &random), ClusterSecret(from: &random))
        let all = [
            NodeKeys(one, cluster: 7), NodeKeys(one, cluster: 8), NodeKeys(other, cluster: 7),
        ]
        #expect(Set(all.map(\.tables)).count == 3)
        #expect(NodeKeys(one, cluster: 7).tables == all[0].tables)
        #expect(Set(all.flatMap { [$0.tables, $0.keyspaces] }).count == 6)
        let places = [one, other].map { secret in
            let members = [
                ClusterMember(
                    member: Member(NodeID(1)), host: "h", clientPort: 7_001, linkPort: 8_001)
            ]
            let node = Node(
                NodeConfiguration(node: NodeID(1), clusterID: 7, members: members),
                identity: ReplicaIdentity(node: NodeID(1), epoch: 1), secret: secret, seed: 1,
                now: Instant(monotonic: 1, wallMilliseconds: 1_700_000_000_000))
            return (0..<1_000).map { number in
                Array("key:\(number)".utf8).withUnsafeBytes { node.store.address(of: $0).hash }
            }
        }
        #expect(zip(places[0], places[1]).allSatisfy { $0 != $1 })
        // Nor is one order the other's.
        let orders = places.map { hashes in hashes.indices.sorted { hashes[$0] < hashes[$1] } }
        #expect(zip(orders[0], orders[1]).count { $0 == $1 } < 20)
    }
}

@Suite("What changes of keyspaces cost does not grow with their number")
struct KeyspaceCostTests {
    private let a = NodeID(1)

    private func bytes(_ cluster: Cluster, _ line: String) -> Int {
        cluster.journals[a] = []
        #expect(cluster.run(a, line) == "+OK\r\n")
        return (cluster.journals[a] ?? []).reduce(0) { $0 + $1.count }
    }

    @Test("a change is journaled by itself, also beside a thousand other keyspaces")
    func journaled() {
        let cluster = Cluster(1)
        let (created, altered) = (
            bytes(cluster, "KEYSPACE CREATE k0001"), bytes(cluster, "KEYSPACE ALTER k0001 ttl=5")
        )
        for number in 2..<1_000 {
            #expect(cluster.run(a, "KEYSPACE CREATE k\(1_000 + number)") == "+OK\r\n")
        }
        #expect(bytes(cluster, "KEYSPACE CREATE k9999") <= created + 64)
        #expect(bytes(cluster, "KEYSPACE ALTER k0001 ttl=6") <= altered + 64)
        #expect(bytes(cluster, "KEYSPACE DROP k9999") <= altered + 64)
    }
}
