import Base
import Causality
import Testing

@testable import CRDT

@Suite("Cost and lifecycle")
struct LifecycleTests {
    @Test("an add to a large set is a delta of a few bytes, and touches one chunk")
    func smallDeltas() throws {
        var a = Replica(1)
        var b = Replica(2)
        let elements = (0..<20_000).map { bytes("element-\($0)-0123456789-0123456789-0123456789") }
        let all = try #require(try a.state.setAdd(elements, dot: a.dot(1), now: 0).delta)
        #expect(b.state.apply(all) == .applied)
        #expect(bytes(of: a.state).count > 1_000_000)
        for (time, element) in (["one", "two"] as [Bytes]).enumerated() {
            let dot = a.dot(UInt64(time) + 2)
            let delta = try #require(try a.state.setAdd([element], dot: dot, now: 0).delta)
            #expect(bytes(of: delta).count < 50)
            #expect(b.state.apply(delta) == .applied)
        }
        let done = a.state.delete(dot: a.dot(9))
        let deletion = try #require(done)
        #expect(bytes(of: deletion).count < 70)
        #expect(b.state.apply(deletion) == .applied)
        #expect(b.state.isTombstone && b.state == a.state)
        #expect(bytes(of: b.state).count < 30)
    }

    @Test("rights of a departed identity are taken over")
    func retiredRights() throws {
        var gone = Replica(1)
        var stays = Replica(2)
        _ = try gone.state.boundedCreate(10, dot: gone.dot(1), now: 0)
        stays.join(gone)
        #expect(throws: CRDTRefusal.insufficientRights) {
            try stays.state.boundedDecrement(by: 1, dot: stays.dot(2), now: 0)
        }
        _ = stays.state.retire([gone.identity], dot: stays.dot(3))
        #expect(stays.state.boundedRights(of: stays.identity, now: 0) == 10)
        _ = try stays.state.boundedDecrement(by: 10, dot: stays.dot(4), now: 0)
        #expect(stays.state.boundedValue(now: 0) == 0)
    }

    @Test("who takes rights over without having seen all that was done with them undoes none of it")
    func staleRetirement() throws {
        var gone = Replica(1)
        var next = Replica(2)
        var other = Replica(3)
        _ = try gone.state.boundedCreate(10, dot: gone.dot(1), now: 0)
        next.join(gone)
        _ = try gone.state.boundedDecrement(by: 7, dot: gone.dot(2), now: 0)
        _ = try gone.state.boundedTransfer(2, to: other.identity, dot: gone.dot(3), now: 0)
        other.join(gone)
        _ = next.state.retire([gone.identity], dot: next.dot(4))
        _ = try next.state.boundedDecrement(by: 1, dot: next.dot(5), now: 0)
        let (before, late) = (other.state, next.state)
        other.join(next)
        next.state.join(before)
        #expect(other.state == next.state && late != next.state)
        #expect(other.state.boundedValue(now: 0) == 2)
        #expect(other.state.boundedRights(of: other.identity, now: 0) == 2)
    }

    @Test("who was granted rights without ever writing is not named by a compacted context")
    func compactedGrant() throws {
        var first = Replica(1)
        var second = Replica(2)
        _ = try first.state.set("old", dot: first.dot(1))
        second.join(first)
        _ = second.state.delete(dot: second.dot(2))
        var third = Replica(3)
        third.join(second)
        _ = try third.state.boundedCreate(100, dot: third.dot(3), now: 0)
        let receiver = Replica(4).identity
        _ = try third.state.boundedTransfer(10, to: receiver, dot: third.dot(4), now: 0)
        let isCompacted = third.state.compact()
        #expect(isCompacted)
        #expect(third.state.context.entries.map(\.identity) == [third.identity])
        #expect(try decodedState(bytes(of: third.state)) == third.state)
        #expect(third.state.boundedRights(of: receiver, now: 0) == 10)
    }

    @Test("what removals remember of several fields is forgotten at any stamp that a clock gives")
    func sweep() throws {
        let fields = (0..<7).map { Bytes(Array("f\($0)".utf8)) }
        for step in 0..<200 as Range<UInt64> {
            var replica = Replica(1)
            let begun = 1_795_000_000_000 + step * 987_654_321
            for (index, field) in fields.enumerated() {
                let dot = replica.dot(begun + UInt64(index))
                _ = try replica.state.hashIncrement(field, by: Quantity(1), dot: dot, now: begun)
            }
            let removal = replica.dot(begun + 10)
            _ = try replica.state.hashRemove(fields, dot: removal, now: begun)
            for later in 1...4 as ClosedRange<UInt64> {
                let dot = replica.dot(begun + 20 + later)
                var delta = try replica.state.hashIncrement(
                    Bytes([UInt8(later)]), by: Quantity(1), dot: dot, now: begun)
                replica.state.sweep(&delta, through: removal.stamp)
            }
            #expect(replica.state.contents.hash.ended.isEmpty)
        }
    }
}
