import Base
import Causality
import Coding
import Testing

@testable import Replication

/// Terry et al., "Session Guarantees for Weakly Consistent Replicated Data" (1994), §3, and
/// TRAPS row 22.
@Suite("Sessions")
struct SessionTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)
    let client = ConnectionID(5)

    /// Everything is read from and written to one replica, and nothing is exchanged by itself.
    func cluster(
        _ settings: String = "r=1 w=1 conflict=lww", nodes: Int = 3, keysMax: Int = 256,
        bug: NodeConfiguration.PlantedBug? = nil
    ) -> Cluster {
        let cluster = Cluster(nodes) { configuration in
            configuration.sessionKeysMax = keysMax
            configuration.plantedBug = bug
        }
        let made = cluster.run(a, "KEYSPACE CREATE k n=3 timeout=300 readrepair=0 \(settings)")
        #expect(made == "+OK\r\n")
        cluster.lostKinds = [12]
        for id in cluster.ids {
            _ = cluster.run(id, "PING")
            cluster.open(id, client)
        }
        return cluster
    }

    func ask(_ cluster: Cluster, _ node: NodeID, _ line: String) -> String {
        cluster.replies[node]?[client] = []
        cluster.send(node, client, Array((line + "\r\n").utf8))
        cluster.settle()
        return cluster.reply(node, client)
    }

    /// As `ask`, and waits for the answer.
    func wait(_ cluster: Cluster, _ node: NodeID, _ line: String) -> String {
        var answer = ask(cluster, node, line)
        var waited: UInt64 = 0
        while answer.isEmpty, waited < 2_000 {
            cluster.pass(milliseconds: 5)
            waited += 5
            answer = cluster.reply(node, client)
        }
        return answer
    }

    private func bulk(_ reply: String) -> String {
        String(reply.split(separator: "\r\n").last ?? "")
    }

    func handOver(_ cluster: Cluster, from: NodeID, to: NodeID) {
        let token = bulk(ask(cluster, from, "SESSION TOKEN"))
        #expect(ask(cluster, to, "SESSION USE \(token)") == "+OK\r\n")
    }

    @Test("read your writes: a read after a write of the session reflects it, on whatever node")
    func readYourWrites() {
        for settings in ["r=1 w=1 conflict=lww", "r=1 w=1 conflict=siblings"] {
            let cluster = cluster(settings)
            #expect(ask(cluster, a, "SET k:1 old") == "+OK\r\n")
            #expect(ask(cluster, a, "SESSION ON READ-YOUR-WRITES") == "+OK\r\n")
            cluster.cut = [[a, c], [a, b]]
            #expect(ask(cluster, a, "SET k:1 new") == "+OK\r\n")
            cluster.cut = []
            #expect(ask(cluster, c, "GET k:1") == "$3\r\nold\r\n")
            handOver(cluster, from: a, to: c)
            #expect(wait(cluster, c, "GET k:1") == "$3\r\nnew\r\n")
            #expect(cluster.counters(c).heldReads > 0)
        }
    }

    @Test("monotonic reads: what one read reflected the next one does, on whatever node")
    func monotonicReads() {
        for settings in ["r=1 w=1 conflict=lww", "r=1 w=1 conflict=siblings"] {
            let cluster = cluster(settings)
            #expect(cluster.run(a, "SET k:1 old") == "+OK\r\n")
            cluster.cut = [[a, b], [a, c]]
            #expect(cluster.run(a, "SET k:1 new") == "+OK\r\n")
            cluster.cut = []
            #expect(ask(cluster, a, "SESSION ON MONOTONIC-READS") == "+OK\r\n")
            #expect(ask(cluster, a, "GET k:1") == "$3\r\nnew\r\n")
            handOver(cluster, from: a, to: b)
            #expect(wait(cluster, b, "GET k:1") == "$3\r\nnew\r\n")
        }
    }

    @Test("a deletion that was seen stays seen")
    func deletion() {
        let cluster = cluster()
        #expect(cluster.run(a, "SET k:1 old") == "+OK\r\n")
        cluster.cut = [[a, b], [a, c]]
        #expect(ask(cluster, a, "SESSION ON") == "+OK\r\n")
        #expect(ask(cluster, a, "DEL k:1") == ":1\r\n")
        cluster.cut = []
        #expect(ask(cluster, c, "EXISTS k:1") == ":1\r\n")
        handOver(cluster, from: a, to: c)
        #expect(wait(cluster, c, "EXISTS k:1") == ":0\r\n")
        #expect(wait(cluster, c, "MGET k:1 k:2") == "*2\r\n$-1\r\n$-1\r\n")
    }

    @Test("monotonic writes: a later write of the session is ordered later, whoever stamps it")
    func monotonicWrites() {
        let cluster = cluster()
        cluster.wall[a, default: 0] += 400
        #expect(ask(cluster, a, "SESSION ON MONOTONIC-WRITES") == "+OK\r\n")
        cluster.cut = [[a, b], [a, c]]
        #expect(ask(cluster, a, "SET k:1 first") == "+OK\r\n")
        handOver(cluster, from: a, to: b)
        #expect(ask(cluster, b, "SET k:1 second") == "+OK\r\n")
        cluster.cut = []
        #expect(cluster.run(c, "GET k:1 R 3") == "$6\r\nsecond\r\n")
    }

    @Test("without a session the clock that is ahead wins")
    func noSession() {
        let cluster = cluster()
        cluster.wall[a, default: 0] += 400
        cluster.cut = [[a, b], [a, c]]
        #expect(ask(cluster, a, "SET k:1 first") == "+OK\r\n")
        #expect(ask(cluster, b, "SET k:1 second") == "+OK\r\n")
        cluster.cut = []
        #expect(cluster.run(c, "GET k:1 R 3") == "$5\r\nfirst\r\n")
    }

    @Test("monotonic writes: under siblings a later plain write replaces the earlier one elsewhere")
    func monotonicSiblings() {
        let cluster = cluster("r=1 w=1 conflict=siblings")
        #expect(ask(cluster, a, "SESSION ON") == "+OK\r\n")
        cluster.cut = [[a, b], [a, c]]
        #expect(ask(cluster, a, "SET k:1 first") == "+OK\r\n")
        handOver(cluster, from: a, to: b)
        #expect(ask(cluster, b, "SET k:1 second") == "+OK\r\n")
        cluster.cut = []
        #expect(cluster.run(c, "GET k:1 R 3") == "$6\r\nsecond\r\n")
    }

    @Test("a session's plain write replaces no value that the session has not seen")
    func unseenSiblings() {
        let cluster = cluster("r=1 w=1 conflict=siblings")
        cluster.cut = [[a, b], [a, c]]
        #expect(cluster.run(a, "QSET k:1 foreign") == "+OK\r\n")
        #expect(ask(cluster, a, "SESSION ON") == "+OK\r\n")
        #expect(ask(cluster, a, "QSET k:1 own") == "+OK\r\n")
        handOver(cluster, from: a, to: b)
        #expect(ask(cluster, b, "SET k:1 next") == "+OK\r\n")
        cluster.cut = []
        let all = cluster.run(c, "QGET k:1 R 3")
        #expect(all.contains("foreign") && all.contains("next"))
    }

    @Test("writes follow reads: a write is ordered after what the session read, of whatever key")
    func writesFollowReads() {
        let cluster = cluster()
        cluster.wall[a, default: 0] += 400
        cluster.cut = [[a, b], [a, c]]
        #expect(cluster.run(a, "SET k:1 post") == "+OK\r\n")
        #expect(ask(cluster, a, "SESSION ON WRITES-FOLLOW-READS") == "+OK\r\n")
        #expect(ask(cluster, a, "GET k:1") == "$4\r\npost\r\n")
        handOver(cluster, from: a, to: b)
        #expect(ask(cluster, b, "SET k:1 answer") == "+OK\r\n")
        cluster.cut = []
        #expect(cluster.run(c, "GET k:1 R 3") == "$6\r\nanswer\r\n")
    }

    @Test("row 22: a session that moves to a lagging node is served by others, or refused in time")
    func lagging() {
        let cluster = cluster()
        #expect(cluster.run(a, "SET k:1 old") == "+OK\r\n")
        cluster.isolate(c)
        #expect(ask(cluster, a, "SESSION ON") == "+OK\r\n")
        #expect(ask(cluster, a, "SET k:1 new") == "+OK\r\n")
        handOver(cluster, from: a, to: c)
        let refusal = wait(cluster, c, "GET k:1")
        #expect(refusal.hasPrefix("-SESSION no replica in reach"), "was: \(refusal)")
        #expect(cluster.counters(c).sessionRefusals == 1)
        #expect(ask(cluster, c, "GET k:2") == "$-1\r\n", "what the session never saw is served")
        cluster.cut = []
        #expect(wait(cluster, c, "GET k:1") == "$3\r\nnew\r\n")
    }

    @Test("row 22: a read waits for what comes within its time")
    func waits() {
        let cluster = cluster()
        cluster.isolate(c)
        #expect(ask(cluster, a, "SESSION ON") == "+OK\r\n")
        #expect(ask(cluster, a, "SET k:1 new") == "+OK\r\n")
        handOver(cluster, from: a, to: c)
        #expect(ask(cluster, c, "GET k:1") == "")
        cluster.pass(milliseconds: 50)
        #expect(cluster.reply(c, client) == "")
        cluster.cut = []
        cluster.pass(milliseconds: 200)
        #expect(cluster.reply(c, client) == "$3\r\nnew\r\n")
    }

    @Test("row 22: a forged token ends in an error, and moves no clock")
    func forged() {
        let cluster = cluster()
        var history = SessionHistory(keysMax: 4)
        let wall = cluster.wall[a] ?? 0
        let ahead = Stamp(milliseconds: wall + 3_600_000)
        history.follow(ahead)
        var token = ByteBuffer()
        let seal = cluster.with(a) { $0.keys.sessions }
        history.encodeToken(sealedBy: seal, into: &token)
        let far = ask(cluster, a, "SESSION USE \(String(decoding: token.bytes, as: UTF8.self))")
        #expect(far.hasPrefix("-CLOCK"), "was: \(far)")
        #expect(ask(cluster, a, "SET k:1 value") == "+OK\r\n")
        cluster.with(a) { #expect($0.clock.last.milliseconds < wall + 10_000) }

        let never = Dot(
            identity: ReplicaIdentity(node: NodeID(2), epoch: 1), stamp: Stamp(milliseconds: wall))
        var invented = SessionHistory(keysMax: 4)
        let hash = cluster.with(a) { node in
            Array("k:9".utf8).withUnsafeBytes { node.store.address(of: $0).hash }
        }
        invented.wrote(hash, never, expiry: never)
        token.removeAll()
        invented.encodeToken(sealedBy: seal, into: &token)
        let text = String(decoding: token.bytes, as: UTF8.self)
        #expect(ask(cluster, a, "SESSION USE \(text)") == "+OK\r\n")
        #expect(wait(cluster, a, "GET k:9").hasPrefix("-SESSION"))
    }

    @Test("row 22: foreign and damaged tokens are refused by name")
    func foreign() {
        let cluster = cluster()
        var token = ByteBuffer()
        let foreign = NodeKeys(Cluster.secret, cluster: 8).sessions
        SessionHistory(keysMax: 1).encodeToken(sealedBy: foreign, into: &token)
        let text = String(decoding: token.bytes, as: UTF8.self)
        #expect(
            ask(cluster, a, "SESSION USE \(text)")
                == "-SESSION this is no token that SESSION TOKEN gave: session token was not given "
                + "out by this cluster, or was changed\r\n")
        #expect(ask(cluster, a, "SESSION USE \(text.dropLast())").hasPrefix("-SESSION"))
        #expect(ask(cluster, a, "SESSION USE x").hasPrefix("-SESSION"))
        #expect(cluster.counters(a).sessionTokensRefused == 3)
        #expect(ask(cluster, a, "SESSION TOKEN").hasPrefix("-SESSION there is none"))
    }

    @Test("row 22: a token from before the keyspace was emptied demands nothing that is gone")
    func emptied() {
        let cluster = cluster()
        #expect(ask(cluster, a, "SESSION ON") == "+OK\r\n")
        #expect(ask(cluster, a, "SET k:1 value") == "+OK\r\n")
        #expect(cluster.run(b, "FLUSHALL") == "+OK\r\n")
        #expect(ask(cluster, a, "GET k:1") == "$-1\r\n")
    }

    @Test("a write of unknown outcome is required by nobody, until it was read")
    func unknown() {
        let cluster = cluster("r=1 w=2 conflict=lww")
        #expect(cluster.run(b, "SET k:1 old") == "+OK\r\n")
        #expect(ask(cluster, a, "SESSION ON") == "+OK\r\n")
        cluster.isolate(a)
        #expect(wait(cluster, a, "SET k:1 perhaps").hasPrefix("-UNKNOWN"))
        cluster.cut = []
        handOver(cluster, from: a, to: b)
        #expect(ask(cluster, b, "GET k:1") == "$3\r\nold\r\n")
        #expect(ask(cluster, a, "GET k:1") == "$7\r\nperhaps\r\n")
        handOver(cluster, from: a, to: b)
        #expect(wait(cluster, b, "GET k:1") == "$7\r\nperhaps\r\n")
    }

    @Test("a write that another node coordinates belongs to the session as well")
    func forwarded() throws {
        let cluster = cluster(nodes: 5)
        // A node that holds no replica of some key has to forward its write.
        let outside = try #require(
            (0..<64).lazy.map { "k:\($0)" }.first { key in
                cluster.with(a) { node in
                    Array(key.utf8).withUnsafeBytes { !node.isReplica(of: node.place(of: $0)) }
                }
            })
        #expect(ask(cluster, a, "SESSION ON") == "+OK\r\n")
        let state = ask(cluster, a, "SESSION")
        #expect(ask(cluster, a, "SET \(outside) value") == "+OK\r\n")
        #expect(cluster.counters(a).forwarded == 1)
        #expect(ask(cluster, a, "SESSION") != state)
        cluster.with(a) { node in
            let hash = Array(outside.utf8).withUnsafeBytes { node.store.address(of: $0).hash }
            let required = node.sessions[Int(client.rawValue)].history.requirement(of: hash)
            #expect(required.seen.entries.count == 1)
        }
        #expect(wait(cluster, a, "GET \(outside)") == "$5\r\nvalue\r\n")
        #expect(ask(cluster, a, "DEL \(outside)") == ":1\r\n")
        #expect(wait(cluster, a, "GET \(outside)") == "$-1\r\n")
    }

    @Test("beyond the keys that are remembered, a read is proved whole or asks every replica")
    func evicted() {
        for bug in [nil, NodeConfiguration.PlantedBug.sessionForgetsEvicted] {
            let cluster = cluster(keysMax: 2, bug: bug)
            #expect(cluster.run(b, "SET k:1 old") == "+OK\r\n")
            cluster.pass(milliseconds: 5)
            #expect(ask(cluster, a, "SESSION ON") == "+OK\r\n")
            cluster.cut = [[a, c], [a, b]]
            for key in 1...6 { #expect(ask(cluster, a, "SET k:\(key) new") == "+OK\r\n") }
            cluster.cut = []
            handOver(cluster, from: a, to: c)
            #expect(ask(cluster, c, "SESSION").contains("keys\r\n:2\r\n"))
            let expected = bug == nil ? "$3\r\nnew\r\n" : "$3\r\nold\r\n"
            #expect(wait(cluster, c, "GET k:1") == expected)
        }
    }

    @Test("requests of a session run one after the other, however they are sent")
    func pipelined() {
        let cluster = cluster("r=2 w=2 conflict=lww")
        #expect(ask(cluster, a, "SESSION ON") == "+OK\r\n")
        cluster.replies[a]?[client] = []
        let pipeline = Array("SET k:1 x\r\nGET k:1\r\nSET k:2 y\r\n".utf8)
        let consumed = cluster.send(a, client, pipeline)
        #expect(consumed < pipeline.count)
    }

    @Test("SESSION shows, ends and begins; what it does not know it names")
    func commands() {
        let cluster = cluster()
        #expect(ask(cluster, a, "SESSION").hasPrefix("*8\r\n$10\r\nguarantees\r\n*0\r\n"))
        #expect(ask(cluster, a, "SESSION ON monotonic-reads") == "+OK\r\n")
        #expect(ask(cluster, a, "SESSION").contains("*1\r\n$15\r\nmonotonic-reads\r\n"))
        let sometimes = ask(cluster, a, "SESSION ON SOMETIMES")
        #expect(sometimes.hasPrefix("-ERR syntax error: SESSION ON takes READ-YOUR-WRITES, "))
        #expect(ask(cluster, a, "SESSION FOO").hasPrefix("-ERR unknown subcommand"))
        #expect(ask(cluster, a, "SESSION OFF") == "+OK\r\n")
        #expect(ask(cluster, a, "SESSION").hasPrefix("*8\r\n$10\r\nguarantees\r\n*0\r\n"))
        #expect(ask(cluster, a, "SESSION ON") == "+OK\r\n")
        #expect(ask(cluster, a, "RESET") == "+RESET\r\n")
        #expect(ask(cluster, a, "SESSION TOKEN").hasPrefix("-SESSION"))
    }

    @Test("where a keyspace keeps one copy in memory, a restart that may have lost it is told")
    func oneCopy() throws {
        let cluster = cluster("r=1 w=1 conflict=lww")
        #expect(cluster.run(a, "KEYSPACE CREATE m n=1 r=1 w=1 durability=memory") == "+OK\r\n")
        let owner = try #require(
            cluster.ids.first { id in
                cluster.with(id) { node in
                    Array("m:1".utf8).withUnsafeBytes { node.isReplica(of: node.place(of: $0)) }
                }
            })
        let other = try #require(cluster.ids.first { $0 != owner })
        #expect(ask(cluster, other, "SESSION ON") == "+OK\r\n")
        #expect(ask(cluster, other, "SET m:1 value") == "+OK\r\n")
        #expect(wait(cluster, other, "GET m:1") == "$5\r\nvalue\r\n")
        #expect(cluster.run(owner, "DEL m:1") == ":1\r\n")
        #expect(wait(cluster, other, "GET m:1") == "$-1\r\n", "deleted by somebody else")
        #expect(ask(cluster, other, "SET m:1 value") == "+OK\r\n")
        try cluster.restart(owner, epoch: 2_000, on: cluster.journals[owner] ?? [])
        #expect(wait(cluster, other, "GET m:1").hasPrefix("-SESSION"))
    }
}
