import Base
import Causality
import Coding
import Ring
import Testing

@testable import Replication

@Suite("Sloppy quorums and hinted handoff (Dynamo §4.6)")
struct HintTests {
    let a = NodeID(1)

    /// Nodes of which a keyspace `s` has so many replicas a key.
    private func cluster(
        _ count: Int, _ settings: String,
        _ change: @escaping (inout NodeConfiguration) -> Void = { _ in }
    ) -> Cluster {
        let cluster = Cluster(count, change)
        #expect(cluster.run(a, "KEYSPACE CREATE s sloppy=on \(settings)") == "+OK\r\n")
        return cluster
    }

    /// The preference list of a key.
    private func list(_ cluster: Cluster, _ key: String = "s:k") -> [NodeID] {
        cluster.with(a) { node in
            Array(key.utf8).withUnsafeBytes {
                Array(node.ring.preferenceList(of: KeyRange(Slot(key: $0))))
            }
        }
    }

    private func split(_ cluster: Cluster, _ side: [NodeID]) {
        for one in side {
            for other in cluster.ids where !side.contains(other) { cluster.unlink(one, other) }
        }
    }

    private func heal(_ cluster: Cluster) {
        for one in cluster.ids {
            for other in cluster.ids where one != other {
                guard cluster.with(one, { !$0.isReachable(other) }) else { continue }
                cluster.link(one, other)
            }
        }
        cluster.settle()
    }

    private func held(_ cluster: Cluster, _ node: NodeID, _ key: String = "s:k") -> String? {
        cluster.with(node) { node in
            Array(key.utf8).withUnsafeBytes { key in
                node.store.find(node.store.address(of: key), key).map {
                    $0.isTombstone ? "deleted" : String(decoding: $0.body, as: UTF8.self)
                }
            }
        }
    }

    private func hints(_ cluster: Cluster, _ node: NodeID) -> [NodeID: Int] {
        cluster.with(node) { node in
            var counts: [NodeID: Int] = [:]
            for figures in node.linkFigures where figures.hints > 0 {
                counts[figures.node] = figures.hints
            }
            return counts
        }
    }

    @Test("a fallback's acknowledgement counts for W, is told on the receipt, and not for PW")
    func writeQuorum() {
        let cluster = cluster(4, "n=3 w=3")
        let list = list(cluster)
        split(cluster, [list[2]])
        #expect(cluster.run(list[0], "RECEIPT ON") == "+OK\r\n")
        #expect(cluster.run(list[0], "SET s:k v") == "+OK\r\n")
        let receipt = cluster.run(list[0], "RECEIPT LAST")
        #expect(receipt.contains("answered\r\n:3\r\n"))
        #expect(receipt.contains("fallbacks\r\n:1\r\n"))
        #expect(receipt.contains("durable\r\n:3\r\n"))
        #expect(cluster.counters(list[0]).degraded == 1)
        #expect(hints(cluster, list[3]) == [list[2]: 1])
        #expect(held(cluster, list[3]) == nil, "a hint is no state of the fallback")
        #expect(cluster.run(list[0], "SET s:k w PW 3").hasPrefix("-UNAVAILABLE 2 of 3"))
        #expect(cluster.run(list[3], "DBSIZE") == ":0\r\n")
    }

    @Test("a strict keyspace has no fallbacks, and a floor of strong rules them out")
    func strict() {
        let cluster = Cluster(4)
        #expect(cluster.run(a, "KEYSPACE CREATE s n=3 w=3") == "+OK\r\n")
        split(cluster, [list(cluster)[2]])
        #expect(cluster.run(list(cluster)[0], "SET s:k v").hasPrefix("-UNAVAILABLE 2 of 3"))
        heal(cluster)
        #expect(cluster.run(a, "KEYSPACE ALTER s floor=strong") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE ALTER s sloppy=on").hasPrefix("-ERR sloppy=on"))
        let alone = "KEYSPACE CREATE t n=1 r=1 w=1 sloppy=on"
        #expect(cluster.run(a, alone).hasPrefix("-ERR sloppy=on"))
        #expect(cluster.run(a, "KEYSPACE CREATE t sloppy=maybe").contains("sloppy is on or off"))
    }

    @Test("of two definitions made apart the strict one is in force")
    func saferIsStrict() {
        var sloppy = KeyspaceSettings()
        sloppy.isSloppy = true
        #expect(!sloppy.saferOf(KeyspaceSettings()).isSloppy)
        #expect(!KeyspaceSettings().saferOf(sloppy).isSloppy)
        #expect(sloppy.saferOf(sloppy).isSloppy)
    }

    @Test("a hint goes to the node it names when that is back, and to nobody else")
    func handedOff() {
        let cluster = cluster(5, "n=3 w=3")
        let list = list(cluster)
        split(cluster, [list[1]])
        for index in 0..<200 { _ = cluster.run(list[0], "SET s:{k}\(index) v") }
        #expect(cluster.run(list[0], "SET s:k v") == "+OK\r\n")
        #expect(hints(cluster, list[3])[list[1]] == 1)
        cluster.pass(milliseconds: 2_000)
        #expect(hints(cluster, list[3])[list[1]] == 1)
        heal(cluster)
        cluster.pass(milliseconds: 500)
        #expect(held(cluster, list[1]) == "v")
        #expect(hints(cluster, list[3]).isEmpty)
        #expect(held(cluster, list[3]) == nil && held(cluster, list[4]) == nil)
        #expect(cluster.counters(list[3]).hintsHandedOff == 1)
        for node in cluster.ids { cluster.with(node) { $0.checkInvariants(recounting: true) } }
    }

    @Test("where no primary is in reach, any node takes writes and reads; replicas get them later")
    func standsIn() {
        for conflict in ["lww", "siblings"] {
            let cluster = cluster(5, "n=3 r=2 w=2 conflict=\(conflict)")
            let list = list(cluster)
            #expect(cluster.run(a, "SET s:k old") == "+OK\r\n")
            split(cluster, [list[3], list[4]])
            #expect(cluster.run(list[4], "GET s:k") == "$-1\r\n", "its primaries are elsewhere")
            #expect(cluster.run(list[4], "SET s:k new") == "+OK\r\n")
            #expect(cluster.run(list[3], "GET s:k") == "$3\r\nnew\r\n")
            #expect(cluster.run(list[3], "SET s:k newer") == "+OK\r\n")
            #expect(cluster.run(list[4], "GET s:k") == "$5\r\nnewer\r\n")
            #expect(cluster.run(list[4], "SET s:k never PW 1").hasPrefix("-UNAVAILABLE"))
            #expect(cluster.run(list[4], "GET s:k PR 1").hasPrefix("-UNAVAILABLE"))
            #expect(cluster.run(list[4], "SET s:k never W 3").hasPrefix("-UNAVAILABLE 2 of 3"))
            #expect(cluster.run(list[0], "GET s:k") == "$3\r\nold\r\n")
            heal(cluster)
            cluster.pass(milliseconds: 1_000)
            for node in list[..<3] {
                let reply = cluster.run(node, "QGET s:k R 1")
                #expect(reply.contains("newer"))
                #expect(reply.contains("old") == (conflict == "siblings"), "neither saw the other")
            }
            for node in list { #expect(hints(cluster, node).isEmpty) }
            for node in list[3...] { #expect(held(cluster, node) == nil) }
        }
    }

    @Test("values that a fallback mints one after another, between hand-offs, are all kept")
    func chains() {
        let cluster = cluster(5, "n=3 r=2 w=1 conflict=siblings")
        let list = list(cluster)
        for round in 0..<4 {
            split(cluster, [list[3], list[4]])
            #expect(cluster.run(list[3], "QSET s:k \(round)a") == "+OK\r\n")
            #expect(cluster.run(list[4], "QSET s:k \(round)b") == "+OK\r\n")
            #expect(cluster.run(list[3], "QSET s:k \(round)c") == "+OK\r\n")
            // Some of the primaries come back for a while, so that some hints are handed off.
            for primary in list.prefix(round) {
                for fallback in list[3...] {
                    cluster.link(primary, fallback)
                    cluster.link(fallback, primary)
                }
            }
            cluster.pass(milliseconds: 400)
        }
        heal(cluster)
        cluster.pass(milliseconds: 9_000)
        for node in list[..<3] {
            let reply = cluster.run(node, "QGET s:k R 1")
            for round in 0..<4 {
                for write in ["a", "b", "c"] { #expect(reply.contains("\(round)\(write)")) }
            }
        }
    }

    @Test("a delete where no primary is in reach reaches them too")
    func deleteStandsIn() {
        let cluster = cluster(5, "n=3 r=2 w=2")
        let list = list(cluster)
        #expect(cluster.run(a, "SET s:k old W ALL") == "+OK\r\n")
        cluster.pass(milliseconds: 300)
        split(cluster, [list[3], list[4]])
        #expect(cluster.run(list[4], "QDEL s:k") == ":0\r\n")
        heal(cluster)
        cluster.pass(milliseconds: 1_000)
        for node in list[..<3] { #expect(held(cluster, node) == "deleted") }
    }

    @Test("what a fallback lacks hides nothing that a primary in reach has")
    func nothingHidden() {
        let cluster = cluster(5, "n=3 r=2 w=2")
        let list = list(cluster)
        #expect(cluster.run(a, "SET s:k v W ALL") == "+OK\r\n")
        split(cluster, [list[2], list[3], list[4]])
        for node in Array(list[2...]) + list[2...] + list[2...] {
            #expect(cluster.run(node, "GET s:k") == "$1\r\nv\r\n")
        }
        #expect(cluster.run(list[4], "GET s:k R 3") == "$1\r\nv\r\n")
        #expect(held(cluster, list[3]) == nil, "a fallback is not repaired into a replica")
    }

    @Test("a primary that is silent counts as away after a second, though its link is up")
    func silent() {
        let cluster = cluster(4, "n=3 w=3 timeout=50")
        let list = list(cluster)
        for other in cluster.ids where other != list[2] {
            cluster.cut.insert([other, list[2]])
            cluster.cut.insert([list[2], other])
        }
        #expect(cluster.run(list[0], "SET s:k v") == "", "nobody knows yet")
        cluster.pass(milliseconds: 1_100)
        #expect(cluster.reply(list[0]).hasPrefix("-UNKNOWN 2 of 3"))
        #expect(cluster.run(list[0], "SET s:k v") == "+OK\r\n")
        cluster.cut = []
        cluster.pass(milliseconds: 1_000)
        #expect(held(cluster, list[2]) == "v")
        #expect(hints(cluster, list[3]).isEmpty)
    }

    @Test("hints survive a restart, through the journal and through a checkpoint")
    func durable() throws {
        for isCheckpointed in [false, true] {
            let cluster = cluster(4, "n=3 w=3")
            let list = list(cluster)
            split(cluster, [list[2]])
            for index in 0..<100 { _ = cluster.run(list[0], "SET s:\(index) v") }
            #expect(cluster.run(list[0], "SET s:k v") == "+OK\r\n")
            let kept = hints(cluster, list[3])
            #expect(kept[list[2]].map { $0 > 1 } == true)
            var journal = cluster.journals[list[3], default: []]
            if isCheckpointed { journal = checkpoint(cluster, list[3]) }
            cluster.start(list[3], epoch: 2)
            try cluster.with(list[3]) { node in
                for payload in journal { try payload.withUnsafeBytes { try node.restore($0) } }
            }
            #expect(hints(cluster, list[3]) == kept)
            heal(cluster)
            for other in list[..<3] { cluster.link(other, list[3]) }
            for other in list[..<3] { cluster.link(list[3], other) }
            cluster.pass(milliseconds: 1_000)
            #expect(hints(cluster, list[3]).isEmpty)
            #expect(held(cluster, list[2]) == "v")
        }
    }

    /// A node's whole state, as a checkpoint has it.
    private func checkpoint(_ cluster: Cluster, _ node: NodeID) -> [[UInt8]] {
        var payloads: [[UInt8]] = []
        var cursor: UInt64?
        repeat {
            var piece = ByteBuffer(capacity: 256)
            cursor = cluster.with(node) { $0.exportState(from: cursor, bytesMax: 64, into: &piece) }
            var bytes = Array(piece.bytes)[...]
            while bytes.count >= 4 {
                let length = bytes.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
                payloads.append(Array(bytes.dropFirst(4).prefix(length)))
                bytes = bytes.dropFirst(4 + length)
            }
        } while cursor != nil
        return payloads
    }

    @Test("a hint stays until it is acknowledged; attempts that fail come more and more rarely")
    func backOff() {
        let cluster = cluster(4, "n=3 w=3")
        let list = list(cluster)
        split(cluster, [list[2]])
        #expect(cluster.run(list[0], "SET s:k v") == "+OK\r\n")
        cluster.step(list[2], .disk(.deletions))
        heal(cluster)
        cluster.pass(milliseconds: 10_000)
        #expect(hints(cluster, list[3]) == [list[2]: 1])
        #expect((4...6).contains(cluster.counters(list[3]).handOffsFailed))
        cluster.step(list[2], .disk(.free))
        cluster.pass(milliseconds: 7_000)
        #expect(hints(cluster, list[3]).isEmpty)
        #expect(held(cluster, list[2]) == "v")
    }

    @Test("a hint whose acknowledgement is lost is sent again")
    func lostAnswer() {
        let cluster = cluster(4, "n=3 w=3")
        let list = list(cluster)
        split(cluster, [list[2]])
        #expect(cluster.run(list[0], "SET s:k v") == "+OK\r\n")
        cluster.lostKinds = [2, 12]
        heal(cluster)
        cluster.pass(milliseconds: 500)
        #expect(held(cluster, list[2]) == "v")
        #expect(hints(cluster, list[3]) == [list[2]: 1])
        cluster.lostKinds = []
        cluster.pass(milliseconds: 5_000)
        #expect(hints(cluster, list[3]).isEmpty)
    }

    @Test("bytes a second are limited for each link")
    func rate() {
        let cluster = cluster(4, "n=3 w=3") { $0.hintBytesPerSecond = 10_000 }
        let list = list(cluster)
        split(cluster, [list[2]])
        let value = String(repeating: "x", count: 1_000)
        for index in 0..<200 { _ = cluster.run(list[0], "SET s:\(index) \(value)") }
        let before = hints(cluster, list[3])[list[2]] ?? 0
        #expect(before > 30)
        cluster.lostKinds = [12]
        heal(cluster)
        cluster.pass(milliseconds: 2_000)
        let sent = cluster.counters(list[3]).handOffBytes
        #expect((8_000...30_000).contains(sent))
        cluster.pass(milliseconds: UInt64(before) * 120)
        #expect(hints(cluster, list[3]).isEmpty)
    }

    @Test("a node without room for another hint refuses it, and the write does without it")
    func bytesLimit() {
        let cluster = cluster(4, "n=3 w=3") { $0.hintBytesMax = 10_000 }
        let list = list(cluster, "s:{k}")
        split(cluster, [list[2]])
        let value = String(repeating: "x", count: 3_000)
        var replies: [String] = []
        for index in 0..<6 {
            replies.append(cluster.run(list[0], "SET s:{k}\(index) \(value)"))
        }
        #expect(replies.filter { $0 == "+OK\r\n" }.count == 3)
        #expect(replies.last?.hasPrefix("-UNKNOWN 2 of 3") == true)
        #expect(cluster.run(list[0], "SET s:{k}0 w") == "+OK\r\n", "one hint a key")
        #expect(cluster.counters(list[3]).hintsRefused == 3)
    }

    @Test(
        "with room for one of two hints a write is kept for one node; the other has it from there",
        arguments: [3, 4])
    func roomForOne(_ count: Int) {
        let cluster = cluster(count, "n=\(count - 1) w=\(count - 2) r=1") {
            $0.hintBytesMax = 1_000
        }
        let list = list(cluster)
        let keeper = list[count - 1]
        // Of three nodes the keeper is alone and mints the write, of four the first primary does.
        let side = count == 3 ? [keeper] : [list[0], keeper]
        split(cluster, side)
        let value = String(repeating: "x", count: 600)
        #expect(cluster.run(side[0], "SET s:k \(value)") == "+OK\r\n")
        #expect(hints(cluster, keeper).values.reduce(0, +) == 1)
        heal(cluster)
        cluster.pass(milliseconds: 10_000)
        for node in list.dropLast() { #expect(held(cluster, node) == value) }
    }

    @Test("a hint that is too old is dropped before a tombstone may go; a wrong clock drops none")
    func age() {
        let cluster = cluster(4, "n=3 w=3") { $0.hintMillisecondsMax = 5_000 }
        let list = list(cluster)
        split(cluster, [list[2]])
        #expect(cluster.run(list[0], "SET s:k v") == "+OK\r\n")
        cluster.wall[list[3], default: 0] += 3_600_000
        cluster.pass(milliseconds: 2_000)
        #expect(hints(cluster, list[3]) == [list[2]: 1], "no other clock agrees")
        cluster.wall[list[3], default: 0] -= 3_600_000
        cluster.pass(milliseconds: 2_900)
        #expect(hints(cluster, list[3]) == [list[2]: 1])
        let line = "hints_node_\(list[2].rawValue):hints=1"
        #expect(cluster.run(list[3], "INFO hints").contains(line))
        cluster.pass(milliseconds: 500)
        #expect(hints(cluster, list[3]).isEmpty)
        #expect(cluster.counters(list[3]).hintsDropped == 1)
        #expect(cluster.counters(list[3]).handOffBytes == 0)
    }

    @Test("what a keyspace held goes with it, and n stays while hints are kept")
    func emptied() {
        let cluster = cluster(4, "n=3 w=quorum")
        let list = list(cluster)
        split(cluster, [list[2]])
        #expect(cluster.run(list[0], "SET s:k v") == "+OK\r\n")
        cluster.lostKinds = [12, 19]
        heal(cluster)
        for node in list[..<2] {
            cluster.with(node) { node in
                Array("s:k".utf8).withUnsafeBytes { key in
                    node.removeStored(key)
                }
            }
        }
        #expect(cluster.run(a, "KEYSPACE ALTER s n=2").contains("hold 1 such records"))
        #expect(cluster.run(a, "KEYSPACE DROP s") == "+OK\r\n")
        cluster.pass(milliseconds: 500)
        #expect(hints(cluster, list[3]).isEmpty)
        #expect(held(cluster, list[2]) == nil)
    }

    @Test("TRAPS 2: a fallback hands off a tombstone or an old value after the key was made anew")
    func recreated() {
        for conflict in ["lww", "siblings"] {
            for old in ["SET s:k old", "DEL s:k"] {
                let cluster = cluster(4, "n=3 w=3 conflict=\(conflict)")
                let list = list(cluster)
                #expect(cluster.run(a, "SET s:k first") == "+OK\r\n")
                split(cluster, [list[2]])
                #expect(!cluster.run(list[0], old).hasPrefix("-"))
                // The primaries reap what they hold of the key, and somebody makes it anew.
                for node in list[..<3] {
                    cluster.with(node) { node in
                        Array("s:k".utf8).withUnsafeBytes { key in
                            node.removeStored(key)
                        }
                    }
                }
                cluster.pass(milliseconds: 20)
                cluster.lostKinds = [19]
                heal(cluster)
                #expect(cluster.run(list[0], "SET s:k new") == "+OK\r\n")
                cluster.lostKinds = []
                cluster.pass(milliseconds: 6_000)
                #expect(hints(cluster, list[3]).isEmpty)
                for node in list[..<3] {
                    let reply = cluster.run(node, "QGET s:k R ALL")
                    #expect(reply.contains("new"), "\(conflict) \(old)")
                    #expect(!reply.contains("first"))
                }
            }
        }
    }

    @Test("TRAPS 5: hints go to a node's number in its new life, with their stamps")
    func replacement() throws {
        let cluster = cluster(5, "n=3 w=3")
        let list = list(cluster)
        split(cluster, [list[2]])
        #expect(cluster.run(list[0], "SET s:k v") == "+OK\r\n")
        let stamp = stampHeld(cluster, list[0])
        cluster.pass(milliseconds: 1_000)
        // Another node, as from the dead one's address, and one that claims the key for itself.
        cluster.link(list[3], list[4])
        cluster.pass(milliseconds: 500)
        #expect(hints(cluster, list[3]) == [list[2]: 1])
        try cluster.restart(list[2], epoch: 9, on: [])
        cluster.pass(milliseconds: 1_000)
        #expect(hints(cluster, list[3]).isEmpty)
        #expect(stampHeld(cluster, list[2]) == stamp)
        #expect(held(cluster, list[4]) == nil)
    }

    private func stampHeld(_ cluster: Cluster, _ node: NodeID) -> Stamp? {
        cluster.with(node) { node in
            Array("s:k".utf8).withUnsafeBytes { key in
                node.store.find(node.store.address(of: key), key).map(\.dot.stamp)
            }
        }
    }

    @Test("a node takes hints only of keys that it has by the ring, and keeps none for others")
    func ownership() {
        let cluster = cluster(5, "n=3 w=3")
        let list = list(cluster)
        let record = HostileMessage.record("s:k", Array("x".utf8), cluster.dot(list[0]))
        let number = OperationID(kind: .hint, index: 1, generation: 0).rawValue
        cluster.deliver(
            HostileMessage.bytes(Message.handOffKind, number: number, record), from: list[3],
            to: list[4])
        #expect(held(cluster, list[4]) == nil)
        for (target, keeper) in [(list[4], list[3]), (list[3], list[3]), (list[0], list[1])] {
            let since = HostileMessage.little(UInt64.max)
            let rest = [1] + HostileMessage.little(target.rawValue) + since + record
            cluster.deliver(
                HostileMessage.bytes(Message.hintKind, number: 1, rest), from: list[0], to: keeper)
            #expect(hints(cluster, keeper).isEmpty)
        }
        cluster.deliver(
            HostileMessage.bytes(Message.handOffKind, number: number, record), from: list[3],
            to: list[0])
        #expect(held(cluster, list[0]) == "x")
    }
}
