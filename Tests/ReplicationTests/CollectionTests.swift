import Base
import Causality
import Coding
import Ring
import Testing

@testable import Replication

@Suite("Deletes stay deleted, and are forgotten in the end")
struct CollectionTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    func cluster(
        _ bug: NodeConfiguration.PlantedBug? = nil, hints: UInt64 = 3_000
    ) -> Cluster {
        let cluster = Cluster(3) {
            $0.plantedBug = bug
            $0.collectionGraceMilliseconds = 1_200
            $0.collectionMilliseconds = 400
            $0.workUnitsMax = 1_000
            $0.hintMillisecondsMax = hints
        }
        cluster.pass(milliseconds: 600, by: 20)
        return cluster
    }

    /// Long enough for everything that can be collected.
    func settle(_ cluster: Cluster) { cluster.pass(milliseconds: 12_000, by: 50) }

    private func records(_ cluster: Cluster, _ node: NodeID) -> Int {
        cluster.with(node) { $0.keyspaceFigures.reduce(0) { $0 + $1.contents.records } }
    }

    private func records(_ cluster: Cluster) -> [Int] {
        cluster.ids.map { records(cluster, $0) }
    }

    private func figures(_ cluster: Cluster, _ node: NodeID) -> CollectionFigures {
        cluster.with(node) { $0.collectionFigures }
    }

    @Test("what every replica knows to be deleted is forgotten by all, and their trees agree")
    func everybody() {
        let cluster = cluster()
        #expect(cluster.run(a, "SET k v W ALL") == "+OK\r\n")
        #expect(cluster.run(a, "SET kept v W ALL") == "+OK\r\n")
        #expect(cluster.run(b, "DEL k") == ":1\r\n")
        #expect(records(cluster) == [2, 2, 2])
        settle(cluster)
        #expect(records(cluster) == [1, 1, 1])
        for node in cluster.ids {
            cluster.with(node) { $0.checkHoldings() }
            #expect(cluster.counters(node).tombstonesCollected == 1)
            #expect(cluster.run(node, "GET k R ALL") == "$-1\r\n")
            #expect(cluster.run(node, "GET kept R ALL") == "$1\r\nv\r\n")
        }
        #expect(cluster.run(c, "SET k again W ALL") == "+OK\r\n")
        #expect(cluster.run(b, "GET k R ALL") == "$5\r\nagain\r\n")
    }

    @Test("a replica that is away holds it up, and is named")
    func waits() {
        let cluster = cluster()
        #expect(cluster.run(a, "SET k v W ALL") == "+OK\r\n")
        cluster.isolate(c)
        cluster.pass(milliseconds: 2_000, by: 20)
        #expect(cluster.run(a, "DEL k") == ":1\r\n")
        cluster.pass(milliseconds: 500, by: 20)
        #expect(figures(cluster, a).waitsFor == [c], "at once, as it is not there")
        settle(cluster)
        #expect(records(cluster, a) == 1 && records(cluster, b) == 1)
        #expect(figures(cluster, a).waitsFor == [c])
        #expect(figures(cluster, a).oldestMilliseconds > 10_000)
        cluster.with(a) { $0.memory = MemoryAccount(bytesMax: 1) }
        #expect(cluster.run(a, "SET x v").contains("is kept until it is known to node 3;"))
        cluster.with(a) { $0.memory = MemoryAccount(bytesMax: 1 << 30) }
        cluster.cut = []
        settle(cluster)
        #expect(records(cluster) == [0, 0, 0])
        #expect(figures(cluster, a) == CollectionFigures())
        for node in cluster.ids { #expect(cluster.run(node, "GET k R ALL") == "$-1\r\n") }
    }

    @Test("whichever is away is named by all others, and nobody else is", arguments: 1...3)
    func namesWhoIsAway(_ number: UInt16) {
        let cluster = cluster()
        let away = NodeID(number)
        cluster.isolate(away)
        let others = cluster.ids.filter { $0 != away }
        for key in 0..<30 {
            #expect(cluster.run(others[0], "SET k\(key) v") == "+OK\r\n")
            #expect(cluster.run(others[1], "DEL k\(key)") == ":1\r\n")
        }
        settle(cluster)
        for node in others { #expect(figures(cluster, node).waitsFor == [away]) }
    }

    @Test("it is named as well while hints may still bring back what was deleted")
    func waitsWithHints() {
        let cluster = cluster(hints: 3_600_000)
        #expect(cluster.run(a, "KEYSPACE CREATE s n=2 sloppy=on") == "+OK\r\n")
        for key in 0..<30 { #expect(cluster.run(a, "SET s:\(key) v") == "+OK\r\n") }
        cluster.pass(milliseconds: 2_000, by: 20)
        settle(cluster)
        cluster.isolate(c)
        cluster.pass(milliseconds: 2_000, by: 20)
        for key in 0..<30 { _ = cluster.run(a, "DEL s:\(key)") }
        settle(cluster)
        #expect([a, b].contains { figures(cluster, $0).waitsFor == [c] })
        cluster.cut = []
        settle(cluster)
        for node in cluster.ids { #expect(figures(cluster, node).waitsFor == []) }
        #expect(figures(cluster, a).oldestMilliseconds > 10_000)
    }

    /// `c` was forgotten by an operator, and has `k`, which the others deleted and forgot.
    private func forgotten(_ bug: NodeConfiguration.PlantedBug? = nil) -> Cluster {
        let cluster = cluster(bug)
        #expect(cluster.run(a, "SET k v W ALL") == "+OK\r\n")
        #expect(cluster.run(a, "SET kept v W ALL") == "+OK\r\n")
        cluster.isolate(c)
        cluster.pass(milliseconds: 6_000, by: 20)
        #expect(cluster.run(a, "CLUSTER FORGET 3") == "+OK\r\n")
        for node in [a, b] { cluster.unlink(node, c) }
        #expect(cluster.run(a, "DEL k") == ":1\r\n")
        settle(cluster)
        #expect(records(cluster) == [1, 1, 2])
        return cluster
    }

    private func readmit(_ cluster: Cluster) throws {
        cluster.cut = []
        #expect(cluster.run(a, "CLUSTER READMIT 3").hasPrefix("+OK node 3 is let in again"))
        cluster.pass(milliseconds: 1_000, by: 20)
        try cluster.restart(c, epoch: 2_000, on: cluster.journals[c, default: []], after: 1)
        settle(cluster)
    }

    @Test("1: a replica that was forgotten drops what was deleted meanwhile when it returns")
    func returns() throws {
        let cluster = forgotten()
        try readmit(cluster)
        #expect(cluster.counters(c).fellBehind == 1 && cluster.counters(c).droppedBehind == 1)
        #expect(records(cluster) == [1, 1, 1])
        #expect(cluster.with(c) { !$0.isRefilling })
        for node in cluster.ids {
            #expect(cluster.run(node, "GET k R 1") == "$-1\r\n")
            #expect(cluster.run(node, "GET kept R 1") == "$1\r\nv\r\n")
        }
    }

    @Test("the deletion is undone when it keeps what it has")
    func plantedReturn() throws {
        let cluster = forgotten(.behindKeepsAll)
        try readmit(cluster)
        #expect(cluster.run(c, "GET k R 1") == "$1\r\nv\r\n")
    }

    /// `c` returns from a disk of before the deletion, `a` and `b` from what they have on theirs.
    private func restored(_ bug: NodeConfiguration.PlantedBug? = nil) throws -> Cluster {
        let cluster = cluster(bug)
        #expect(cluster.run(a, "SET k v W ALL") == "+OK\r\n")
        cluster.pass(milliseconds: 1_000, by: 20)
        let old = cluster.journals[c, default: []]
        #expect(cluster.run(a, "DEL k") == ":1\r\n")
        settle(cluster)
        #expect(records(cluster) == [0, 0, 0])
        cluster.isolate(a, b)
        for node in [a, b] {
            try cluster.restart(node, epoch: 2_000, on: try checkpoint(cluster, node), after: 1)
        }
        try cluster.restart(c, epoch: 2_000, on: old, after: 1)
        cluster.cut = []
        settle(cluster)
        return cluster
    }

    private func checkpoint(_ cluster: Cluster, _ node: NodeID) throws -> [[UInt8]] {
        var buffer = ByteBuffer(capacity: 4_096)
        cluster.with(node) { node in
            var cursor: UInt64?
            repeat {
                cursor = node.exportState(from: cursor, bytesMax: 1 << 20, into: &buffer)
            } while cursor != nil
        }
        var reader = ByteReader(buffer.bytes)
        var payloads: [[UInt8]] = []
        while reader.remaining > 0 {
            payloads.append(Array(try reader.slice(Int(try reader.integer(UInt32.self)))))
        }
        return payloads
    }

    @Test("1: an old disk brings nothing back, also when everybody was restarted")
    func oldDisk() throws {
        let cluster = try restored()
        #expect(records(cluster) == [0, 0, 0])
        for node in cluster.ids { #expect(cluster.run(node, "GET k R 1") == "$-1\r\n") }
        #expect(cluster.counters(c).droppedBehind == 1)
    }

    @Test("it does when the others forgot that they had forgotten")
    func plantedOldDisk() throws {
        let cluster = try restored(.collectionForgotten)
        #expect(cluster.run(a, "GET k R ALL") == "$1\r\nv\r\n")
    }

    @Test("12: a node whose damaged disk lost a deletion does not bring back what it deleted")
    func damaged() throws {
        let cluster = cluster()
        #expect(cluster.run(a, "SET k v W ALL") == "+OK\r\n")
        cluster.pass(milliseconds: 1_000, by: 20)
        let before = cluster.journals[c, default: []].count
        #expect(cluster.run(a, "DEL k W ALL") == ":1\r\n")
        settle(cluster)
        #expect(records(cluster) == [0, 0, 0])
        // Of what was written since, the damage spares what the node had promised.
        let journal = cluster.journals[c, default: []]
        let spared = journal.prefix(before) + journal.dropFirst(before).filter { $0[0] == 9 }
        cluster.isolate(a, b, c)
        try cluster.restart(c, epoch: 2_000, on: Array(spared), after: 1)
        cluster.with(c) { $0.distrustMemory() }
        #expect(records(cluster, c) == 1)
        cluster.cut = []
        settle(cluster)
        #expect(records(cluster) == [0, 0, 0])
        for node in cluster.ids { #expect(cluster.run(node, "GET k R 1") == "$-1\r\n") }
    }

    @Test("2: a hint of before the deletion does not touch what was written after it")
    func fallback() throws {
        let cluster = cluster()
        #expect(cluster.run(a, "KEYSPACE CREATE s n=2 r=1 w=1 sloppy=on") == "+OK\r\n")
        let key = try key(on: [a, b], of: cluster)
        cluster.isolate(b)
        cluster.pass(milliseconds: 2_000, by: 20)
        #expect(cluster.run(a, "SET \(key) old W 2") == "+OK\r\n")
        #expect(cluster.counters(c).hintsTaken == 1)
        cluster.cut = [[b, c], [c, b]]
        cluster.pass(milliseconds: 500, by: 20)
        #expect(cluster.run(a, "DEL \(key)") == ":1\r\n")
        cluster.pass(milliseconds: 2_900, by: 20)
        #expect(records(cluster, a) == 1)
        settle(cluster)
        #expect(records(cluster) == [0, 0, 0])
        #expect(cluster.run(a, "SET \(key) new W 2") == "+OK\r\n")
        cluster.cut = []
        settle(cluster)
        for node in cluster.ids { #expect(cluster.run(node, "GET \(key)") == "$3\r\nnew\r\n") }
    }

    @Test(
        "what a fallback took is not settled before its hint is too old",
        arguments: [nil, NodeConfiguration.PlantedBug.collectedBeforeHints])
    func hintsFirst(bug: NodeConfiguration.PlantedBug?) throws {
        let cluster = cluster(bug, hints: 20_000)
        #expect(cluster.run(a, "KEYSPACE CREATE s n=2 r=1 w=1 sloppy=on") == "+OK\r\n")
        let key = try key(on: [a, b], of: cluster)
        // Of the same key range, and of use to collect one day.
        #expect(cluster.run(a, "SET \(key)x v PX 600000 W 2") == "+OK\r\n")
        cluster.isolate(c)
        cluster.pass(milliseconds: 2_000, by: 20)
        #expect(cluster.run(c, "SET \(key) new W 1") == "+OK\r\n")
        cluster.pass(milliseconds: 12_000, by: 20)
        cluster.cut = []
        cluster.pass(milliseconds: 3_000, by: 20)
        #expect(cluster.run(a, "GET \(key)") == (bug == nil ? "$3\r\nnew\r\n" : "$-1\r\n"))
    }

    private func key(on nodes: [NodeID], of cluster: Cluster) throws -> String {
        let ring = Ring(members: cluster.ids.map { Member($0) }, epoch: 1)
        return try #require(
            (0..<100).lazy.map { "s:{\($0)}" }.first { key in
                let range = Array(key.utf8).withUnsafeBytes { KeyRange(Slot(key: $0)) }
                return Array(ring.primaries(of: range, replicationFactor: 2)) == nodes
            })
    }

    @Test("expired values and what was emptied away go as well, with one replica too")
    func expired() {
        let cluster = cluster()
        #expect(cluster.run(a, "KEYSPACE CREATE one n=1") == "+OK\r\n")
        #expect(cluster.run(a, "SET k v PX 300") == "+OK\r\n")
        #expect(cluster.run(a, "SET one:k v PX 300") == "+OK\r\n")
        #expect(cluster.run(a, "SET far v PX 600000") == "+OK\r\n")
        settle(cluster)
        #expect(records(cluster) == [1, 1, 1])
        #expect(cluster.run(b, "GET far R ALL") == "$1\r\nv\r\n")
        #expect(cluster.run(a, "FLUSHALL") == "+OK\r\n")
        settle(cluster)
        #expect(records(cluster) == [0, 0, 0])
        for node in cluster.ids { #expect(cluster.run(node, "DBSIZE") == ":0\r\n") }
    }

    @Test("EXPIRE and PERSIST of a value that has been there for long reach every replica")
    func derived() {
        let cluster = cluster()
        #expect(cluster.run(a, "SET k v PX 600000") == "+OK\r\n")
        settle(cluster)
        #expect(cluster.run(b, "PERSIST k") == ":1\r\n")
        for node in cluster.ids {
            #expect(cluster.run(node, "CONSISTENCY R 1") == "+OK\r\n")
            #expect(cluster.run(node, "TTL k") == ":-1\r\n")
        }
    }

    @Test("a counter that was deleted and forgotten begins anew, also where it is remembered")
    func counter() throws {
        let cluster = cluster()
        #expect(cluster.run(a, "KEYSPACE CREATE t conflict=crdt") == "+OK\r\n")
        #expect(cluster.run(a, "INCRBY t:n 5") == ":5\r\n")
        #expect(cluster.run(b, "INCRBY t:n 7") == ":12\r\n")
        #expect(cluster.run(c, "DEL t:n") == ":1\r\n")
        let journal = cluster.journals[c, default: []]
        settle(cluster)
        #expect(records(cluster) == [0, 0, 0])
        // What c says is forgotten is on its disk all the same, until it looks again.
        try cluster.restart(
            c, epoch: 2_000,
            on: journal + cluster.journals[c, default: []].filter { $0[0] == 6 || $0[0] == 9 },
            after: 1)
        for (node, sum) in [(a, 1), (b, 2), (c, 3)] {
            #expect(cluster.run(node, "INCR t:n") == ":\(sum)\r\n")
        }
        settle(cluster)
        for node in cluster.ids { #expect(cluster.run(node, "GET t:n") == "$1\r\n3\r\n") }
    }

    @Test("a session that has seen the deletion takes its absence for an answer")
    func session() {
        let cluster = cluster()
        for conflict in ["lww", "siblings", "crdt"] {
            // A change that others follow is answered within a turn's work.
            cluster.pass(milliseconds: 20, by: 20)
            #expect(cluster.run(a, "KEYSPACE CREATE \(conflict) conflict=\(conflict)") == "+OK\r\n")
            #expect(cluster.run(a, "SESSION ON") == "+OK\r\n")
            #expect(cluster.run(a, "SET \(conflict):k v") == "+OK\r\n")
            #expect(cluster.run(a, "DEL \(conflict):k") == ":1\r\n")
        }
        settle(cluster)
        #expect(records(cluster) == [0, 0, 0])
        for conflict in ["lww", "siblings", "crdt"] {
            #expect(cluster.run(a, "GET \(conflict):k R 1") == "$-1\r\n")
            #expect(cluster.run(b, "SET \(conflict):k new") == "+OK\r\n")
            #expect(cluster.run(a, "GET \(conflict):k R 1") == "$3\r\nnew\r\n")
        }
        #expect(cluster.counters(a).heldReads == 0)
    }

    @Test("a node whose clock went back behind what it has promised still stamps later than that")
    func outrun() throws {
        let cluster = cluster()
        #expect(cluster.run(a, "SET k v W ALL") == "+OK\r\n")
        #expect(cluster.run(a, "DEL k") == ":1\r\n")
        settle(cluster)
        cluster.wall[a, default: 0] -= 3_600_000
        try cluster.restartAlone(a, epoch: 2_000)
        let promised = cluster.with(a) { $0.collection.latestPromise }
        #expect(cluster.run(a, "SET other v W 1") == "+OK\r\n")
        #expect(cluster.with(a) { $0.clock.last.rawValue } > promised)
        cluster.meet(a)
        settle(cluster)
        for node in cluster.ids { #expect(cluster.run(node, "GET other R 1") == "$1\r\nv\r\n") }
    }

    @Test("a keyspace in memory gets back what is older than what was collected")
    func memory() throws {
        let cluster = cluster()
        #expect(cluster.run(a, "KEYSPACE CREATE m durability=memory") == "+OK\r\n")
        #expect(cluster.run(a, "SET m:kept v W ALL") == "+OK\r\n")
        #expect(cluster.run(a, "SET m:k v W ALL") == "+OK\r\n")
        #expect(cluster.run(a, "DEL m:k") == ":1\r\n")
        settle(cluster)
        #expect(records(cluster) == [1, 1, 1])
        try cluster.restart(b, epoch: 2_000, on: cluster.journals[b, default: []], after: 1)
        settle(cluster)
        #expect(records(cluster) == [1, 1, 1])
        #expect(cluster.run(b, "GET m:kept R 1") == "$1\r\nv\r\n")
    }
}
