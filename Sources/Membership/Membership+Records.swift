import Base

// Records: what comes in is weighed against what is known, and passed on if it is news.
extension Membership {
    mutating func receive(
        _ message: MembershipMessage, from node: NodeID, _ effects: inout [MembershipEffect]
    ) {
        guard message.sender.node == node, node != own.node else {
            counters.misaddressed += 1
            return
        }
        learn(MemberUpdate(message.sender), &effects)
        guard end == nil, isWelcome(message, &effects) else { return }
        for update in message.updates { learn(update, &effects) }
        guard end == nil else { return }
        switch message.content {
        case .ping(let sequence, let target): answerPing(sequence, target, from: node, &effects)
        case .pingRequest(let sequence, let target):
            relayPing(sequence, target, for: node, &effects)
        case .ack(let sequence): acknowledged(sequence, &effects)
        case .nack(let sequence): notAcknowledged(sequence)
        case .compare(let after, let through, let digest):
            answerCompare(after, through, digest, from: node, &effects)
        case .agreed(let after, let through): joinOn(after, through, with: node, &effects)
        case .page(let after, let through, let records):
            learnPage(after, through, records, from: node, &effects)
        case .records(let records): learn(records, &effects)
        }
    }

    /// Whether the sender's life is not over; if it is, the sender is told.
    ///
    /// Nothing else of such a message counts: its ping must not look like a sign of life, nor its
    /// stale news of others be believed.
    private mutating func isWelcome(
        _ message: MembershipMessage, _ effects: inout [MembershipEffect]
    ) -> Bool {
        let sender = message.sender
        guard let index = table.index(of: sender.node) else { return false }
        let known = table.members[index]
        guard known.record.rulesOut(sender) else { return true }
        counters.sendersRefused += 1
        if known.record.state.isReachable, known.record.identity != sender.identity,
            now - known.since > probeInterval
        {
            reportConflict(known.record.identity, sender.identity, &effects)
        }
        // Two nodes that refuse each other would answer for ever.
        if case .records = message.content { return false }
        send(.records([known.record]), to: sender.node, &effects)
        return false
    }

    /// Tells once of two identities under one number. Within a probe interval of the later one's
    /// first word, the earlier one's are put down to delay.
    private mutating func reportConflict(
        _ known: ReplicaIdentity, _ other: ReplicaIdentity, _ effects: inout [MembershipEffect]
    ) {
        guard known != other, let index = table.index(of: known.node),
            table.members[index].rival != other
        else { return }
        table.setRival(other, at: index)
        counters.conflicts += 1
        effects.append(.conflict(older: min(known, other), newer: max(known, other)))
    }

    mutating func learn(_ records: [MemberRecord], _ effects: inout [MembershipEffect]) {
        for record in records { learn(MemberUpdate(record), &effects) }
    }

    private mutating func learn(_ update: MemberUpdate, _ effects: inout [MembershipEffect]) {
        guard end == nil else { return }
        let record = update.record
        if record.node == own.node { return hearOfSelf(record, &effects) }
        guard let known = table.record(of: record.node) else {
            guard table.count < configuration.membersMax else {
                counters.membersRefused += 1
                return
            }
            return adopt(update, &effects)
        }
        if record == known {
            if known.state == .suspect { confirm(update) }
            return
        }
        guard record.supersedes(known) else {
            counters.staleRecords += 1
            return
        }
        let isDoubtful =
            record.state == .dead && known.state.isReachable && known.identity == record.identity
        isDoubtful ? doubt(record, known, &effects) : adopt(update, &effects)
    }

    /// Believes a record and passes it on.
    mutating func adopt(_ update: MemberUpdate, _ effects: inout [MembershipEffect]) {
        let record = update.record
        let before = table.record(of: record.node)
        precondition(before.map(record.supersedes) ?? true, "records only move up")
        let isChanged = table.put(record, now: now)
        followState(of: update, before: before)
        queue.put(update)
        if record.state.isReachable, before?.state.isReachable != true {
            order.insert(record.node, &random)
        }
        if isChanged { effects.append(.memberChanged(record.identity, record.state)) }
    }

    /// Others' word about this node: refuted, the end, or for the driver to judge.
    private mutating func hearOfSelf(
        _ record: MemberRecord, _ effects: inout [MembershipEffect]
    ) {
        guard record.supersedes(own) else { return }
        if record.state == .removed {
            removal = MemberRecord(own.identity, .removed, admission: record.admission)
            return finish(.removed, &effects)
        }
        if record.identity > own.identity {
            if record.state.isReachable {
                reportConflict(own.identity, record.identity, &effects)
            }
            return effects.append(.outlived(by: record.identity))
        }
        if record.identity == own.identity {
            if record.state == .left {
                beginAgain(admission: record.admission)
                return finish(.reborn, &effects)
            }
            guard record.incarnation < .max else {
                return effects.append(.outlived(by: own.identity))
            }
            own.incarnation = record.incarnation + 1
            counters.refutations += 1
            if record.state != .alive { health.worsen() }
        }
        own.admission = record.admission
        announceSelf()
    }

    mutating func announceSelf() {
        _ = table.put(own, now: now)
        queue.put(MemberUpdate(own))
    }

    mutating func finish(_ reason: MembershipEnd, _ effects: inout [MembershipEffect]) {
        end = reason
        queue.removeAll()
        effects.append(.ended(reason))
    }

    /// Sends a message with news; the buddy system: a receiver that is not thought alive hears of
    /// that first (Lifeguard §IV-C).
    mutating func send(
        _ content: MembershipMessage.Content, to node: NodeID,
        _ effects: inout [MembershipEffect]
    ) {
        var updates: [MemberUpdate] = []
        if let record = table.record(of: node), record.state != .alive {
            updates.append(MemberUpdate(record))
        }
        if !content.isBulk {
            updates += queue.take(
                configuration.updatesMax - updates.count,
                transmissionsMax: configuration.retransmissionFactor
                    * decimalDigits(table.reachableCount))
        }
        effects.append(
            .send(
                to: node,
                MembershipMessage(sender: own, content: content, updates: updates)))
    }

    /// Sends news that wait: probes carry them too, but a node in bad health probes rarely, and
    /// that is when there is most to tell.
    mutating func passGossip(_ effects: inout [MembershipEffect]) {
        guard nextGossip <= now else { return }
        nextGossip = now + probeInterval
        guard queue.count > 0 else { return }
        for node in sampleReachable(configuration.gossipFanout, except: own.node) {
            counters.gossips += 1
            send(.records([]), to: node, &effects)
        }
    }

    /// ⌈log₁₀(count + 1)⌉.
    private func decimalDigits(_ count: Int) -> Int {
        var digits = 1
        var rest = count / 10
        while rest > 0 {
            digits += 1
            rest /= 10
        }
        return digits
    }
}

extension MembershipMessage.Content {
    /// Whether records fill the message already.
    fileprivate var isBulk: Bool {
        switch self {
        case .page: true
        case .records(let records): !records.isEmpty
        case .ping, .pingRequest, .ack, .nack, .compare, .agreed: false
        }
    }
}
