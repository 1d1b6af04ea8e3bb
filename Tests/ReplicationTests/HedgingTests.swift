import Base
import Coding
import Testing

@testable import Replication

@Suite("The Tail at Scale: one more replica is asked when the first are slower than usual")
struct HedgingTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    /// Three replicas, of which two make a quorum; reads compare nothing in the background.
    private func cluster(hedge: String = "p99", _ more: String = "") -> Cluster {
        let cluster = Cluster(3)
        let settings = "durability=memory readrepair=0 hedge=\(hedge) \(more)"
        #expect(cluster.run(a, "KEYSPACE CREATE k \(settings)") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:1 v") == "+OK\r\n")
        return cluster
    }

    private func slowDown(_ cluster: Cluster, _ nodes: [NodeID], milliseconds: UInt64) {
        for node in nodes { cluster.slow[[node, a]] = milliseconds }
    }

    /// Reads at `a`, so many on connections of their own, all begun at once.
    private func read(_ cluster: Cluster, times: Int, within milliseconds: UInt64) {
        for index in 1...UInt32(times) {
            let connection = ConnectionID(index)
            if cluster.replies[a]?[connection] == nil { cluster.open(a, connection) }
            cluster.replies[a]?[connection] = []
            cluster.send(a, connection, Array("GET k:1\r\n".utf8))
        }
        cluster.settle()
        cluster.pass(milliseconds: milliseconds)
        for index in 1...UInt32(times) {
            #expect(cluster.reply(a, ConnectionID(index)) == "$1\r\nv\r\n")
        }
    }

    /// Enough answers of 3 ms from both others that both are known.
    private func warmUp(_ cluster: Cluster) {
        slowDown(cluster, [b, c], milliseconds: 3)
        for _ in 0..<8 { read(cluster, times: 25, within: 4) }
        #expect(cluster.counters(a).hedgedReads == 0)
    }

    /// Requests of reads that `a` sent since its frames are kept.
    private func asked(_ cluster: Cluster) -> Int {
        (cluster.frames ?? []).count { $0.dropFirst(Frame.headerBytes).first == 3 }
    }

    private func delay(_ cluster: Cluster) -> UInt64? {
        cluster.with(a) { $0.keyspaceFigures.first { $0.name == "k" }?.hedgeDelay }
    }

    @Test("while no answers are known a read waits 20 ms, then as long as the percentile")
    func delays() {
        let cluster = cluster()
        #expect(delay(cluster) == 20_000_000)
        warmUp(cluster)
        // 3 ms lie between 160 and 192 units of 16,384 ns.
        #expect(delay(cluster) == 192 * 16_384)
        #expect(cluster.run(a, "INFO latency").contains("hedge_us_k:3145\r\n"))
        cluster.slow = [:]
        #expect(cluster.run(a, "KEYSPACE ALTER k hedge=off") == "+OK\r\n")
        #expect(delay(cluster) == nil)
    }

    @Test("one replica is slow: after the percentile the other one is asked and answers the read")
    func oneSlow() {
        let cluster = cluster()
        warmUp(cluster)
        slowDown(cluster, [b], milliseconds: 100)
        cluster.frames = []
        // One of two reads asks the slow one first.
        for _ in 0..<2 {
            _ = cluster.run(a, "GET k:1")
            cluster.pass(milliseconds: 3)
            guard cluster.reply(a).isEmpty else { continue }
            #expect(cluster.counters(a).hedgedReads == 0)
            cluster.pass(milliseconds: 1)
            #expect(cluster.counters(a).hedgedReads == 1 && asked(cluster) <= 3)
            cluster.pass(milliseconds: 3)
            #expect(cluster.reply(a) == "$1\r\nv\r\n")
        }
        #expect(cluster.counters(a).hedgedReads == 1 && cluster.counters(a).hedgesWon == 1)
        #expect(asked(cluster) == 3)
    }

    @Test("an answer that comes after the hedge decided the read counts in the estimate")
    func lateAnswers() {
        let cluster = cluster()
        warmUp(cluster)
        slowDown(cluster, [b], milliseconds: 100)
        for _ in 0..<4 { read(cluster, times: 10, within: 110) }
        let (slow, quick) = cluster.with(a) { node in
            let index = node.catalog.index(named: "k") ?? 0
            let times = node.hedging[index].times
            return (times[1].percentile(perMille: 990), times[2].percentile(perMille: 990))
        }
        #expect(cluster.counters(a).hedgesWon > 0)
        #expect(slow.map { 100_000_000...125_000_000 ~= $0 } ?? false)
        #expect(quick == 192 * 16_384)
        // The slow one does not slow down who waits for it.
        #expect(delay(cluster) == 192 * 16_384)
    }

    @Test("a read whose time ran out counts as long as it waited")
    func neverAnswered() {
        let cluster = cluster(hedge: "p99", "timeout=40")
        cluster.slow[[b, a]] = 200
        cluster.slow[[c, a]] = 200
        for _ in 0..<10 {
            for index in 1...20 as ClosedRange<UInt32> {
                if cluster.replies[a]?[ConnectionID(index)] == nil {
                    cluster.open(a, ConnectionID(index))
                }
                cluster.send(a, ConnectionID(index), Array("GET k:1\r\n".utf8))
            }
            cluster.pass(milliseconds: 50)
        }
        #expect(cluster.counters(a).unavailable == 200)
        #expect(delay(cluster).map { 40_000_000...62_500_000 ~= $0 } ?? false)
    }

    @Test("all replicas are slow: the extra requests stay within the burst and the share")
    func allSlow() {
        let cluster = cluster(hedge: "5ms")
        slowDown(cluster, [b, c], milliseconds: 60)
        for index in 0..<100 { cluster.open(a, ConnectionID(UInt32(index + 1))) }
        cluster.frames = []
        let reads = 1_500
        for index in 0..<reads {
            let connection = ConnectionID(UInt32(index % 100 + 1))
            cluster.send(a, connection, Array("GET k:1\r\n".utf8))
            cluster.pass(milliseconds: 1)
        }
        cluster.pass(milliseconds: 130)
        for index in 0..<100 {
            let reply = cluster.reply(a, ConnectionID(UInt32(index + 1)))
            #expect(reply == String(repeating: "$1\r\nv\r\n", count: reads / 100))
        }
        let counters = cluster.counters(a)
        let extra = asked(cluster) - reads
        #expect(extra == counters.hedgedReads && counters.retriedReads == 0)
        #expect(extra > HedgeBudget.burst)
        #expect(extra <= HedgeBudget.burst + reads * HedgeBudget.sharePerMille / 1_000)
        #expect(counters.hedgesDenied > reads / 2)
    }

    @Test("what has become usual is not hedged any more")
    func slowerForGood() {
        let cluster = cluster()
        warmUp(cluster)
        slowDown(cluster, [b, c], milliseconds: 60)
        for _ in 0..<10 { read(cluster, times: 60, within: 125) }
        let before = cluster.counters(a)
        read(cluster, times: 60, within: 61)
        #expect(cluster.counters(a).hedgedReads == before.hedgedReads)
        #expect(cluster.counters(a).hedgesDenied == before.hedgesDenied)
    }

    @Test("replicas that are slow but speak are not taken for dead before half of the time is over")
    func slowIsNotSilent() {
        let cluster = cluster(hedge: "off")
        slowDown(cluster, [b, c], milliseconds: 400)
        cluster.pass(milliseconds: 1_000)
        cluster.frames = []
        read(cluster, times: 20, within: 401)
        #expect(asked(cluster) == 20 && cluster.counters(a).retriedReads == 0)
        slowDown(cluster, [b, c], milliseconds: 900)
        cluster.pass(milliseconds: 1_000)
        read(cluster, times: 1, within: 901)
        #expect(cluster.counters(a).retriedReads == 1)
    }

    @Test("a replica that died without a word costs a read no more than the last resort's delay")
    func silentDeath() {
        for hedge in ["off", "p99"] {
            let cluster = cluster(hedge: hedge)
            #expect(cluster.run(a, "GET k:1") == "$1\r\nv\r\n")
            cluster.with(a) { node in
                let index = node.catalog.index(named: "k") ?? 0
                while node.hedging[index].budget.spend() {}
            }
            cluster.cut = [[b, a]]
            read(cluster, times: 4, within: 260)
            #expect(cluster.counters(a).hedgedReads == 0)
            #expect(cluster.counters(a).retriedReads > 0)
            #expect((cluster.counters(a).hedgesDenied > 0) == (hedge == "p99"))
            // Later reads do not ask it.
            cluster.frames = []
            for _ in 0..<10 { #expect(cluster.run(a, "GET k:1") == "$1\r\nv\r\n") }
            #expect(asked(cluster) == 10)
        }
    }

    @Test("each keyspace has its own delay and budget, changed while it runs; off sends nothing")
    func perKeyspace() {
        let cluster = cluster(hedge: "off")
        #expect(cluster.run(a, "KEYSPACE CREATE now hedge=0ms readrepair=0") == "+OK\r\n")
        slowDown(cluster, [b, c], milliseconds: 50)
        cluster.frames = []
        read(cluster, times: 50, within: 51)
        #expect(asked(cluster) == 50 && cluster.counters(a).hedgedReads == 0)
        _ = cluster.run(a, "GET now:1")
        cluster.step(a, .deadline)
        #expect(asked(cluster) == 52 && cluster.counters(a).hedgedReads == 1)
        cluster.pass(milliseconds: 60)
        cluster.slow = [:]
        #expect(cluster.run(b, "KEYSPACE ALTER k hedge=5ms") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE GET k").contains("hedge\r\n$3\r\n5ms\r\n"))
        slowDown(cluster, [b], milliseconds: 50)
        slowDown(cluster, [c], milliseconds: 1)
        read(cluster, times: 50, within: 7)
        #expect(cluster.counters(a).hedgedReads > 10)
        cluster.slow = [:]
        #expect(cluster.run(b, "KEYSPACE ALTER k hedge=off") == "+OK\r\n")
        let before = cluster.counters(a).hedgedReads
        slowDown(cluster, [b, c], milliseconds: 50)
        read(cluster, times: 50, within: 51)
        #expect(cluster.counters(a).hedgedReads == before)
    }

    @Test("a read of all replicas, and one with silent replicas left only, hedge nothing")
    func nobodyLeft() {
        let cluster = cluster(hedge: "2ms")
        slowDown(cluster, [b, c], milliseconds: 10)
        #expect(cluster.run(a, "GET k:1 R ALL").isEmpty)
        cluster.pass(milliseconds: 15)
        #expect(cluster.reply(a) == "$1\r\nv\r\n")
        #expect(cluster.counters(a).hedgedReads == 0 && cluster.counters(a).hedgesDenied == 0)
        cluster.cut = [[b, a], [c, a]]
        _ = cluster.run(a, "GET k:1")
        cluster.pass(milliseconds: 10)
        let first = cluster.counters(a).hedgedReads
        _ = cluster.run(a, "GET k:1 R 2")
        cluster.pass(milliseconds: 10)
        #expect(first == 1 && cluster.counters(a).hedgedReads == 1)
    }

    @Test("a node that was held up itself reads its answers before it hedges")
    func heldUp() {
        let cluster = cluster(hedge: "2ms")
        slowDown(cluster, [b, c], milliseconds: 1)
        _ = cluster.run(a, "GET k:1")
        cluster.time += 100_000_000
        cluster.settle()
        cluster.step(a, .deadline)
        #expect(cluster.reply(a) == "$1\r\nv\r\n")
        #expect(cluster.counters(a).hedgedReads == 0)
    }

    @Test("reads of typed values hedge as well")
    func typed() {
        let cluster = Cluster(3)
        let create = "KEYSPACE CREATE k conflict=crdt r=quorum w=quorum durability=memory hedge=2ms"
        #expect(cluster.run(a, create) == "+OK\r\n")
        #expect(cluster.run(a, "SADD k:s x") == ":1\r\n")
        slowDown(cluster, [b], milliseconds: 100)
        for _ in 0..<4 {
            let reply = cluster.run(a, "SCARD k:s")
            cluster.pass(milliseconds: 3)
            #expect(reply == ":1\r\n" || cluster.reply(a) == ":1\r\n")
        }
        #expect(cluster.counters(a).hedgesWon > 0)
    }
}

@Suite("What hedging is made of")
struct HedgingPartsTests {
    @Test("a percentile is as long as its share of the last answers, or a quarter more")
    func percentiles() {
        var random = PRNG(seed: 5)
        for _ in 0..<40 {
            var times = AnswerTimes()
            var all: [UInt64] = []
            for _ in 0..<(64 + random.below(900)) {
                all.append(UInt64(1 + random.below(1 << (15 + random.below(14)))))
                times.record(all[all.count - 1])
            }
            all.sort()
            for perMille in [1, 500, 900, 950, 990, 999] {
                let slowest = all[(all.count * perMille + 999) / 1_000 - 1]
                let told = times.percentile(perMille: perMille) ?? 0
                #expect(told > slowest && told <= slowest + max(slowest / 4, 16_384))
            }
        }
    }

    @Test("nothing is known of fewer than 64 answers, nor left of those before the last 2,048")
    func window() {
        var times = AnswerTimes()
        for _ in 0..<63 { times.record(1_000_000) }
        #expect(times.percentile(perMille: 500) == nil)
        times.record(.max)
        #expect(times.percentile(perMille: 990) == 1 << 31)
        for _ in 0..<2_048 { times.record(1) }
        #expect(times.percentile(perMille: 999) == 16_384)
    }

    @Test("a delay is read as it is written, and ordered by what is asked less")
    func text() throws {
        for text in ["off", "p0.1", "p50", "p99", "p99.9", "0ms", "20ms", "600000ms"] {
            #expect(HedgeDelay(text: text)?.text == text)
            let code = try #require(HedgeDelay(text: text)?.code)
            #expect(try HedgeDelay(code: code) == HedgeDelay(text: text))
        }
        for text in ["", "on", "p", "p0", "p100", "p99.95", "p-1", "ms", "-1ms", "600001ms", "5"] {
            #expect(HedgeDelay(text: text) == nil, "\(text)")
        }
        #expect(throws: DecodeError.self) { try HedgeDelay(code: 601_001) }
        var first = KeyspaceSettings()
        var second = first
        first.hedge = .off
        #expect(first.saferOf(second).hedge == second.hedge)
        second.hedge = .fixed(milliseconds: 3)
        #expect(second.saferOf(first).hedge == second.hedge)
        let change = KeyspaceChange(dropped: false, settings: second)
        #expect(try KeyspaceChange(encoded: change.encoded()) == change)
    }

    @Test("a budget never gives more than its burst and its share, counted by hand")
    func budget() {
        var random = PRNG(seed: 9)
        for _ in 0..<200 {
            var budget = HedgeBudget()
            var saved = HedgeBudget.burst * 20
            for _ in 0..<2_000 {
                if random.below(4) > 0 {
                    budget.earn()
                    saved = min(saved + 1, HedgeBudget.burst * 20)
                } else {
                    let isGiven = budget.spend()
                    #expect(isGiven == (saved >= 20))
                    if isGiven { saved -= 20 }
                }
            }
        }
    }

    @Test("reads come out of the queue by when they are due")
    func queue() {
        var random = PRNG(seed: 3)
        var queue = DeadlineQueue()
        var expected: [UInt64] = []
        for step in 0..<5_000 {
            if random.below(5) < 3 {
                let at = UInt64(random.below(1_000))
                queue.insert(DeadlineQueue.Entry(at: at, id: OperationID(rawValue: at)))
                expected.append(at)
                expected.sort()
            } else if !expected.isEmpty {
                #expect(queue.first?.at == expected.removeFirst())
                queue.removeFirst()
            }
            if step % 1_000 == 999 {
                queue.keep { $0.rawValue % 2 == 0 }
                expected.removeAll { $0 % 2 != 0 }
            }
            #expect(queue.count == expected.count && queue.first?.at == expected.first)
        }
    }
}
