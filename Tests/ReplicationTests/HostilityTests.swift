import Base
import Coding
import Testing

@testable import Causality
@testable import Replication

private let (a, b, c) = (NodeID(1), NodeID(2), NodeID(3))

@Suite("Whatever a member or a client says that is well-formed, a node goes on")
struct HostilityTests {
    private static let keyspaces = [
        "s conflict=siblings timeout=60", "one n=1 r=1 w=1 timeout=60",
        "t conflict=crdt timeout=60", "h n=2 sloppy=on timeout=60",
        "r conflict=siblings overflow=lww siblings=2 timeout=60",
    ]
    private static let lines = [
        "SET k v W 2", "QSET s:1 v", "SET s:1 v", "SADD t:1 m", "SMEMBERS t:1", "DEL one:1 one:2",
        "SUNION t:1 t:2", "MGET one:1 k s:1", "SET h:1 v", "INCR t:2", "SINTERCARD 2 t:1 t:2",
        "EXPIRE k 100", "QGET s:1", "MSET one:3 v one:4 w", "KEYSPACE ALTER s ttl=5", "FLUSHALL",
        "IDEMPOTENCY i SET k v", "IDEMPOTENCY i INCR t:2", "EXPIRE t:1 100", "HINCRBY t:1 f 1",
        "ZINCRBY t:2 1 m", "RPUSH t:1 a b", "DEL t:1", "DEL t:2", "PERSIST t:1", "SESSION ON",
        "SESSION OFF", "GET t:2 R 2",
    ]
    private let client = ConnectionID(30)

    private func attacked() -> Cluster {
        let cluster = Cluster(3) { $0.recordBytesMax = 256 << 10 }
        for keyspace in HostilityTests.keyspaces {
            #expect(cluster.run(a, "KEYSPACE CREATE \(keyspace)") == "+OK\r\n")
        }
        cluster.cut = [[a, b], [a, c], [b, a], [c, a]]
        cluster.open(a, client)
        return cluster
    }

    /// Numbers of what the node waits for.
    private func numbers(_ cluster: Cluster) -> [UInt64] {
        cluster.with(a) { node in
            [0] + node.writes.numbers + node.reads.numbers + node.forwards.numbers
                + node.administrations.numbers + node.requestIDs.claims.numbers
        }
    }

    @Test("most of what is composed is well-formed, of every kind of message")
    func everyKind() {
        for kind in KnownKinds.messages {
            var hostility = Hostility(
                random: PRNG(seed: UInt64(kind)), wall: 1_700_000_000_000, recorded: [])
            var refusals: [DecodeError] = []
            for _ in 0..<200 {
                let message = hostility.message(of: kind)
                #expect(message.first == kind, "nobody composes messages of kind \(kind)")
                if let refusal = KnownKinds.refusal(message) { refusals.append(refusal) }
            }
            #expect(refusals.count < 100, "kind \(kind): \(String(describing: refusals.first))")
        }
    }

    @Test("composed messages, tokens and contexts, at and beyond each limit", arguments: 0..<24)
    func composed(seed: UInt64) {
        let cluster = attacked()
        var hostility = Hostility(
            random: PRNG(seed: seed), wall: cluster.wall[a] ?? 0,
            recorded: Cluster.recordedFrames().map { Array($0.dropFirst(Frame.headerBytes)) })
        for round in 0..<250 {
            ask(cluster, &hostility)
            hostility.numbers = numbers(cluster)
            let from = hostility.random.below(2) == 0 ? b : c
            cluster.deliver(hostility.message(), from: from, to: a)
            for node in [b, c] { cluster.link(a, node) }
            if round % 10 == 9 { cluster.pass(milliseconds: 30, by: 10) }
            hostility.wall = cluster.wall[a] ?? 0
        }
        cluster.pass(milliseconds: 400, by: 50)
        check(cluster)
    }

    /// A request, at times with a context or a token that is sealed and says anything.
    private func ask(_ cluster: Cluster, _ hostility: inout Hostility) {
        let random = hostility.random.below(8)
        var line = HostilityTests.lines[hostility.random.below(HostilityTests.lines.count)]
        if random == 0 {
            let key = Array("s:1".utf8)
            let seal = cluster.with(a) { $0.keys.contexts }
            var token = ByteBuffer()
            key.withUnsafeBytes {
                hostility.context().encodeToken(of: $0, sealedBy: seal, into: &token)
            }
            line = "QSET s:1 v CONTEXT \(String(decoding: token.bytes, as: UTF8.self))"
        } else if random == 1 {
            let (seal, hashes) = cluster.with(a) { node in
                let hashes = (0..<8).map { number in
                    hostility.key(number).withUnsafeBytes { node.store.address(of: $0).hash }
                }
                return (node.keys.sessions, hashes)
            }
            var token = ByteBuffer()
            hostility.history(hashes).encodeToken(sealedBy: seal, into: &token)
            line = "SESSION USE \(String(decoding: token.bytes, as: UTF8.self))"
        }
        cluster.send(a, client, Array("\(line)\r\n".utf8))
        cluster.settle()
    }

    /// Clients are served, the structure is whole, and what is on the disk can be read.
    private func check(_ cluster: Cluster) {
        let fresh = ConnectionID(31)
        cluster.open(a, fresh)
        cluster.send(a, fresh, Array("PING\r\n".utf8))
        cluster.settle()
        let answer = cluster.reply(a, fresh)
        let isOut = answer.hasPrefix("-REMOVED") || answer.hasPrefix("-LOADING this node begins")
        #expect(answer == "+PONG\r\n" || isOut, "was: \(answer)")
        cluster.with(a) { $0.checkInvariants(recounting: true) }
        let journal = cluster.journals[a] ?? []
        #expect(journal.allSatisfy { $0.count <= 256 << 10 + 64 })
        #expect(throws: Never.self) { try cluster.restartAlone(a, epoch: 1 << 40) }
        cluster.with(a) { $0.checkInvariants(recounting: true) }
    }

    @Test("a handshake that says anything about this node ends no process", arguments: 0..<20)
    func standings(seed: UInt64) {
        var hostility = Hostility(random: PRNG(seed: seed), wall: 1_700_000_000_000, recorded: [])
        let cluster = Cluster(3)
        for _ in 0..<50 {
            let (own, other) = (hostility.standing(a), hostility.standing(b))
            cluster.step(a, .told(by: b, own, of: other))
            cluster.pass(milliseconds: 20, by: 20)
        }
        cluster.open(a, client)
        cluster.send(a, client, Array("PING\r\n".utf8))
        #expect(!cluster.reply(a, client).isEmpty)
        #expect(throws: Never.self) { try cluster.restartAlone(a, epoch: 1 << 40) }
    }

    @Test("every reply to a forwarded command is one that was asked for, or costs the link")
    func forwardedReplies() {
        for reply in Hostility.replies {
            for line in [
                "SUNION t:1 t:2", "SINTERCARD 2 t:1 t:2", "DEL one:1 one:2 one:3 one:4",
                "MGET one:1 one:2", "MSET one:1 a one:2 b one:3 c", "SET one:1 v", "SET one:2 v",
            ] {
                let cluster = attacked()
                cluster.send(a, client, Array("\(line)\r\n".utf8))
                let bytes = Array(reply.utf8)
                for number in numbers(cluster) {
                    for node in [b, c] {
                        cluster.deliver(
                            HostileMessage.bytes(6, number: number, bytes), from: node, to: a)
                        cluster.link(a, node)
                    }
                }
                cluster.pass(milliseconds: 300, by: 100)
                let answer = Array(cluster.reply(a, client).utf8)
                let isWhole = answer.withUnsafeBytes { $0.isOneReply(in: .resp2) }
                #expect(isWhole, "\(line): \(reply) became \(cluster.reply(a, client))")
                #expect(cluster.with(a) { $0.forwards.count } == 0)
            }
        }
    }
}

extension Hostility {
    mutating func standing(_ node: NodeID) -> Standing {
        Standing(
            highest: ReplicaIdentity(node: node, epoch: identity().epoch),
            admission: [0, 1, .max][random.below(3)], isRemoved: random.below(6) == 0)
    }
}

@Suite("What a session or a context has seen, a write comes after")
struct SeenAheadTests {
    @Test(
        "a session that has seen a write a little ahead of this node's clock",
        arguments: [400, 499, 501])
    func ahead(milliseconds: UInt64) {
        let cluster = Cluster(1)
        #expect(cluster.run(a, "KEYSPACE CREATE s conflict=siblings n=1 r=1 w=1") == "+OK\r\n")
        var history = SessionHistory(keysMax: 4)
        let (seal, hash) = cluster.with(a) { node in
            (
                node.keys.sessions,
                Array("s:1".utf8).withUnsafeBytes { node.store.address(of: $0).hash }
            )
        }
        let ahead = Dot(
            identity: cluster.dot(b).identity,
            stamp: cluster.dot(a, aheadBy: milliseconds).stamp)
        history.wrote(hash, ahead, replaces: true)
        var token = ByteBuffer()
        history.encodeToken(sealedBy: seal, into: &token)
        let use = cluster.run(a, "SESSION USE \(String(decoding: token.bytes, as: UTF8.self))")
        guard milliseconds <= 500 else {
            #expect(use.hasPrefix("-CLOCK"))
            return
        }
        #expect(use == "+OK\r\n")
        #expect(cluster.run(a, "SET s:1 v") == "+OK\r\n")
        #expect(cluster.run(a, "DEL s:1") == ":1\r\n")
        cluster.with(a) { $0.checkInvariants(recounting: true) }
    }

    @Test("a context of 4,096 identities that was made up is refused, and the key can be written")
    func inventedIdentities() {
        let cluster = Cluster(1)
        #expect(cluster.run(a, "KEYSPACE CREATE s conflict=siblings n=1 r=1 w=1") == "+OK\r\n")
        var context = VersionVector()
        context.entries = (1...4_096).map {
            Dot(
                identity: ReplicaIdentity(rawValue: UInt64($0) << 20), stamp: Stamp(rawValue: 9))
        }
        let foreign = NodeKeys(Cluster.secret, cluster: 8).contexts
        var token = ByteBuffer()
        Array("s:1".utf8).withUnsafeBytes {
            context.encodeToken(of: $0, sealedBy: foreign, into: &token)
        }
        let words = ["QSET", "s:1", "v", "CONTEXT", String(decoding: token.bytes, as: UTF8.self)]
        let request = "*5\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
        #expect(cluster.run(a, "PING") == "+PONG\r\n")
        cluster.replies[a]?[ConnectionID(0)] = []
        cluster.send(a, ConnectionID(0), Array(request.utf8))
        #expect(cluster.reply(a).hasPrefix("-ERR the causal context"))
        #expect(cluster.counters(a).contextsRefused == 1)
        #expect(cluster.run(a, "SET s:1 v") == "+OK\r\n")
    }

    @Test("members that were never configured are not taken in, however many are named")
    func inventedMembers() {
        let cluster = Cluster(3)
        var hostility = Hostility(random: PRNG(seed: 1), wall: 0, recorded: [])
        for _ in 0..<200 {
            let message = hostility.membershipOfStrangers()
            cluster.deliver(message, from: b, to: a)
            cluster.link(a, b)
        }
        cluster.pass(milliseconds: 3_000, by: 100)
        #expect(cluster.with(a) { $0.membership.members.count } == 3)
        #expect(cluster.run(a, "PING") == "+PONG\r\n")
    }
}
