import Base
import Coding
import Testing

@testable import CRDT

@Suite("What is read over without being built is what building it gives")
struct StateScanTests {
    private static let plain: [Profile] = [.string, .flag, .set, .hash, .sortedSet, .list]

    private func samples(
        _ profile: Profile, seed: UInt64
    ) -> (states: [CRDTState], deltas: [Delta]) {
        var world = World(seed: seed)
        world.runUnhealed(profile)
        return (world.replicas.map(\.state), world.messages.map(\.delta))
    }

    /// - Returns: whether the state was known without building it.
    @discardableResult
    func checkState(_ bytes: [UInt8]) -> Bool {
        guard let scanned = bytes.withUnsafeBytes({ CRDTState.scan($0) }) else { return false }
        guard let state = try? decodedState(bytes) else {
            Issue.record("what is read over is a state")
            return true
        }
        #expect(state.context.newest == scanned.newest)
        #expect(!state.isTombstone)
        checkExpiry(of: state, scanned.expiry)
        return true
    }

    /// What ends as a whole has no part that ends earlier.
    private func checkExpiry(of state: CRDTState, _ expiry: UInt64) {
        #expect(state.effectiveExpiry == expiry && state.nextExpiry == expiry)
    }

    /// - Returns: whether the state that the delta begins was known without building it.
    @discardableResult
    func checkDelta(_ encoded: [UInt8]) -> Bool {
        var buffer = ByteBuffer()
        buffer.append(7)
        let scanned = encoded.withUnsafeBytes { CRDTState.transcribe($0, into: &buffer) }
        guard let scanned else { return false }
        guard let delta = try? decodedDelta(encoded) else {
            Issue.record("what is read over is a delta")
            return true
        }
        var state = CRDTState()
        #expect(state.apply(delta) == .applied)
        let isSame = bytes(of: state) == Array(buffer.bytes.dropFirst())
        #expect(isSame)
        #expect(delta.dot == scanned.newest && state.context.newest == scanned.newest)
        #expect(!state.isTombstone)
        checkExpiry(of: state, scanned.expiry)
        return true
    }

    @Test("states and first deltas of random schedules", arguments: Profile.allCases)
    func schedules(_ profile: Profile) {
        var (states, deltas) = (0, 0)
        for seed in 0..<(ScheduleTests.count / 4) {
            let (all, sent) = samples(profile, seed: seed)
            states += all.count { checkState(bytes(of: $0)) }
            deltas += sent.count { checkDelta(bytes(of: $0)) }
        }
        guard StateScanTests.plain.contains(profile) else { return }
        #expect(states > 0)
        #expect(deltas > 0)
    }

    /// Does a delta to a state, encoded and built, and compares.
    ///
    /// - Returns: whether the new state was known without building it.
    @discardableResult
    func checkGraft(_ encoded: [UInt8], onto state: inout CRDTState) -> Bool {
        let before = bytes(of: state)
        var buffer = ByteBuffer()
        buffer.append(7)
        let grafted = encoded.withUnsafeBytes { delta in
            before.withUnsafeBytes { CRDTState.graft(delta: delta, onto: $0, into: &buffer) }
        }
        guard let delta = try? decodedDelta(encoded) else {
            #expect(grafted == .unknown || grafted == .alreadyKnown, "what is done is a delta")
            return false
        }
        #expect(encoded.withUnsafeBytes { Delta.dot(encoded: $0) } == delta.dot)
        let result = state.apply(delta)
        switch grafted {
        case .unknown: return false
        case .alreadyKnown: #expect(result == .alreadyKnown)
        case .state(let newest, let isLive, let expiry):
            #expect(result == .applied)
            #expect(bytes(of: state) == Array(buffer.bytes.dropFirst()))
            #expect(state.context.newest == newest)
            #expect(state.isTombstone == !isLive)
            checkExpiry(of: state, expiry)
            return true
        }
        return false
    }

    @Test(
        "later deltas of random schedules, on a state that hears of all",
        arguments: Profile.allCases)
    func grafts(_ profile: Profile) {
        var grafted = 0
        for seed in 0..<(ScheduleTests.count / 4) {
            var state = CRDTState()
            for delta in samples(profile, seed: seed).deltas {
                if checkGraft(bytes(of: delta), onto: &state) { grafted += 1 }
            }
        }
        guard StateScanTests.plain.contains(profile) else { return }
        #expect(grafted > 0)
    }

    @Test("damaged deltas are never done to a state", arguments: Profile.allCases)
    func damagedGrafts(_ profile: Profile) {
        var random = PRNG(seed: 12)
        for seed in 0..<(ScheduleTests.count / 10) {
            var state = CRDTState()
            for delta in samples(profile, seed: seed).deltas {
                for _ in 0..<4 {
                    let damaged = random.damage(bytes(of: delta))
                    var other = state
                    _ = checkGraft(damaged, onto: &other)
                }
                _ = state.apply(delta)
            }
        }
    }

    @Test(
        "damaged states and deltas are never read over as anything that they are not",
        arguments: Profile.allCases)
    func damaged(_ profile: Profile) {
        var random = PRNG(seed: 11)
        for seed in 0..<(ScheduleTests.count / 10) {
            let (states, deltas) = samples(profile, seed: seed)
            for original in states.map(bytes(of:)) + deltas.map(bytes(of:)) where !original.isEmpty
            {
                for _ in 0..<4 {
                    let damaged = random.damage(original)
                    _ = checkState(damaged)
                    _ = checkDelta(damaged)
                }
            }
        }
    }
}

extension PRNG {
    /// Bytes, at least one, of which one is another, one too many or missing.
    mutating func damage(_ bytes: [UInt8]) -> [UInt8] {
        var damaged = bytes
        let place = below(damaged.count)
        switch below(3) {
        case 0: damaged[place] = UInt8(below(256))
        case 1: damaged.insert(UInt8(below(4)), at: place)
        default: damaged.remove(at: place)
        }
        return damaged
    }
}
