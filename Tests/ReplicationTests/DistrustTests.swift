import AntiEntropy
import Base
import Causality
import Coding
import Ring
import Testing

@testable import Replication

@Suite("A node that finds out while it runs that it cannot vouch for its memory")
struct DistrustTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    /// A node answers that all ranges are the same there as they were here at a moment.
    private func tellSame(_ cluster: Cluster, by node: NodeID, at moment: Stamp) {
        let message = RefillMessage.same(moment: moment.rawValue, equal: .all, whole: .all)
        var buffer = ByteBuffer(capacity: 128)
        message.encode(into: &buffer)
        let digest = cluster.with(c) { $0.catalog.digest }
        cluster.deliver(
            HostileMessage.bytes(
                Message.refillKind, flag: 3, number: digest, Array(buffer.bytes)),
            from: node, to: c)
    }

    @Test("answers to what it asked before do not make it whole, later ones do")
    func lateAnswers() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "SET k v W ALL") == "+OK\r\n")
        cluster.pass(milliseconds: 500)
        cluster.lostKinds = [Message.exchangeKind, Message.refillKind]
        let before = cluster.with(c) { $0.clock.latest }
        cluster.with(c) { $0.distrustMemory() }
        cluster.pass(milliseconds: 300)
        for node in [a, b] { tellSame(cluster, by: node, at: before) }
        cluster.pass(milliseconds: 10)
        #expect(cluster.with(c) { $0.isRefilling })
        let after = cluster.with(c) { $0.clock.latest }
        cluster.pass(milliseconds: 1)
        for node in [a, b] { tellSame(cluster, by: node, at: after) }
        cluster.pass(milliseconds: 10)
        #expect(!cluster.with(c) { $0.isRefilling })
    }

    @Test("a name that it gave up while it ran is no life that its disk does not know")
    func ownFormerNames() throws {
        let cluster = Cluster(3)
        cluster.pass(milliseconds: 500)
        try cluster.restart(c, epoch: 5_000, on: cluster.journals[c] ?? [], after: 1)
        cluster.pass(milliseconds: 1_000)
        let first = cluster.with(c) { $0.identity }
        #expect(!cluster.with(c) { $0.isRefilling })
        // A clock that was proved wrong makes a node go on under its next name.
        cluster.with(c) { $0.identity = ReplicaIdentity(node: c, epoch: first.epoch + 1) }
        cluster.deliver(
            HostileMessage.bytes(Message.knownLifeKind, number: first.rawValue), from: a, to: c)
        #expect(!cluster.with(c) { $0.isRefilling })
    }

    @Test("a disk from a backup is known as one, whoever was met and however often it was started")
    func backup() throws {
        let cluster = Cluster(3)
        cluster.pass(milliseconds: 500)
        let old = cluster.journals[c] ?? []
        try cluster.restart(c, epoch: 5_000, on: old, after: 1)
        cluster.pass(milliseconds: 1_000)
        // The life that the others know is not on this disk, on which three lives began alone.
        try cluster.restart(c, epoch: 40_000, on: old, after: 30_000, 20_000, 10_000, 1)
        #expect(cluster.with(c) { $0.isRefilling })
        cluster.pass(milliseconds: 1_000)
        #expect(cluster.with(c) { !$0.isRefilling })
        let refilled = cluster.journals[c] ?? []
        // What was missing is there now, whoever remembers that life still.
        try cluster.restart(c, epoch: 50_000, on: refilled, after: 40_000, 30_000, 20_000, 10_000)
        #expect(cluster.with(c) { !$0.isRefilling })
        // Nor is one that a crash kept from noting its links.
        try cluster.restart(c, epoch: 60_000, on: refilled, after: 50_000, 40_000, 30_000)
        #expect(cluster.with(c) { !$0.isRefilling })
    }

    @Test("a disk from a backup that has met one node meanwhile is known by another one")
    func backupThatMetAnother() throws {
        let cluster = Cluster(3)
        cluster.pass(milliseconds: 500)
        let old = cluster.journals[c] ?? []
        try cluster.restart(c, epoch: 5_000, on: old, after: 1)
        cluster.pass(milliseconds: 500)
        // The backup has met node a since, which says nothing of what b remembers.
        var journal = ByteBuffer(capacity: 32)
        journal.append(JournalKind.ownLives.rawValue)
        journal.append(integer: UInt64(0))
        journal.append(integer: a.rawValue)
        journal.append(integer: UInt64(10_000))
        try cluster.restart(
            c, epoch: 20_000, on: old + [Array(journal.bytes)], after: 10_000, 1)
        #expect(cluster.with(c) { $0.isRefilling })
    }

    /// `c` has to learn that everything is collected up to now, and has promised to know of nothing
    /// in the range of a key.
    private func fallBehind(_ cluster: Cluster, of key: String) {
        cluster.with(c) { node in
            let stamp = node.clock.latest.rawValue
            let behind = Array(key.utf8).withUnsafeBytes { node.store.address(of: $0).range }
            node.collection.prepare(3, links: node.links.count)
            for range in KeyRange.all {
                if range != behind { node.collection.promise(stamp, 3, range.rawValue) }
                for link in node.links.indices {
                    node.collection.parts[3]?.others[link][range.rawValue] = stamp
                }
                node.collection.learn(stamp, 3, range.rawValue)
            }
            var effects = Effects()
            node.catchUp(&effects)
        }
    }

    @Test("where it is behind in one range, it is whole in the others, and drops nothing by itself")
    func behindInOneRange() {
        let cluster = Cluster(3)
        for key in ["k", "x"] { #expect(cluster.run(a, "SET \(key) v W ALL") == "+OK\r\n") }
        cluster.pass(milliseconds: 1_000)
        cluster.lostKinds = [Message.exchangeKind, Message.refillKind]
        fallBehind(cluster, of: "x")
        cluster.pass(milliseconds: 1_000)
        #expect(holds(cluster, "k") && holds(cluster, "x"))
        for (key, isWhole) in [("k", true), ("x", false)] {
            let found = cluster.with(c) { node in
                Array(key.utf8).withUnsafeBytes {
                    node.isWhole(node.store.address(of: $0).range, 0)
                }
            }
            #expect(found == isWhole)
        }
    }

    private func holds(_ cluster: Cluster, _ key: String) -> Bool {
        cluster.with(c) { node in
            Array(key.utf8).withUnsafeBytes { key in
                node.store.find(node.store.address(of: key), key) != nil
            }
        }
    }
}
