import Base
import Causality
import Coding
import Ring
import Testing

@testable import Replication

@Suite("Replicas become equal without anybody reading")
struct ExchangeTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    /// Every record that a node holds.
    private func held(_ cluster: Cluster, _ node: NodeID) -> [[UInt8]: [UInt8]] {
        cluster.with(node) { node in
            var records: [[UInt8]: [UInt8]] = [:]
            var next: UInt64? = 0
            while let place = next {
                next = node.store.visit(from: place) { records[Array($0.key)] = Array($0.bytes) }
            }
            return records
        }
    }

    /// Long enough for what was written not to be on its way any more, and for the rarest exchange.
    private func heal(_ cluster: Cluster) {
        cluster.cut = []
        cluster.pass(milliseconds: 15_000)
        for node in cluster.ids { cluster.with(node) { $0.checkInvariants(recounting: true) } }
    }

    @Test("writes and deletes that a node missed behind a silent cut reach it, cold keys too")
    func silentCut() {
        let cluster = Cluster(3)
        for index in 0..<200 { _ = cluster.run(a, "SET k\(index) old") }
        cluster.isolate(c)
        for index in 0..<100 { #expect(cluster.run(a, "SET k\(index) new") == "+OK\r\n") }
        for index in 100..<150 { #expect(cluster.run(b, "DEL k\(index)") == ":1\r\n") }
        #expect(held(cluster, c) != held(cluster, a))
        heal(cluster)
        #expect(held(cluster, a).count == 200)
        #expect(held(cluster, c) == held(cluster, a))
        #expect(held(cluster, b) == held(cluster, a))
        let sent = [a, b, c].reduce(0) { $0 + cluster.counters($1).exchangedKeys }
        #expect((150...400).contains(sent), "each missed state goes once, from one or both others")
        #expect(cluster.counters(c).repaired >= 150)
        #expect([a, b, c].allSatisfy { cluster.counters($0).readRepairs == 0 })
    }

    @Test("both sides of a cut get what the other wrote; concurrent values are all kept")
    func bothSides() {
        let cluster = Cluster(3) { $0.keyspaces = [(Array("s".utf8), Self.siblings)] }
        cluster.isolate(c)
        for index in 0..<20 {
            #expect(cluster.run(a, "QSET s:\(index) left W 1") == "+OK\r\n")
            #expect(cluster.run(c, "QSET s:\(index) right W 1") == "+OK\r\n")
        }
        heal(cluster)
        #expect(held(cluster, a).count == 20)
        #expect(held(cluster, c) == held(cluster, a) && held(cluster, b) == held(cluster, a))
        for index in 0..<20 {
            let reply = cluster.run(b, "QGET s:\(index) R 1")
            #expect(reply.contains("left") && reply.contains("right"))
        }
    }

    private static var siblings: KeyspaceSettings {
        var settings = KeyspaceSettings()
        settings.conflict = .siblings
        settings.writeQuorum = .one
        return settings
    }

    @Test("a node that comes back empty is refilled")
    func emptyDisk() throws {
        let cluster = Cluster(3)
        for index in 0..<1_000 { _ = cluster.run(a, "SET k\(index) v\(index)") }
        try cluster.restart(c, epoch: 2, on: [])
        #expect(held(cluster, c).count < 500)
        heal(cluster)
        #expect(held(cluster, c).count == 1_000)
        #expect(held(cluster, c) == held(cluster, b))
    }

    @Test(
        "either of two nodes is refilled with more than one exchange can carry", arguments: [1, 2])
    func refill(number: UInt16) throws {
        let cluster = Cluster(2) {
            $0.keyspaces = [(Array("default".utf8), Self.one)]
            $0.exchangeBytesPerSecond = 300_000
        }
        let empty = NodeID(number)
        let value = String(repeating: "v", count: 60)
        for index in 0..<12_000 { _ = cluster.run(a, "SET k\(index) \(value)") }
        try cluster.restart(empty, epoch: 2, on: [])
        var seconds = 0
        while held(cluster, empty).count < 12_000, seconds < 120 {
            cluster.pass(milliseconds: 1_000)
            seconds += 1
        }
        #expect(held(cluster, a) == held(cluster, b))
        let sent = cluster.ids.reduce(0) { $0 + cluster.counters($1).exchangeBytes }
        #expect(sent < 12_000 * 1_500, "\(sent) bytes in \(seconds) s")
    }

    @Test("what the other side refuses is offered ever more rarely")
    func refused() {
        let cluster = Cluster(2) { $0.keyspaces = [(Array("default".utf8), Self.one)] }
        cluster.step(b, .disk(.deletions))
        for index in 0..<2_000 { _ = cluster.run(a, "SET k\(index) v") }
        cluster.pass(milliseconds: 20_000)
        let before = cluster.counters(a).exchanges
        cluster.pass(milliseconds: 60_000)
        #expect((9...11).contains(cluster.counters(a).exchanges - before))
        cluster.step(b, .disk(.free))
        cluster.pass(milliseconds: 15_000)
        #expect(held(cluster, a).count == 2_000 && held(cluster, a) == held(cluster, b))
    }

    @Test("equal replicas compare ever more rarely, and list no keys")
    func quiet() {
        let cluster = Cluster(2)
        for index in 0..<50 { _ = cluster.run(a, "SET k\(index) v W ALL") }
        cluster.pass(milliseconds: 20_000)
        let before = cluster.counters(a)
        let others = cluster.counters(b).exchanges
        cluster.frames = []
        cluster.pass(milliseconds: 60_000)
        #expect((9...11).contains(cluster.counters(a).exchanges - before.exchanges))
        #expect(cluster.counters(b).exchanges == others, "one of two begins")
        let kinds = (cluster.frames ?? []).filter { $0[Frame.headerBytes] == Message.exchangeKind }
            .map { $0[Frame.headerBytes + 10] }
        #expect(Set(kinds) == [0])
    }

    @Test("the cost of one key that differs does not depend on the number of keys")
    func cost() {
        let bytes = [100, 3_000].map { count in
            let cluster = Cluster(2) { $0.keyspaces = [(Array("default".utf8), Self.one)] }
            for index in 0..<count { _ = cluster.run(a, "SET k\(index) v W ALL") }
            cluster.pass(milliseconds: 20_000)
            cluster.cut = [[a, b], [b, a]]
            _ = cluster.run(a, "SET k7 other")
            cluster.cut = []
            cluster.frames = []
            cluster.pass(milliseconds: 20_000)
            #expect(held(cluster, a) == held(cluster, b))
            return (cluster.frames ?? []).filter { frame in
                let kind = frame[Frame.headerBytes]
                let isBelowRoots = kind == Message.exchangeKind && frame[Frame.headerBytes + 10] > 0
                return kind == 1 || isBelowRoots
            }.reduce(0) { $0 + $1.count }
        }
        #expect(bytes[0] > 500 && bytes[1] < bytes[0] + 200, "\(bytes)")
    }

    private static var one: KeyspaceSettings {
        var settings = KeyspaceSettings()
        settings.replicationFactor = 2
        settings.writeQuorum = .one
        settings.readQuorum = .one
        return settings
    }

    @Test("an exchange sends no more than its link's share, and all of it in time")
    func budget() throws {
        let cluster = Cluster(3) { $0.exchangeBytesPerSecond = 20_000 }
        let value = String(repeating: "v", count: 400)
        for index in 0..<300 { _ = cluster.run(a, "SET k\(index) \(value)") }
        try cluster.restart(c, epoch: 2, on: [])
        let before = cluster.counters(a).exchangeBytes
        cluster.pass(milliseconds: 3_000)
        #expect(cluster.counters(a).exchangeBytes - before < 2 * (20_000 + 3 * 20_000 + 4_000))
        #expect(held(cluster, c).count < 300)
        cluster.pass(milliseconds: 60_000)
        #expect(held(cluster, c).count == 300)
    }

    @Test("a range's replicas for one n are not asked about keys of another")
    func replicationFactors() {
        let cluster = Cluster(5) { $0.keyspaces = [(Array("two".utf8), Self.one)] }
        for index in 0..<100 {
            _ = cluster.run(a, "SET k\(index) v W ALL")
            _ = cluster.run(a, "SET two:\(index) v W ALL")
        }
        heal(cluster)
        #expect(cluster.ids.allSatisfy { cluster.counters($0).exchangedKeys == 0 })
        let copies = cluster.ids.reduce(0) { $0 + held(cluster, $1).count }
        #expect(copies == 100 * 3 + 100 * 2)
    }

    @Test("trees follow a keyspace that is emptied, dropped or otherwise changed")
    func definitions() {
        let cluster = Cluster(3)
        _ = cluster.run(a, "KEYSPACE CREATE k")
        for index in 0..<50 { _ = cluster.run(a, "SET k:\(index) v W ALL") }
        for line in [
            "KEYSPACE ALTER k conflict=siblings", "FLUSHALL", "SET k:1 v", "KEYSPACE DROP k",
        ] {
            #expect(cluster.run(b, line) == "+OK\r\n")
            for node in cluster.ids { cluster.with(node) { $0.checkInvariants(recounting: true) } }
        }
    }
}

@Suite("What a short cut kept from a replica arrives within a second after it")
struct ShortCutTests {
    private let a = NodeID(1)
    private let b = NodeID(2)
    private let c = NodeID(3)

    private func roots(_ cluster: Cluster) -> [UInt64] {
        cluster.ids.map { id in
            cluster.with(id) { node in
                var sum: UInt64 = 0
                for range in KeyRange.all { sum &+= node.tree(3, range).root }
                return sum
            }
        }
    }

    /// How long after the cut nodes are equal, in milliseconds.
    private func settles(_ milliseconds: UInt64, quiet: UInt64, breaksLinks: Bool) -> UInt64 {
        let cluster = Cluster(3)
        for key in 0..<20 { #expect(cluster.run(a, "SET k\(key) v W ALL") == "+OK\r\n") }
        cluster.pass(milliseconds: quiet, by: 5)
        if breaksLinks {
            cluster.unlink(a, c)
            cluster.unlink(b, c)
        } else {
            cluster.isolate(c)
        }
        for key in 0..<milliseconds / 10 {
            #expect(cluster.run(b, "SET k\(key % 20) w\(key)") == "+OK\r\n")
            cluster.pass(milliseconds: 10)
        }
        #expect(roots(cluster)[0] != roots(cluster)[2])
        if breaksLinks {
            for (x, y) in [(a, c), (c, a), (b, c), (c, b)] { cluster.link(x, y) }
            cluster.settle()
        } else {
            cluster.cut = []
        }
        return untilEqual(cluster)
    }

    @Test("be it 50 ms or a second, after a quiet minute or at once, silent or not")
    func cuts() {
        for quiet: UInt64 in [0, 60_000] {
            for milliseconds: UInt64 in [50, 150, 300, 700, 1_000] {
                for breaksLinks in [false, true] {
                    let time = settles(milliseconds, quiet: quiet, breaksLinks: breaksLinks)
                    #expect(time < 1_000, "\(milliseconds) ms, quiet \(quiet), \(breaksLinks)")
                }
            }
        }
    }

    /// How long it takes from now on until all are equal, in milliseconds.
    private func untilEqual(_ cluster: Cluster) -> UInt64 {
        for passed in 1...1_000 {
            cluster.pass(milliseconds: 10)
            let roots = roots(cluster)
            if roots[0] == roots[1], roots[1] == roots[2] { return UInt64(passed) * 10 }
        }
        return .max
    }

    @Test(
        "the same where values are kept beside each other, or merge",
        arguments: ["siblings", "crdt"])
    func otherKinds(conflict: String) {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE s conflict=\(conflict) r=1 w=1") == "+OK\r\n")
        for key in 0..<20 { #expect(cluster.run(a, "SET s:k\(key) v W ALL") == "+OK\r\n") }
        for milliseconds: UInt64 in [50, 300, 1_000] {
            cluster.pass(milliseconds: 20_000, by: 5)
            cluster.isolate(c)
            for key in 0..<milliseconds / 10 {
                #expect(cluster.run(b, "SET s:k\(key % 20) w\(key)") == "+OK\r\n")
                cluster.pass(milliseconds: 10)
            }
            #expect(roots(cluster)[0] != roots(cluster)[2])
            cluster.cut = []
            let time = untilEqual(cluster)
            #expect(time < 1_000, "\(milliseconds) ms: \(time)")
        }
    }
}
