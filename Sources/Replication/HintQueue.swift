import Base
import Causality

/// A record that this node keeps for a replica that is away.
struct Hint {
    /// One encoded `Record`.
    let record: [UInt8]
    /// Wall-clock milliseconds since 1970 from which its age counts: of what was merged into it,
    /// the oldest.
    let since: UInt64
    /// The name under which this node mints on top of it; nil where it may not.
    var chain: StandInChain?

    func withRecord<Result>(_ body: (Record) -> Result) -> Result {
        record.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else {
                preconditionFailure("a hint holds a record")
            }
            return body(Record(at: base))
        }
    }

    /// What a hint takes: its record, its key once more, and its share of the tables.
    var byteCount: Int { record.count + HintQueue.overheadBytes }
}

/// A name for what a fallback mints of one key where values are kept side by side.
///
/// A causal context says of an identity "everything up to here", so whoever mints under one has to
/// know all that was ever minted under it for the key. A fallback forgets what it handed off; so it
/// mints under a name that ends with its last hint of the key, at the latest with its life.
///
/// Source: the per-key actor epochs of Riak 2.1 (`riak_kv_vnode`), for the same reason.
struct StandInChain: Equatable {
    let identity: ReplicaIdentity
    /// Who the node was when it began.
    let life: ReplicaIdentity

    /// The chain that goes on under a name.
    init(named identity: ReplicaIdentity, life: ReplicaIdentity) {
        (self.identity, self.life) = (identity, life)
    }

    /// - Parameter stamp: of the first write under the new name.
    init(life: ReplicaIdentity, stamp: UInt64) {
        self.life = life
        // Starts of processes are milliseconds, which leave the upper half to these: no name is one
        // of a process, and two of a node are the same for one key once in 2⁴⁷.
        let mixed = finalMix(finalMix(life.rawValue) ^ stamp) >> 17
        identity = ReplicaIdentity(node: life.node, epoch: 1 << 47 | mixed)
    }
}

/// The hints for one node, oldest first, at most one a key.
///
/// A hint's number never names another state: what is merged with a newer record moves to the end
/// under a new number. So an acknowledgement of a number is one of exactly the bytes that were
/// sent.
///
/// Invariants: `count` and `byteCount` are those of the hints; `places` holds each hint's key.
struct HintQueue {
    static let overheadBytes = 160

    /// The number of each key's hint.
    private var places = Table<[UInt8], UInt64>()
    /// By number less `base`; nil where a hint is gone.
    private var hints: [Hint?] = []
    private var base: UInt64 = 1
    /// Hints before this index are gone.
    private var head = 0
    private(set) var count = 0
    private(set) var byteCount = 0

    var isEmpty: Bool { count == 0 }

    subscript(number: UInt64) -> Hint? {
        guard number >= base, number - base < UInt64(hints.count) else { return nil }
        return hints[Int(number - base)]
    }

    func number(of key: [UInt8]) -> UInt64? { places[key] }

    /// The first hint whose number is not below this one.
    ///
    /// - Complexity: O(numbers of hints that are gone in between).
    func first(from number: UInt64) -> (number: UInt64, hint: Hint)? {
        var index = max(head, Int(max(number, base) - base))
        while index < hints.count {
            if let hint = hints[index] { return (base + UInt64(index), hint) }
            index += 1
        }
        return nil
    }

    /// Takes a hint in, in the place of the key's former one.
    mutating func put(_ hint: Hint, key: [UInt8]) {
        if let former = places[key] { remove(former, key: key) }
        places[key] = base + UInt64(hints.count)
        hints.append(hint)
        count += 1
        byteCount += hint.byteCount
    }

    /// Nothing more is minted on top of the hint that has this number.
    mutating func endChain(_ number: UInt64) {
        guard self[number] != nil else { return }
        hints[Int(number - base)]?.chain = nil
    }

    /// - Parameter key: of the hint that has this number.
    mutating func remove(_ number: UInt64, key: [UInt8]) {
        guard let hint = self[number] else { return }
        hints[Int(number - base)] = nil
        places[key] = nil
        count -= 1
        byteCount -= hint.byteCount
        while head < hints.count, hints[head] == nil { head += 1 }
        guard head >= 1_024, head * 2 >= hints.count else { return }
        hints.removeFirst(head)
        base += UInt64(head)
        head = 0
    }

    /// Traps unless the type's invariants hold.
    func checkInvariants() {
        precondition(count == hints.count { $0 != nil }, "hints are counted")
        precondition(places.count == count, "every hint has its key")
        precondition(
            byteCount == hints.reduce(0) { $0 + ($1?.byteCount ?? 0) }, "hints are summed up")
    }
}

/// How far the replay of hints to one node has come.
struct HandOff {
    /// Numbers that were sent and not acknowledged yet, ascending.
    var open: [UInt64] = []
    /// One of them was refused.
    var isRefused = false
    /// Where the next chunk begins.
    var next: UInt64 = 0
    /// When the next chunk may leave; while some are open, when they count as lost.
    var at: Deadline = 0
    /// Milliseconds to the next attempt after one that failed.
    var pause: UInt64 = 0
    /// Bytes that may be sent now.
    var budget = 0
}
