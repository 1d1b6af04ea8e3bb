import Base
import Causality
import Coding
import Testing

@testable import Replication

@Suite(
    "Names are forgotten no earlier and no later for a node that is wrong, away or has lost much")
struct ForgettingFaultTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    /// `k:1` was written before `k` was dropped, `k:2` since.
    private func dropped() -> Cluster {
        let cluster = Cluster(3)
        made(cluster)
        drop(cluster)
        return cluster
    }

    private func made(_ cluster: Cluster) {
        #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:1 old W 3") == "+OK\r\n")
    }

    private func drop(_ cluster: Cluster) {
        #expect(cluster.run(b, "KEYSPACE DROP k") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:2 since") == "+OK\r\n")
    }

    /// All nodes have forgotten it, nothing came back and nothing went.
    private func check(
        _ cluster: Cluster, names: [String] = ["default"], _ comment: Comment? = nil
    ) {
        for node in cluster.ids {
            #expect(cluster.names(node) == names, comment)
            #expect(cluster.run(node, "GET k:1 R ALL") == "$-1\r\n", comment)
            #expect(cluster.run(node, "GET k:2 R ALL") == "$5\r\nsince\r\n", comment)
        }
        #expect(cluster.run(c, "KEYSPACE CREATE check n=1 r=1 w=1") == "+OK\r\n", comment)
        #expect(cluster.run(a, "KEYSPACE DROP check") == "+OK\r\n", comment)
        cluster.checkNames()
    }

    private func word(
        promised: UInt64, settled: UInt64, known: UInt64, emptiedAt: UInt64 = 0
    ) -> [UInt8] {
        [promised, settled, known, emptiedAt].flatMap { HostileMessage.little($0) }
    }

    private func heartbeat(_ cluster: Cluster, _ word: [UInt8]) -> [UInt8] {
        let now = cluster.now(a).wallMilliseconds
        let clocks: [UInt64] = [now, now, now, 0, 0, 0]
        let rest =
            clocks.flatMap { HostileMessage.little($0) } + [0]
            + HostileMessage.little(UInt64(0)) + [3] + word + HostileMessage.little(UInt64.max)
        return HostileMessage.bytes(9, number: Stamp(milliseconds: now).rawValue, rest)
    }

    @Test("what one member says to be forgotten alone counts for nothing, be it the end of time")
    func liar() {
        let cluster = Cluster(3)
        made(cluster)
        cluster.pass(milliseconds: 1_000)
        let now = Stamp(milliseconds: cluster.now(a).wallMilliseconds).rawValue
        for known in [now, .max] {
            let word = word(promised: .max, settled: .max, known: known, emptiedAt: now)
            for node in [a, c] {
                cluster.deliver(heartbeat(cluster, word), from: b, to: node)
                // All that there is: nothing.
                let all = word + HostileMessage.little(UInt16(0))
                cluster.deliver(HostileMessage.bytes(7, flag: 1, all), from: b, to: node)
            }
            cluster.pass(milliseconds: 100)
        }
        #expect(cluster.counters(a).namesDoubted > 0 && cluster.counters(a).refusedAhead > 0)
        for node in cluster.ids {
            #expect(cluster.names(node) == ["default", "k"])
            #expect(cluster.run(node, "GET k:1 R ALL") == "$3\r\nold\r\n")
            #expect(cluster.run(node, "KEYSPACE ALTER k r=1") == "+OK\r\n")
        }
        cluster.unlink(a, b)
        cluster.unlink(c, b)
        cluster.meet(b)
        drop(cluster)
        cluster.pass(milliseconds: 5_000)
        check(cluster)
    }

    @Test("a node that starts believes no member that one who has caught up contradicts")
    func liarAtStart() throws {
        let cluster = Cluster(3)
        made(cluster)
        cluster.pass(milliseconds: 1_000)
        cluster.cut = [[b, a], [a, b]]
        try cluster.restart(a, epoch: 2_000_000, on: cluster.journals[a] ?? [], after: 1)
        let now = Stamp(milliseconds: cluster.now(a).wallMilliseconds).rawValue
        let word = word(promised: now, settled: 0, known: now, emptiedAt: now)
        cluster.deliver(heartbeat(cluster, word), from: b, to: a)
        let all = word + HostileMessage.little(UInt16(0))
        cluster.deliver(HostileMessage.bytes(7, flag: 1, all), from: b, to: a)
        #expect(cluster.names(a) == ["default", "k"])
        #expect(cluster.with(a) { !$0.forgetting.isBehind && $0.counters.namesDoubted > 0 })
        #expect(cluster.run(a, "GET k:1 R 1") == "$3\r\nold\r\n")
    }

    @Test("who has settled more than it has promised loses its link")
    func contradiction() {
        let cluster = Cluster(3)
        let before = cluster.counters(a).malformedMessages
        let word = word(promised: 4, settled: 5, known: 0)
        cluster.deliver(heartbeat(cluster, word), from: b, to: a)
        #expect(cluster.counters(a).malformedMessages == before + 1)
    }

    @Test("a clock that is a day ahead, and a change that is named by one, hold up no other name")
    func wrongClock() {
        let cluster = Cluster(3)
        cluster.wall[c, default: 0] += 86_400_000
        cluster.pass(milliseconds: 2_000)
        let ahead = Stamp(milliseconds: cluster.now(a).wallMilliseconds + 86_400_000)
        let change = KeyspaceChange(
            dropped: false, settings: KeyspaceSettings(), madeAt: ahead.rawValue)
        let dot = Dot(identity: ReplicaIdentity(node: c, epoch: 1), stamp: ahead)
        let definition = HostileMessage.definition(
            "ahead", SiblingSet(dot: dot, value: change.encoded()))
        cluster.deliver(HostileMessage.definitions([definition]), from: c, to: a)
        cluster.pass(milliseconds: 1_000)
        #expect(cluster.run(c, "KEYSPACE CREATE k") == "+OK\r\n")
        #expect(cluster.run(c, "SET k:1 old W 3") == "+OK\r\n")
        #expect(cluster.run(c, "KEYSPACE DROP k") == "+OK\r\n")
        #expect(cluster.run(c, "SET k:2 since") == "+OK\r\n")
        cluster.pass(milliseconds: 5_000)
        check(cluster, names: ["default", "ahead"])
        #expect(cluster.run(a, "KEYSPACE DROP ahead") == "+OK\r\n")
        cluster.pass(milliseconds: 5_000)
        for node in cluster.ids { #expect(cluster.names(node) == ["default", "ahead"]) }
        cluster.wall = cluster.wall.mapValues { $0 + 2 * 86_400_000 }
        cluster.wall[c, default: 0] -= 86_400_000
        cluster.pass(milliseconds: 10_000)
        check(cluster)
    }

    @Test(
        "who was forgotten holds nothing up, and brings nothing back when it is let in again",
        arguments: [false, true])
    func readmitted(isMadeAnew: Bool) throws {
        let cluster = Cluster(3)
        made(cluster)
        cluster.pass(milliseconds: 1_000)
        cluster.isolate(c)
        for node in [a, b] { cluster.unlink(node, c) }
        cluster.pass(milliseconds: 2_000)
        #expect(cluster.run(a, "CLUSTER FORGET 3") == "+OK\r\n")
        cluster.pass(milliseconds: 500)
        drop(cluster)
        cluster.pass(milliseconds: 5_000)
        for node in [a, b] { #expect(cluster.names(node) == ["default"]) }
        if isMadeAnew {
            #expect(cluster.run(b, "KEYSPACE CREATE k") == "+OK\r\n")
            #expect(cluster.run(b, "SET k:3 new") == "+OK\r\n")
        }
        cluster.cut = []
        #expect(cluster.run(a, "CLUSTER READMIT 3").hasPrefix("+OK node 3 is let in again"))
        cluster.pass(milliseconds: 1_000)
        try cluster.restart(c, epoch: 2_000_000, on: cluster.journals[c] ?? [], after: 1)
        cluster.pass(milliseconds: 10_000)
        check(cluster, names: isMadeAnew ? ["default", "k"] : ["default"])
        guard isMadeAnew else { return }
        for node in cluster.ids {
            #expect(cluster.run(node, "GET k:3 R ALL") == "$3\r\nnew\r\n")
        }
    }

    @Test(
        "what a keyspace took over from `default` and took along is not brought back by an old disk"
    )
    func olderThanTheName() throws {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "SET k:1 old W 3") == "+OK\r\n")
        #expect(cluster.run(a, "SET other old W 3") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE CREATE one n=1 r=1 w=1") == "+OK\r\n")
        for key in 0..<20 { #expect(cluster.run(a, "SET one:\(key) v") == "+OK\r\n") }
        let old = cluster.journals[c] ?? []
        #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n")
        drop(cluster)
        cluster.pass(milliseconds: 5_000)
        try cluster.restart(c, epoch: 2_000_000, on: old, after: 1)
        cluster.pass(milliseconds: 10_000)
        check(cluster, names: ["default", "one"])
        for node in cluster.ids {
            #expect(cluster.run(node, "GET other R ALL") == "$3\r\nold\r\n")
            for key in 0..<20 { #expect(cluster.run(node, "GET one:\(key)") == "$1\r\nv\r\n") }
        }
    }

    @Test("a node that lost its disk meanwhile is told, and keeps out who was not")
    func emptiedDisk() throws {
        let cluster = Cluster(3)
        made(cluster)
        let old = cluster.journals[c] ?? []
        drop(cluster)
        cluster.pass(milliseconds: 5_000)
        try cluster.restart(b, epoch: 2_000_000, on: [], after: 1)
        cluster.pass(milliseconds: 3_000)
        #expect(cluster.run(b, "KEYSPACE CREATE l") == "+OK\r\n")
        // The one who has forgotten by itself is not there when an old disk returns.
        cluster.isolate(a)
        try cluster.restart(c, epoch: 2_000_000, on: old, after: 1)
        cluster.pass(milliseconds: 5_000)
        cluster.cut = []
        cluster.pass(milliseconds: 5_000)
        #expect(cluster.run(b, "KEYSPACE DROP l") == "+OK\r\n")
        cluster.pass(milliseconds: 5_000)
        check(cluster)
    }

    @Test("a process may end, or lose its disk, at any moment on the way", arguments: 0..<3)
    func anyMoment(kind: Int) throws {
        for moment in stride(from: UInt64(0), through: 3_400, by: 425) {
            for node in [a, b] {
                let cluster = dropped()
                cluster.pass(milliseconds: moment)
                let journal =
                    kind == 0
                    ? cluster.journals[node] ?? []
                    : kind == 1 ? try checkpoint(cluster, node) : []
                try cluster.restart(node, epoch: 2_000_000, on: journal, after: 1)
                cluster.pass(milliseconds: 9_000, by: 10)
                check(cluster, "node \(node) after \(moment) ms")
            }
        }
    }

    /// What a node writes while time passes, and what its journal says since it began to.
    private func checkpoint(_ cluster: Cluster, _ node: NodeID) throws -> [[UInt8]] {
        let begun = cluster.journals[node]?.count ?? 0
        var payloads: [[UInt8]] = []
        var cursor: UInt64?
        repeat {
            var buffer = ByteBuffer(capacity: 256)
            cursor = cluster.with(node) {
                $0.exportState(from: cursor, bytesMax: 1, into: &buffer)
            }
            var reader = ByteReader(buffer.bytes)
            while reader.remaining > 0 {
                payloads.append(Array(try reader.slice(Int(try reader.integer(UInt32.self)))))
            }
            cluster.pass(milliseconds: 50, by: 10)
        } while cursor != nil
        return payloads + (cluster.journals[node] ?? [])[begun...]
    }

    @Test(
        "a node with an old disk may end at any moment while it is told", arguments: [false, true])
    func oldDiskAnyMoment(isMadeAnew: Bool) throws {
        for moment in stride(from: UInt64(0), through: 600, by: 100) {
            let cluster = Cluster(3)
            made(cluster)
            let old = cluster.journals[c] ?? []
            drop(cluster)
            cluster.pass(milliseconds: 5_000, by: 10)
            if isMadeAnew { #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n") }
            try cluster.restart(c, epoch: 2_000_000, on: old, after: 1)
            cluster.pass(milliseconds: moment)
            let left = cluster.journals[c] ?? []
            try cluster.restart(c, epoch: 3_000_000, on: left, after: 2_000_000)
            cluster.pass(milliseconds: 9_000, by: 10)
            #expect(cluster.ids.map { cluster.counters($0).malformedMessages } == [0, 0, 0])
            check(cluster, names: isMadeAnew ? ["default", "k"] : ["default"], "\(moment) ms")
        }
    }
}
