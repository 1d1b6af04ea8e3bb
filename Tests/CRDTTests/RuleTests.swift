import Base
import Causality
import Testing

@testable import CRDT

/// A replica whose clock a test moves by hand.
struct Replica {
    let identity: ReplicaIdentity
    var state = CRDTState()

    init(_ node: UInt16) { identity = CRDTTests.identity(node) }

    func dot(_ milliseconds: UInt64) -> Dot {
        Dot(identity: identity, stamp: Stamp(milliseconds: milliseconds))
    }

    mutating func join(_ other: Replica) { state.join(other.state) }
}

@Suite("The documented rules, one by one")
struct RuleTests {
    @Test("26: a re-add of a present element makes a new dot and survives a concurrent remove")
    func readd() throws {
        var a = Replica(1)
        var b = Replica(2)
        _ = try a.state.setAdd(["x"], dot: a.dot(1), now: 0)
        b.join(a)
        let added = try a.state.setAdd(["x"], dot: a.dot(2), now: 0)
        #expect(added.added == 0)
        let removed = try #require(try b.state.setRemove(["x"], dot: b.dot(2), now: 0))
        #expect(removed.removed == 1)
        let delta = try #require(added.delta)
        #expect(b.state.apply(delta) == .applied)
        #expect(a.state.apply(removed.delta) == .applied)
        #expect(a.state == b.state)
        #expect(a.state.setElements(now: 0) == ["x"])
        _ = try a.state.setRemove(["x"], dot: a.dot(3), now: 0)
        b.join(a)
        #expect(b.state.isTombstone)
    }

    @Test("1: what was deleted stays deleted when a replica returns that had been away")
    func returned() throws {
        var a = Replica(1)
        var away = Replica(2)
        _ = try a.state.setAdd(["x", "y"], dot: a.dot(1), now: 0)
        away.join(a)
        _ = a.state.delete(dot: a.dot(2))
        away.join(a)
        var late = Replica(3)
        late.join(a)
        #expect(late.state.isTombstone && away.state.isTombstone)
        #expect(away.state == a.state)
    }

    @Test("a lost delta is noticed by the next one of its identity, never covered by it")
    func lostDelta() throws {
        var a = Replica(1)
        var b = Replica(2)
        let first = try #require(try a.state.setAdd(["x"], dot: a.dot(1), now: 0).delta)
        let second = try #require(try a.state.setAdd(["y"], dot: a.dot(2), now: 0).delta)
        #expect(b.state.apply(second) == .needsState)
        #expect(b.state == CRDTState())
        #expect(b.state.apply(first) == .applied)
        #expect(b.state.apply(second) == .applied)
        #expect(b.state.apply(first) == .alreadyKnown)
        #expect(b.state == a.state)
    }

    @Test("deltas of one identity in a row travel as one")
    func grouped() throws {
        var a = Replica(1)
        var b = Replica(2)
        var group = try #require(try a.state.setAdd(["x"], dot: a.dot(1), now: 0).delta)
        let second = try #require(try a.state.setRemove(["x"], dot: a.dot(2), now: 0)).delta
        let third = try #require(try a.state.setAdd(["y"], dot: a.dot(3), now: 0).delta)
        #expect(group.append(third) == false)
        #expect(group.append(second) == true)
        #expect(group.append(second) == false)
        #expect(group.append(third) == true)
        #expect(b.state.apply(group) == .applied)
        #expect(b.state == a.state)
    }

    @Test("type conflict: the newest live dot decides; the next mutation removes what is hidden")
    func typeConflict() throws {
        var a = Replica(1)
        var b = Replica(2)
        _ = try a.state.setAdd(["x"], dot: a.dot(1), now: 0)
        _ = try b.state.hashSet([("f", "v")], dot: b.dot(2), now: 0)
        a.join(b)
        b.join(a)
        #expect(a.state == b.state)
        #expect(a.state.type == .hash)
        #expect(a.state.setCount(now: 0) == 0)
        #expect(throws: CRDTRefusal.wrongType(.hash)) {
            try a.state.setAdd(["y"], dot: a.dot(3), now: 0)
        }
        var shown = b
        _ = try shown.state.hashRemove(["f"], dot: b.dot(3), now: 0)
        #expect(shown.state.isTombstone)
        let delta = try #require(try a.state.hashSet([("g", "w")], dot: a.dot(4), now: 0).delta)
        #expect(b.state.apply(delta) == .applied)
        #expect(b.state == a.state)
        _ = b.state.delete(dot: b.dot(5))
        #expect(b.state.isTombstone, "the set is gone, and not only hidden")
    }

    @Test("a counter's delete removes exactly the increments that it has seen")
    func exactReset() throws {
        var a = Replica(1)
        var b = Replica(2)
        _ = try a.state.increment(by: Quantity(1_000), dot: a.dot(1), now: 0)
        b.join(a)
        _ = b.state.delete(dot: b.dot(2))
        _ = try a.state.increment(by: Quantity(1), dot: a.dot(2), now: 0)
        a.join(b)
        b.join(a)
        #expect(a.state == b.state)
        #expect(a.state.string(now: 0) == .number(Quantity(1)))
    }

    @Test("a SET number and concurrent increments add up; what is no number hides and refuses them")
    func stringCounter() throws {
        var a = Replica(1)
        var b = Replica(2)
        _ = try a.state.set("10", dot: a.dot(1))
        b.join(a)
        _ = try a.state.increment(by: Quantity(1), dot: a.dot(2), now: 0)
        let half = try #require(Quantity(decimal: "0.5".utf8))
        _ = try b.state.increment(by: half, dot: b.dot(2), now: 0)
        a.join(b)
        #expect(a.state.string(now: 0).map(text) == "11.5")
        b.join(a)
        _ = try b.state.set("word", dot: b.dot(3))
        _ = try a.state.increment(by: Quantity(1), dot: a.dot(3), now: 0)
        a.join(b)
        #expect(a.state.string(now: 0) == .bytes("word"))
        #expect(throws: CRDTRefusal.notANumber) {
            try a.state.increment(by: Quantity(1), dot: a.dot(4), now: 0)
        }
        _ = try a.state.set("5", dot: a.dot(4))
        #expect(a.state.string(now: 0) == .bytes("5"))
    }

    @Test("an increment beyond the range is refused and changes nothing")
    func overflow() throws {
        var a = Replica(1)
        _ = try a.state.set("9223372036854775806", dot: a.dot(1))
        _ = try a.state.increment(by: Quantity(1), dot: a.dot(2), now: 0)
        let before = a.state
        #expect(throws: CRDTRefusal.overflow) {
            try a.state.increment(by: Quantity(1), dot: a.dot(3), now: 0)
        }
        #expect(a.state == before)
        #expect(a.state.string(now: 0) == .number(Quantity(.max)))
    }

    @Test("concurrent registers are all readable; the newest is the value")
    func siblings() throws {
        var a = Replica(1)
        var b = Replica(2)
        _ = try a.state.set("old", dot: a.dot(1))
        _ = try b.state.set("new", dot: b.dot(2))
        a.join(b)
        #expect(a.state.siblings(now: 0) == ["old", "new"])
        #expect(a.state.string(now: 0) == .bytes("new"))
        _ = try a.state.set("last", dot: a.dot(3))
        #expect(a.state.siblings(now: 0) == ["last"])
    }

    @Test("28: an expired register never uncovers an older one; a write without expiry replaces it")
    func registerExpiry() throws {
        var a = Replica(1)
        _ = try a.state.set("old", dot: a.dot(1))
        _ = try a.state.set("short", expiry: 50, dot: a.dot(2))
        #expect(a.state.string(now: 49) == .bytes("short"))
        #expect(a.state.string(now: 50) == nil)
        _ = try a.state.set("more", dot: a.dot(3))
        #expect(a.state.string(now: 50) == .bytes("more"))
        #expect(a.state.effectiveExpiry == 0)
    }

    @Test("28: a set expires everywhere at its time, and what nobody knew who set it stays")
    func setExpiry() throws {
        var a = Replica(1)
        var b = Replica(2)
        _ = try a.state.setAdd(["x"], dot: a.dot(1), now: 1)
        b.join(a)
        _ = a.state.expire(at: 50, dot: a.dot(2), now: 2)
        _ = try b.state.setAdd(["y"], dot: b.dot(3), now: 3)
        #expect(a.state.setCount(now: 49) == 1)
        #expect(a.state.setCount(now: 50) == 0)
        a.join(b)
        #expect(a.state.effectiveExpiry == 0)
        #expect(a.state.withoutElapsed(now: 50).setElements(now: 50) == ["y"])
        _ = a.state.removeElapsed(dot: a.dot(51), now: 51)
        b.join(a)
        #expect(b.state == a.state)
        #expect(b.state.setElements(now: 51) == ["y"])
    }

    @Test("28: a clock that runs ahead does not keep a key beyond an expiry set after its writes")
    func expiryAfterAheadWrites() throws {
        var a = Replica(1)
        _ = try a.state.setAdd(["x"], dot: a.dot(500), now: 10)
        _ = a.state.expire(at: 20, dot: a.dot(501), now: 10)
        #expect(a.state.setCount(now: 19) == 1)
        #expect(a.state.setCount(now: 20) == 0)
    }

    @Test("sorted set: an overwrite ends the increments it has seen; concurrent ones add up")
    func contributions() throws {
        var a = Replica(1)
        var b = Replica(2)
        _ = try a.state.sortedSetAdd([("m", 10)], dot: a.dot(1), now: 0)
        b.join(a)
        _ = try a.state.sortedSetIncrement("m", by: 1, dot: a.dot(2), now: 0)
        _ = try b.state.sortedSetIncrement("m", by: 2, dot: b.dot(2), now: 0)
        a.join(b)
        #expect(a.state.score("m", now: 0) == 13)
        b.join(a)
        _ = try b.state.sortedSetAdd([("m", 1)], dot: b.dot(3), now: 0)
        #expect(b.state.score("m", now: 0) == 1)
        _ = try a.state.sortedSetIncrement("m", by: 5, dot: a.dot(3), now: 0)
        a.join(b)
        #expect(a.state.score("m", now: 0) == 6, "1, and what the overwrite had not seen")
    }

    @Test("a bounded counter's decrement asks for the transfer that it rests on")
    func grounds() throws {
        var a = Replica(1)
        var b = Replica(2)
        var c = Replica(3)
        _ = try a.state.boundedCreate(0, dot: a.dot(1), now: 0)
        b.join(a)
        c.join(a)
        _ = try a.state.boundedIncrement(by: 5, dot: a.dot(2), now: 0)
        _ = try a.state.boundedTransfer(5, to: b.identity, dot: a.dot(3), now: 0)
        b.join(a)
        let decrement = try b.state.boundedDecrement(by: 5, dot: b.dot(4), now: 0)
        #expect(c.state.apply(decrement) == .needsState, "or c would read -5")
        c.join(b)
        #expect(c.state.boundedValue(now: 0) == 0)
        #expect(throws: CRDTRefusal.insufficientRights) {
            try a.state.boundedDecrement(by: 1, dot: a.dot(5), now: 0)
        }
    }

    @Test("a delete wins over what is concurrently done to a bounded counter")
    func boundedDelete() throws {
        var a = Replica(1)
        var b = Replica(2)
        _ = try a.state.boundedCreate(5, dot: a.dot(1), now: 0)
        b.join(a)
        _ = b.state.delete(dot: b.dot(2))
        let decrement = try a.state.boundedDecrement(by: 3, dot: a.dot(2), now: 0)
        #expect(b.state.apply(decrement) == .applied)
        a.join(b)
        #expect(a.state.isTombstone && a.state == b.state)
    }

    @Test("infinite scores: the base counts, and no score is ever NaN")
    func infinite() throws {
        var a = Replica(1)
        _ = try a.state.sortedSetAdd([("m", .infinity), ("n", -.infinity)], dot: a.dot(1), now: 0)
        _ = try a.state.sortedSetIncrement("m", by: -5, dot: a.dot(2), now: 0)
        #expect(a.state.score("m", now: 0) == .infinity)
        #expect(throws: CRDTRefusal.notANumber) {
            try a.state.sortedSetAdd([("m", .nan)], dot: a.dot(3), now: 0)
        }
        #expect(throws: CRDTRefusal.notANumber) {
            try a.state.sortedSetIncrement("m", by: -.infinity, dot: a.dot(3), now: 0)
        }
        _ = try a.state.sortedSetAdd([("o", 1)], dot: a.dot(4), now: 0)
        var b = Replica(2)
        b.join(a)
        _ = try a.state.sortedSetIncrement("o", by: .infinity, dot: a.dot(5), now: 0)
        #expect(a.state.score("o", now: 0) == .infinity)
        _ = try b.state.sortedSetIncrement("o", by: -.infinity, dot: b.dot(5), now: 0)
        a.join(b)
        #expect(a.state.score("o", now: 0) == 0, "infinities of both signs, as in ZUNION")
    }

    @Test("five clients add integers on two sides of a partition: none is lost")
    func noLostAdds() throws {
        var replicas = (1...5).map { Replica(UInt16($0)) }
        for number in 0..<500 {
            let index = number % 5
            let dot = replicas[index].dot(UInt64(number + 1))
            _ = try replicas[index].state.setAdd([bytes("\(number)")], dot: dot, now: 0)
            if number % 7 == 0 { replicas[(index + 2) % 4].join(replicas[index % 4]) }
        }
        for index in 1..<5 { replicas[0].join(replicas[index]) }
        #expect(replicas[0].state.setCount(now: 0) == 500)
    }
}
