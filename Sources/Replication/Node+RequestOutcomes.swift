import Base
import Causality
import Coding
import Quorum
import RESP
import Ring

// How requests with an id end: what their outcome is, and who hears of it.
extension Node {
    /// The reply of a request with an id: the operation is over. One that is no error and of which
    /// no effect was noted is noted here.
    mutating func finishOnce(_ id: OperationID, _ reply: [UInt8], _ effects: inout Effects) {
        guard let claim = requestIDs.claims[id] else { return }
        if claim.stage == .executing, reply.first != UInt8(ascii: "-") {
            guard reply.count <= RequestLedger.Outcome.replyBytesMax else {
                return endClaim(id, Node.tooLargeToTellAgain, &effects)
            }
            let outcome = RequestLedger.Outcome(
                dot: nil, reply: reply, checksum: Node.checksum(of: claim.command))
            requestIDs.ledger.finish(claim.name, outcome, since: requestTime)
            return settle(id, outcome, &effects)
        }
        conclude(id, reply, &effects)
    }

    private mutating func conclude(_ id: OperationID, _ reply: [UInt8], _ effects: inout Effects) {
        guard let claim = requestIDs.claims.remove(id) else { return }
        let start = effects.bytes.count
        effects.bytes.append(reply)
        deliver(claim.head.target, from: start, &effects)
    }

    /// Tells what was answered without an effect once that is on disk, here and to the other
    /// replicas; also when it is told again, as it may not have got there yet.
    mutating func settle(
        _ id: OperationID, _ outcome: RequestLedger.Outcome, _ effects: inout Effects
    ) {
        guard let claim = requestIDs.claims[id] else { return }
        requestIDs.claims[id]?.stage = .executed
        let executed = ExecutedRequest(
            name: claim.name, outcome: outcome, location: claim.location)
        let isKept = persist(executed, since: requestTime, &effects)
        announce(executed, &effects)
        guard isKept else { return conclude(id, outcome.reply, &effects) }
        effects.add(.notify(id.rawValue))
    }

    /// What a request answered without an effect is on disk.
    mutating func reachedOutcome(_ id: OperationID, _ effects: inout Effects) {
        guard let claim = requestIDs.claims[id] else { return }
        guard case .done(let outcome) = requestIDs.ledger.entry(of: claim.name, now: requestTime)
        else { return doubt(id, nil, &effects) }
        client = claim.head.client
        conclude(id, outcome.reply, &effects)
    }

    mutating func endClaim(
        _ id: OperationID, _ reason: StaticString, _ effects: inout Effects
    ) {
        guard let claim = requestIDs.claims.remove(id) else { return }
        fail(claim.head.target, reason, &effects)
    }

    mutating func endClaim(
        _ id: OperationID, text: String, _ effects: inout Effects
    ) {
        guard let claim = requestIDs.claims.remove(id) else { return }
        fail(claim.head.target, text: text, &effects)
    }

    /// Notes what a request with an id has just done to its key, before anybody else hears of it;
    /// the effect must come next in the journal.
    ///
    /// - Returns: what `announce` sends behind the effect; nil, and nothing has happened, when the
    ///   request has no id.
    mutating func noteExecuted(
        _ target: ReplyTarget, _ dot: Dot, _ success: WriteReply, _ effects: inout Effects
    ) -> ExecutedRequest? {
        guard case .request(let id) = target, let claim = requestIDs.claims[id] else { return nil }
        requestIDs.claims[id]?.stage = .executed
        var reply = ByteBuffer(capacity: 64)
        reply.write(success, .resp2)
        let outcome = RequestLedger.Outcome(
            dot: dot, reply: Array(reply.bytes), checksum: Node.checksum(of: claim.command))
        let since = requestTime
        requestIDs.ledger.finish(claim.name, outcome, since: since)
        let executed = ExecutedRequest(
            name: claim.name, outcome: outcome, location: claim.location)
        persist(executed, since: since, &effects)
        return executed
    }

    /// Has what follows in this step wait until an outcome is on disk.
    ///
    /// - Returns: false, and nothing has happened, where the keyspace is in memory only.
    @discardableResult private func persist(
        _ executed: ExecutedRequest, since: UInt64, _ effects: inout Effects
    ) -> Bool {
        let keyspace = executed.location.keyspace
        guard catalog.active[keyspace].durability != .memory else { return false }
        effects.persist {
            Node.encode(
                executed.name, .done(executed.outcome), since: since,
                isBeforeEffect: executed.outcome.dot != nil, into: &$0)
        }
        return true
    }

    /// Sends the outcome behind the effect, if there is one.
    func announce(_ executed: ExecutedRequest, _ effects: inout Effects) {
        if configuration.plantedBug == .requestIDForgotten { return }
        let frame = RequestMessage.outcome(executed.name, executed.outcome)
            .encode(into: &effects.bytes)
        let n = catalog.active[executed.location.keyspace].n
        for node in ring.primaries(of: executed.location.address.range, replicationFactor: n)
        where node != configuration.node {
            send(frame, to: node, &effects)
        }
    }

    /// Tells the reply of a request that was executed before, once as many replicas as it asks for
    /// have the key as it is here.
    mutating func repeatOutcome(
        _ outcome: RequestLedger.Outcome, _ key: UnsafeRawBufferPointer, _ target: ReplyTarget,
        _ effects: inout Effects
    ) throws(CommandError) {
        counters.requestsRepeated += 1
        let location = place(of: key)
        let keyspace = location.keyspace
        let options = try ConsistencyOptions(trailing: CommandName(request), request)
        guard let levels = writeLevels(options, keyspace, target, &effects) else { return }
        guard let dot = outcome.dot,
            let stored = believableState(location.address, key, keyspace, &effects)
        else {
            return reply(.encoded(outcome.reply), target, &effects)
        }
        guard writes.room(for: keyspace) > 0 else {
            return overload(.write, keyspace, target, &effects)
        }
        let id = startRepeating(outcome, dot, levels, location, target)
        let (n, range) = (catalog.active[keyspace].n, location.address.range)
        let needsSync = levels.durableWriteQuorum > 0
        let record = whole(stored)
        let scope = effects.beginScope()
        defer { effects.endScope(scope) }
        if n > 1 {
            sendReplicas(record, id, range, n, needsSync, &effects)
            refuseUnreachable(id, range, n, &effects)
        }
        let durability = catalog.active[keyspace].durability
        keep(record, durability, synced: needsSync, token: id, &effects)
    }

    /// Begins to count the replicas that have what an executed request left.
    private mutating func startRepeating(
        _ outcome: RequestLedger.Outcome, _ dot: Dot, _ levels: WriteLevels,
        _ location: KeyLocation, _ target: ReplyTarget
    ) -> OperationID {
        let n = catalog.active[location.keyspace].n
        let timeout = UInt64(levels.timeoutMilliseconds)
        let head = OperationHead(
            target: outlasting(target), client: client,
            deadline: now.monotonic + .nanoseconds(milliseconds: timeout), begunAt: now.monotonic)
        let id = writes.insert(
            WriteOperation(
                head: head, keyspace: location.keyspace, range: location.address.range, dot: dot,
                success: .encoded(outcome.reply),
                tally: WriteTally(
                    replicaCount: n, writeQuorum: levels.writeQuorum,
                    primaryWriteQuorum: levels.primaryWriteQuorum,
                    durableWriteQuorum: levels.durableWriteQuorum),
                primaries: n, hash: location.address.hash, replaces: false))
        watch(id, at: head.deadline)
        return id
    }
}
