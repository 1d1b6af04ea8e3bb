import Base
import Causality

/// How far the sums over records, and the records themselves, have followed changed definitions.
///
/// Definitions hold from the moment at which they are learned: which keyspace a key lives in, and
/// up to which stamp what was written is gone. What hangs on them by record follows: how each
/// record is accounted for, the memory of what was emptied, and what was emptied inside of states
/// that are newer. That is a walk over all records, some a step. A change that comes during the
/// walk begins another lap where the walk is.
///
/// Until it is over trees say little of what is here, so nothing is compared with other replicas.
/// Whoever changed a keyspace is answered when the counts are right, which they are at once where
/// a keyspace is emptied that holds nothing later.
///
/// Invariant: `isExact` whenever `isIdle`.
struct Reshaping {
    /// An answer that waits until the counts are right, and the definitions durable.
    struct Owed {
        enum Recipient {
            case own(OperationID)
            case other(NodeID, number: UInt64)
        }

        let recipient: Recipient
        /// Which change is to be durable; 0 for none, `max` for one that is not known yet.
        fileprivate(set) var change: UInt64
        fileprivate let mark: Mark
    }

    /// A place of the walk, ever later.
    fileprivate struct Mark: Comparable {
        var lap: UInt64
        var cursor: UInt64

        static func < (a: Mark, b: Mark) -> Bool { (a.lap, a.cursor) < (b.lap, b.cursor) }
    }

    static let owedMax = 1_024

    private var place = Mark(lap: 0, cursor: 0)
    private var end: Mark?
    /// No count depends on the records that have not been visited.
    private(set) var isExact = true
    /// Keyspaces by index that were emptied up to a moment before the latest of what they hold.
    private var mixed: [Int] = []
    /// When trees last became those of other records: what was compared before says nothing now.
    private(set) var treesSince = Stamp(rawValue: 0)
    private var owed: [Owed] = []
    /// Keyspaces by index of which what is no later than a stamp is dropped.
    private var forgotten: [(keyspace: Int, through: Stamp)] = []
    /// Changes of definitions that were handed to the journal, and how many of them are durable.
    private(set) var changes: UInt64 = 0
    private(set) var durableChanges: UInt64 = 0

    var isIdle: Bool { end == nil }
    var cursor: UInt64 { place.cursor }
    /// Whether something of a keyspace may be older than what it was emptied up to.
    func isMixed(_ keyspace: Int) -> Bool { mixed.contains(keyspace) }

    /// Whether a record of a keyspace is to be dropped that is no later than this.
    func isForgotten(_ stamp: Stamp, _ keyspace: Int) -> Bool {
        !forgotten.isEmpty
            && forgotten.contains { $0.keyspace == keyspace && stamp <= $0.through }
    }

    /// What a keyspace has no later than a stamp is to be dropped.
    ///
    /// - Parameter moment: now.
    mutating func forget(_ keyspace: Int, through stamp: Stamp, trees moment: Stamp) {
        forgotten.append((keyspace, stamp))
        begin(mixing: [], isExact: isExact, trees: moment)
    }

    /// This node's stamps go on from an earlier moment than that of its trees.
    mutating func bringBack(to moment: Stamp) { treesSince = min(treesSince, moment) }

    /// Definitions changed: every record is to be visited again.
    ///
    /// - Parameters:
    ///   - keyspaces: in whose states something may be gone.
    ///   - isExact: whether the counts are right already.
    ///   - moment: now, if records went from one tree to another; nil if none did.
    mutating func begin(mixing keyspaces: [Int], isExact: Bool, trees moment: Stamp?) {
        end = Mark(lap: place.lap + 1, cursor: place.cursor)
        mixed += keyspaces.filter { !mixed.contains($0) }
        self.isExact = isExact
        if let moment { treesSince = moment }
    }

    /// Records were visited up to a cursor, or all.
    mutating func advance(to next: UInt64?) {
        place = next.map { Mark(lap: place.lap, cursor: $0) } ?? Mark(lap: place.lap + 1, cursor: 0)
        guard let end, end <= place else { return }
        self.end = nil
        (mixed, forgotten) = ([], [])
        isExact = true
    }

    /// Something is to be answered once the walk has come round.
    ///
    /// - Parameter change: which is to be durable by then; `max` for the one that `settleKept`
    ///   names.
    /// - Returns: false when too much waits.
    mutating func owe(_ recipient: Owed.Recipient, change: UInt64) -> Bool {
        guard owed.count < Reshaping.owedMax else { return false }
        let mark = isExact ? place : Mark(lap: place.lap + 1, cursor: place.cursor)
        owed.append(Owed(recipient: recipient, change: change, mark: mark))
        return true
    }

    /// What can be answered by now.
    mutating func takeDue() -> [Owed] {
        guard !owed.isEmpty else { return [] }
        let due = owed.filter { isDue($0) }
        if !due.isEmpty { owed = owed.filter { !isDue($0) } }
        return due
    }

    private func isDue(_ one: Owed) -> Bool {
        one.change <= durableChanges && (isExact || one.mark <= place)
    }

    /// What was to be kept on disk is durable with this change.
    mutating func settleKept(_ change: UInt64) {
        for index in owed.indices where owed[index].change == .max { owed[index].change = change }
    }

    /// A change goes to the journal.
    ///
    /// - Returns: its number.
    mutating func noteChange() -> UInt64 {
        changes += 1
        return changes
    }

    mutating func noteDurable(_ change: UInt64) { durableChanges = max(durableChanges, change) }
}
