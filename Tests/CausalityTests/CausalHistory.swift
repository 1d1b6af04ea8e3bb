import Base
import Coding

@testable import Causality

func identity(_ node: UInt16, _ epoch: UInt64 = 1) -> ReplicaIdentity {
    ReplicaIdentity(node: NodeID(node), epoch: epoch)
}

func dot(_ node: UInt16, _ stamp: UInt64, epoch: UInt64 = 1) -> Dot {
    Dot(identity: identity(node, epoch), stamp: Stamp(rawValue: stamp))
}

func vector(_ dots: Dot...) -> VersionVector {
    var result = VersionVector()
    for dot in dots { result.insert(dot) }
    return result
}

/// The second implementation: it remembers every write by name, as no system could afford to.
struct CausalHistory: Equatable {
    var seen: Set<Dot> = []
    var live: [Dot: [UInt8]] = [:]

    mutating func write(_ dot: Dot, _ value: [UInt8]?, seen context: Set<Dot>) {
        for old in context { live[old] = nil }
        seen.formUnion(context)
        seen.insert(dot)
        live[dot] = value
    }

    mutating func join(_ other: CausalHistory) {
        let dead = seen.subtracting(live.keys).union(other.seen.subtracting(other.live.keys))
        live.merge(other.live) { mine, _ in mine }
        for dot in dead { live[dot] = nil }
        seen.formUnion(other.seen)
    }
}

/// One key on several replicas, held twice: as sibling sets, and as causal histories.
struct World {
    var identities: [ReplicaIdentity]
    var sets: [SiblingSet]
    var histories: [CausalHistory]
    /// Every dot that was ever minted, in order.
    var minted: [Dot] = []
    /// What clients have read: at first nothing.
    var contexts: [(context: CausalContext, seen: Set<Dot>)] = [(CausalContext(), [])]
    private var lastStamp: [UInt64]

    init(replicas: Int) {
        identities = (1...replicas).map { identity(UInt16($0)) }
        sets = Array(repeating: SiblingSet(), count: replicas)
        histories = Array(repeating: CausalHistory(), count: replicas)
        lastStamp = Array(repeating: 0, count: replicas)
    }

    /// A write, or a delete without a value, by a client with one of the contexts.
    mutating func write(at replica: Int, reader: Int, value: Bool) {
        let (context, seen) = contexts[reader]
        let dot = mint(at: replica, after: context)
        minted.append(dot)
        let bytes = [UInt8(truncatingIfNeeded: minted.count)]
        if value {
            sets[replica].update(dot: dot, value: bytes, expiry: 0, context: context)
        } else {
            sets[replica].delete(dot: dot, context: context)
        }
        histories[replica].write(dot, value ? bytes : nil, seen: seen)
    }

    private mutating func mint(at replica: Int, after context: CausalContext) -> Dot {
        let stored = sets[replica].newest?.stamp.rawValue ?? 0
        let stamp = max(lastStamp[replica], stored, context.newest?.stamp.rawValue ?? 0) + 1
        lastStamp[replica] = stamp
        return Dot(identity: identities[replica], stamp: Stamp(rawValue: stamp))
    }

    /// Gives an expiry to what a replica holds; no history of writes learns of it.
    mutating func expire(at replica: Int, _ milliseconds: UInt64) {
        guard !sets[replica].context.isEmpty else { return }
        let dot = mint(at: replica, after: CausalContext())
        sets[replica].expire(at: milliseconds, sets[replica].siblings.map(\.dot), dot: dot)
    }

    /// Gives what a replica holds a time that is over.
    mutating func remove(at replica: Int) {
        guard !sets[replica].context.isEmpty else { return }
        let dot = mint(at: replica, after: CausalContext())
        sets[replica].remove(sets[replica].siblings.map(\.dot), dot: dot)
    }

    /// A client reads a replica and keeps the context.
    mutating func read(at replica: Int) {
        contexts.append((sets[replica].seen, histories[replica].seen))
    }

    mutating func send(from source: Int, to target: Int) {
        sets[target].join(sets[source])
        histories[target].join(histories[source])
    }

    /// The replica's memory of the key is gone.
    mutating func lose(at replica: Int, identity: ReplicaIdentity) {
        sets[replica] = SiblingSet()
        histories[replica] = CausalHistory()
        identities[replica] = identity
        lastStamp[replica] = 0
    }

    /// Whether both implementations have the same live values and have seen the same dots.
    func agree(at replica: Int) -> Bool {
        let set = sets[replica]
        let history = histories[replica]
        set.checkInvariants()
        return set.siblings.count == history.live.count
            && set.siblings.allSatisfy { $0.isSpent || history.live[$0.dot] == $0.value }
            && minted.allSatisfy { set.context.contains($0) == history.seen.contains($0) }
    }

    var agree: Bool { sets.indices.allSatisfy { agree(at: $0) } }
}
