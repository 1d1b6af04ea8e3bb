import Base
import Coding
import Testing

@testable import Causality
@testable import Replication

@Suite("What another node says is checked before it is believed")
struct HostileTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    private func change(_ settings: KeyspaceSettings = KeyspaceSettings()) -> [UInt8] {
        KeyspaceChange(dropped: false, settings: settings).encoded()
    }

    @Test("definitions that are malformed behind the first leave nothing behind")
    func halfDefinitions() {
        let cluster = Cluster(3)
        let digest = cluster.with(a) { $0.definitionsDigest }
        let good = HostileMessage.definition(
            "evil", SiblingSet(dot: cluster.dot(b), value: change()))
        let bad = HostileMessage.definition(
            "not a name", SiblingSet(dot: cluster.dot(b), value: change()))
        cluster.deliver(HostileMessage.definitions([good, bad]), from: b, to: a)
        #expect(cluster.counters(a).malformedMessages == 1)
        #expect(cluster.with(a) { $0.definitionsDigest } == digest)
        cluster.with(a) { $0.checkInvariants(recounting: true) }
        #expect(cluster.run(a, "SET evil:1 v W 1") == "+OK\r\n")
    }

    @Test("a definition that two halves make too large is refused, and the one in force stays")
    func largeDefinition() {
        let cluster = Cluster(3)
        for half in 0..<3 {
            var set = SiblingSet(dot: cluster.dot(b), value: change())
            for index in 0..<4_000 {
                let identity = ReplicaIdentity(rawValue: UInt64(half * 10_000 + index + 1))
                set.context.insert(Dot(identity: identity, stamp: Stamp(rawValue: 9)))
            }
            let other = HostileMessage.definition(
                "n\(half)", SiblingSet(dot: cluster.dot(b), value: change()))
            cluster.deliver(
                HostileMessage.definitions([other, HostileMessage.definition("default", set)]),
                from: b, to: a)
            cluster.link(a, b)
            cluster.with(a) { $0.checkInvariants(recounting: true) }
        }
        #expect(cluster.counters(a).malformedMessages > 0)
        #expect(cluster.run(a, "SET k v W 1") == "+OK\r\n")
        cluster.pass(milliseconds: 500)
    }

    @Test("settings beyond the limits are malformed")
    func endlessLife() {
        let cluster = Cluster(3)
        var settings = KeyspaceSettings()
        settings.ttlMilliseconds = .max
        let definition = HostileMessage.definition(
            "k", SiblingSet(dot: cluster.dot(b), value: change(settings)))
        cluster.deliver(HostileMessage.definitions([definition]), from: b, to: a)
        #expect(cluster.counters(a).malformedMessages == 1)
        #expect(cluster.run(a, "SET k:1 v W 1") == "+OK\r\n")
    }

    @Test("a record that expires beyond all numbers is malformed")
    func endlessExpiry() {
        let cluster = Cluster(3)
        for expiry in [UInt64.max, 1 << 63] {
            let record = HostileMessage.record("k", [1], cluster.dot(b), expiry: expiry)
            cluster.deliver(HostileMessage.bytes(1, number: 5, record), from: b, to: a)
            cluster.link(a, b)
        }
        #expect(cluster.counters(a).malformedMessages == 2)
        #expect(cluster.run(a, "TTL k") == ":-2\r\n")
    }

    @Test("a record larger than this node's journal takes is refused")
    func largeRecord() {
        let cluster = Cluster(3) { $0.recordBytesMax = 4_000 }
        let record = HostileMessage.record(
            "k", [UInt8](repeating: 1, count: 5_000), cluster.dot(b))
        cluster.deliver(HostileMessage.bytes(1, number: 5, record), from: b, to: a)
        #expect(cluster.journals[a, default: []].allSatisfy { $0.count <= 4_001 })
        #expect(cluster.run(a, "GET k R 1") == "$-1\r\n")
    }

    @Test("counts of keys beyond all numbers add up to no")
    func endlessKeys() {
        let cluster = Cluster(3)
        cluster.cut = [[b, a], [c, a]]
        #expect(cluster.run(a, "KEYSPACE CREATE k n=1 r=1 w=1") == "")
        let number = UInt64(1) << 32 | 5 << 28
        for node in [b, b, c] {
            cluster.deliver(
                HostileMessage.bytes(11, number: number, HostileMessage.little(UInt64.max)),
                from: node, to: a)
        }
        #expect(cluster.reply(a).hasPrefix("-UNAVAILABLE"))
    }

    @Test("a survey is not answered by having learned definitions, nor the reverse")
    func surveyIsNoLearning() {
        let cluster = Cluster(3)
        let number = UInt64(1) << 32 | 5 << 28
        cluster.cut = [[b, a], [c, a]]
        #expect(cluster.run(a, "KEYSPACE CREATE k n=1 r=1 w=1") == "")
        for node in [b, c] {
            cluster.deliver(HostileMessage.bytes(8, number: number), from: node, to: a)
        }
        #expect(cluster.reply(a) == "")
        cluster.pass(milliseconds: 5_010)
        #expect(cluster.reply(a).hasPrefix("-UNAVAILABLE a node did not answer"))
        #expect(cluster.run(a, "KEYSPACE CREATE l") == "")
        let next = UInt64(2) << 32 | 5 << 28
        for node in [b, c] {
            cluster.deliver(
                HostileMessage.bytes(11, number: next, HostileMessage.little(UInt64(0))),
                from: node, to: a)
        }
        #expect(cluster.reply(a) == "")
    }

    @Test("an acknowledgement under a read's number is none of the write beside it")
    func numberOfAnotherKind() {
        let cluster = Cluster(3)
        cluster.cut = [[a, b], [a, c]]
        #expect(cluster.run(a, "SET k v TIMEOUT 50") == "")
        for kind in [0, 2, 3, 4, 5, 15] as [UInt64] {
            cluster.deliver(
                HostileMessage.bytes(
                    2, flag: 1, number: 1 << 32 | kind << 28, HostileMessage.little(UInt64(0))),
                from: b, to: a)
            #expect(cluster.reply(a) == "", "kind \(kind)")
        }
        cluster.deliver(
            HostileMessage.bytes(
                2, flag: 1, number: 1 << 32 | 1 << 28, HostileMessage.little(UInt64(0))),
            from: b, to: a)
        #expect(cluster.reply(a) == "+OK\r\n")
    }

    @Test("only found and absent answer a read, and only what became of a write acknowledges it")
    func statusOfAnother() {
        for flag in [0, 1, 2, 3, 4, 5, 8] as [UInt8] {
            let cluster = Cluster(3)
            cluster.deliver(HostileMessage.bytes(4, flag: flag, number: 1), from: b, to: a)
            #expect(cluster.counters(a).malformedMessages == 1)
        }
        for flag in [6, 7] as [UInt8] {
            let cluster = Cluster(3)
            cluster.deliver(
                HostileMessage.bytes(2, flag: flag, number: 1, HostileMessage.little(UInt64(0))),
                from: b, to: a)
            #expect(cluster.counters(a).malformedMessages == 1)
        }
    }

    @Test("a forwarded command is answered by the node it went to, with one reply")
    func forwardedReplies() {
        let keyspaces = "KEYSPACE CREATE one n=1 r=1 w=1"
        func waiting() -> (cluster: Cluster, owner: NodeID, other: NodeID) {
            let cluster = Cluster(3)
            #expect(cluster.run(a, keyspaces) == "+OK\r\n")
            cluster.cut = [[a, b], [a, c]]
            var key = 0
            while cluster.run(a, "SET one:\(key) v") == "+OK\r\n" { key += 1 }
            let owner = cluster.with(a) { node in
                Array("one:\(key)".utf8).withUnsafeBytes { key in
                    let range = node.store.address(of: key).range
                    return node.ring.position(of: b, in: range) == 0 ? b : c
                }
            }
            return (cluster, owner, owner == b ? c : b)
        }
        let number = UInt64(1) << 32 | 4 << 28
        for reply in [
            "", "+OK\r\n+OK\r\n", "+OK", "OK\r\n", "$2\r\nab", "$3\r\nab\r\n", "$2\r\nab\r\n:1\r\n",
            "$-2\r\n", "*2\r\n:1\r\n", "*1\r\n", "*-2\r\n", "*1\r\n:1\r\n:2\r\n",
            ":1x\r\n", ":99999999999999999999\r\n", "+O\nK\r\n",
        ] {
            let (cluster, owner, _) = waiting()
            cluster.deliver(
                HostileMessage.bytes(6, number: number, Array(reply.utf8)), from: owner, to: a)
            #expect(cluster.reply(a).hasPrefix("-UNKNOWN"), "\(reply)")
            #expect(cluster.counters(a).malformedMessages == 1)
        }
        let (cluster, owner, other) = waiting()
        let reply = HostileMessage.bytes(6, number: number, Array("+OK\r\n".utf8))
        cluster.deliver(reply, from: other, to: a)
        #expect(cluster.reply(a) == "")
        cluster.deliver(reply, from: owner, to: a)
        #expect(cluster.reply(a) == "+OK\r\n")
    }

    @Test("forwarded counts add up without end")
    func forwardedCounts() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE one n=1 r=1 w=1") == "+OK\r\n")
        cluster.cut = [[a, b], [a, c]]
        let keys = (0..<20).map { "one:\($0)" }.joined(separator: " ")
        #expect(cluster.run(a, "DEL \(keys)") == "")
        let reply = Array(":9223372036854775807\r\n".utf8)
        for index in 0..<20 as Range<UInt64> {
            for node in [b, c] {
                cluster.deliver(
                    HostileMessage.bytes(6, number: 1 << 32 | 4 << 28 | index, reply),
                    from: node, to: a)
            }
        }
        #expect(cluster.reply(a) != "")
    }
}
