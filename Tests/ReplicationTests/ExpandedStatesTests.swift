import Base
import CRDT
import Causality
import Testing

@testable import Replication

@Suite("States that are kept as values")
struct ExpandedStatesTests {
    private func dot(_ time: UInt64) -> Dot {
        Dot(identity: ReplicaIdentity(rawValue: 7), stamp: Stamp(rawValue: time))
    }

    @Test("a size that was guessed is measured when asked for, once, and never below what is there")
    func sizes() throws {
        var states = ExpandedStates()
        var state = CRDTState()
        let elements = (0..<100).map { Bytes(Array("element-\($0)".utf8)) }
        _ = try state.setAdd(elements, dot: dot(1), now: 0)
        let size = SizeChange(growth: state.encodedBytes, doubt: 0)
        let place = [UInt8(7)].withUnsafeBytes { states.insert(state, size, of: $0) }
        #expect(states.measure(place, state) == state.encodedBytes)
        for time in 2...20 as ClosedRange<UInt64> {
            var taken = states.take(place)
            _ = try taken.setAdd([Bytes(Array("more-\(time)".utf8))], dot: dot(time), now: 0)
            states.put(taken, at: place, SizeChange(growth: 64))
            #expect(states.bytes(of: place) >= taken.encodedBytes)
        }
        #expect(states.bytes(of: place) > states[place].encodedBytes, "guessed")
        let taken = states.take(place)
        let measured = states.measure(place, taken)
        #expect(measured == taken.encodedBytes && states.bytes(of: place) == measured)
        #expect(states.measure(place, CRDTState()) == measured, "not measured again")
        states.put(taken, at: place, .none)
        #expect(states.byteCount == measured)
    }
}
