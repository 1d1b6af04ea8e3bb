import Base

/// What a node does besides its requests, a bounded piece a turn: everything that is proportional
/// to what it holds.
///
/// Each job is a machine of its own with a cursor; one goes on at a time, those that others wait
/// for first. While any is not done the node wants to be called again at once, and spends one
/// `WorkBudget` a turn: clients are served in between.
///
/// Invariant: the work of the steps with one `now` is within one turn's budget, and one home of a
/// table.
struct BackgroundWork {
    /// When work was last done.
    private(set) var at: Deadline = 0
    /// What may still be done then.
    var budget = WorkBudget(units: 0, bytes: 0)
    /// What is being done may lead to more of it, which has to wait for its turn.
    var isUnderWay = false

    /// Sums and records follow definitions.
    var reshaping = Reshaping()
    /// What was in memory only is written to the journal.
    var keeping = Keeping()
    /// What is held under a name is counted.
    var surveys: [Survey] = []
    /// What a wrong clock stamped is stamped anew.
    var audit = StampAudit()
    /// What is settled is collected and compacted.
    var sweep = RangeSweep()
    /// A batch of what other nodes replicate is due (`SurplusHandOver`).
    var handsOver = false

    /// Whether anything is left to be done.
    var isPending: Bool {
        !reshaping.isIdle || !surveys.isEmpty || !audit.isIdle || !sweep.isIdle
            || keeping.canGoOn || handsOver
    }

    /// Whether trees are those of the records by the definitions in force.
    var hasTrees: Bool { reshaping.isIdle }

    /// Gives a turn its budget.
    mutating func renew(at now: Deadline, units: Int) {
        guard now != at else { return }
        at = now
        budget = WorkBudget(units: units, bytes: WorkBudget.turnBytes)
    }

    /// When work is to go on; nil when there is none.
    var nextDeadline: Deadline? { isPending ? at + 1 : nil }
}

extension Node {
    /// Goes on with what is not done, if this turn has done nothing of it.
    @inline(__always)
    mutating func tendBackground(_ effects: inout Effects) {
        if now.monotonic != background.at, background.isPending { workInBackground(&effects) }
    }

    /// Spends what is left of this turn's budget.
    mutating func workInBackground(_ effects: inout Effects) {
        guard !background.isUnderWay else { return }
        background.isUnderWay = true
        background.renew(at: now.monotonic, units: configuration.workUnitsMax)
        let scope = effects.beginScope()
        let outer = client
        defer {
            client = outer
            effects.endScope(scope)
            background.isUnderWay = false
        }
        var budget = background.budget
        while !budget.isSpent, background.isPending {
            if !background.reshaping.isIdle {
                reshape(&budget, &effects)
            } else if !background.surveys.isEmpty {
                survey(&budget, &effects)
            } else if background.keeping.canGoOn {
                keepOnDisk(&budget, &effects)
            } else if !background.audit.isIdle {
                audit(&budget, &effects)
            } else if !background.sweep.isIdle {
                sweep(&budget, &effects)
            } else {
                handOver(&budget, &effects)
            }
        }
        background.budget = budget
    }
}
