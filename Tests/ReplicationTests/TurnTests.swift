import Base
import CRDT
import Coding
import RESP
import Testing

@testable import Replication

/// README: what one client asks for does not keep the node from others.
@Suite("One turn does a bounded amount of work for all connections together")
struct TurnTests {
    let a = NodeID(1)
    let one = ConnectionID(1)
    let two = ConnectionID(2)

    /// One node with typed values in `t`, a set of 20,000 members, and two connections.
    private func node() -> Cluster {
        let cluster = Cluster(1)
        let create = "KEYSPACE CREATE t n=1 conflict=crdt durability=memory"
        #expect(cluster.run(a, create) == "+OK\r\n")
        cluster.open(a, one)
        cluster.open(a, two)
        let all = Cluster.words(0..<20_000)
        #expect(cluster.ask(a, one, ["SADD", "t:s"] + all) == ":20000\r\n")
        cluster.sharesTurns = true
        cluster.time += 1_000
        cluster.send(a, one, Cluster.request(["PING"]))
        return cluster
    }

    private func pipeline(_ words: [String], _ count: Int) -> [UInt8] {
        let request = Cluster.request(words)
        return (0..<count).flatMap { _ in request }
    }

    @Test(
        "once it is spent, what takes much waits on every connection, what takes little on none",
        arguments: [
            ["SSCAN", "t:s", "0"], ["SRANDMEMBER", "t:s", "-100"], ["COMMAND", "DOCS"],
            ["INFO"], ["LPOS", "t:l", "none"], ["SUNION", "t:s", "t:s"],
        ])
    func spent(_ words: [String]) {
        let cluster = node()
        let request = Cluster.request(words)
        #expect(cluster.send(a, one, pipeline(words, 200)) > 0)
        cluster.with(a) { $0.turn.spend(TurnBudget.unitsMax) }
        #expect(cluster.send(a, two, request) == 0)
        #expect(cluster.with(a) { $0.isTurnSpent })
        let ping = Cluster.request(["PING"])
        cluster.replies[a]?[two] = []
        #expect(cluster.send(a, two, ping + ping + request) == 2 * ping.count)
        #expect(cluster.reply(a, two) == "+PONG\r\n+PONG\r\n")
        // Time goes on: another turn.
        cluster.time += 1_000
        #expect(cluster.send(a, two, request) == request.count)
    }

    @Test("of what takes little a late connection may do some, and the rest in its turn")
    func late() {
        let cluster = node()
        cluster.with(a) { $0.turn.spend(TurnBudget.unitsMax) }
        let pings = pipeline(["PING"], 1_000)
        let one = Cluster.request(["PING"]).count
        let taken = cluster.send(a, two, pings)
        #expect(taken == TurnBudget.unitsOfLate * one)
        cluster.time += 1_000
        #expect(cluster.send(a, two, Array(pings.dropFirst(taken))) == pings.count - taken)
    }

    @Test(
        "the arguments of a long request are kept as they arrived until it is done, not copied",
        arguments: [
            ["DEL"], ["EXISTS"], ["MGET"], ["MSET"], ["SADD", "t:new"], ["RPUSH", "t:list"],
            ["HSET", "t:hash"], ["HMGET", "t:hash"], ["ZMSCORE", "t:scores"], ["SREM", "t:s"],
        ])
    func kept(command: [String]) {
        let cluster = node()
        let request = Cluster.request(command + Cluster.words(0..<20_000))
        var owner = request.withUnsafeBytes { InputBuffer($0) }
        var effects = Effects()
        let now = cluster.now(a)
        cluster.with(a) {
            $0.step(.received(one, owner.bytes), now: now, into: &effects, owner: owner)
        }
        #expect(effects.consumed == owner.count)
        #expect(!isKnownUniquelyReferenced(&owner))
        cluster.settle()
        #expect(isKnownUniquelyReferenced(&owner))
    }

    @Test("no table of the keys that a request names again grows to more than a turn can move")
    func repeatedKeys() {
        let parts = 1 << 20
        var repeated = RepeatedKeys(parts: parts)
        var grownMost = 0
        for step in 0..<256 {
            let before = repeated.capacity
            for part in step << 12..<(step + 1) << 12 {
                repeated.note(finalMix(UInt64(part)), at: part)
            }
            if step > 0 { grownMost = max(grownMost, repeated.capacity - before) }
        }
        // Together they grow to some millions.
        #expect(grownMost < 50_000)
        #expect(!repeated.hasSome && repeated.count == parts)
        #expect(repeated.largestTable < 2 * RepeatedKeys.partsOfTable)
        repeated.note(finalMix(7), at: parts)
        #expect(repeated.isRepeated(finalMix(7), at: 7) { $0 == parts })
        #expect(!repeated.isRepeated(finalMix(8), at: 8) { _ in true })
        #expect(!repeated.isRepeated(finalMix(7), at: parts) { _ in true })
    }

    @Test("of many sets that are put together, those that are not there take no room")
    func absentSets() {
        var sets = GatheredSets()
        for part in 0..<100_000 { sets.add(Elements([]), part: part) }
        #expect(sets.others.isEmpty && sets.hasEmpty)
    }

    @Test("a turn in which nothing has happened yet is not spent")
    func begun() {
        let cluster = node()
        cluster.with(a) { $0.turn.spend(TurnBudget.unitsMax) }
        cluster.time += 1_000
        let now = cluster.now(a)
        #expect(cluster.with(a) { $0.isTurnSpent })
        cluster.with(a) { $0.beginTurn(at: now) }
        #expect(!cluster.with(a) { $0.isTurnSpent })
    }

    @Test("work counts what is looked at and told, not only commands")
    func counted() {
        let cluster = node()
        func units(_ words: [String]) -> Int {
            cluster.with(a) { $0.turn = TurnBudget() }
            _ = cluster.ask(a, one, words)
            return cluster.with(a) { $0.turnUnits }
        }
        let brief = units(["PING"])
        #expect(brief < 5)
        for words in [
            ["SMEMBERS", "t:s"], ["SSCAN", "t:s", "0"], ["SRANDMEMBER", "t:s", "-5"],
            ["SUNION", "t:s", "t:other"], ["SADD", "t:other"] + Cluster.words(0..<5_000),
        ] {
            #expect(units(words) > 100, "\(words[0])")
        }
    }

    @Test("a union that cannot be is refused before any of its sets is read")
    func refusedUnread() {
        let cluster = node()
        let reads = cluster.counters(a).reads
        let reply = cluster.ask(a, one, ["SUNION", "t:s", "t:s", "plain"])
        #expect(reply.hasPrefix("-MODE"))
        #expect(cluster.counters(a).reads == reads)
    }
}
