import Base
import Causality
import Testing

@testable import CRDT

@Suite("Clocks that were ahead")
struct RestampTests {
    @Test(
        "7: what was written ahead is named anew, reads the same, and meets what others have",
        arguments: Profile.allCases)
    func restamp(_ profile: Profile) {
        for seed in 0..<(ScheduleTests.count / 10) {
            var world = World(seed: seed)
            world.runUnhealed(profile)
            for index in world.replicas.indices {
                var state = world.replicas[index].state
                let retired = world.replicas[index].identity
                let limit = Stamp(milliseconds: world.now - 200)
                let isAhead = state.context.entries.contains { dot in
                    dot.identity == retired && limit < dot.stamp
                }
                let before = state
                var next = world.now << 16
                state.restamp(retired: [retired], after: limit) { _ in
                    next += 1
                    return Dot(identity: identity(99), stamp: Stamp(rawValue: next))
                }
                #expect((state == before) == !isAhead)
                #expect(!isAhead || state.context.stamp(of: retired) == limit)
                #expect((try? decodedState(bytes(of: state))) == state)
                // Where writes of several are live, renaming makes its own the newest.
                let isAlone = before.context.entries.count == 1
                if isAlone { #expect(state.words(now: 0) == before.words(now: 0)) }
                if profile == .set { #expect(state.words(now: 0) == before.words(now: 0)) }
            }
        }
    }

    @Test(
        "7: whatever is named anew can be written down, for several lives and at any moment",
        arguments: Profile.allCases)
    func encodable(_ profile: Profile) {
        for seed in 0..<(ScheduleTests.count / 10) {
            var world = World(seed: seed)
            world.runUnhealed(profile)
            for index in world.replicas.indices {
                var state = world.replicas[index].state
                let retired = state.context.entries.map(\.identity).filter { $0.rawValue & 1 == 0 }
                let limit = Stamp(milliseconds: world.now - min(world.now - 1, UInt64(seed % 300)))
                let words = state.words(now: 0)
                var next = limit.rawValue - min(limit.rawValue, UInt64(seed % 7) << 18)
                state.restamp(retired: retired, after: limit) { kept in
                    next = max(next, kept.rawValue) + 1
                    return Dot(identity: identity(99), stamp: Stamp(rawValue: next))
                }
                #expect((try? decodedState(bytes(of: state))) == state)
                if profile == .set { #expect(state.words(now: 0) == words) }
            }
        }
    }

    @Test("7: increments that were made ahead survive, once, beside what others saw of them")
    func counters() throws {
        var ahead = Replica(1)
        var other = Replica(2)
        _ = try ahead.state.increment(by: Quantity(1), dot: ahead.dot(10), now: 0)
        other.join(ahead)
        _ = try ahead.state.increment(by: Quantity(2), dot: ahead.dot(9_000), now: 0)
        ahead.state.restamp(retired: [ahead.identity], after: Stamp(milliseconds: 500)) { _ in
            Dot(identity: identity(1, 2), stamp: Stamp(milliseconds: 501))
        }
        other.join(ahead)
        #expect(other.state == ahead.state)
        #expect(other.state.string(now: 0) == .number(Quantity(3)))
        #expect(other.state.context.newest?.stamp == Stamp(milliseconds: 501))
    }

    @Test("7: increments after a delete stay, both made ahead")
    func resetAhead() throws {
        var ahead = Replica(1)
        _ = try ahead.state.increment(by: Quantity(1), dot: ahead.dot(10), now: 0)
        _ = ahead.state.delete(dot: ahead.dot(9_000))
        _ = try ahead.state.increment(by: Quantity(2), dot: ahead.dot(9_001), now: 0)
        _ = ahead.state.delete(dot: ahead.dot(9_002))
        _ = try ahead.state.increment(by: Quantity(4), dot: ahead.dot(9_003), now: 0)
        ahead.state.restamp(retired: [ahead.identity], after: Stamp(milliseconds: 500)) { _ in
            Dot(identity: identity(1, 2), stamp: Stamp(milliseconds: 501))
        }
        #expect(ahead.state.string(now: 0) == .number(Quantity(4)))
    }

    @Test("7: of increments of a field that were made ahead only those end that a removal has seen")
    func fields() throws {
        var ahead = Replica(1)
        var other = Replica(2)
        _ = try ahead.state.hashIncrement("f", by: Quantity(10), dot: ahead.dot(10), now: 0)
        other.join(ahead)
        _ = try ahead.state.hashIncrement("f", by: Quantity(1), dot: ahead.dot(9_000), now: 0)
        _ = try ahead.state.hashIncrement("g", by: Quantity(5), dot: ahead.dot(9_001), now: 0)
        let unaware = try other.state.hashRemove(["f"], dot: other.dot(400), now: 0)
        #expect(unaware != nil)
        ahead.state.restamp(retired: [ahead.identity], after: Stamp(milliseconds: 500)) { _ in
            Dot(identity: identity(1, 2), stamp: Stamp(milliseconds: 501))
        }
        #expect(try decodedState(bytes(of: ahead.state)) == ahead.state)
        other.join(ahead)
        #expect(other.state.hashField("f", now: 0) == .number(Quantity(1)))
        #expect(other.state.hashField("g", now: 0) == .number(Quantity(5)))
        let removed = try other.state.hashRemove(["f", "g"], dot: other.dot(600), now: 0)
        let delta = try #require(removed?.delta)
        #expect(try decodedDelta(bytes(of: delta)) == delta)
        #expect(try decodedState(bytes(of: other.state)) == other.state)
        ahead.join(other)
        #expect(ahead.state == other.state && ahead.state.hashField("g", now: 0) == nil)
    }

    @Test("7: a delete that was made ahead stays one")
    func deletion() throws {
        var ahead = Replica(1)
        var other = Replica(2)
        _ = try ahead.state.setAdd(["x"], dot: ahead.dot(10), now: 0)
        other.join(ahead)
        _ = ahead.state.delete(dot: ahead.dot(9_000))
        _ = try ahead.state.setAdd(["y"], dot: ahead.dot(9_001), now: 0)
        ahead.state.restamp(retired: [ahead.identity], after: Stamp(milliseconds: 500)) { _ in
            Dot(identity: identity(1, 2), stamp: Stamp(milliseconds: 501))
        }
        other.join(ahead)
        #expect(other.state == ahead.state)
        #expect(other.state.setElements(now: 0) == ["y"])
    }
}
