import Base

/// A probe of another member that this node waits for.
struct Probe {
    let target: ReplicaIdentity
    let sequence: UInt32
    /// When others are asked for the first or the second time; nil after both.
    var nextAttempt: Deadline?
    /// How many of the others that were asked first have not been heard of since; 1 if there are
    /// none.
    var nacksMissing = 1
    /// Whether others have been asked.
    var isIndirect = false
}

/// A probe that this node carries out for another.
struct Relay {
    let origin: NodeID
    let originSequence: UInt32
    let sequence: UInt32
    /// When the other is told that there was no answer; nil once it has been.
    var nackAt: Deadline?
    let endAt: Deadline
}

// Probes: ping, indirect ping, ack, nack (SWIM §3.1, Lifeguard §IV-A).
extension Membership {
    mutating func passProbe(_ effects: inout [MembershipEffect]) {
        if let due = probe?.nextAttempt, due <= now { probeAgain(&effects) }
        guard nextProbe <= now else { return }
        failProbe(&effects)
        startProbe(&effects)
    }

    private mutating func startProbe(_ effects: inout [MembershipEffect]) {
        nextProbe = now + health.stretched(probeInterval)
        let (table, ownNode) = (self.table, own.node)
        let picked = order.pick(
            round: { table.reachable.filter { $0 != ownNode } },
            isEligible: { table.record(of: $0)?.state.isReachable ?? false }, &random)
        guard let picked, let record = table.record(of: picked) else { return }
        counters.probes += 1
        let sequence = drawSequence()
        probe = Probe(
            target: record.identity, sequence: sequence,
            nextAttempt: now + health.stretched(probeTimeout))
        send(.ping(sequence: sequence, target: record.identity), to: picked, &effects)
    }

    /// Others are asked, the target once more, and half-way to the end all that again: lost packets
    /// should cost messages, not a suspicion, which the whole cluster hears of and which there are
    /// more of in a larger one.
    private mutating func probeAgain(_ effects: inout [MembershipEffect]) {
        guard var waiting = probe else { return }
        let (sequence, target) = (waiting.sequence, waiting.target)
        let others = sampleReachable(configuration.indirectProbesMax, except: target.node)
        if waiting.isIndirect {
            waiting.nextAttempt = nil
        } else {
            waiting.isIndirect = true
            // With nobody to ask, nobody vouches for this node's hearing.
            waiting.nacksMissing = max(1, others.count)
            // Who looks late gives the others their time nonetheless.
            nextProbe = max(nextProbe, now + health.stretched(probeInterval - probeTimeout))
            waiting.nextAttempt = now + (nextProbe - now) / 2
        }
        probe = waiting
        counters.indirectProbes += others.count
        for other in others {
            send(.pingRequest(sequence: sequence, target: target), to: other, &effects)
        }
        send(.ping(sequence: sequence, target: target), to: target.node, &effects)
    }

    private mutating func failProbe(_ effects: inout [MembershipEffect]) {
        guard let failed = probe else { return }
        probe = nil
        counters.probesFailed += 1
        health.worsen(by: failed.nacksMissing)
        accuse(failed.target, &effects)
    }

    mutating func acknowledged(_ sequence: UInt32, _ effects: inout [MembershipEffect]) {
        if probe?.sequence == sequence {
            probe = nil
            counters.probesAcknowledged += 1
            health.improve()
        } else if let index = relays.firstIndex(where: { $0.sequence == sequence }) {
            let relay = relays.remove(at: index)
            send(.ack(sequence: relay.originSequence), to: relay.origin, &effects)
        }
    }

    mutating func notAcknowledged(_ sequence: UInt32) {
        guard let waiting = probe, waiting.sequence == sequence else { return }
        probe?.nacksMissing = max(0, waiting.nacksMissing - 1)
    }

    mutating func answerPing(
        _ sequence: UInt32, _ target: ReplicaIdentity, from node: NodeID,
        _ effects: inout [MembershipEffect]
    ) {
        // Another life of this node was meant: the sender learns who answers, not that it lives.
        let isMeant = target == own.identity
        send(isMeant ? .ack(sequence: sequence) : .records([]), to: node, &effects)
    }

    mutating func relayPing(
        _ sequence: UInt32, _ target: ReplicaIdentity, for origin: NodeID,
        _ effects: inout [MembershipEffect]
    ) {
        guard relays.count < configuration.relaysMax, target.node != own.node else {
            counters.relaysRefused += 1
            return
        }
        counters.relayedProbes += 1
        let relay = Relay(
            origin: origin, originSequence: sequence, sequence: drawSequence(),
            nackAt: now + probeTimeout / 5 * 4, endAt: now + probeInterval)
        relays.append(relay)
        send(.ping(sequence: relay.sequence, target: target), to: target.node, &effects)
    }

    /// - Complexity: O(relays), at most `relaysMax`.
    mutating func passRelays(_ effects: inout [MembershipEffect]) {
        for index in relays.indices {
            guard let nackAt = relays[index].nackAt, nackAt <= now else { continue }
            relays[index].nackAt = nil
            counters.nacksSent += 1
            let relay = relays[index]
            send(.nack(sequence: relay.originSequence), to: relay.origin, &effects)
        }
        relays.removeAll { $0.endAt <= now }
    }

    private mutating func drawSequence() -> UInt32 {
        defer { nextSequence &+= 1 }
        return nextSequence
    }

    mutating func sampleReachable(_ countMax: Int, except node: NodeID) -> [NodeID] {
        let (table, ownNode) = (self.table, own.node)
        return order.sample(
            countMax,
            isEligible: {
                $0 != node && $0 != ownNode && table.record(of: $0)?.state == .alive
            }, &random)
    }
}

extension MemberTable {
    /// Who is alive or suspect, ascending.
    var reachable: [NodeID] {
        members.lazy.filter { $0.record.state.isReachable }.map(\.record.node)
    }
}
