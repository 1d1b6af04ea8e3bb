import Base
import Coding
import Testing

@testable import CRDT

@Suite("Laws of every type")
struct LawTests {
    /// States and deltas that random schedules lead to, as they are before everything has healed.
    private func samples(
        _ profile: Profile, seed: UInt64
    ) -> (states: [CRDTState], deltas: [Delta]) {
        var world = World(seed: seed)
        world.runUnhealed(profile)
        return (world.replicas.map(\.state) + [CRDTState()], world.messages.map(\.delta))
    }

    private func joined(_ a: CRDTState, _ b: CRDTState) -> CRDTState {
        var sum = a
        sum.join(b)
        return sum
    }

    /// Says little when it fails: states are long.
    private func expect(
        _ a: CRDTState, _ b: CRDTState, _ place: SourceLocation = #_sourceLocation
    ) {
        let isEqual = a == b
        #expect(isEqual, sourceLocation: place)
    }

    @Test(
        "merge is commutative, associative, idempotent, inflationary; equal is equal in bytes",
        arguments: Profile.allCases)
    func merge(_ profile: Profile) {
        for seed in 0..<(ScheduleTests.count / 10) {
            let (states, _) = samples(profile, seed: seed)
            for a in states {
                expect(joined(a, a), a)
                // Where nothing is held, what arrives is taken as it is.
                #expect(bytes(of: joined(CRDTState(), a)) == bytes(of: a))
                for b in states {
                    let sum = joined(a, b)
                    expect(sum, joined(b, a))
                    #expect(bytes(of: sum) == bytes(of: joined(b, a)))
                    expect(joined(sum, a), sum)
                    expect(joined(sum, b), sum)
                    #expect(sum.context.dominates(a.context))
                    expect(joined(sum, states[0]), joined(a, joined(b, states[0])))
                }
            }
        }
    }

    @Test(
        "a delta changes nothing unless applied, is then known, and adds to what was there",
        arguments: Profile.allCases)
    func deltas(_ profile: Profile) {
        for seed in 0..<(ScheduleTests.count / 10) {
            let (states, deltas) = samples(profile, seed: seed)
            for delta in deltas {
                for var state in states {
                    let before = state
                    let result = state.apply(delta)
                    if result != .applied { expect(state, before) }
                    if result == .applied {
                        expect(joined(state, before), state)
                        #expect(state.apply(delta) == .alreadyKnown)
                    }
                }
            }
        }
    }

    @Test(
        "states and deltas survive their encoding, and every part of it is needed",
        arguments: Profile.allCases)
    func roundTrip(_ profile: Profile) throws {
        for seed in 0..<(ScheduleTests.count / 30) {
            let (states, deltas) = samples(profile, seed: seed)
            for state in states {
                let encoded = bytes(of: state)
                #expect(try decodedState(encoded) == state)
                for length in 0..<encoded.count {
                    let part = Array(encoded[..<length])
                    #expect(throws: DecodeError.self) { try decodedState(part) }
                }
                #expect(throws: DecodeError.self) { try decodedState(encoded + [0]) }
            }
            for delta in deltas {
                let encoded = bytes(of: delta)
                #expect(try decodedDelta(encoded) == delta)
                for length in 0..<encoded.count {
                    let part = Array(encoded[..<length])
                    #expect(throws: DecodeError.self) { try decodedDelta(part) }
                }
            }
        }
    }

    @Test(
        "damaged bytes throw or decode to what has just these bytes; nothing traps",
        arguments: Profile.allCases)
    func damage(_ profile: Profile) {
        var random = PRNG(seed: 7)
        for seed in 0..<(ScheduleTests.count / 10) {
            let (states, deltas) = samples(profile, seed: seed)
            for _ in 0..<30 {
                var state = bytes(of: states[random.below(states.count)])
                damage(&state, &random)
                useState(state, states[0])
                guard !deltas.isEmpty else { continue }
                var delta = bytes(of: deltas[random.below(deltas.count)])
                damage(&delta, &random)
                useDelta(delta, states)
                let noise = (0..<random.below(80)).map { _ in UInt8(random.below(256)) }
                useState(noise, states[0])
                useDelta(noise, states)
            }
        }
    }

    private func damage(_ bytes: inout [UInt8], _ random: inout PRNG) {
        for _ in 0...random.below(3) {
            let place = random.below(bytes.count)
            switch random.below(4) {
            case 0: bytes[place] = UInt8(random.below(256))
            case 1: bytes[place] ^= 1 << UInt8(random.below(8))
            case 2: bytes.insert(UInt8(random.below(256)), at: place)
            default: if bytes.count > 1 { bytes.remove(at: place) }
            }
        }
    }

    /// Whatever decodes must be usable.
    private func useState(_ damaged: [UInt8], _ other: CRDTState) {
        guard let state = try? decodedState(damaged) else { return }
        #expect(bytes(of: state) == damaged)
        #expect(!state.words(now: 1_100).isEmpty)
        expect(joined(state, other), joined(other, state))
        expect(joined(joined(state, other), state), joined(state, other))
    }

    private func useDelta(_ damaged: [UInt8], _ states: [CRDTState]) {
        guard let delta = try? decodedDelta(damaged) else { return }
        #expect(bytes(of: delta) == damaged)
        for var state in states {
            _ = state.apply(delta)
            #expect(!state.words(now: 1_100).isEmpty)
            let encoded = bytes(of: state)
            #expect((try? decodedState(encoded)) != nil)
        }
    }
}
