import Base
import CLinux
import Causality
import Coding
import Testing

@testable import CRDT

/// What two valid things make together is valid, or refused by name, at and beyond every limit.
@Suite("Limits are closed under merging")
struct ClosureTests {
    /// A state that so many identities have written, of each type.
    private func state(_ type: CRDTType, identities: Int, node: UInt16) -> CRDTState {
        var state = CRDTState()
        var last = CRDTState()
        for epoch in 1...UInt64(identities) {
            let dot = Dot(
                identity: identity(node, epoch),
                stamp: Stamp(milliseconds: epoch * 2 + UInt64(node)))
            switch type {
            case .string: state.contents.counter.addOne(dot)
            case .set:
                state.contents.set.insert(bytes("\(epoch)"), DotEntry(dot: dot, payload: .init()))
            default: state.contents.hash = CountedMap()
            }
            last.context.insert(dot)
        }
        state.context = last.context
        return state
    }

    private func isReadable(_ state: CRDTState) -> Bool {
        (try? decodedState(bytes(of: state))) == state
    }

    @Test(
        "states of thousands of identities meet and can be written, or say that they cannot",
        arguments: [CRDTType.string, .set], [3_000, 33_000])
    func identities(_ type: CRDTType, _ count: Int) {
        var a = state(type, identities: count, node: 1)
        let b = state(type, identities: count, node: 2)
        #expect(a.isWithinLimits && isReadable(a))
        a.join(b)
        #expect(a.isWithinLimits == (2 * count <= CRDTState.identitiesMax))
        #expect(isReadable(a) == a.isWithinLimits)
    }

    @Test("a delta of one identity too many is refused, and changes nothing")
    func delta() throws {
        var full = CRDTState()
        var context: [Dot] = []
        for epoch in 1...UInt64(CRDTState.identitiesMax) {
            context.append(Dot(identity: identity(1, epoch), stamp: Stamp(milliseconds: epoch)))
        }
        for dot in context { full.context.insert(dot) }
        var other = Replica(2)
        let made = try other.state.setAdd(["x"], dot: other.dot(99_999), now: 0).delta
        let delta = try #require(made)
        let before = full
        #expect(full.apply(delta) == .tooMany)
        #expect(full == before && full.isWithinLimits)
        #expect(!full.mayGrow(by: other.identity, replicas: 1))
        #expect(full.mayGrow(by: identity(1, 1), replicas: 3))
    }

    @Test(
        "replicas that let nobody in beyond their part never make too much together",
        arguments: [1, 3, 7, 32])
    func parts(_ replicas: Int) {
        let part = CRDTState.identitiesMax / replicas
        #expect(part * replicas <= CRDTState.identitiesMax)
        let state = state(.set, identities: min(part, 3_000), node: 1)
        #expect(
            state.mayGrow(by: identity(9), replicas: replicas)
                == (state.context.entries.count < part))
    }

    @Test(
        "what schedules of every type lead to can be read back, and so can all of it together",
        arguments: Profile.allCases)
    func schedules(_ profile: Profile) {
        for seed in 0..<20 as Range<UInt64> {
            var world = World(seed: seed)
            world.runUnhealed(profile)
            var sum = CRDTState()
            for replica in world.replicas {
                sum.join(replica.state)
                #expect(isReadable(sum))
            }
        }
    }

    @Test("many writes of one identity under one key, as only a broken node sends them, can be met")
    func crowded() {
        var (a, b) = (CRDTState(), CRDTState())
        for number in 1...10_000 as ClosedRange<UInt64> {
            let dot = Dot(
                identity: identity(UInt16(1 + number % 2)), stamp: Stamp(rawValue: number))
            let entry = DotEntry(dot: dot, payload: Presence())
            if number % 2 == 0 {
                a.contents.flag.insert(.unit, entry)
            } else {
                b.contents.flag.insert(.unit, entry)
            }
            if number % 2 == 0 { a.context.insert(dot) } else { b.context.insert(dot) }
        }
        #expect(isReadable(a) && isReadable(b))
        a.join(b)
        #expect(isReadable(a))
    }

    /// In a process of its own: other tests, which run beside this one, use the heap too.
    @Test("25,000 deltas that are read and done leave no memory behind")
    func leaks() async {
        await #expect(processExitsWith: .success) {
            var a = Replica(1)
            var state = CRDTState()
            func work(_ times: Range<UInt64>) throws {
                for time in times {
                    let made = try a.state.setAdd(["x"], dot: a.dot(time), now: 0).delta
                    guard let made else { continue }
                    let outcome = state.apply(try decodedDelta(bytes(of: made)))
                    try #require(outcome == .applied)
                }
            }
            try work(1..<1_000)
            let before = Int(quorate_heap_in_use())
            try work(1_000..<26_000)
            // A box of 168 bytes that each delta loses would be 4 MB.
            let grown = Int(quorate_heap_in_use()) - before
            try #require(grown < 100_000, "\(grown) bytes")
        }
    }
}

extension Accounts {
    fileprivate mutating func addOne(_ dot: Dot) {
        var changes = Accounts()
        add(Quantity(1), dot: dot, into: &changes)
    }
}
