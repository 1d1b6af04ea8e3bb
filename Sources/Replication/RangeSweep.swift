import AntiEntropy
import Base
import Causality
import Ring

/// Key ranges whose turn it is to be collected and compacted (`Node+Collection`,
/// `Node+Compaction`), and how far the first of them has come.
///
/// What is settled may rise while a range is swept; each step goes by what is settled then.
struct RangeSweep {
    /// What is done with a range, one after the other.
    enum Stage {
        case collecting(hash: UInt64)
        case compacting(hash: UInt64)
    }

    private(set) var waiting: [KeyRange] = []
    var stage = Stage.collecting(hash: 0)
    /// The stamp of the oldest tombstone that stays in the range; 0 for none.
    var oldest: UInt64 = 0
    /// Something in the range was found to be collectible one day.
    var isCollecting = false
    /// Something is still left to be collected one day.
    var leavesCandidates = false
    /// Something is still left to be compacted one day.
    var leavesCompactible = false
    /// By keyspace, up to which stamp the states of the range are compacted, and were before.
    var limits: [(now: Stamp, before: UInt64)] = []

    var isIdle: Bool { waiting.isEmpty }
    var range: KeyRange? { waiting.first }

    mutating func begin(_ ranges: [KeyRange]) {
        waiting += ranges.filter { range in !waiting.contains(range) }
    }

    /// The first range is done.
    mutating func endRange() {
        waiting.removeFirst()
        self = RangeSweep(waiting: waiting)
    }

    init() {}

    private init(waiting: [KeyRange]) { self.waiting = waiting }
}

extension Node {
    /// Goes on with the first range.
    mutating func sweep(_ budget: inout WorkBudget, _ effects: inout Effects) {
        guard let range = background.sweep.range else { return }
        switch background.sweep.stage {
        case .collecting(let hash):
            if hash == 0 { beginSweep(range) }
            let next =
                background.sweep.isCollecting
                ? collect(range, from: hash, &budget, &effects) : nil
            budget.look(slots: 1)
            background.sweep.stage = next.map { .collecting(hash: $0) } ?? .compacting(hash: 0)
            if next == nil { endCollecting(range) }
        case .compacting(let hash):
            if hash == 0 { beginCompacting(range) }
            let next =
                background.sweep.limits.isEmpty
                ? nil : compact(range, from: hash, &budget, &effects)
            guard let next else {
                endCompacting(range)
                return background.sweep.endRange()
            }
            background.sweep.stage = .compacting(hash: next)
        }
    }

    /// Whether a range is one in which something may be collected or compacted one day.
    func isOfUse(_ range: KeyRange) -> Bool {
        collection.candidates.contains(range.rawValue)
            || collection.compactible.contains(range.rawValue)
            || background.sweep.range == range
    }
}
