import Base
import Causality
import Coding

@testable import CRDT

func identity(_ node: UInt16, _ epoch: UInt64 = 1) -> ReplicaIdentity {
    ReplicaIdentity(node: NodeID(node), epoch: epoch)
}

/// One key on several replicas, held twice: as states, and as the operations that each has seen.
struct World {
    struct Replica {
        var identity: ReplicaIdentity
        var state = CRDTState()
        var seen: UInt64 = 0
        var lastStamp: UInt64 = 0
    }

    /// A delta on its way, or lost, or to come twice.
    struct Message {
        let from: Int
        var delta: Delta
        var ops: UInt64
    }

    enum Reach: CaseIterable {
        case applied, alreadyKnown, needsState, grouped, refused, conflict, lost, compacted, refuted
    }

    static let opsMax = 40

    var random: PRNG
    var replicas: [Replica]
    var oracle = Oracle()
    var messages: [Message] = []
    /// Who talks to whom: equal numbers do.
    var sides: [Int]
    /// Stamps have as many bits as real ones.
    var now: UInt64 = 1_795_000_000_000
    /// What went wrong, if anything did.
    var failure: String?
    /// Which list element was ever shown right before which.
    var follows: Set<[String]> = []
    /// Rare things that came about.
    var reached: Set<Reach> = []
    /// Whether replicas forget what is settled.
    var compacts = false
    /// Everything stamped up to here every replica has seen, and nothing more is.
    var settled = Stamp(rawValue: 0)
    private var epoch: UInt64 = 1
    /// By replica what a backup holds, while nothing was lost since.
    var copies: [Int: Replica] = [:]
    /// Whether replicas return on what a backup holds.
    var returnsOld = false

    init(seed: UInt64) {
        random = PRNG(seed: seed)
        let count = 3 + random.below(3)
        replicas = (1...count).map { Replica(identity: CRDTTests.identity(UInt16($0))) }
        sides = Array(repeating: 0, count: count)
    }

    mutating func fail(_ text: String) { if failure == nil { failure = text } }

    /// Runs a schedule and heals; afterwards every replica must show what the oracle says.
    mutating func run(_ profile: Profile) {
        runUnhealed(profile)
        sides = Array(repeating: 0, count: replicas.count)
        for _ in 0..<2 {
            for target in replicas.indices {
                for source in replicas.indices where source != target { join(source, into: target) }
            }
        }
        for index in replicas.indices {
            check(index, always: true)
            if bytes(of: replicas[index].state) != bytes(of: replicas[0].state)
                || replicas[index].state != replicas[0].state
            {
                fail("replica \(index) has not converged")
            }
        }
        if !isOrderConsistent { fail("lists were shown in contradicting orders") }
    }

    /// Runs a schedule and leaves everything as it is.
    mutating func runUnhealed(_ profile: Profile) {
        for _ in 0..<(20 + random.below(60)) where failure == nil { step(profile) }
    }

    private mutating func step(_ profile: Profile) {
        now += UInt64(random.below(20))
        if compacts && random.chance(perMille: 400) { compact(random.below(replicas.count)) }
        if returnsOld { copyOrReturn(profile) }
        switch random.below(100) {
        case ..<35:
            if oracle.ops.count < World.opsMax && oracle.items.count < 110 {
                act(random.below(replicas.count), profile)
            }
        case ..<75: deliver()
        case ..<80: if !messages.isEmpty { messages.remove(at: random.below(messages.count)) }
        case ..<86: group()
        case ..<93:
            let source = random.below(replicas.count)
            let target = random.below(replicas.count)
            if sides[source] == sides[target] { join(source, into: target) }
        case ..<97:
            for index in sides.indices { sides[index] = random.below(2) }
        case ..<98: lose(random.below(replicas.count))
        default: sides = Array(repeating: 0, count: replicas.count)
        }
    }

    private mutating func deliver() {
        guard !messages.isEmpty else { return }
        let index = random.below(messages.count)
        let message = messages[index]
        let target = random.below(replicas.count)
        guard sides[message.from] == sides[target], target != message.from else { return }
        if random.chance(perMille: 300) { messages.remove(at: index) }
        let before = replicas[target].seen
        let result = replicas[target].state.apply(carried(message.delta))
        checkResult(result, message, before)
        switch result {
        case .applied: replicas[target].seen |= message.ops
        case .alreadyKnown: break
        case .needsState: if random.chance(perMille: 500) { join(message.from, into: target) }
        case .tooMany: fail("a small state is full")
        }
        check(target)
    }

    private mutating func checkResult(_ result: ApplyResult, _ message: Message, _ before: UInt64) {
        let isKnown = message.ops & ~before == 0
        switch result {
        case .applied: reached.insert(.applied)
        case .alreadyKnown: reached.insert(.alreadyKnown)
        case .needsState: reached.insert(.needsState)
        case .tooMany: break
        }
        if (result == .alreadyKnown) != isKnown { fail("\(result) for a delta known: \(isKnown)") }
        var past: UInt64 = 0
        for (index, op) in oracle.ops.enumerated() where message.ops & 1 << UInt64(index) != 0 {
            past |= op.seen
        }
        if !compacts && result == .needsState && past & ~(before | message.ops) == 0 {
            fail("a state was asked for although all of the past is there")
        }
    }

    /// Two deltas of one identity, of which one may follow the other, become one.
    private mutating func group() {
        guard messages.count > 1 else { return }
        let first = random.below(messages.count)
        let second = random.below(messages.count)
        guard first != second else { return }
        var grown = messages[first]
        guard grown.delta.append(messages[second].delta) else { return }
        reached.insert(.grouped)
        grown.ops |= messages[second].ops
        messages[first] = grown
        if random.chance(perMille: 500) { messages.remove(at: second) }
    }

    private mutating func join(_ source: Int, into target: Int) {
        let sent = carried(replicas[source].state)
        replicas[target].state.join(sent)
        replicas[target].seen |= replicas[source].seen
        check(target)
    }

    /// The replica's memory of the key is gone, and it comes back as somebody else.
    private mutating func lose(_ index: Int) {
        reached.insert(.lost)
        replace(index, by: CRDTState(), seen: 0)
    }

    /// The replica's memory of the key is another one, and it comes back as somebody else.
    mutating func replace(_ index: Int, by state: CRDTState, seen: UInt64) {
        epoch += 1
        copies = [:]
        replicas[index] = Replica(
            identity: CRDTTests.identity(UInt16(index + 1), epoch), state: state, seen: seen,
            lastStamp: replicas[index].lastStamp)
    }

    /// A dot that is later than all that the replica has seen, near the time.
    mutating func mint(_ index: Int) -> Dot {
        let skew = UInt64(random.below(10))
        let newest = replicas[index].state.context.newest?.stamp.rawValue ?? 0
        let stamp = max(
            newest + 1, replicas[index].lastStamp + 1, settled.rawValue + 1, (now - skew) << 16)
        replicas[index].lastStamp = stamp
        return Dot(identity: replicas[index].identity, stamp: Stamp(rawValue: stamp))
    }

    mutating func check(_ index: Int, always: Bool = false) {
        let replica = replicas[index]
        if replica.state.type == .list {
            let shown = replica.state.listTexts(now: now).map { slot($0) }
            for pair in zip(shown, shown.dropFirst()) { follows.insert([pair.0, pair.1]) }
        }
        guard failure == nil, always || random.chance(perMille: 300) else { return }
        let expected = oracle.view(replica.seen, now: now)
        if Set(expected.live.compactMap { oracle.items[$0].type }).count > 1 {
            reached.insert(.conflict)
        }
        let actual = replica.state.words(now: now)
        if actual != expected.words {
            fail("replica \(index) shows \(actual), not \(expected.words)")
        }
        for other in replicas where other.state.context == replica.state.context {
            if other.state != replica.state { fail("equal contexts with other contents") }
        }
        if case .creation(let bound)? = expected.creation.map({ oracle.items[$0].content }),
            expected.boundedValue < bound
        {
            fail("overdrawn")
        }
    }

    /// Whether one order of all elements agrees with every list that was ever shown.
    var isOrderConsistent: Bool {
        var edges = follows
        var slots = Set(edges.flatMap { $0 })
        while !slots.isEmpty {
            let targets = Set(edges.map { $0[1] })
            let free = slots.subtracting(targets)
            if free.isEmpty { return false }
            slots.subtract(free)
            edges = edges.filter { !free.contains($0[0]) }
        }
        return true
    }
}

/// The slot that a list element's text names.
func slot(_ text: String) -> String { String(text.prefix { $0 != "v" }) }

func bytes(of state: CRDTState) -> [UInt8] {
    var buffer = ByteBuffer()
    state.encode(into: &buffer)
    return Array(buffer.bytes)
}

func bytes(of delta: Delta) -> [UInt8] {
    var buffer = ByteBuffer()
    delta.encode(into: &buffer)
    return Array(buffer.bytes)
}

func decodedState(_ bytes: [UInt8]) throws(DecodeError) -> CRDTState {
    var result: Result<CRDTState, DecodeError> = .failure(.truncated)
    bytes.withUnsafeBytes { bytes in
        do throws(DecodeError) {
            result = .success(try CRDTState(decoding: bytes))
        } catch {
            result = .failure(error)
        }
    }
    return try result.get()
}

func decodedDelta(_ bytes: [UInt8]) throws(DecodeError) -> Delta {
    var result: Result<Delta, DecodeError> = .failure(.truncated)
    bytes.withUnsafeBytes { bytes in
        do throws(DecodeError) {
            result = .success(try Delta(decoding: bytes))
        } catch {
            result = .failure(error)
        }
    }
    return try result.get()
}

extension World {
    /// What arrives of a delta: its bytes, read.
    mutating func carried(_ delta: Delta) -> Delta {
        guard random.chance(perMille: 300) else { return delta }
        let decoded = try? decodedDelta(bytes(of: delta))
        if decoded != delta { fail("a delta does not survive its encoding") }
        return delta
    }

    mutating func carried(_ state: CRDTState) -> CRDTState {
        guard random.chance(perMille: 300) else { return state }
        let decoded = try? decodedState(bytes(of: state))
        if decoded != state { fail("a state does not survive its encoding") }
        return decoded ?? state
    }
}
