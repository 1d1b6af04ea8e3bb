import Base

// What an operator orders: leave, remove, admit again.
extension Membership {
    /// Every message from now on says good-bye; the first ones leave at once.
    mutating func leave(_ effects: inout [MembershipEffect]) {
        guard own.state == .alive else { return }
        own.state = .left
        announceSelf()
        leftAt = now + 2 * probeInterval
        joining = nil
        let audience = sampleReachable(2 * configuration.indirectProbesMax, except: own.node)
        for node in audience { send(.records([]), to: node, &effects) }
    }

    mutating func remove(_ node: NodeID, _ effects: inout [MembershipEffect]) {
        guard node != own.node else { return effects.append(.refused(.ownNumber)) }
        let known = table.record(of: node)
        if known?.state == .removed { return }
        guard known != nil || table.count < configuration.membersMax else {
            return effects.append(.refused(.tooManyMembers))
        }
        let record = MemberRecord(
            known?.identity ?? ReplicaIdentity(node: node, epoch: 0), .removed,
            admission: known?.admission ?? 0)
        adopt(MemberUpdate(record), &effects)
        send(.records([record]), to: node, &effects)
    }

    /// Turns the removal into a departure: that life stays over, later ones are welcome.
    mutating func readmit(_ node: NodeID, _ effects: inout [MembershipEffect]) {
        guard let known = table.record(of: node), known.state == .removed,
            known.admission < .max
        else { return effects.append(.refused(.notRemoved(node))) }
        let record = MemberRecord(known.identity, .left, admission: known.admission + 1)
        adopt(MemberUpdate(record), &effects)
    }

    /// What must outlive a restart: who was removed, this node among them, and who was admitted
    /// again.
    public var lastingRecords: [MemberRecord] {
        table.members.map { $0.record.node == own.node ? ownRecord : $0.record }
            .filter { $0.state == .removed || $0.admission > 0 }
    }

    /// The next life of this node takes part; this one is over.
    public mutating func beginAgain(admission: UInt16) {
        removal = nil
        own.admission = max(own.admission, admission)
        announceSelf()
        end = .reborn
    }

    /// Takes records of an earlier life back, before the first step.
    public mutating func restore(_ records: [MemberRecord]) {
        for record in records {
            guard record.node != own.node else {
                restoreOwn(record)
                continue
            }
            guard table.record(of: record.node).map(record.supersedes) ?? true,
                table.record(of: record.node) != nil || table.count < configuration.membersMax
            else { continue }
            var effects: [MembershipEffect] = []
            adopt(MemberUpdate(record), &effects)
        }
    }

    private mutating func restoreOwn(_ record: MemberRecord) {
        guard record.admission >= own.admission else { return }
        own.admission = record.admission
        announceSelf()
        let isRemoved = record.state == .removed
        removal = isRemoved ? MemberRecord(own.identity, .removed, admission: own.admission) : nil
        end = isRemoved ? .removed : nil
    }

    func refuseWhenEnded(_ input: MembershipInput, _ effects: inout [MembershipEffect]) {
        switch input {
        case .tick, .received, .learned, .superseded: break
        case .join, .leave, .remove, .readmit: effects.append(.refused(.ended))
        }
    }
}

extension Membership {
    /// Traps when the structure contradicts itself; see the type's invariants.
    ///
    /// - Complexity: O(members).
    public func checkInvariants() {
        table.checkInvariants()
        queue.checkInvariants()
        precondition(table.record(of: own.node) == own, "this node knows itself")
        precondition(own.state == .alive || own.state == .left, "nobody accuses itself")
        precondition(table.count <= configuration.membersMax, "members within their limit")
        precondition(queue.count <= table.count, "an update per member at most")
        precondition(relays.count <= configuration.relaysMax, "relays within their limit")
        precondition(0...configuration.localHealthMax ~= health.score, "health within its scale")
        precondition(
            Array(suspicions.keys)
                == table.members.filter { $0.record.state == .suspect }.map(\.record.node),
            "exactly the suspects are timed")
        precondition(
            suspicions.values.allSatisfy { $0.deadline >= nextSuspicionEnd ?? .max },
            "no suspicion ends unseen")
    }
}
