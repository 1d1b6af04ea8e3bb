import Base
import Coding
import Testing

@testable import Causality

/// Nodes that tell each other of their clocks, every 200 ms, at once.
private final class Clocks {
    static let start: UInt64 = 1_700_000_000_000
    static let hour: UInt64 = 3_600_000
    var monotonic: UInt64 = 5_000
    var walls: [UInt64]
    var clocks: [ClusterClock] = []
    var retreats: [Int]
    /// Directed pairs between which nothing passes.
    var cut: Set<[Int]> = []
    /// Milliseconds that messages take from a node.
    var delays: [Int: UInt64] = [:]

    init(_ count: Int, ahead: [Int: UInt64] = [:]) {
        walls = (0..<count).map { Clocks.start + (ahead[$0] ?? 0) }
        retreats = Array(repeating: 0, count: count)
        for node in 0..<count { clocks.append(fresh(node)) }
    }

    func fresh(_ node: Int) -> ClusterClock {
        ClusterClock(nodes: walls.count, own: node, now: instant(node))
    }

    func instant(_ node: Int) -> Instant {
        Instant(monotonic: monotonic * 1_000_000, wallMilliseconds: walls[node])
    }

    func advance() {
        for node in clocks.indices { _ = clocks[node].advance(to: instant(node)) }
    }

    func pass(_ milliseconds: UInt64) {
        monotonic += milliseconds
        for node in walls.indices { walls[node] += milliseconds }
        advance()
    }

    func step(_ nodes: [Int], by milliseconds: Int64) {
        for node in nodes { walls[node] = UInt64(Int64(walls[node]) + milliseconds) }
        advance()
    }

    func isolate(_ nodes: Int...) {
        cut = []
        for node in nodes {
            for other in clocks.indices where other != node && !nodes.contains(other) {
                cut.formUnion([[node, other], [other, node]])
            }
        }
        for pair in cut { clocks[pair[0]].forget(link: pair[1]) }
    }

    /// Every node tells every other one, as often as it takes.
    func meet(rounds: Int = 3) {
        for _ in 0..<rounds {
            pass(200)
            for from in clocks.indices {
                for to in clocks.indices where from != to && !cut.contains([from, to]) {
                    let told = clocks[from].reading(for: to)
                    if clocks[to].receive(told, link: from) { retreats[to] += 1 }
                }
            }
        }
    }

    func tick(_ node: Int) -> Stamp { clocks[node].tick() }

    @discardableResult
    func observe(_ node: Int, _ stamp: Stamp) -> Bool { clocks[node].observe(stamp) }

    func time(_ node: Int) -> Int64 { Int64(clocks[node].time) - Int64(Clocks.start + passed) }
    func reach(_ node: Int) -> Int64 { Int64(clocks[node].reach) - Int64(Clocks.start + passed) }
    private var passed: UInt64 { monotonic - 5_000 }
}

@Suite("The cluster's clock: the time is a majority's, and what a majority has reached stays")
struct ClusterClockTests {
    private let hour = Clocks.hour

    @Test("one wall clock that steps changes nothing: the time is the others'")
    func oneSteps() {
        for step in [Int64(hour), -Int64(hour), 15_000] {
            let clocks = Clocks(3)
            clocks.meet()
            clocks.step([0], by: step)
            #expect(clocks.time(0) == 0)
            clocks.meet()
            for node in 0..<3 { #expect(clocks.time(node) == 0) }
            #expect(clocks.clocks[0].wallAheadMilliseconds == step)
            #expect(clocks.clocks[1].aheadMilliseconds(of: 0) == step)
            #expect(clocks.retreats == [0, 0, 0])
        }
    }

    @Test("a clock that steps while its node is cut off is not believed, and it stamps on")
    func stepsWhenCutOff() {
        let clocks = Clocks(3)
        clocks.meet()
        clocks.isolate(0)
        clocks.step([0], by: Int64(hour))
        clocks.pass(60_000)
        #expect(clocks.time(0) == 0)
        #expect(clocks.tick(0).milliseconds == Clocks.start + 60_600)
    }

    @Test("when all clocks step, the time steps; when they step back, stamps go on")
    func allStep() {
        for step in [15_000, Int64(hour)] {
            let clocks = Clocks(3)
            clocks.meet()
            clocks.step([0, 1, 2], by: step)
            clocks.meet()
            for node in 0..<3 { #expect(clocks.time(node) == step) }
            let written = clocks.tick(0)
            clocks.step([0, 1, 2], by: -step)
            clocks.meet()
            for node in 0..<3 {
                #expect(clocks.time(node) == 0)
                #expect(clocks.observe(node, written))
                let next = clocks.tick(node)
                #expect(written < next)
                for other in 0..<3 { #expect(clocks.clocks[other].permits(next)) }
            }
            #expect(clocks.retreats == [0, 0, 0])
        }
    }

    @Test("stamps fall into step with the time after eight times as long as they were ahead")
    func fallsIntoStep() {
        let clocks = Clocks(3)
        clocks.meet()
        clocks.step([0, 1, 2], by: 15_000)
        clocks.meet()
        clocks.step([0, 1, 2], by: -15_000)
        clocks.meet()
        #expect(clocks.reach(1) > 14_000)
        for _ in 0..<600 { clocks.meet(rounds: 1) }
        for node in 0..<3 { #expect(clocks.reach(node) == 0) }
    }

    @Test("a life that began alone an hour ahead gives in to two others, once")
    func futureLife() {
        let clocks = Clocks(3, ahead: [0: hour])
        clocks.isolate(0)
        clocks.meet()
        let alone = clocks.tick(0)
        #expect(alone.milliseconds >= Clocks.start + hour)
        clocks.cut = []
        clocks.meet()
        #expect(clocks.retreats == [1, 0, 0])
        for node in 0..<3 {
            #expect(clocks.time(node) == 0)
            #expect(!clocks.clocks[node].permits(alone))
        }
        #expect(clocks.clocks[0].last < clocks.tick(1))
        clocks.step([0], by: -Int64(hour))
        clocks.meet()
        #expect(clocks.retreats == [1, 0, 0])
    }

    @Test(
        "what a life ahead took from others, or stamped at first, stays below what it is set to",
        arguments: [2_000, 3_000, Clocks.hour])
    func limit(ahead: UInt64) {
        for rounds in [0, 5, 12] {
            let clocks = Clocks(3, ahead: [0: ahead])
            clocks.isolate(0)
            let first = clocks.tick(0)
            clocks.meet(rounds: rounds)
            let heard = Stamp(milliseconds: clocks.clocks[1].reach + 400)
            #expect(clocks.observe(0, heard))
            let last = clocks.tick(0)
            clocks.cut = []
            clocks.meet()
            #expect(clocks.retreats == [1, 0, 0])
            let clock = clocks.clocks[0]
            let limit = clock.correctionLimit
            #expect(heard < limit && limit < last && clock.permits(limit))
            #expect(first < limit || !clock.permits(first))
        }
    }

    @Test("a life whose clock was put right while it was alone gives in as well")
    func rightedAlone() {
        let clocks = Clocks(3, ahead: [0: hour])
        clocks.isolate(0)
        clocks.meet()
        clocks.step([0], by: -Int64(hour))
        let next = clocks.tick(0)
        #expect(next.milliseconds >= Clocks.start + hour, "nobody proved it wrong")
        clocks.cut = []
        clocks.meet()
        #expect(clocks.retreats == [1, 0, 0])
    }

    @Test("a new life takes the time of one node that was confirmed, and both stamp on together")
    func confirmedAlone() {
        let clocks = Clocks(3)
        clocks.meet(rounds: 10)
        clocks.isolate(0)
        clocks.walls[0] += hour
        clocks.clocks[0] = clocks.fresh(0)
        clocks.cut = [[0, 2], [2, 0], [1, 2], [2, 1]]
        clocks.clocks[1].forget(link: 2)
        clocks.meet()
        for node in 0..<3 { #expect(clocks.time(node) == 0) }
        let written = clocks.tick(0)
        #expect(!clocks.clocks[1].permits(written), "the third may come and prove it wrong")
        clocks.meet(rounds: 6)
        #expect(clocks.clocks[1].permits(written))
        #expect(written < clocks.tick(1))
        clocks.cut = []
        clocks.meet(rounds: 6)
        #expect(clocks.retreats == [0, 0, 0])
        for node in 0..<3 {
            #expect(clocks.time(node) == 0)
            #expect(written < clocks.tick(node))
        }
    }

    @Test("a step that only some have heard of when it is over is followed by all")
    func shortStep() {
        let clocks = Clocks(5)
        clocks.meet()
        clocks.step([0, 1, 2, 3, 4], by: 2_000)
        for from in [1, 2, 3, 4] {
            let told = clocks.clocks[from].reading(for: 0)
            _ = clocks.clocks[0].receive(told, link: from)
        }
        let written = clocks.tick(0)
        clocks.step([0, 1, 2, 3, 4], by: -2_000)
        clocks.meet()
        #expect(clocks.retreats == [0, 0, 0, 0, 0])
        for node in 0..<5 {
            #expect(clocks.time(node) == 0)
            #expect(written < clocks.tick(node))
        }
    }

    @Test("of two new lives that contradict each other neither stamps; the earlier time counts")
    func undecided() {
        let clocks = Clocks(2, ahead: [1: hour])
        clocks.meet()
        for node in 0..<2 {
            #expect(clocks.clocks[node].isUndecided)
            #expect(clocks.time(node) == 0)
        }
        clocks.step([1], by: -Int64(hour))
        clocks.meet(rounds: 10)
        for node in 0..<2 { #expect(!clocks.clocks[node].isUndecided) }
        #expect(clocks.retreats == [0, 0], "of two nobody is a majority against the other")
        let next = clocks.tick(0)
        #expect(next.milliseconds > Clocks.start + hour - 10_000)
        #expect(clocks.clocks[1].permits(next))
    }

    @Test("what a majority wrote ahead stays although one of it is down and the third never knew")
    func majorityStays() {
        let clocks = Clocks(3)
        clocks.meet(rounds: 10)
        clocks.isolate(1)
        clocks.step([0, 1, 2], by: Int64(hour))
        clocks.meet()
        let written = clocks.tick(0)
        #expect(clocks.observe(2, written))
        clocks.step([0, 1, 2], by: -Int64(hour))
        clocks.isolate(2)
        // Node 1 begins anew, and node 0 as well, on what it stored.
        clocks.clocks[1] = clocks.fresh(1)
        clocks.clocks[0] = clocks.fresh(0)
        clocks.clocks[0].resume(after: written)
        clocks.meet(rounds: 10)
        #expect(clocks.retreats == [0, 0, 0])
        for node in 0..<3 { #expect(clocks.clocks[node].permits(written)) }
        clocks.cut = []
        clocks.meet(rounds: 10)
        #expect(clocks.retreats == [0, 0, 0])
        for node in 0..<3 { #expect(written < clocks.tick(node)) }
    }

    @Test("a node alone in its cluster goes by its own clock, and its stamps rise")
    func alone() {
        let clocks = Clocks(1)
        clocks.step([0], by: Int64(hour))
        #expect(clocks.time(0) == Int64(hour))
        let written = clocks.tick(0)
        clocks.step([0], by: -Int64(hour))
        #expect(clocks.time(0) == 0)
        #expect(written < clocks.tick(0))
        #expect(clocks.clocks[0].isConfirmed)
    }

    @Test("of two nodes one of which was taken out, the other is a majority")
    func removed() {
        let clocks = Clocks(2)
        clocks.meet()
        clocks.clocks[0].setVoter(false, link: 1)
        clocks.step([0], by: Int64(hour))
        #expect(clocks.time(0) == Int64(hour))
    }

    @Test("readings that waited in a stopped process's sockets say nothing")
    func oldReadings() {
        let clocks = Clocks(3)
        clocks.meet()
        let old = [1, 2].map { clocks.clocks[$0].reading(for: 0) }
        clocks.pass(60_000)
        for (link, told) in zip([1, 2], old) {
            let hasRetreated = clocks.clocks[0].receive(told, link: link)
            #expect(!hasRetreated)
        }
        #expect(clocks.time(0) == 0)
        #expect(clocks.retreats == [0, 0, 0])
    }

    @Test("stamps never raise a reach, so that none can drag it along")
    func noRatchet() {
        let clocks = Clocks(3)
        clocks.meet()
        for _ in 0..<100 {
            let bound = clocks.clocks[1].reach + 500
            for node in 0..<3 { clocks.observe(node, Stamp(milliseconds: bound)) }
            clocks.meet(rounds: 1)
        }
        for node in 0..<3 { #expect(clocks.reach(node) == 0) }
    }

    @Test(
        "a stamp is permitted up to the bound beyond the reach", arguments: [0, 1, 499, 500, 501])
    func bound(ahead: UInt64) {
        let clocks = Clocks(3)
        clocks.meet()
        let stamp = Stamp(milliseconds: clocks.clocks[0].reach + ahead, logical: .max)
        #expect(clocks.clocks[0].permits(stamp) == (ahead <= 500))
        #expect(clocks.observe(0, stamp) == (ahead <= 500))
    }

    @Test(
        "what was written before the reach fell is set behind former lives and before what follows")
    func limit() {
        for seen in [Clocks.start - 50_000, Clocks.start + 100] {
            let clocks = Clocks(3, ahead: [0: hour])
            let before = Stamp(milliseconds: seen, logical: 9)
            clocks.clocks[0].resume(after: before)
            clocks.isolate(0)
            clocks.meet()
            clocks.cut = []
            clocks.meet()
            let limit = clocks.clocks[0].correctionLimit
            #expect(before < limit)
            for node in 1..<3 { #expect(limit < clocks.tick(node)) }
        }
    }

    @Test("random steps of fewer than half the clocks never move a confirmed time")
    func minorities() {
        var random = PRNG(seed: 7)
        for count in 3...5 {
            let clocks = Clocks(count)
            clocks.meet(rounds: 10)
            for _ in 0..<200 {
                let node = random.below(count)
                let step = Int64(random.below(2 * Int(hour))) - Int64(hour)
                clocks.step([node], by: step)
                if random.below(2) == 0 { clocks.isolate(random.below(count)) }
                clocks.meet(rounds: 1 + random.below(3))
                for node in 0..<count { #expect(clocks.time(node).magnitude <= 500) }
                clocks.step([node], by: -step)
                clocks.cut = []
                clocks.meet(rounds: 2)
            }
            #expect(clocks.retreats == Array(repeating: 0, count: count))
        }
    }

    @Test("a reading survives its encoding; times beyond the year 6429 and flags beyond 1 do not")
    func encoding() throws {
        let reading = ClockReading(
            wall: 1, time: 2, reach: 3, isProven: true,
            timing: .init(sentAt: 4, echo: 5, held: 6))
        var buffer = ByteBuffer(capacity: 64)
        reading.encode(into: &buffer)
        var bytes = Array(buffer.bytes)
        #expect(try decoded(bytes) == reading)
        bytes[48] = 2
        #expect(throws: DecodeError.self) { try decoded(bytes) }
        bytes[48] = 1
        bytes[5] = 0x80
        #expect(throws: DecodeError.self) { try decoded(bytes) }
    }

    private func decoded(_ bytes: [UInt8]) throws -> ClockReading {
        try bytes.withUnsafeBytes {
            var reader = ByteReader($0)
            return try ClockReading(decoding: &reader)
        }
    }
}
