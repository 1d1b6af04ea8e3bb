import Base
import Testing

@testable import Lab

@Suite("What was promised, and what was found")
struct WriteLedgerTests {
    private func ledger(_ outcomes: [Outcome]) -> WriteLedger {
        var ledger = WriteLedger()
        var random = PRNG(seed: 3)
        for outcome in outcomes {
            // Writes to key 0 only: others of the generator's choosing are left under way.
            var write = ledger.beginWrite(&random)
            while write.key != 0 { write = ledger.beginWrite(&random) }
            ledger.endWrite(key: 0, number: write.number, outcome)
        }
        return ledger
    }

    @Test("the last acknowledged write must be there, and no older one")
    func acknowledged() {
        let ledger = ledger([.done(.simple("OK")), .done(.simple("OK"))])
        let last = ledger.entries[0].acknowledged
        #expect(last > 1)
        #expect(ledger.finding(key: 0, number: last) == .kept)
        #expect(ledger.finding(key: 0, number: 1) == .lost)
        #expect(ledger.finding(key: 0, number: 0) == .lost)
        #expect(ledger.promised == [0])
    }

    @Test(
        "a write of unknown outcome may take effect at any later moment, a refused one may not"
    )
    func unknown() {
        let ledger = ledger([.unknown("UNKNOWN"), .done(.simple("OK")), .refused("UNAVAILABLE")])
        let unknown = ledger.entries[0].unknown[0]
        #expect(ledger.finding(key: 0, number: unknown) == .kept)
        #expect(ledger.finding(key: 0, number: ledger.entries[0].acknowledged) == .kept)
        #expect(ledger.finding(key: 0, number: ledger.entries[0].acknowledged + 1) == .lost)
    }

    @Test("a key without an acknowledged write promises nothing")
    func nothing() {
        var random = PRNG(seed: 1)
        let ledger = ledger([.refused("ERR"), .unknown("x")])
        #expect(ledger.promised.isEmpty)
        #expect(ledger.anyAcknowledged(&random) == nil)
    }

    @Test("no key has two writes under way, and no number is given twice")
    func oneAtATime() {
        var ledger = WriteLedger()
        var random = PRNG(seed: 7)
        var underWay: Set<Int> = []
        var numbers: Set<Int> = []
        var pairs: [(key: Int, number: Int)] = []
        for _ in 0..<5000 {
            let write = ledger.beginWrite(&random)
            #expect(underWay.insert(write.key).inserted)
            #expect(numbers.insert(write.number).inserted)
            pairs.append(write)
            if random.chance(perMille: 900) {
                let ended = pairs.remove(at: random.below(pairs.count))
                ledger.endWrite(key: ended.key, number: ended.number, .done(.simple("OK")))
                underWay.remove(ended.key)
            }
        }
        #expect(ledger.keys > 3000 && ledger.keys < 4800)
    }
}

@Suite("Staleness probes")
struct ProberTests {
    private let done = Outcome.done(.simple("OK"))

    /// Writes once and returns when the read is due.
    private func write(_ prober: inout Prober, at now: UInt64) throws -> UInt64 {
        let result1 = prober.step(now: now, nodes: [0, 1, 2])
        let step = try #require(result1)
        guard case .write = step else {
            Issue.record("a prober writes first")
            return 0
        }
        #expect(prober.nextMoment == nil)
        prober.wrote(done, now: now + 10)
        return try #require(prober.nextMoment)
    }

    @Test(
        "the read goes through another node, at a grid point after the acknowledgement"
    )
    func otherNode() throws {
        for seed in 0..<200 as Range<UInt64> {
            var prober = Prober(seed: seed)
            let result2 = prober.step(now: 5, nodes: [0, 1, 2])
            let first = try #require(result2)
            guard case .write(let writer, 1) = first else {
                Issue.record("not write 1")
                return
            }
            prober.wrote(done, now: 1000)
            let due = try #require(prober.nextMoment)
            #expect(StalenessCurve.grid.contains((due - 1000) / 1000))
            if due > 1000 {
                let result3 = prober.step(now: due - 1, nodes: [0, 1, 2])
                #expect(result3 == nil)
            }
            guard case .read(let reader)? = prober.step(now: due + 7, nodes: [0, 1, 2]) else {
                Issue.record("not a read")
                return
            }
            #expect(reader != writer)
            let result4 = prober.read(1, now: due + 50)
            let sighting = try #require(result4)
            #expect(sighting.delay == due + 7 - 1000)
            #expect(sighting.behind == 0)
            #expect(StalenessCurve.grid[sighting.position] * 1000 == due - 1000)
        }
    }

    @Test("a read is as many versions behind as there are acknowledged writes it did not see")
    func behind() throws {
        var prober = Prober(seed: 1)
        var now: UInt64 = 0
        for found in [1, 1, 0, 4] {
            now = try write(&prober, at: now + 1000)
            _ = prober.step(now: now, nodes: [0, 1, 2])
            let result5 = prober.read(found, now: now)
            let sighting = try #require(result5)
            #expect(sighting.behind == [1: 0, 2: 1, 3: 3, 4: 0][Int(prober.writes)])
        }
    }

    @Test("a failed write is not probed, and a value newer than the last acknowledged one is fresh")
    func failures() throws {
        var prober = Prober(seed: 1)
        _ = prober.step(now: 0, nodes: [0, 1])
        prober.wrote(.unknown("UNKNOWN"), now: 100)
        let result6 = prober.step(now: 100, nodes: [0, 1])
        #expect(result6 == nil)
        let later = try #require(prober.nextMoment)
        let due = try write(&prober, at: later)
        _ = prober.step(now: due, nodes: [0, 1])
        let result7 = prober.read(nil, now: due)
        #expect(result7 == nil)
        let next = try write(&prober, at: try #require(prober.nextMoment))
        _ = prober.step(now: next, nodes: [0, 1])
        let result8 = prober.read(1, now: next)
        #expect(try #require(result8).behind == 2)
    }

    @Test("with one node left there is nobody to read through")
    func alone() {
        var prober = Prober(seed: 1)
        _ = prober.step(now: 0, nodes: [1])
        prober.wrote(done, now: 10)
        let result9 = prober.step(now: 1 << 40, nodes: [1])
        #expect(result9 == nil)
        #expect(prober.nextMoment.map { $0 > 1 << 40 } == true)
    }

    @Test("t is the first grid point from which on enough reads were fresh")
    func curve() {
        var curve = StalenessCurve()
        #expect(curve.freshFrom(0.999) == nil)
        for position in StalenessCurve.grid.indices {
            for read in 0..<1000 {
                let stale = (position == 0 && read < 100) || (position == 2 && read < 20)
                curve.record(
                    at: position, delay: UInt64(position), behind: stale ? 1 + position : 0)
            }
        }
        #expect(curve.overall == ShareEstimate(events: 120, trials: 12_000))
        // From the start 120 of 12,000 are stale, from 200 µs on 20 of 11,000, from 1 ms on none.
        #expect(curve.freshFrom(0.999) == 1000)
        #expect(curve.freshFrom(0.998) == 200)
        #expect(curve.freshFrom(0.9) == 0)
        #expect(curve.behindMax == 3)
        #expect(curve.lastStaleDelay == 2)
        var sum = StalenessCurve()
        sum.add(curve)
        sum.add(curve)
        #expect(sum.overall == ShareEstimate(events: 240, trials: 24_000))
        #expect(sum.behindMax == 3)
    }

    @Test("a curve that is stale to the end has no t")
    func neverFresh() {
        var curve = StalenessCurve()
        curve.record(at: StalenessCurve.grid.count - 1, delay: 9, behind: 1)
        #expect(curve.freshFrom(0.999) == nil)
    }
}

@Suite("What a load's answers mean")
struct LoadAnswerTests {
    @Test(
        "a value names its write; none is write 0; what is not ours is nothing",
        arguments: [
            (Reply.bulk(Array("12:xxx".utf8)), 12), (.bulk(nil), 0), (.bulk(Array("7".utf8)), 7),
            (.bulk(Array("x".utf8)), nil), (.error("ERR"), nil), (.array([]), nil),
            (.integer(3), nil),
        ] as [(Reply, Int?)])
    func numbers(reply: Reply, number: Int?) {
        #expect(LoadRun.number(in: Outcome(reply)) == number)
    }
}
