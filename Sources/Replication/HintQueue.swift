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
/// Hints stand in runs of bounded length. A run from which half is gone is packed, and one that is
/// empty goes; so the queue takes what its hints take, however often keys are rewritten behind an
/// old hint, and no step moves more than a run.
///
/// Invariants: `count` and `byteCount` are those of the hints; `places` holds each hint's key;
/// numbers ascend; no run is empty, and at most one in two of its numbers is gone.
struct HintQueue {
    static let overheadBytes = 160
    private static let runMax = 512

    /// Neighbours in the queue; nil where a hint is gone.
    private struct Run {
        var numbers: [UInt64] = []
        var hints: [Hint?] = []
        var live = 0

        func index(of number: UInt64) -> Int? {
            let index = numbers.partitionPoint { $0 < number }
            return index < numbers.count && numbers[index] == number ? index : nil
        }

        mutating func pack() {
            numbers = zip(numbers, hints).compactMap { $1 == nil ? nil : $0 }
            hints.removeAll { $0 == nil }
        }
    }

    /// The number of each key's hint.
    private var places = Table<[UInt8], UInt64>()
    private var runs: [Run] = []
    private var nextNumber: UInt64 = 1
    private(set) var count = 0
    private(set) var byteCount = 0
    /// No hint has a later stamp.
    private(set) var latest = Stamp(rawValue: 0)

    var isEmpty: Bool { count == 0 }

    /// Numbers that are kept, of hints that are gone as well.
    var slotCount: Int { runs.reduce(0) { $0 + $1.numbers.count } }

    subscript(number: UInt64) -> Hint? {
        guard let run = run(of: number), let index = runs[run].index(of: number) else { return nil }
        return runs[run].hints[index]
    }

    /// The run in which a number is, if it is in any.
    private func run(of number: UInt64) -> Int? {
        let after = runs.partitionPoint { ($0.numbers.first ?? .max) <= number }
        return after == 0 ? nil : after - 1
    }

    func number(of key: [UInt8]) -> UInt64? { places[key] }

    /// The first hint whose number is not below this one.
    ///
    /// - Complexity: O(log n), and the hints that are gone of a run.
    func first(from number: UInt64) -> (number: UInt64, hint: Hint)? {
        var run = run(of: number) ?? 0
        while run < runs.count {
            var index = runs[run].numbers.partitionPoint { $0 < number }
            while index < runs[run].numbers.count {
                if let hint = runs[run].hints[index] { return (runs[run].numbers[index], hint) }
                index += 1
            }
            run += 1
        }
        return nil
    }

    /// Takes a hint in, in the place of the key's former one.
    mutating func put(_ hint: Hint, key: [UInt8]) {
        if let former = places[key] { remove(former, key: key) }
        places[key] = nextNumber
        if runs.last.map({ $0.numbers.count >= HintQueue.runMax }) ?? true { runs.append(Run()) }
        let last = runs.count - 1
        runs[last].numbers.append(nextNumber)
        runs[last].hints.append(hint)
        runs[last].live += 1
        nextNumber += 1
        count += 1
        byteCount += hint.byteCount
        noteLatest(hint)
    }

    /// What is latest is found out anew by whoever is about to visit all hints.
    mutating func forgetLatest() { latest = Stamp(rawValue: 0) }

    /// A walk came by a hint.
    mutating func noteLatest(_ hint: Hint) {
        latest = max(latest, hint.withRecord { $0.dot.stamp })
    }

    /// Nothing more is minted on top of the hint that has this number.
    mutating func endChain(_ number: UInt64) {
        guard let run = run(of: number), let index = runs[run].index(of: number) else { return }
        runs[run].hints[index]?.chain = nil
    }

    /// - Parameter key: of the hint that has this number.
    mutating func remove(_ number: UInt64, key: [UInt8]) {
        guard let run = run(of: number), let index = runs[run].index(of: number),
            let hint = runs[run].hints[index]
        else { return }
        runs[run].hints[index] = nil
        runs[run].live -= 1
        places[key] = nil
        count -= 1
        byteCount -= hint.byteCount
        if runs[run].live == 0 {
            runs.remove(at: run)
        } else if runs[run].live * 2 < runs[run].numbers.count {
            runs[run].pack()
        }
    }

    /// Traps unless the type's invariants hold.
    func checkInvariants() {
        let hints = runs.flatMap(\.hints)
        precondition(count == hints.count { $0 != nil }, "hints are counted")
        precondition(places.count == count, "every hint has its key")
        precondition(
            byteCount == hints.reduce(0) { $0 + ($1?.byteCount ?? 0) }, "hints are summed up")
        let numbers = runs.flatMap(\.numbers)
        precondition(zip(numbers, numbers.dropFirst()).allSatisfy(<), "numbers ascend")
        precondition(
            runs.allSatisfy { run in
                run.live == run.hints.count { $0 != nil } && run.live > 0
                    && run.live * 2 >= run.numbers.count
            }, "a run is mostly hints")
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
