import Base
import Causality
import Coding
import Testing

@testable import Replication

@Suite("A node that returns without its memory")
struct RefillTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    /// A reply that may take until a silent replica is given up.
    private func ask(_ cluster: Cluster, _ node: NodeID, _ line: String) -> String {
        let reply = cluster.run(node, line)
        guard reply.isEmpty else { return reply }
        cluster.pass(milliseconds: 200)
        return cluster.reply(node)
    }

    private func isRefilling(_ cluster: Cluster, _ node: NodeID) -> Bool {
        cluster.with(node) { $0.isRefilling }
    }

    private func figures(_ cluster: Cluster, _ node: NodeID) -> RefillFigures {
        cluster.with(node) { $0.refillFigures }
    }

    /// `a` and `b` acknowledged the key `k`, `c` never heard of it, then `a` lost its disk and
    /// hears nothing that would refill it.
    private func emptied(_ bug: NodeConfiguration.PlantedBug? = nil) throws -> Cluster {
        let cluster = Cluster(3) { $0.plantedBug = bug }
        cluster.pass(milliseconds: 500)
        cluster.isolate(c)
        #expect(cluster.run(a, "SET k acknowledged") == "+OK\r\n")
        cluster.lostKinds = [Message.exchangeKind, Message.refillKind]
        cluster.cut = []
        try cluster.restart(a, epoch: 2, on: [])
        return cluster
    }

    @Test("3: no quorum of an emptied replica and one that was behind misses a write")
    func quorum() throws {
        let cluster = try emptied()
        cluster.cut = [[b, a], [a, b], [b, c], [c, b]]
        for node in [a, c] {
            #expect(ask(cluster, node, "GET k R 2 TIMEOUT 50").hasPrefix("-UNAVAILABLE"))
        }
        cluster.cut = []
        cluster.pass(milliseconds: 200)
        for node in cluster.ids {
            #expect(cluster.run(node, "GET k R 2") == "$12\r\nacknowledged\r\n")
            #expect(cluster.run(node, "GET k R ALL").hasPrefix("-UNAVAILABLE"))
        }
        #expect(cluster.counters(a).declinedReads > 0 && isRefilling(cluster, a))
        cluster.lostKinds = []
        cluster.pass(milliseconds: 1_000)
        #expect(!isRefilling(cluster, a))
        cluster.isolate(b)
        for node in [a, c] {
            #expect(ask(cluster, node, "GET k R 2") == "$12\r\nacknowledged\r\n")
        }
    }

    @Test("the same quorum misses the write when the emptied node answers at once")
    func planted() throws {
        let cluster = try emptied(.emptiedAnswersAtOnce)
        cluster.isolate(b)
        for node in [a, c] { #expect(ask(cluster, node, "GET k R 2") == "$-1\r\n") }
    }

    @Test("a read of one replica that reaches the emptied one is answered by another")
    func readOne() throws {
        let cluster = try emptied()
        cluster.isolate(c)
        #expect(ask(cluster, a, "GET k R 1") == "$12\r\nacknowledged\r\n")
        #expect(cluster.run(a, "CONSISTENCY R 1") == "+OK\r\n")
        #expect(ask(cluster, a, "EXISTS k") == ":1\r\n")
        #expect(isRefilling(cluster, a))
    }

    @Test("it takes writes at once, and they count")
    func writes() throws {
        let cluster = try emptied()
        cluster.cut = [[b, a], [a, b], [b, c], [c, b]]
        #expect(cluster.run(c, "SET new v W 2") == "+OK\r\n")
        #expect(isRefilling(cluster, a))
        cluster.lostKinds = []
        cluster.cut = []
        cluster.pass(milliseconds: 1_000)
        cluster.isolate(c)
        #expect(ask(cluster, a, "GET new R 2") == "$1\r\nv\r\n")
    }

    @Test("what a client deletes or replaces through it is what others hold")
    func handedOn() throws {
        let cluster = Cluster(3)
        #expect(cluster.run(b, "KEYSPACE CREATE s conflict=siblings") == "+OK\r\n")
        #expect(cluster.run(b, "SET s:1 old") == "+OK\r\n")
        #expect(cluster.run(b, "SET s:2 old") == "+OK\r\n")
        let journal = cluster.journals[a, default: []].filter { $0[0] == 3 }
        cluster.lostKinds = [Message.exchangeKind, Message.refillKind]
        try cluster.restart(a, epoch: 2, on: journal)
        #expect(cluster.run(a, "DEL s:1") == ":1\r\n")
        #expect(cluster.run(a, "SET s:2 new") == "+OK\r\n")
        #expect(cluster.run(b, "GET s:1") == "$-1\r\n")
        #expect(cluster.run(b, "GET s:2") == "$3\r\nnew\r\n")
    }

    @Test("a crash in the middle of a refill does not end it, however often")
    func crash() throws {
        let cluster = try emptied()
        for epoch in UInt64(3)...5 {
            // What it takes meanwhile is in its journal.
            #expect(cluster.run(c, "SET later\(epoch) v W ALL") == "+OK\r\n")
            try cluster.restart(a, epoch: epoch, on: cluster.journals[a, default: []])
            #expect(isRefilling(cluster, a))
            #expect(cluster.run(c, "GET k R ALL").hasPrefix("-UNAVAILABLE"))
        }
        cluster.lostKinds = []
        cluster.pass(milliseconds: 1_000)
        let journal = cluster.journals[a, default: []]
        cluster.isolate(a)
        try cluster.restart(a, epoch: 6, on: journal)
        #expect(!isRefilling(cluster, a), "once whole it is whole over restarts")
    }

    @Test("a checkpoint says what is whole, in the middle of a refill too")
    func checkpoint() throws {
        let cluster = Cluster(5)
        for index in 0..<50 { _ = cluster.run(a, "SET k\(index) v W ALL") }
        cluster.isolate(NodeID(5))
        try cluster.restart(a, epoch: 2, on: [])
        cluster.pass(milliseconds: 1_000)
        let before = figures(cluster, a)
        #expect(before.wholeRanges > 0 && before.wholeRanges < before.ranges)
        #expect(before.waitingFor == [NodeID(5)])
        cluster.isolate(a)
        for epoch in UInt64(3)...4 {
            try cluster.restart(a, epoch: epoch, on: exported(cluster, a))
            #expect(figures(cluster, a).wholeRanges == before.wholeRanges)
        }
        cluster.cut = []
        cluster.pass(milliseconds: 1_000)
        #expect(!isRefilling(cluster, a))
        cluster.isolate(a)
        try cluster.restart(a, epoch: 5, on: exported(cluster, a))
        #expect(!isRefilling(cluster, a))
    }

    private func exported(_ cluster: Cluster, _ node: NodeID) -> [[UInt8]] {
        var payloads: [[UInt8]] = []
        var cursor: UInt64?
        repeat {
            var piece = ByteBuffer(capacity: 1_024)
            cursor = cluster.with(node) {
                $0.exportState(from: cursor, bytesMax: 1_024, into: &piece)
            }
            var rest = Array(piece.bytes)[...]
            while !rest.isEmpty {
                let length = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
                payloads.append(Array(rest.dropFirst(4).prefix(length)))
                rest = rest.dropFirst(4 + length)
            }
        } while cursor != nil
        return payloads
    }

    @Test("it becomes whole under writes that never cease, to one key and to others")
    func underLoad() throws {
        let cluster = Cluster(3)
        for index in 0..<500 { _ = cluster.run(b, "SET k\(index) v") }
        _ = cluster.run(b, "KEYSPACE CREATE s conflict=siblings")
        try cluster.restart(a, epoch: 2, on: [])
        // No record comes but what the refill asks for; others are written all the while.
        cluster.lostKinds = [1, Message.exchangeKind]
        var rounds = 0
        while isRefilling(cluster, a), rounds < 200 {
            for node in [b, c] {
                _ = cluster.run(node, "SET k\(rounds % 7) \(rounds) W 1")
                _ = cluster.run(node, "QSET s:hot \(rounds) W 1")
                _ = cluster.run(node, "SET n\(rounds) v W 1")
            }
            cluster.pass(milliseconds: 100)
            rounds += 1
        }
        #expect(!isRefilling(cluster, a))
        let held = cluster.with(a) { node in
            (0..<500).count { index in
                let key = Array("k\(index)".utf8)
                return key.withUnsafeBytes { key in
                    node.store.find(node.store.address(of: key), key) != nil
                }
            }
        }
        #expect(held == 500)
    }

    @Test("while a replica is away that may have what was lost, it waits and says for whom")
    func waits() throws {
        let cluster = try emptied()
        cluster.lostKinds = []
        cluster.isolate(c)
        cluster.pass(milliseconds: 3_000)
        #expect(figures(cluster, a) == RefillFigures(ranges: 256, wholeRanges: 0, waitingFor: [c]))
        #expect(figures(cluster, a).text == "refilling 0/256 ranges, waiting for node 3")
        let info = cluster.run(a, "INFO refill")
        #expect(info.contains("refilling:1\r\n") && info.contains("refill_waiting_for:3\r\n"))
        #expect(cluster.run(a, "CLUSTER REFILL").contains("waiting for node 3"))
        #expect(cluster.run(a, "CLUSTER REFILL WITHOUT 3").hasPrefix("-ERR that node is in reach"))
        for node in [a, b] { cluster.unlink(node, c) }
        #expect(
            cluster.run(a, "IDEMPOTENCY x SET k v")
                == "-UNAVAILABLE 1 of 3 replicas took the request id, which needs 2; nothing was "
                + "written\r\n")
        #expect(cluster.run(a, "CLUSTER REFILL WITHOUT 9").hasPrefix("-ERR no such other node"))
        #expect(cluster.run(a, "CLUSTER REFILL WITHOUT 3") == "+OK\r\n")
        cluster.pass(milliseconds: 500)
        #expect(!isRefilling(cluster, a))
        #expect(cluster.run(a, "GET k R 2") == "$12\r\nacknowledged\r\n")
        #expect(cluster.run(a, "CLUSTER REFILL WITHOUT 3").hasPrefix("-ERR this node is whole"))
        #expect(cluster.run(a, "CLUSTER REFILL").contains("whole"))
    }

    @Test("whether a node is whole is not known before it has met another member")
    func unmet() throws {
        let cluster = Cluster(3)
        let ownDisk = cluster.run(a, "INFO refill")
        #expect(ownDisk.contains("refilling:0\r\n"))
        try cluster.restartAlone(a, epoch: 2_000, after: 1)
        let info = cluster.run(a, "INFO refill")
        #expect(info.contains("refilling:1\r\n") && info.contains("refill_waiting_for:2,3\r\n"))
        #expect(cluster.run(a, "CLUSTER REFILL").contains("no other member was met"))
        #expect(!isRefilling(cluster, a))
        cluster.link(a, b)
        #expect(cluster.run(a, "INFO refill").contains("refilling:1\r\n"))
        cluster.link(b, a)
        cluster.settle()
        #expect(cluster.run(a, "INFO refill").contains("refilling:0\r\n"))
        #expect(cluster.run(a, "CLUSTER REFILL").contains("whole"))
        #expect(Cluster(1).run(a, "INFO refill").contains("refilling:0\r\n"))
    }

    @Test("new nodes are whole once all have met, and not before")
    func newCluster() throws {
        let cluster = Cluster(3)
        for node in cluster.ids { #expect(!isRefilling(cluster, node)) }
        cluster.isolate(c)
        for node in [a, b] { try cluster.restart(node, epoch: 2, on: []) }
        cluster.pass(milliseconds: 3_000)
        for node in [a, b] { #expect(figures(cluster, node).waitingFor == [c]) }
        #expect(cluster.run(a, "SET k v W 2") == "+OK\r\n")
        #expect(cluster.run(a, "GET k").contains("; this node is being refilled, and has yet to"))
        for node in [a, b] { cluster.unlink(node, c) }
        #expect(
            cluster.run(a, "GET k")
                == "-UNAVAILABLE 1 of 3 replicas reachable, R=2; this node is being refilled, and "
                + "waits for node 3; a node that never comes: CLUSTER REFILL WITHOUT 3, said "
                + "here\r\n")
        for node in [a, b] {
            cluster.link(node, c)
            cluster.link(c, node)
        }
        cluster.cut = []
        cluster.pass(milliseconds: 500)
        for node in cluster.ids {
            #expect(!isRefilling(cluster, node))
            #expect(cluster.run(node, "GET k") == "$1\r\nv\r\n")
        }
    }

    @Test("N - W + 1 whole replicas suffice where no request may ask for less than W")
    func floors() throws {
        for (floor, isWhole) in [(ConsistencyFloor.none, false), (.strong, true)] {
            let cluster = Cluster(5) {
                var settings = KeyspaceSettings()
                settings.replicationFactor = 5
                settings.floor = floor
                $0.keyspaces = [(Array("default".utf8), settings)]
            }
            cluster.isolate(NodeID(5))
            try cluster.restart(a, epoch: 2, on: [])
            cluster.pass(milliseconds: 3_000)
            #expect((figures(cluster, a).wholeRanges == 256) == isWhole)
            cluster.isolate(NodeID(4), NodeID(5))
            try cluster.restart(a, epoch: 3, on: [])
            cluster.pass(milliseconds: 3_000)
            #expect(figures(cluster, a).wholeRanges == 0, "two may have it: a write needs three")
        }
    }

    @Test("a replica that is being refilled itself is none of the N - W + 1")
    func twoAtATime() throws {
        let cluster = Cluster(5) {
            var settings = KeyspaceSettings()
            settings.replicationFactor = 5
            settings.floor = .strong
            $0.keyspaces = [(Array("default".utf8), settings)]
        }
        let (d, e) = (NodeID(4), NodeID(5))
        cluster.isolate(d, e)
        #expect(cluster.run(a, "SET k v") == "+OK\r\n", "three of five have it")
        cluster.isolate(c)
        // Of `a`, `b` and `c`, which acknowledged it, two lose their disks; `c` is away.
        cluster.lostKinds = [Message.refillKind]
        for node in [a, b] { try cluster.restart(node, epoch: 2, on: []) }
        cluster.lostKinds = []
        cluster.pass(milliseconds: 3_000)
        for node in [a, b] { #expect(figures(cluster, node).wholeRanges == 0) }
        cluster.cut = []
        cluster.pass(milliseconds: 3_000)
        for node in cluster.ids {
            #expect(!isRefilling(cluster, node))
            #expect(cluster.run(node, "GET k R 3") == "$1\r\nv\r\n")
        }
    }

    @Test("what recovery left out takes wholeness back until others have filled it in")
    func quarantine() throws {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "SET k v") == "+OK\r\n")
        #expect(!isRefilling(cluster, a))
        cluster.with(a) { $0.distrustMemory() }
        #expect(isRefilling(cluster, a))
        cluster.pass(milliseconds: 1_000)
        #expect(!isRefilling(cluster, a))
    }

    @Test("4: a disk from a backup is refilled before it answers reads, over a crash as well")
    func backup() throws {
        let cluster = Cluster(3)
        try cluster.restart(a, epoch: 2_000, on: cluster.journals[a, default: []], after: 1)
        #expect(!isRefilling(cluster, a), "the life before this one is the disk's")
        let backup = cluster.journals[a, default: []]
        try cluster.restart(a, epoch: 5_000, on: backup, after: 2_000)
        cluster.isolate(c)
        #expect(cluster.run(a, "SET k acknowledged") == "+OK\r\n")
        cluster.isolate(b)
        try cluster.restart(a, epoch: 9_000, on: backup, after: 2_000)
        #expect(isRefilling(cluster, a))
        for node in [a, c] {
            #expect(ask(cluster, node, "GET k R 2 TIMEOUT 50").hasPrefix("-UNAVAILABLE"))
        }
        // The next life's disk is no older than the last life, and remembers what it lacks.
        try cluster.restart(a, epoch: 12_000, on: cluster.journals[a, default: []], after: 9_000)
        #expect(isRefilling(cluster, a))
        cluster.cut = []
        cluster.pass(milliseconds: 1_000)
        #expect(!isRefilling(cluster, a))
        cluster.isolate(b)
        #expect(ask(cluster, a, "GET k R 2") == "$12\r\nacknowledged\r\n")
    }

    @Test("it is not whole while its disk takes nothing")
    func diskFull() throws {
        let cluster = try emptied()
        cluster.step(a, .disk(.deletions))
        cluster.lostKinds = []
        cluster.pass(milliseconds: 2_000)
        #expect(isRefilling(cluster, a))
        cluster.step(a, .disk(.free))
        cluster.pass(milliseconds: 1_000)
        #expect(!isRefilling(cluster, a))
    }

    @Test("it counts as whole when its disk says so, not before")
    func slowDisk() throws {
        let cluster = try emptied()
        cluster.lostKinds = []
        cluster.slowDisks = [a]
        cluster.pass(milliseconds: 2_000)
        #expect(figures(cluster, a).wholeRanges == 0)
        cluster.finishSyncs(a)
        cluster.pass(milliseconds: 1_000)
        #expect(!isRefilling(cluster, a))
    }

    @Test("keys with one replica are lost, once another node knows of nobody to hand them over")
    func oneReplica() throws {
        let cluster = Cluster(2) {
            var settings = KeyspaceSettings()
            settings.replicationFactor = 1
            $0.keyspaces = [(Array("default".utf8), settings)]
        }
        cluster.isolate(b)
        try cluster.restart(a, epoch: 2, on: [])
        let key = (0..<20).map { "k\($0)" }.first { key in
            let key = Array(key.utf8)
            return cluster.with(a) { node in
                key.withUnsafeBytes { node.isReplica(of: node.place(of: $0)) }
            }
        }
        #expect(cluster.run(a, "GET \(key ?? "")").hasPrefix("-UNAVAILABLE"))
        cluster.cut = []
        cluster.pass(milliseconds: 2_000)
        #expect(cluster.run(a, "GET \(key ?? "")") == "$-1\r\n")
        let alone = Cluster(1)
        #expect(!isRefilling(alone, a) && alone.run(a, "GET k") == "$-1\r\n")
    }

    @Test("both sides of an exchange note when they were equal, until one begins a new life")
    func ledger() throws {
        let cluster = Cluster(2)
        _ = cluster.run(a, "SET k v W ALL")
        cluster.pass(milliseconds: 7_000)
        let entries = [(a, 1), (b, 0)].map { node, link in
            cluster.with(node) { $0.equalities.last(link: link, replicationFactor: 2, range: 7) }
        }
        #expect(entries.allSatisfy { $0 > 0 })
        let written = cluster.with(a) { $0.clock.last }
        cluster.cut = [[a, b], [b, a]]
        cluster.pass(milliseconds: 7_000)
        let later = cluster.with(a) { $0.equalities.last(link: 1, replicationFactor: 2, range: 7) }
        #expect(later == entries[0], "nobody vouches for a node that is not heard")
        cluster.cut = []
        cluster.pass(milliseconds: 7_000)
        let healed = cluster.with(a) { $0.equalities.last(link: 1, replicationFactor: 2, range: 7) }
        #expect(healed > written.rawValue)
        cluster.lostKinds = [Message.exchangeKind, Message.refillKind]
        try cluster.restart(b, epoch: 2, on: [])
        let forgotten = cluster.with(a) {
            $0.equalities.last(link: 1, replicationFactor: 2, range: 7)
        }
        #expect(forgotten == 0)
    }
}
