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

    @Test("where it is behind in one range, it keeps what it promised to know of the others")
    func behindInOneRange() {
        let cluster = Cluster(3)
        for key in ["k", "x"] { #expect(cluster.run(a, "SET \(key) v W ALL") == "+OK\r\n") }
        cluster.pass(milliseconds: 500)
        cluster.lostKinds = [Message.exchangeKind, Message.refillKind]
        cluster.with(c) { node in
            let stamp = node.clock.latest.rawValue
            let behind = Array("x".utf8).withUnsafeBytes { node.store.address(of: $0).range }
            node.collection.prepare(3, links: node.links.count)
            for range in KeyRange.all {
                if range != behind { node.collection.promise(stamp, 3, range.rawValue) }
                node.collection.learn(stamp, 3, range.rawValue)
            }
            var effects = Effects()
            node.catchUp(&effects)
        }
        cluster.pass(milliseconds: 100)
        #expect(holds(cluster, "k") && !holds(cluster, "x"))
    }

    private func holds(_ cluster: Cluster, _ key: String) -> Bool {
        cluster.with(c) { node in
            Array(key.utf8).withUnsafeBytes { key in
                node.store.find(node.store.address(of: key), key) != nil
            }
        }
    }
}
