import Base
import Causality
import Coding
import Ring
import Testing

@testable import Replication

@Suite("TRAPS.md at the level of the node")
struct TrapTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)
    let hour: UInt64 = 3_600_000

    private func siblings(_ cluster: Cluster) {
        #expect(cluster.run(a, "KEYSPACE CREATE s conflict=siblings") == "+OK\r\n")
    }

    @Test("3: a coordinator that lost its copy, or one key of it, swallows nothing acknowledged")
    func lostCopy() throws {
        for isWhole in [true, false] {
            let cluster = Cluster(3)
            siblings(cluster)
            #expect(cluster.run(a, "QSET s:1 first") == "+OK\r\n")
            #expect(cluster.run(a, "QSET s:2 kept") == "+OK\r\n")
            let key = Array("s:1".utf8)
            let left = cluster.journals[a, default: []].filter { payload in
                !isWhole && !payload.contains(key)
            }
            try cluster.restart(a, epoch: 2, on: left)
            #expect(cluster.run(a, "QSET s:1 second") == "+OK\r\n")
            #expect(cluster.run(b, "GET s:1 R ALL").hasPrefix("-SIBLINGS 2"))
            let dots = cluster.with(b) { node in
                key.withUnsafeBytes { key in
                    node.store.find(node.store.address(of: key), key)
                        .map { SiblingSet(valid: $0).siblings.map(\.dot.identity) }
                }
            }
            let lives = [1, 2].map { ReplicaIdentity(node: a, epoch: $0) }
            #expect(dots == lives)
            #expect(cluster.run(a, "GET s:2 R ALL") == "$4\r\nkept\r\n")
        }
    }

    @Test("3: under lww what is written after the loss wins over what was lost")
    func lostCopyLastWriter() throws {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "SET k first") == "+OK\r\n")
        cluster.wall[a, default: 0] -= 400
        try cluster.restart(a, epoch: 2, on: [])
        #expect(cluster.run(a, "SET k second") == "+OK\r\n")
        for node in [a, b, c] {
            #expect(cluster.run(node, "GET k R ALL") == "$6\r\nsecond\r\n")
        }
    }

    @Test("4: a process under an identity from a backup is refused, also when it comes first")
    func oldBackup() throws {
        let cluster = Cluster(3)
        try cluster.restart(a, epoch: 2, on: cluster.journals[a, default: []])
        cluster.unlink(a, b)
        let digest = cluster.with(a) { $0.hello(to: b).ringDigest }
        let old = Hello(
            clusterID: 7, identity: ReplicaIdentity(node: a, epoch: 1), recipient: b,
            ringDigest: digest)
        let living = Hello(
            clusterID: 7, identity: ReplicaIdentity(node: a, epoch: 2), recipient: b,
            ringDigest: digest)
        #expect(
            refusal(cluster, b, old)
                == .staleIdentity(old.identity, seen: ReplicaIdentity(node: a, epoch: 2)))
        #expect(refusal(cluster, b, living) == nil)
    }

    @Test("20: two processes under one number, two clusters, and wrong addresses are refused")
    func oneNumberTwice() {
        let cluster = Cluster(3)
        let digest = cluster.with(a) { $0.hello(to: b).ringDigest }
        func hello(
            _ node: NodeID, epoch: UInt64 = 1, cluster: UInt64 = 7, to: NodeID
        ) -> Hello {
            Hello(
                clusterID: cluster, identity: ReplicaIdentity(node: node, epoch: epoch),
                recipient: to, ringDigest: digest)
        }
        let second = hello(a, epoch: 9, to: b)
        #expect(
            refusal(cluster, b, second)
                == .duplicate(second.identity, linked: ReplicaIdentity(node: a, epoch: 1)))
        #expect(
            refusal(cluster, b, hello(a, cluster: 8, to: b))
                == .otherCluster(theirs: 8, own: 7))
        #expect(refusal(cluster, b, hello(b, epoch: 9, to: b)) == .ownNumber)
        #expect(refusal(cluster, b, hello(a, to: c)) == .otherRecipient(c))
        #expect(refusal(cluster, b, hello(NodeID(4), to: b)) == .notAMember(NodeID(4)))
        #expect(refusal(cluster, b, hello(a, to: b), dialled: c) == .otherRecipient(a))
    }

    @Test("a node that places keys by other members is refused before it takes part")
    func otherMembers() {
        let cluster = Cluster(3)
        let identity = ReplicaIdentity(node: a, epoch: 1)
        let members = [Member(a), Member(b), Member(c)]
        func refusal(_ members: [Member], epoch: UInt64 = 1) -> LinkRefusal? {
            let digest = Ring(members: members, epoch: epoch).digest
            return self.refusal(
                cluster, b,
                Hello(clusterID: 7, identity: identity, recipient: b, ringDigest: digest))
        }
        #expect(refusal(members.reversed()) == nil)
        let others = [
            Array(members[..<2]), members + [Member(NodeID(4))],
            [Member(a, weight: 2), Member(b), Member(c)],
            [Member(a), Member(b), Member(c, zone: 1)],
        ]
        for other in others { #expect(refusal(other) == .otherRing(a)) }
        #expect(refusal(members, epoch: 2) == .otherRing(a))
    }

    @Test("1: what was deleted while a replica was away stays deleted when it returns")
    func deletedWhileAway() throws {
        let cluster = Cluster(3)
        for key in ["read", "cold"] {
            #expect(cluster.run(a, "SET \(key) v W ALL") == "+OK\r\n")
        }
        let old = cluster.journals[c, default: []]
        cluster.unlink(a, c)
        cluster.unlink(b, c)
        for key in ["read", "cold"] { #expect(cluster.run(a, "DEL \(key)") == ":1\r\n") }
        try cluster.restart(c, epoch: 2, on: old)
        #expect(cluster.run(c, "GET read R 1") == "$1\r\nv\r\n", "it knows no better yet")
        #expect(cluster.run(c, "GET read R 2") == "$-1\r\n")
        cluster.pass(milliseconds: 15_000)
        for node in cluster.ids {
            for key in ["read", "cold"] {
                #expect(cluster.run(node, "GET \(key) R 1") == "$-1\r\n")
            }
        }
    }

    @Test("28: clocks that differ make nobody forget, keep or resurrect what expires")
    func expiryByTheWrite() {
        let cluster = Cluster(3)
        cluster.wall[b, default: 0] += 400
        cluster.cut = [[a, c], [c, a], [b, c], [c, b]]
        #expect(cluster.run(a, "SET k v PX 1000") == "+OK\r\n")
        cluster.pass(milliseconds: 700)
        #expect(cluster.run(a, "GET k R 1") == "$1\r\nv\r\n")
        #expect(cluster.run(b, "GET k R 1") == "$-1\r\n", "by its own clock the time has come")
        cluster.cut = []
        cluster.pass(milliseconds: 15_000)
        let states = cluster.ids.map { node in
            cluster.with(node) { node in
                Array("k".utf8).withUnsafeBytes { key in
                    node.store.find(node.store.address(of: key), key).map { Array($0.bytes) }
                }
            }
        }
        #expect(states[0] != nil && states[0] == states[1] && states[1] == states[2])
        for node in cluster.ids { #expect(cluster.run(node, "GET k R ALL") == "$-1\r\n") }
        #expect(cluster.run(c, "SET k w") == "+OK\r\n")
        cluster.pass(milliseconds: 15_000)
        for node in cluster.ids { #expect(cluster.run(node, "GET k R 1") == "$1\r\nw\r\n") }
    }

    private func refusal(
        _ cluster: Cluster, _ node: NodeID, _ hello: Hello, dialled: NodeID? = nil
    ) -> LinkRefusal? {
        cluster.with(node) { node in
            do throws(LinkRefusal) {
                try node.admit(hello, dialled: dialled)
                return nil
            } catch {
                return error
            }
        }
    }

    @Test("7: what a clock an hour ahead wrote or deleted swallows no later write")
    func hourAhead() {
        for command in ["SET k future", "QDEL k"] {
            let cluster = Cluster(3)
            #expect(cluster.run(a, "SET k before") == "+OK\r\n")
            cluster.wall[c, default: 0] += hour
            cluster.pass(milliseconds: 500)
            #expect(!cluster.run(c, command).hasPrefix("-"), "the others' time counts")
            #expect(cluster.run(a, "GET k") != "$6\r\nbefore\r\n")
            #expect(cluster.run(a, "SET k after") == "+OK\r\n")
            cluster.wall[c, default: 0] -= hour
            cluster.pass(milliseconds: 500)
            for node in [a, b, c] {
                #expect(cluster.run(node, "GET k R ALL") == "$5\r\nafter\r\n")
            }
            for node in [a, b, c] { cluster.wall[node, default: 0] += 2 * hour }
            cluster.pass(milliseconds: 500)
            for node in [a, b, c] {
                #expect(cluster.run(node, "GET k R ALL") == "$5\r\nafter\r\n")
            }
        }
    }

    @Test("7: what a node acknowledged alone, an hour ahead, gives way once it meets the others")
    func hourAheadAlone() throws {
        let cluster = Cluster(3)
        try cluster.restartAlone(c, epoch: 2, ahead: hour)
        #expect(cluster.run(c, "SET k future W 1") == "+OK\r\n")
        cluster.wall[c, default: 0] -= hour
        cluster.meet(c)
        cluster.pass(milliseconds: 500)
        #expect(cluster.run(a, "GET k R ALL") == "$6\r\nfuture\r\n", "it was acknowledged")
        #expect(cluster.run(a, "SET k after") == "+OK\r\n")
        for node in [a, b, c] {
            #expect(cluster.run(node, "GET k R ALL") == "$5\r\nafter\r\n")
        }
        #expect(cluster.counters(c).identitiesRenewed == 1)
    }

    @Test("7: a restart while the clock is an hour ahead drags no other node along")
    func restartAhead() throws {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "SET k before") == "+OK\r\n")
        cluster.wall[c, default: 0] += hour
        try cluster.restart(c, epoch: 2, on: cluster.journals[c, default: []])
        #expect(cluster.run(c, "SET k future") == "+OK\r\n", "the others' time counts")
        cluster.wall[c, default: 0] -= hour
        try cluster.restart(c, epoch: 3, on: cluster.journals[c, default: []])
        #expect(cluster.run(b, "SET k after") == "+OK\r\n")
        for node in [a, b, c] {
            #expect(cluster.run(node, "GET k R ALL") == "$5\r\nafter\r\n")
        }
        let last = cluster.with(a) { $0.clock.last.milliseconds }
        #expect(last <= cluster.now(a).wallMilliseconds + 500)
    }

    @Test("8: equal stamps are decided alike in every order of arrival")
    func equalStamps() {
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
        for order in orders {
            let cluster = Cluster(3)
            let stamp = cluster.dot(b).stamp
            let writers = [(b, 1, "low"), (b, 2, "middle"), (c, 1, "high")] as [(_, UInt64, _)]
            let records = writers.map { node, epoch, text in
                HostileMessage.record(
                    "k", Array(text.utf8),
                    Dot(identity: ReplicaIdentity(node: node, epoch: epoch), stamp: stamp))
            }
            for index in order {
                cluster.deliver(HostileMessage.bytes(1, number: 0, records[index]), from: b, to: a)
            }
            #expect(cluster.run(a, "CONSISTENCY R 1") == "+OK\r\n")
            #expect(cluster.run(a, "GET k") == "$4\r\nhigh\r\n", "\(order)")
        }
    }

    @Test("9: after a timeout with one of W a read shows the write or not, and repair settles it")
    func indeterminate() {
        let cluster = Cluster(3) { configuration in
            var settings = KeyspaceSettings()
            settings.readRepairPerMille = 1
            configuration.keyspaces = [(Array("default".utf8), settings)]
        }
        #expect(cluster.run(a, "SET k old") == "+OK\r\n")
        cluster.cut = [[a, b], [a, c]]
        #expect(cluster.run(a, "SET k new TIMEOUT 10") == "")
        cluster.pass(milliseconds: 20)
        #expect(cluster.reply(a).hasPrefix("-UNKNOWN 1 of 2"))
        cluster.cut = [[b, a], [c, a]]
        #expect(cluster.run(b, "GET k") == "$3\r\nold\r\n" || cluster.reply(b) == "")
        cluster.cut = []
        cluster.pass(milliseconds: 1_100)
        #expect(cluster.run(a, "GET k R ALL") == "$3\r\nnew\r\n")
        for node in [a, b, c] { #expect(cluster.run(node, "GET k R 1") == "$3\r\nnew\r\n") }
    }

    @Test("13: a full disk refuses writes and counts for none, reads go on, room ends it")
    func fullDisk() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "SET k old") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE CREATE m durability=memory") == "+OK\r\n")
        for node in [b, c] { cluster.step(node, .disk(.deletions)) }
        let kept = [b, c].map { cluster.journals[$0, default: []].count }
        #expect(cluster.run(b, "SET k new").hasPrefix("-DISKFULL"))
        #expect(cluster.run(b, "GET k R ALL") == "$3\r\nold\r\n")
        #expect(cluster.run(b, "SET m:1 v") == "+OK\r\n")
        #expect(cluster.run(a, "SET l v").hasPrefix("-UNKNOWN 1 of 2"))
        #expect(cluster.run(b, "GET l R 2").hasPrefix("$"))
        let still = [b, c].map { cluster.journals[$0, default: []].count }
        #expect(still == kept)
        cluster.step(b, .disk(.free))
        #expect(cluster.run(b, "SET k new") == "+OK\r\n")
        #expect(cluster.run(a, "GET k") == "$3\r\nnew\r\n")
        cluster.step(c, .disk(.free))
        #expect(cluster.run(c, "GET k R ALL") == "$3\r\nnew\r\n")
    }

    @Test("13: a full disk takes deletions, on every replica, as long as there is room for them")
    func deletionsWhenFull() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE t conflict=crdt") == "+OK\r\n")
        #expect(cluster.run(a, "SET k old") == "+OK\r\n")
        #expect(cluster.run(a, "SADD t:s x") == ":1\r\n")
        for node in [a, b, c] { cluster.step(node, .disk(.deletions)) }
        #expect(cluster.run(a, "SADD t:s y").hasPrefix("-DISKFULL"))
        #expect(cluster.run(a, "DEL k t:s W ALL") == ":2\r\n")
        #expect(cluster.run(c, "EXISTS k t:s R ALL") == ":0\r\n")
        for node in [a, b, c] { cluster.step(node, .disk(.none)) }
        #expect(cluster.run(a, "DEL k").hasPrefix("-DISKFULL"))
        #expect(cluster.run(a, "GET k") == "$-1\r\n")
        for node in [a, b, c] { cluster.step(node, .disk(.free)) }
        #expect(cluster.run(a, "SET k new W ALL") == "+OK\r\n")
    }

    @Test("14: a disk that is behind refuses what it would have to keep, and nothing else")
    func busyDisk() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE m durability=memory") == "+OK\r\n")
        #expect(cluster.run(a, "SET k old") == "+OK\r\n")
        for node in [a, b] { cluster.step(node, .disk(.busy)) }
        #expect(cluster.run(a, "SET k new").hasPrefix("-OVERLOADED"))
        #expect(cluster.run(a, "DEL k").hasPrefix("-OVERLOADED"))
        #expect(cluster.run(a, "GET k R ALL") == "$3\r\nold\r\n")
        #expect(cluster.run(a, "SET m:1 v W ALL") == "+OK\r\n")
        for node in [a, b] { cluster.step(node, .disk(.free)) }
        #expect(cluster.run(a, "SET k new W ALL") == "+OK\r\n")
    }

    @Test("13: the write that met the full disk is refused too, once every replica said so")
    func allFull() {
        let cluster = Cluster(3)
        for node in [a, b, c] { cluster.step(node, .disk(.deletions)) }
        #expect(cluster.run(a, "SET k v").hasPrefix("-DISKFULL"))
        for node in [a, b, c] { cluster.step(node, .disk(.free)) }
        #expect(cluster.run(a, "GET k R ALL") == "$-1\r\n")
        #expect(cluster.run(a, "SET k v W ALL") == "+OK\r\n")
    }
}

extension [UInt8] {
    func contains(_ part: [UInt8]) -> Bool {
        indices.contains { self[$0...].starts(with: part) }
    }
}
