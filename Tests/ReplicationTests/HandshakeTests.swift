import Base
import Coding
import Membership
import Secrets
import Testing

@testable import Replication

private let (a, b, c) = (NodeID(1), NodeID(2), NodeID(3))

@Suite("The handshake of a link")
struct HandshakeTests {
    /// Three nodes of which the third has no links.
    private func apart() -> Cluster {
        let cluster = Cluster(3)
        for other in [a, b] { cluster.unlink(other, c) }
        return cluster
    }

    @Test("two members prove to each other that they know the secret, and are linked")
    func linked() {
        let cluster = apart()
        let greeting = cluster.greet(c, a)
        #expect(greeting.isLinked)
        #expect(greeting.said.map(\.byCaller) == [true, false, true, false])
        #expect(cluster.run(c, "SET k v W 2") == "+OK\r\n")
    }

    @Test("every changed bit of a handshake ends it before anything is acted upon")
    func tampered() {
        var random = PRNG(seed: 3)
        for round in 0..<400 {
            let cluster = apart()
            let turn = round % 4
            var isChanged = false
            let greeting = cluster.greet(c, a) { number, bytes in
                guard number == turn else { return }
                isChanged = true
                bytes[random.below(bytes.count)] ^= UInt8(1) << UInt8(random.below(8))
            }
            #expect(isChanged && !greeting.isLinked)
            if case .linked = greeting.caller { Issue.record("the caller linked") }
            // Only the verdict comes after the called side has had all proof.
            if turn < 3, case .linked = greeting.called { Issue.record("the called side linked") }
        }
    }

    @Test("a node with another secret, or of another cluster, proves nothing")
    func otherSecret() {
        var random = PRNG(seed: 4)
        let other = ClusterSecret(from: &random)
        let cluster = apart()
        let links = cluster.with(a) { $0.keys.links }
        let same = NodeKeys(Cluster.secret, cluster: 7).links
        let message: [UInt8] = [1, 2, 3]
        #expect(links.caller.code(of: message) == same.caller.code(of: message))
        let foreign = [NodeKeys(other, cluster: 7), NodeKeys(Cluster.secret, cluster: 8)]
        for keys in foreign.map(\.links) {
            #expect(links.caller.code(of: message) != keys.caller.code(of: message))
            #expect(links.called.code(of: message) != keys.called.code(of: message))
        }
    }

    @Test("what one side said proves nothing when it is said back to it")
    func reflected() {
        let cluster = apart()
        var first: [UInt8] = []
        let greeting = cluster.greet(c, a) { number, bytes in
            if number == 0 { first = bytes }
            // The called side's greeting and proof are replaced by the caller's own words.
            if number == 1 { bytes = first + Array(bytes.dropFirst(Hello.encodedBytes)) }
        }
        #expect(!greeting.isLinked)
        let links = cluster.with(a) { $0.keys.links }
        let message: [UInt8] = [9]
        let codes = [links.caller, links.called, links.verdict].map { $0.code(of: message).bytes }
        #expect(Set(codes).count == 3)
    }

    @Test("a recorded handshake proves nothing to a later one")
    func recorded() {
        let cluster = apart()
        let recorded = cluster.greet(c, a, seed: 1).said.filter(\.byCaller).map(\.bytes)
        cluster.unlink(a, c)
        var turn = 0
        let replayed = cluster.greet(c, a, seed: 2) { number, bytes in
            guard number % 2 == 0 else { return }
            bytes = recorded[turn]
            turn += 1
        }
        let own = cluster.with(a) { $0.keys.fingerprint }
        #expect(replayed.called == .refused(.unproven(c, own: own), isProven: false))
    }

    @Test("nothing that was sent contains the secret or a key")
    func nothingInClear() {
        let cluster = apart()
        let said = cluster.greet(c, a).said.flatMap(\.bytes)
        let text = said.map { String($0, radix: 16) }.joined()
        #expect(!text.contains(Cluster.secret.text.prefix(12)))
        var printed = ""
        cluster.with(a) { node in
            dump(node.keys, to: &printed)
            printed += "\(node.keys)"
        }
        #expect(!printed.contains(Cluster.secret.text.prefix(8)))
    }
}

@Suite("What a handshake tells a node about itself")
struct StandingTests {
    private func removed(_ cluster: Cluster, _ node: NodeID) -> Bool {
        answer(cluster, node).hasPrefix("-REMOVED")
    }

    /// What a client hears that connects now.
    private func answer(_ cluster: Cluster, _ node: NodeID) -> String {
        let connection = ConnectionID(9)
        cluster.open(node, connection)
        cluster.send(node, connection, Array("GET k\r\n".utf8))
        cluster.settle()
        defer {
            cluster.step(node, .closed(connection))
            cluster.replies[node]?[connection] = nil
        }
        return cluster.reply(node, connection)
    }

    @Test("a node that was forgotten while it was down hears of it at its first handshake")
    func forgottenWhileDown() throws {
        let cluster = Cluster(3)
        cluster.unlink(a, c)
        cluster.unlink(b, c)
        #expect(cluster.run(a, "CLUSTER FORGET 3") == "+OK\r\n")
        cluster.pass(milliseconds: 2_000)
        cluster.start(c, epoch: 9)
        #expect(!removed(cluster, c))
        let greeting = cluster.greet(c, a)
        #expect(greeting.caller == .refused(.removedHere(by: a), isProven: true))
        #expect(greeting.called == .refused(.removed(c), isProven: true))
        #expect(removed(cluster, c))
        #expect(cluster.with(a) { $0.linksUp } == 1)
        // Its own journal knows it, before any link.
        try cluster.restartAlone(c, epoch: 10)
        #expect(removed(cluster, c))
        #expect(!cluster.greet(c, b).isLinked)
    }

    @Test("a removed node is told by whoever is called, too")
    func toldByCaller() {
        let cluster = Cluster(3)
        cluster.unlink(a, b)
        cluster.unlink(a, c)
        #expect(cluster.run(b, "CLUSTER FORGET 1") == "+OK\r\n")
        cluster.start(a, epoch: 9)
        let greeting = cluster.greet(b, a)
        #expect(greeting.called == .refused(.removedHere(by: b), isProven: true))
        #expect(removed(cluster, a))
    }

    @Test("READMIT reaches a node that runs, and its next life takes part")
    func readmitted() throws {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "CLUSTER FORGET 3") == "+OK\r\n")
        cluster.pass(milliseconds: 2_000)
        #expect(removed(cluster, c))
        #expect(cluster.run(b, "CLUSTER READMIT 3").hasPrefix("+OK"))
        cluster.pass(milliseconds: 2_000)
        let greeting = cluster.greet(c, a)
        #expect(greeting.caller == .refused(.readmittedHere(by: a), isProven: true))
        #expect(cluster.rebirths[c] == 1)
        try cluster.restartAlone(c, epoch: 2_000)
        #expect(cluster.greet(c, a).isLinked && cluster.greet(c, b).isLinked)
        cluster.settle()
        cluster.pass(milliseconds: 2_000)
        #expect(!removed(cluster, c))
        #expect(cluster.run(a, "SET k v W 3") == "+OK\r\n")
        #expect(cluster.with(c) { $0.linksUp } == 2)
    }

    @Test("who was let in again while its link was up begins a new life at once")
    func readmittedAtOnce() {
        let cluster = Cluster(3)
        cluster.pass(milliseconds: 500)
        cluster.isolate(c)
        #expect(cluster.run(a, "CLUSTER FORGET 3") == "+OK\r\n")
        #expect(cluster.run(a, "CLUSTER READMIT 3").hasPrefix("+OK"))
        cluster.cut = []
        cluster.pass(milliseconds: 3_000)
        #expect(cluster.rebirths[c] == 1)
    }

    @Test("a removal that only the removed node remembers can still be undone")
    func onlyItRemembers() throws {
        let cluster = Cluster(2)
        #expect(cluster.run(a, "CLUSTER FORGET 2 FORCE") == "+OK\r\n")
        cluster.pass(milliseconds: 1_500)
        cluster.start(a, epoch: 5)
        cluster.replies[a] = nil
        #expect(!cluster.greet(b, a).isLinked)
        #expect(cluster.run(a, "CLUSTER READMIT 2").hasPrefix("+OK"))
        #expect(cluster.greet(b, a).caller == .refused(.readmittedHere(by: a), isProven: true))
        #expect(cluster.rebirths[b] == 1)
    }

    @Test("a life below one that was admitted begins anew above it, before it takes part")
    func clockAhead() throws {
        let cluster = Cluster(3)
        try cluster.restart(c, epoch: 8_000_000, on: [])
        for other in [a, b] { cluster.unlink(other, c) }
        // The disk is empty and the clock is right again.
        cluster.start(c, epoch: 1_000_000)
        let seen = ReplicaIdentity(node: c, epoch: 8_000_000)
        let greeting = cluster.greet(c, a)
        #expect(greeting.caller == .refused(.outlived(seen: seen, by: a), isProven: true))
        #expect(
            greeting.called
                == .refused(
                    .staleIdentity(ReplicaIdentity(node: c, epoch: 1_000_000), seen: seen),
                    isProven: true))
        #expect(cluster.rebirths[c] == 8_000_000)
        cluster.start(c, epoch: 8_001_024)
        #expect(cluster.greet(c, a).isLinked)
    }

    @Test("the highest lives outlive the restart of those who admitted them")
    func livesAreKept() throws {
        let cluster = Cluster(2)
        try cluster.restart(b, epoch: 9_000, on: [])
        cluster.unlink(a, b)
        try cluster.restartAlone(a, epoch: 2)
        cluster.start(b, epoch: 500)
        #expect(!cluster.greet(b, a).isLinked)
        #expect(cluster.rebirths[b] == 9_000)
    }

    @Test("the older of two processes under one number never takes the newer one's place")
    func olderProcess() throws {
        let cluster = Cluster(3)
        cluster.unlink(a, c)
        cluster.unlink(b, c)
        // The process that had links, stopped and goes on later; a newer one was admitted.
        let newer = ReplicaIdentity(node: c, epoch: 50)
        cluster.step(a, .linked(c, newer))
        let greeting = cluster.greet(c, a)
        #expect(greeting.caller == .refused(.outlived(seen: newer, by: a), isProven: true))
        #expect(cluster.rebirths[c] == nil)
        #expect(answer(cluster, c).hasPrefix("-REMOVED a later process"))
        #expect(!cluster.with(c) { $0.seeksLinks })
    }

    @Test("a running node begins anew above a life that the members have declared dead, not before")
    func laterLifeIsDead() throws {
        let cluster = Cluster(3)
        cluster.unlink(a, c)
        cluster.unlink(b, c)
        let later = ReplicaIdentity(node: c, epoch: 50)
        cluster.step(a, .linked(c, later))
        cluster.with(a) { node in
            var effects = Effects()
            effects.beginStep()
            node.stepMembership(.learned(MemberRecord(later)), &effects)
        }
        cluster.step(a, .unlinked(c))
        #expect(
            cluster.greet(c, a).caller
                == .refused(.outlived(seen: later, by: a), isProven: true))
        #expect(cluster.rebirths[c] == nil && !answer(cluster, c).hasPrefix("-REMOVED"))
        for _ in 0..<30 where cluster.rebirths[c] == nil {
            cluster.pass(milliseconds: 1_000)
            _ = cluster.greet(c, a)
        }
        #expect(cluster.rebirths[c] == 50)
        #expect(answer(cluster, c).hasPrefix("-LOADING"))
        try cluster.restartAlone(c, epoch: 2_000)
        #expect(cluster.greet(c, a).isLinked && cluster.greet(c, b).isLinked)
    }

    @Test("who hears of a later life of its own in gossip lets go of its links, and asks anew")
    func laterLifeInGossip() {
        let cluster = Cluster(3)
        let later = ReplicaIdentity(node: c, epoch: 50)
        cluster.with(c) { node in
            var effects = Effects()
            effects.beginStep()
            node.stepMembership(.learned(MemberRecord(later)), &effects)
            let asked = effects.entries.map(\.effect)
            #expect(asked.contains(.disconnect(a)) && asked.contains(.disconnect(b)))
            #expect(node.membershipEnd == nil)
        }
    }
}
