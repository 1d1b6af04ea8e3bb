import Base
import Coding
import Testing

@testable import Replication

@Suite("Sampled reads are held against all replicas after they were answered")
struct StalenessTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    /// Every read is compared; reads and writes wait for one replica unless they say more.
    private func cluster(
        _ change: @escaping (inout KeyspaceSettings) -> Void = { _ in }
    ) -> Cluster {
        Cluster(3) { configuration in
            var settings = KeyspaceSettings()
            settings.readQuorum = .one
            settings.writeQuorum = .one
            settings.readRepairPerMille = 1_000
            change(&settings)
            configuration.keyspaces = [(Array("default".utf8), settings)]
        }
    }

    private func figures(_ cluster: Cluster, _ node: NodeID) -> StalenessFigures {
        cluster.with(node) { $0.keyspaceFigures[0].staleness }
    }

    /// Writes at one node while nothing of it reaches the others.
    private func writeAlone(_ cluster: Cluster, _ node: NodeID, _ command: String) {
        cluster.cut = Set(cluster.ids.filter { $0 != node }.map { [node, $0] })
        _ = cluster.run(node, command)
        cluster.cut = []
    }

    @Test("an answer older than what another replica held is stale, by how much and for how long")
    func stale() {
        let cluster = cluster()
        _ = cluster.run(b, "SET k old")
        cluster.pass(milliseconds: 3)
        writeAlone(cluster, a, "SET k new")
        cluster.pass(milliseconds: 7)
        #expect(cluster.run(b, "GET k") == "$3\r\nold\r\n")
        let found = figures(cluster, b)
        #expect(found.count(.stale) == 1 && found.compared == 1)
        #expect(found.age.nanoseconds == 7_000_000)
        #expect(found.behind.nanoseconds == 3_000_000)
        #expect(found.versions.first == 1 && found.stalePerMillion == 1_000_000)
        // The comparison has repaired it.
        #expect(cluster.run(b, "GET k") == "$3\r\nnew\r\n")
        #expect(figures(cluster, b).count(.agreed) == 1)
        #expect(cluster.run(b, "INFO staleness").contains("reads_compared:2\r\nreads_stale:1\r\n"))
    }

    @Test("nothing told where a replica had a value is stale, and behind nothing")
    func missing() {
        let cluster = cluster()
        writeAlone(cluster, a, "SET k v")
        cluster.pass(milliseconds: 2)
        #expect(cluster.run(b, "GET k") == "$-1\r\n")
        #expect(figures(cluster, b).count(.stale) == 1)
        #expect(figures(cluster, b).age.nanoseconds == 2_000_000)
        #expect(figures(cluster, b).behind.count == 0)
    }

    @Test("a value told that a replica knew deleted is stale; a deleted one not known of is not")
    func deleted() {
        let cluster = cluster()
        _ = cluster.run(b, "SET k v")
        writeAlone(cluster, a, "DEL k")
        cluster.pass(milliseconds: 2)
        #expect(cluster.run(b, "GET k") == "$1\r\nv\r\n")
        #expect(figures(cluster, b).count(.stale) == 1)
        writeAlone(cluster, a, "DEL other")
        cluster.pass(milliseconds: 2)
        #expect(cluster.run(b, "GET other") == "$-1\r\n")
        #expect(figures(cluster, b).count(.stale) == 1)
        #expect(figures(cluster, b).count(.fresh) == 1)
    }

    @Test("the newest of differing replicas is fresh")
    func fresh() {
        let cluster = cluster()
        writeAlone(cluster, a, "SET k new")
        cluster.pass(milliseconds: 2)
        #expect(cluster.run(a, "GET k") == "$3\r\nnew\r\n")
        #expect(figures(cluster, a).count(.fresh) == 1)
    }

    @Test("a write that was stamped after the read began is not held against it")
    func concurrent() {
        for milliseconds in [0, 1] as [UInt64] {
            let cluster = cluster()
            _ = cluster.run(b, "SET k old")
            cluster.pass(milliseconds: 5)
            cluster.open(b, ConnectionID(1))
            cluster.open(a, ConnectionID(1))
            cluster.send(b, ConnectionID(1), Array("GET k\r\n".utf8))
            cluster.wall[a, default: 0] += milliseconds
            cluster.send(a, ConnectionID(1), Array("SET k new\r\n".utf8))
            cluster.settle()
            // Within one millisecond nobody can tell, and the bias is to call it stale.
            #expect(figures(cluster, b).count(.stale) == (milliseconds == 0 ? 1 : 0))
            #expect(figures(cluster, b).compared == 1)
        }
    }

    @Test("each newer write that a replica still holds is a version behind")
    func versions() {
        let cluster = cluster()
        _ = cluster.run(b, "SET k 1")
        cluster.pass(milliseconds: 10)
        writeAlone(cluster, a, "SET k 2")
        cluster.pass(milliseconds: 10)
        writeAlone(cluster, c, "SET k 3")
        cluster.pass(milliseconds: 10)
        #expect(cluster.run(b, "GET k") == "$1\r\n1\r\n")
        let found = figures(cluster, b)
        #expect(found.versions == [0, 1, 0, 0, 0, 0, 0, 0] && found.versionsSum == 2)
        #expect(found.age.nanoseconds == 20_000_000)
        #expect(found.behind.nanoseconds == 20_000_000)
    }

    @Test("a sibling that was not told is a newer write, whatever its stamp")
    func siblings() {
        let cluster = cluster { $0.conflict = .siblings }
        writeAlone(cluster, a, "QSET k 1")
        cluster.pass(milliseconds: 10)
        writeAlone(cluster, b, "QSET k 2")
        cluster.pass(milliseconds: 10)
        #expect(cluster.run(b, "QGET k").hasPrefix("*2\r\n"))
        #expect(figures(cluster, b).count(.stale) == 1)
        #expect(figures(cluster, b).age.nanoseconds == 20_000_000)
        #expect(cluster.run(b, "QGET k").hasPrefix("*3\r\n"))
        #expect(figures(cluster, b).count(.agreed) == 1)
    }

    @Test("where a replica does not answer nothing is known")
    func incomplete() {
        let cluster = cluster()
        _ = cluster.run(b, "SET k v")
        cluster.cut = [[b, c]]
        _ = cluster.run(b, "GET k")
        #expect(figures(cluster, b).count(.incomplete) == 0)
        cluster.pass(milliseconds: 1_100)
        #expect(figures(cluster, b).count(.incomplete) == 1 && figures(cluster, b).compared == 0)
        cluster.cut = []
        cluster.unlink(b, c)
        _ = cluster.run(b, "GET k")
        cluster.pass(milliseconds: 1_100)
        #expect(figures(cluster, b).count(.incomplete) == 2)
        #expect(cluster.counters(b).unavailable == 0 && cluster.counters(b).commandErrors == 0)
    }

    @Test("a sampled read asks no more replicas than another until it has been answered")
    func offThePath() throws {
        let cluster = cluster { $0.readQuorum = .quorum }
        _ = cluster.run(b, "SET k v W 3")
        cluster.open(b, ConnectionID(1))
        cluster.frames = []
        cluster.send(b, ConnectionID(1), Array("GET k\r\n".utf8))
        func asked() -> Int {
            (cluster.frames ?? []).count { $0.dropFirst(Frame.headerBytes).first == 3 }
        }
        #expect(asked() == 1 && cluster.reply(b, ConnectionID(1)) == "")
        cluster.settle()
        #expect(asked() == 2 && cluster.reply(b, ConnectionID(1)) == "$1\r\nv\r\n")
        #expect(figures(cluster, b).count(.agreed) == 1)
    }

    @Test("without a sample nothing is compared")
    func off() {
        let cluster = cluster { $0.readRepairPerMille = 0 }
        for _ in 0..<20 { _ = cluster.run(b, "GET k") }
        #expect(figures(cluster, b) == StalenessFigures())
    }

    @Test("without a sample a quorum read whose answers differ repairs nothing and asks nobody")
    func switchedOff() {
        for (share, repairs) in [(0, 0), (1, 1)] as [(UInt32, Int)] {
            let cluster = cluster { $0.readRepairPerMille = share }
            writeAlone(cluster, a, "SET k v")
            cluster.frames = []
            #expect(cluster.run(a, "GET k R 2") == "$1\r\nv\r\n")
            let kinds = (cluster.frames ?? []).compactMap { $0.dropFirst(Frame.headerBytes).first }
            #expect(kinds.count { $0 == 3 } == 1)
            #expect(kinds.count { $0 == 1 } == repairs)
            #expect(cluster.counters(a).readRepairs == repairs)
        }
    }

    @Test("the same holds for typed values")
    func switchedOffTyped() {
        for (share, repairs) in [(0, false), (1, true)] as [(UInt32, Bool)] {
            let cluster = cluster {
                $0.conflict = .crdt
                $0.readRepairPerMille = share
            }
            cluster.lostKinds = [Node.deltaKind, 9, 10, 11, 12]
            #expect(cluster.run(a, "SADD s x") == ":1\r\n")
            cluster.pass(milliseconds: 600)
            #expect(cluster.run(a, "SCARD s R ALL") == ":1\r\n")
            #expect((cluster.counters(a).readRepairs > 0) == repairs)
        }
    }
}
