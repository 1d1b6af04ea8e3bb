import Base
import Causality
import Coding
import Quorum
import Ring

// Counting a write's answers.
extension Node {
    /// What this replica persisted for one of its operations is durable.
    mutating func reached(_ id: OperationID, _ effects: inout Effects) {
        if id.kind == .refill {
            return id.index == Node.generationIndex
                ? reachedGeneration(id, &effects) : reachedMarker(&effects)
        }
        if id.kind == .forgetting { return reachedForgetting(&effects) }
        if id.kind == .definitions { return reachedChange(UInt64(id.generation), &effects) }
        if id.kind == .claim { return reachedOutcome(id, &effects) }
        acknowledgeOwn(id, durable: true, &effects)
    }

    mutating func acknowledgeOwn(
        _ id: OperationID, durable: Bool, _ effects: inout Effects
    ) {
        guard let range = writes[id]?.range, let n = writes[id]?.primaries else { return }
        let replica = Int(ranks[Int(range.rawValue)])
        record(
            .acknowledged(primary: replica < n, durable: durable), from: replica, of: id, &effects)
    }

    mutating func replicated(
        _ id: OperationID, _ status: ReplicaStatus, from node: NodeID, _ effects: inout Effects
    ) {
        guard id.kind != .hint else { return handedOff(id, status, by: node, &effects) }
        guard id.kind != .surplus else { return surplusTaken(id, status, by: node, &effects) }
        guard let replica = replica(of: id, node) else {
            counters.lateAnswers += 1
            return
        }
        if status == .needsState { return sendState(id, to: node, &effects) }
        let primary = writes[id].map { replica < $0.primaries } ?? false
        let answer: WriteAnswer =
            switch status {
            case .acknowledged: .acknowledged(primary: primary, durable: false)
            case .durable: .acknowledged(primary: primary, durable: true)
            case .diskFull: .refused(.diskFull)
            case .clockAhead: .refused(.clockAhead)
            case .tooManySiblings: .refused(.tooLarge)
            case .wrongEpoch: .refused(.wrongEpoch)
            case .overloaded, .found, .absent, .superseded, .covered, .contextTold, .needsState,
                .refilling,
                .noReplica:
                .refused(.overloaded)
            }
        record(answer, from: replica, of: id, &effects)
    }

    /// A replica has a later write of the key. That write may have been acknowledged before this
    /// one began, by a coordinator whose clock is a little ahead; so this one is stamped anew,
    /// later than it, and sent again.
    ///
    /// With 2 W > N any two acknowledged writes have a replica in common, so of two writes in
    /// sequence the second wins, as a client expects, however the clocks within the bound disagree.
    /// Two writes side by side may overtake each other a few times; after that the order is as good
    /// as any. What is given up: a write that is still under way, was read, and was overwritten by
    /// whoever read it, may come back when its last message arrives only then.
    mutating func superseded(
        _ id: OperationID, by stamp: Stamp, from node: NodeID, _ effects: inout Effects
    ) {
        guard id.kind != .hint else { return handedOff(id, .superseded, by: node, &effects) }
        guard id.kind != .surplus else {
            return surplusTaken(id, .superseded, by: node, &effects)
        }
        guard let write = writes[id], let replica = replica(of: id, node),
            write.tally.outstanding.contains(replica)
        else {
            counters.lateAnswers += 1
            return
        }
        // What is that late by a clock that is wrong gives way one day, and then this write is
        // missing there.
        guard clock.observe(stamp) else {
            return replicated(id, .clockAhead, from: node, &effects)
        }
        guard write.tally.decision == nil, !write.record.isEmpty,
            write.stampings < Node.stampingsMax
        else { return replicated(id, .acknowledged, from: node, &effects) }
        counters.restamped += 1
        writes.remove(id)
        restamp(write, &effects)
    }

    private static let stampingsMax = 4

    private mutating func restamp(_ write: WriteOperation, _ effects: inout Effects) {
        let dot = Dot(identity: identity, stamp: clock.tick())
        var bytes = write.record
        bytes.withUnsafeMutableBytes { Record.stamp($0, dot) }
        var again = WriteOperation(
            head: write.head, keyspace: write.keyspace, range: write.range, dot: dot,
            success: write.success,
            tally: WriteTally(
                replicaCount: write.tally.replicaCount, writeQuorum: write.tally.writeQuorum,
                primaryWriteQuorum: write.tally.primaryWriteQuorum,
                durableWriteQuorum: write.tally.durableWriteQuorum),
            primaries: write.primaries)
        again.record = bytes
        again.stampings = write.stampings + 1
        again.hash = write.hash
        again.replaces = write.replaces
        let id = writes.insert(again)
        watch(id, at: again.head.deadline)
        let needsSync = write.tally.durableWriteQuorum > 0
        let scope = effects.beginScope()
        defer { effects.endScope(scope) }
        bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            let record = Record(at: base)
            let keyspace = catalog.index(of: record.key)
            let status = mergeIn(record, keyspace, &effects)
            sendReplicas(record, id, write.range, again.primaries, needsSync, &effects)
            refuseUnreachable(id, write.range, again.primaries, &effects)
            // This replica has the write under its former stamp.
            guard status == .acknowledged else {
                return replicaLost(id, configuration.node, &effects)
            }
            keep(
                record, catalog.active[keyspace].durability, synced: needsSync, token: id,
                &effects)
        }
    }

    mutating func replicaLost(_ id: OperationID, _ node: NodeID, _ effects: inout Effects) {
        guard let replica = replica(of: id, node) else { return }
        record(.lost, from: replica, of: id, &effects)
    }

    private func replica(of id: OperationID, _ node: NodeID) -> Int? {
        guard let write = writes[id],
            let place = ring.position(of: node, in: write.range), place < write.tally.replicaCount
        else { return nil }
        return place
    }

    mutating func record(
        _ answer: WriteAnswer, from replica: Int, of id: OperationID, _ effects: inout Effects
    ) {
        guard writes.contains(id) else { return }
        if let decision = writes[id]?.tally.record(answer, from: replica) {
            decide(id, decision, &effects)
        }
        if writes[id]?.tally.outstanding.count == 0 { writes.remove(id) }
    }

    /// Ends what this node coordinates of a keyspace that was dropped: replicas that have heard of
    /// it take nothing of it any more.
    mutating func abandonWrites(of keyspace: Int, _ effects: inout Effects) {
        for slot in 0..<writes.indexEnd {
            guard let id = writes.id(at: slot), writes[id]?.keyspace == keyspace,
                let write = writes.remove(id), write.tally.decision == nil
            else { continue }
            client = write.head.client
            counters.unknown += 1
            ledger.failed(keyspace, .write, .unknown)
            if !client.guarantees.isEmpty { noteUnknown(upTo: write.dot.stamp, write.head.target) }
            fail(
                write.head.target,
                "UNKNOWN the keyspace was dropped meanwhile, and what was written to it with it",
                &effects)
        }
    }

    mutating func expireWrite(_ id: OperationID, _ effects: inout Effects) {
        if let decision = writes[id]?.tally.expire() { decide(id, decision, &effects) }
        writes.remove(id)
    }

    private mutating func decide(
        _ id: OperationID, _ decision: WriteDecision, _ effects: inout Effects
    ) {
        guard let write = writes[id] else { return }
        client = write.head.client
        // Only an undecided write can be stamped anew; late answers need none of its bytes.
        writes[id]?.record = []
        switch decision {
        case .satisfied:
            if write.tally.acknowledgedByPrimaries < write.tally.writeQuorum {
                counters.degraded += 1
            }
            answered(.write, write.keyspace, write.head)
            if !client.guarantees.isEmpty {
                if isTyped(write.keyspace) {
                    noteSeen(write.hash, write.context, write.head.target)
                }
                noteWritten(SessionWrite(write), write.head.target)
            }
            let start = effects.bytes.count
            if client.wantsReceipt { writeReceipt(of: write, &effects) }
            effects.bytes.write(write.success, client.dialect)
            deliver(write.head.target, from: start, &effects)
        case .failed(let reason):
            counters.unavailable += 1
            ledger.failed(write.keyspace, .write, reason.outcome)
            fail(write.head.target, text: reason.text, &effects)
        case .unknown(let acknowledged, let required):
            counters.unknown += 1
            ledger.failed(write.keyspace, .write, .unknown)
            if !client.guarantees.isEmpty { noteUnknown(upTo: write.dot.stamp, write.head.target) }
            if configuration.plantedBug == .unknownToldAsFailed {
                return fail(write.head.target, text: Refusal.unreachable.text, &effects)
            }
            fail(
                write.head.target,
                text: "UNKNOWN \(acknowledged) of \(required) acknowledgements in time; "
                    + "the write may or may not take effect", &effects)
        }
    }

    mutating func reply(_ success: WriteReply, _ target: ReplyTarget, _ effects: inout Effects) {
        let start = effects.bytes.count
        let overflow = takeOverflow()
        if client.wantsReceipt {
            tell(
                Receipt(
                    action: .write, answered: 1, required: 1, durable: 0, dot: nil,
                    overflow: overflow), target, &effects)
        }
        effects.bytes.write(success, client.dialect)
        deliver(target, from: start, &effects)
    }
}
