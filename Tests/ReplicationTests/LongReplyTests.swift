import Base
import CRDT
import Coding
import RESP
import Testing

@testable import Replication

extension Cluster {
    /// Sends a request of these words on a connection and lets everything that follows happen.
    ///
    /// - Returns: the reply.
    func ask(_ id: NodeID, _ connection: ConnectionID, _ words: [String]) -> String {
        replies[id, default: [:]][connection] = []
        send(id, connection, Cluster.request(words))
        settle()
        return reply(id, connection)
    }

    static func request(_ words: [String]) -> [UInt8] {
        var buffer = ByteBuffer(capacity: 256)
        buffer.writeArrayHeader(count: words.count)
        for word in words { buffer.writeBulk(text: word) }
        return Array(buffer.bytes)
    }

    /// Some different words, ascending, all of one length.
    static func words(_ range: Range<Int>) -> [String] {
        range.map { String(1_000_000 + $0) }
    }
}

@Suite("Long replies and long requests take bounded steps")
struct LongReplyTests {
    let a = NodeID(1)
    let one = ConnectionID(1)
    let two = ConnectionID(2)

    /// One node with a keyspace of typed values, `t`, and two connections.
    private func node(_ change: @escaping (inout NodeConfiguration) -> Void = { _ in }) -> Cluster {
        let cluster = Cluster(1, change)
        let create = "KEYSPACE CREATE t n=1 conflict=crdt durability=memory"
        #expect(cluster.run(a, create) == "+OK\r\n")
        cluster.open(a, one)
        cluster.open(a, two)
        return cluster
    }

    @Test("a set of 50,000 members leaves in pieces of 256 KiB")
    func smembers() {
        let cluster = node()
        let all = Cluster.words(0..<50_000)
        for start in stride(from: 0, to: all.count, by: 10_000) {
            let words = ["SADD", "t:s"] + all[start..<start + 10_000]
            #expect(cluster.ask(a, one, words) == ":10000\r\n")
        }
        cluster.pieces = []
        let reply = cluster.ask(a, one, ["SMEMBERS", "t:s"])
        #expect(reply == "*50000\r\n" + all.map { "$7\r\n\($0)\r\n" }.joined())
        #expect((cluster.pieces ?? []).count > 2)
        #expect((cluster.pieces ?? []).allSatisfy { $0 <= 256 << 10 + 64 })
    }

    @Test("what is written while a reply leaves does not change it")
    func snapshot() {
        let cluster = node()
        let all = Cluster.words(0..<30_000)
        #expect(cluster.ask(a, one, ["SADD", "t:s"] + all) == ":30000\r\n")
        cluster.drains = false
        #expect(cluster.ask(a, two, ["SMEMBERS", "t:s"]).utf8.count < 300_000)
        #expect(cluster.with(a) { $0.memoryAccount.replies } > 100_000)
        #expect(cluster.ask(a, one, ["DEL", "t:s"]) == ":1\r\n")
        cluster.drains = true
        cluster.step(a, .drained(two))
        cluster.settle()
        let expected = "*30000\r\n" + all.map { "$7\r\n\($0)\r\n" }.joined()
        #expect(cluster.reply(a, two) == expected)
        cluster.with(a) { $0.checkInvariants(recounting: true) }
        #expect(cluster.with(a) { $0.memoryAccount.replies } == 0)
    }

    @Test("a closed connection gives back what waited for it")
    func closed() {
        let cluster = node()
        let all = Cluster.words(0..<30_000)
        #expect(cluster.ask(a, one, ["SADD", "t:s"] + all) == ":30000\r\n")
        cluster.drains = false
        _ = cluster.ask(a, two, ["SMEMBERS", "t:s"])
        cluster.step(a, .closed(two))
        #expect(cluster.with(a) { $0.memoryAccount.replies } == 0)
        cluster.with(a) { $0.checkInvariants() }
    }

    @Test("a DEL of 5,000 keys takes at most 1,024 a step, and nothing overtakes it")
    func manyKeys() {
        let cluster = node()
        let keys = Cluster.words(0..<5_000)
        #expect(cluster.ask(a, one, ["MSET"] + keys.flatMap { [$0, "v"] }) == "+OK\r\n")
        #expect(cluster.run(a, "DBSIZE") == ":5000\r\n")
        let delete = Cluster.request(["DEL"] + keys)
        let get = Cluster.request(["GET", keys[4_999]])
        cluster.replies[a]?[one] = []
        #expect(cluster.send(a, one, delete + get) == delete.count)
        // All are checked before any goes.
        #expect(cluster.with(a) { $0.holdings.keys } == 5_000)
        #expect(cluster.send(a, one, get) == 0)
        var left = 5_000
        while cluster.with(a, { $0.hasWork }) {
            cluster.step(a, .deadline)
            let now = cluster.with(a) { $0.holdings.keys }
            #expect(left - now <= 1_024)
            left = now
        }
        #expect(left == 0)
        #expect(cluster.send(a, one, get) == get.count)
        #expect(cluster.reply(a, one) == ":5000\r\n$-1\r\n")
        cluster.with(a) { $0.checkInvariants(recounting: true) }
    }

    @Test("an MSET of up to 1,024 keys is one step")
    func wholeWrite() {
        let cluster = node()
        let keys = Cluster.words(0..<1_024)
        cluster.send(a, one, Cluster.request(["MSET"] + keys.flatMap { [$0, "v"] }))
        #expect(cluster.with(a) { $0.holdings.keys } == 1_024)
    }

    @Test("an MGET for more than one reply may have is refused before it is put together")
    func tooLargeForOneReply() {
        let cluster = node()
        let value = String(repeating: "v", count: 1 << 20)
        #expect(cluster.ask(a, one, ["SET", "k", value]) == "+OK\r\n")
        cluster.pieces = []
        let reads = cluster.counters(a).reads
        let keys = Array(repeating: "k", count: 20_000)
        let reply = cluster.ask(a, one, ["MGET"] + keys)
        #expect(reply == "-ERR the values together are too large for one reply\r\n")
        #expect(cluster.counters(a).reads - reads < 70)
        #expect(cluster.with(a) { $0.memoryAccount.operations } == 0)
        #expect(cluster.ask(a, one, ["MGET", "k", "none", "k"]).hasSuffix(value + "\r\n"))
    }

    @Test(
        "a reply of more than 60 MB is refused, and the value stays",
        arguments: [
            ["SRANDMEMBER", "t:s", "-5000"], ["HRANDFIELD", "t:h", "-5000", "WITHVALUES"],
            ["HMGET", "t:h"] + Array(repeating: "f", count: 5_000),
        ])
    func tooLong(_ words: [String]) {
        let cluster = node()
        let value = String(repeating: "v", count: 1 << 20)
        #expect(cluster.ask(a, one, ["SADD", "t:s", value]) == ":1\r\n")
        #expect(cluster.ask(a, one, ["HSET", "t:h", "f", value]) == ":1\r\n")
        #expect(cluster.ask(a, one, words).hasPrefix("-ERR the reply would have more than 60 MB"))
        #expect(cluster.ask(a, one, ["SCARD", "t:s"]) == ":1\r\n")
        #expect(cluster.ask(a, one, ["HGET", "t:h", "f"]).hasSuffix(value + "\r\n"))
    }

    @Test("sets that are read and put together over several steps are the right ones")
    func largeSets() {
        let cluster = node()
        let long = String(repeating: "m", count: 200)
        let all = Cluster.words(0..<9_000).map { $0 + long }
        #expect(cluster.ask(a, one, ["SADD", "t:a"] + all[..<6_000]) == ":6000\r\n")
        #expect(cluster.ask(a, one, ["SADD", "t:b"] + all[3_000...]) == ":6000\r\n")
        for (command, range) in [
            ("SUNION", 0..<9_000), ("SINTER", 3_000..<6_000), ("SDIFF", 0..<3_000),
        ] {
            let reply = cluster.ask(a, one, [command, "t:a", "t:b"])
            let expected = "*\(range.count)\r\n" + all[range].map { "$207\r\n\($0)\r\n" }.joined()
            #expect(reply == expected, "\(command)")
        }
        #expect(cluster.ask(a, one, ["SINTERCARD", "2", "t:a", "t:b"]) == ":3000\r\n")
        cluster.with(a) { $0.checkInvariants() }
    }

    @Test("requests that take much work for few bytes share a step with few others")
    func costlyRequests() {
        let cluster = node()
        let all = Cluster.words(0..<20_000)
        #expect(cluster.ask(a, one, ["SADD", "t:s"] + all) == ":20000\r\n")
        for words in [["SRANDMEMBER", "t:s", "-100"], ["INFO", "memory"]] {
            let request = Cluster.request(words)
            let requests = Array((0..<200).flatMap { _ in request })
            let consumed = cluster.send(a, two, requests)
            #expect(consumed > 0 && consumed < 60 * request.count)
        }
        let pings = Array((0..<2_000).flatMap { _ in Cluster.request(["PING"]) })
        #expect(cluster.send(a, one, pings) == pings.count)
    }

    @Test("a removed value of 30,000 elements is freed over several steps")
    func freed() {
        let cluster = node()
        let all = Cluster.words(0..<30_000)
        #expect(cluster.ask(a, one, ["RPUSH", "t:l"] + all) == ":30000\r\n")
        cluster.send(a, one, Cluster.request(["DEL", "t:l"]))
        var steps = 0
        while cluster.with(a, { $0.hasWork }) {
            cluster.step(a, .deadline)
            steps += 1
        }
        #expect(steps >= 3)
        #expect(cluster.ask(a, one, ["LLEN", "t:l"]) == ":0\r\n")
    }
}

@Suite("Sets of several keys are put together as a model says")
struct SetCombinationTests {
    private func combined(
        _ sets: [[Int]], _ combination: GatherOperation.Combination, budget: Int
    ) -> [Bytes] {
        let encoded = sets.map { $0.sorted().map { Bytes(Array("\(100 + $0)".utf8)) } }
        var gathered = GatheredSets()
        for part in encoded.indices.reversed() {
            gathered.add(Elements(encoded[part]), part: part)
        }
        var combination = SetCombination(gathered, combination)
        while !combination.advance(budget) {}
        return combination.result
    }

    @Test("union, intersection and difference of one to five sets, some members a step")
    func model() {
        var random = PRNG(seed: 5)
        for _ in 0..<2_000 {
            let sets = (0..<1 + random.below(5)).map { _ in
                Set((0..<random.below(30)).map { _ in random.below(40) })
            }
            let rest = sets.dropFirst()
            let models: [(GatherOperation.Combination, Set<Int>)] = [
                (.union, rest.reduce(sets[0]) { $0.union($1) }),
                (.intersection, rest.reduce(sets[0]) { $0.intersection($1) }),
                (.difference, rest.reduce(sets[0]) { $0.subtracting($1) }),
            ]
            for (combination, model) in models {
                let expected = model.sorted().map { Bytes(Array("\(100 + $0)".utf8)) }
                let result = combined(
                    sets.map(Array.init), combination, budget: 1 + random.below(20))
                #expect(result == expected)
            }
        }
    }
}

@Suite("A scan tells every element, a bounded number a step")
struct ElementScanTests {
    @Test(
        "SSCAN, HSCAN and ZSCAN of elements that begin alike",
        arguments: [("SADD", "SSCAN", 1), ("HSET", "HSCAN", 2), ("ZADD", "ZSCAN", 2)])
    func alike(_ write: String, _ scan: String, _ words: Int) {
        let cluster = Cluster(1)
        let node = NodeID(1)
        _ = cluster.run(node, "KEYSPACE CREATE t n=1 conflict=crdt durability=memory")
        let all = (0..<6_000).map { "element:\($0)" }
        let elements = all.flatMap { element in
            switch write {
            case "HSET": [element, "v"]
            case "ZADD": ["1", element]
            default: [element]
            }
        }
        _ = cluster.ask(node, ConnectionID(0), [write, "t:k"] + elements)
        var told = Set<String>()
        var cursor = "0"
        var steps = 0
        repeat {
            let reply = cluster.ask(node, ConnectionID(0), [scan, "t:k", cursor, "COUNT", "10"])
            let lines = reply.split(separator: "\r\n").filter { !$0.hasPrefix("$") }
                .map(String.init)
            cursor = lines[1]
            #expect(UInt64(cursor).map { $0 < 1 << 53 } == true)
            let step = lines.dropFirst(3).filter { $0.hasPrefix("element:") }
            #expect(step.count < 1_000)
            told.formUnion(step)
            steps += 1
        } while cursor != "0" && steps < 200
        #expect(told == Set(all))
        let behind = cluster.ask(node, ConnectionID(0), [scan, "t:k", "99999999999999999"])
        #expect(behind.hasPrefix("*2"))
    }

    @Test("a scan or search of a large value takes several turns, and tells the value as it was")
    func turns() {
        let cluster = Cluster(1)
        let (node, one, two) = (NodeID(1), ConnectionID(1), ConnectionID(2))
        _ = cluster.run(node, "KEYSPACE CREATE t n=1 conflict=crdt durability=memory")
        cluster.open(node, one)
        cluster.open(node, two)
        let all = Cluster.words(0..<100_000)
        #expect(cluster.ask(node, one, ["SADD", "t:s"] + all) == ":100000\r\n")
        #expect(cluster.ask(node, one, ["RPUSH", "t:l"] + all) == ":100000\r\n")
        let scan = ["SSCAN", "t:s", "0", "COUNT", "10"]
        let last = cluster.ask(node, one, scan).split(separator: "\r\n").last.map(String.init) ?? ""
        #expect(last > all[90_000])
        cluster.sharesTurns = true
        for (query, change, told) in [
            (scan, ["SREM", "t:s", last], last),
            (["LPOS", "t:l", all[99_999]], ["RPOP", "t:l"], ":99999\r\n"),
        ] {
            cluster.time += 1_000
            cluster.replies[node]?[one] = []
            cluster.send(node, one, Cluster.request(query))
            #expect(cluster.reply(node, one).isEmpty)
            cluster.time += 1_000
            cluster.send(node, two, Cluster.request(change))
            var turns = 0
            while cluster.with(node, { $0.hasWork }), turns < 100 {
                #expect(cluster.with(node) { $0.turnUnits } < TurnBudget.unitsMax + 1_100)
                cluster.time += 1_000
                turns += 1
                cluster.step(node, .deadline)
            }
            #expect(turns > 1)
            #expect(cluster.reply(node, one).contains(told), "\(query)")
        }
    }

    @Test("LPOS finds what a walk over the list finds, from either end, with every option")
    func search() {
        let cluster = Cluster(1)
        let (node, one) = (NodeID(1), ConnectionID(1))
        _ = cluster.run(node, "KEYSPACE CREATE t n=1 conflict=crdt durability=memory")
        cluster.open(node, one)
        let list = (0..<20_000).map { "\($0 % 4_999)" }
        #expect(cluster.ask(node, one, ["RPUSH", "t:l"] + list) == ":20000\r\n")
        let places = list.indices.filter { list[$0] == "7" }
        for rank in [1, 2, 4, 5, -1, -3, -5] {
            for count in [nil, 0, 1, 2, 9] as [Int?] {
                for most in [0, 5, 10_000, 17_000, 30_000] {
                    let seen = (rank > 0 ? places : places.reversed()).filter {
                        most == 0 || (rank > 0 ? $0 : 19_999 - $0) < most
                    }
                    let left = seen.dropFirst(abs(rank) - 1)
                    let told = left.prefix(count == 0 ? .max : count ?? 1)
                    let options =
                        ["RANK", "\(rank)", "MAXLEN", "\(most)"]
                        + (count.map { ["COUNT", "\($0)"] } ?? [])
                    let reply = cluster.ask(node, one, ["LPOS", "t:l", "7"] + options)
                    let expected =
                        count == nil
                        ? told.first.map { ":\($0)\r\n" } ?? "$-1\r\n"
                        : "*\(told.count)\r\n" + told.map { ":\($0)\r\n" }.joined()
                    #expect(reply == expected, "\(options)")
                }
            }
        }
    }
}
