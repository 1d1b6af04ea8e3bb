import Base

// Suspicions: opened by a failed probe or by word of others, shortened by independent accusations,
// ended by a refutation or by death (SWIM §4.2, Lifeguard §IV-B).
extension Membership {
    /// This node's own accusation.
    mutating func accuse(_ identity: ReplicaIdentity, _ effects: inout [MembershipEffect]) {
        guard var record = table.record(of: identity.node), record.identity == identity else {
            return
        }
        switch record.state {
        case .alive:
            record.state = .suspect
            adopt(MemberUpdate(record, accuser: own.identity), &effects)
        case .suspect: confirm(MemberUpdate(record, accuser: own.identity))
        case .dead, .left, .removed: break
        }
    }

    /// Another accusation of a suspect; one that still matters is passed on.
    mutating func confirm(_ update: MemberUpdate) {
        let node = update.record.node
        guard let accuser = update.accuser,
            suspicions.update(node, { $0.confirm(by: accuser) }) == true
        else { return }
        counters.confirmations += 1
        queue.put(update)
        noteSuspicionEnd(of: node)
    }

    /// Weighs others' word that a member in reach is dead: nobody dies here without the time to
    /// refute it.
    ///
    /// A node that was cut off takes everybody for dead and says so when it returns. So its word
    /// brings a suspicion to its shortest if there is one by accusation, and opens one if there is
    /// none. (In SWIM a death is believed at once.)
    mutating func doubt(
        _ death: MemberRecord, _ known: MemberRecord, _ effects: inout [MembershipEffect]
    ) {
        var record = death
        record.state = .suspect
        guard record == known else { return adopt(MemberUpdate(record), &effects) }
        _ = suspicions.update(record.node) { $0.conclude() }
        noteSuspicionEnd(of: record.node)
    }

    /// Keeps a suspicion for exactly the suspects.
    mutating func followState(of update: MemberUpdate, before: MemberRecord?) {
        let record = update.record
        guard record.state == .suspect else {
            if before?.state == .suspect {
                suspicions[record.node] = nil
                if record.state == .alive { counters.suspicionsRefuted += 1 }
            }
            return
        }
        counters.suspicions += 1
        suspicions[record.node] = Suspicion(
            of: table.reachableCount, by: update.accuser, configuration, now: now)
        noteSuspicionEnd(of: record.node)
    }

    private mutating func noteSuspicionEnd(of node: NodeID) {
        guard let deadline = suspicions[node]?.deadline else { return }
        nextSuspicionEnd = min(nextSuspicionEnd ?? deadline, deadline)
    }

    /// - Complexity: O(suspects) when one may be over.
    mutating func passSuspicions(_ effects: inout [MembershipEffect]) {
        guard let due = nextSuspicionEnd, due <= now else { return }
        let over = suspicions.filter { $0.1.deadline <= now }.map(\.0)
        for node in over {
            guard var record = table.record(of: node) else { continue }
            record.state = .dead
            counters.declaredDead += 1
            adopt(MemberUpdate(record), &effects)
        }
        nextSuspicionEnd = suspicions.values.map(\.deadline).min()
    }

    mutating func putOffSuspicions(by nanoseconds: UInt64) {
        for node in suspicions.keys {
            _ = suspicions.update(node) { $0.putOff(by: nanoseconds) }
        }
        nextSuspicionEnd = suspicions.values.map(\.deadline).min()
    }
}
