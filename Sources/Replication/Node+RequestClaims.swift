import Base
import Causality
import Coding
import Ring

// Claiming a request id before its command is executed; see `RequestIDs` for the protocol.
extension Node {
    private static let claimRoundsMax = 4
    private static let tooManyIDs =
        "OVERLOADED too many request ids are remembered, each for ten minutes; nothing was "
        + "written. Requests without an id go on"
    private static let keyIsAhead =
        "CLOCK the key was written by a clock far ahead of this node's; nothing is written"
    private static let noMemoryForIDs =
        "OOM command not allowed when used memory > 'maxmemory': a request id takes memory; "
        + "deletes without an id go on"

    mutating func beginRound(
        _ id: OperationID, over: RequestLedger.Claim?, _ effects: inout Effects
    ) {
        guard var claim = requestIDs.claims[id] else { return }
        guard claim.rounds < Node.claimRoundsMax else { return doubt(id, over, &effects) }
        claim.rounds += 1
        claim.stage = .claiming
        (claim.granted, claim.answered, claim.waiting, claim.rival) = (0, 0, 0, nil)
        let own = RequestLedger.Claim(coordinator: identity, number: id.rawValue)
        let (location, n) = (claim.location, catalog.active[claim.location.keyspace].n)
        let frame = RequestMessage.claim(
            id.rawValue, .init(name: claim.name, claim: own, over: over)
        )
        .encode(into: &effects.bytes)
        let list = ring.primaries(of: location.address.range, replicationFactor: n)
        for (place, node) in list.enumerated() where node != configuration.node {
            guard isReachable(node) else { continue }
            claim.waiting |= 1 << UInt64(place)
            send(frame, to: node, &effects)
        }
        requestIDs.claims[id] = claim
        let answer =
            knowsIDs(of: location) ? remember(claim.name, own, over: over) : .notWhole
        let latest = claim.name.withKey { latestStamp(of: $0, location, &effects) }
        count(answer.told(latest), of: id, from: configuration.node, &effects)
    }

    /// The stamp of what this replica has of a key, or may have had.
    private mutating func latestStamp(
        of key: UnsafeRawBufferPointer, _ location: KeyLocation, _ effects: inout Effects
    ) -> Stamp {
        let (keyspace, address) = (location.keyspace, location.address)
        let stored = believableState(address, key, keyspace, &effects)
        return max(stored?.dot.stamp ?? Stamp(rawValue: 0), absentUpTo(address.range, keyspace))
    }

    mutating func count(
        _ answer: RequestMessage.ClaimAnswer, of id: OperationID, from node: NodeID,
        _ effects: inout Effects
    ) {
        guard requestIDs.claims[id]?.stage == .claiming else { return }
        switch answer {
        case .granted(let latest):
            requestIDs.claims[id]?.answered += 1
            if clock.observe(latest) {
                requestIDs.claims[id]?.granted += 1
            } else {
                requestIDs.claims[id]?.obstacle = .clockAhead
            }
        case .rival(let rival):
            requestIDs.claims[id]?.rival = rival
            requestIDs.claims[id]?.answered += 1
        case .full: requestIDs.claims[id]?.obstacle = .full
        case .notWhole: break
        case .done: return redirect(id, to: node, &effects)
        }
        decide(id, &effects)
    }

    mutating func decide(_ id: OperationID, _ effects: inout Effects) {
        guard let claim = requestIDs.claims[id], claim.stage == .claiming else { return }
        let n = catalog.active[claim.location.keyspace].n
        let majority = n / 2 + 1
        if let rival = claim.rival {
            if claim.answered >= majority || claim.waiting == 0 { inquire(id, rival, &effects) }
        } else if claim.granted >= majority {
            executeOnce(id, claim, &effects)
        } else if claim.granted + claim.waiting.nonzeroBitCount < majority {
            refuse(id, claim, &effects)
        }
    }

    /// Too few replicas grant a claim.
    private mutating func refuse(
        _ id: OperationID, _ claim: ClaimOperation, _ effects: inout Effects
    ) {
        switch claim.obstacle {
        case .full:
            endClaim(id, text: isMemoryFull ? Node.noMemoryForIDs : Node.tooManyIDs, &effects)
        case .clockAhead: endClaim(id, text: Node.keyIsAhead, &effects)
        case nil:
            countUnavailable(.write, claim.location.keyspace)
            let n = catalog.active[claim.location.keyspace].n
            endClaim(
                id,
                text: "UNAVAILABLE \(claim.granted) of \(n) replicas took the request id, "
                    + "which needs \(n / 2 + 1); nothing was written", &effects)
        }
    }

    private mutating func executeOnce(
        _ id: OperationID, _ claim: ClaimOperation, _ effects: inout Effects
    ) {
        client = claim.head.client
        guard now.monotonic < claim.head.deadline, coordinates(claim.location),
            !standsIn(at: claim.location)
        else {
            return endClaim(
                id, "UNAVAILABLE the replicas took the request id too late; nothing was written",
                &effects)
        }
        requestIDs.claims[id]?.stage = .executing
        let scope = effects.beginScope()
        defer { effects.endScope(scope) }
        claim.command.withUnsafeBytes { bytes in
            guard parse(bytes) else { return endClaim(id, "ERR syntax error", &effects) }
            execute(.request(id), &effects)
        }
    }

    /// Another node has the effect and the outcome: it answers.
    private mutating func redirect(
        _ id: OperationID, to node: NodeID, _ effects: inout Effects
    ) {
        guard let claim = requestIDs.claims.remove(id) else { return }
        client = claim.head.client
        let timeout = catalog.active[claim.location.keyspace].writes.timeoutMilliseconds
        // What is forwarded is the request that is being executed.
        let isParsed = claim.command.withUnsafeBytes { parse($0) }
        precondition(isParsed, "a command is kept as it was parsed")
        wholeCommand(claim.name, claim.command).withUnsafeBytes {
            forward(
                $0, to: node, claim.location, timeoutMilliseconds: timeout, claim.head.target,
                &effects)
        }
    }

    private mutating func inquire(
        _ id: OperationID, _ rival: RequestLedger.Claim, _ effects: inout Effects
    ) {
        guard let claim = requestIDs.claims[id] else { return }
        requestIDs.claims[id]?.stage = .inquiring(rival)
        let node = rival.coordinator.node
        guard node != configuration.node else {
            return inquired(id, state(of: rival, claim.name), by: node, &effects)
        }
        guard isReachable(node) else { return doubt(id, rival, &effects) }
        let frame = RequestMessage.inquire(id.rawValue, claim.name, rival)
            .encode(into: &effects.bytes)
        send(frame, to: node, &effects)
    }

    mutating func inquired(
        _ id: OperationID, _ state: RequestMessage.ClaimState, by node: NodeID,
        _ effects: inout Effects
    ) {
        guard let claim = requestIDs.claims[id], case .inquiring(let rival) = claim.stage,
            rival.coordinator.node == node
        else { return }
        switch state {
        case .underWay:
            endClaim(
                id, text: "UNKNOWN \(node) is executing this request; send it again for its reply",
                &effects)
        case .over: beginRound(id, over: rival, &effects)
        case .done: redirect(id, to: node, &effects)
        // Its effect may be here without its outcome: each goes its own way where links break.
        case .forgotten: doubt(id, rival, &effects)
        }
    }

    /// Somebody may have executed the request and cannot say so.
    mutating func doubt(
        _ id: OperationID, _ rival: RequestLedger.Claim?, _ effects: inout Effects
    ) {
        counters.unknown += 1
        let node = rival.map { "\($0.coordinator.node)" } ?? "another node"
        endClaim(
            id,
            text: "UNKNOWN \(node) began this request and cannot be asked; "
                + "it may or may not have taken effect", &effects)
    }

    /// What became of a claim of this node.
    func state(
        of claim: RequestLedger.Claim, _ name: RequestName
    ) -> RequestMessage.ClaimState {
        if case .done = requestIDs.ledger.entry(of: name, now: requestTime) {
            return .done
        }
        // The numbers of operations begin anew in each process.
        if firstIdentity <= claim.coordinator {
            let operation = requestIDs.claims[OperationID(rawValue: claim.number)]
            return operation?.name == name ? .underWay : .over
        }
        let location = name.withKey { place(of: $0) }
        let isKept = catalog.active[location.keyspace].durability != .memory
        let isHere = ownLives.continues(claim.coordinator.epoch)
        return isKept && isHere && isWhole(location.address.range, location.keyspace)
            ? .over : .forgotten
    }
}

// What other nodes say and ask.
extension Node {
    mutating func take(
        _ message: RequestMessage, from node: NodeID, _ effects: inout Effects
    ) {
        switch message {
        case .claim(let number, let request): grant(number, request, to: node, &effects)
        case .claimed(let number, let answer):
            let id = OperationID(rawValue: number)
            guard let claim = requestIDs.claims[id],
                let place = ring.position(of: node, in: claim.location.address.range),
                claim.waiting & 1 << UInt64(place) != 0
            else { return }
            requestIDs.claims[id]?.waiting &= ~(1 << UInt64(place))
            count(answer, of: id, from: node, &effects)
        case .inquire(let number, let name, let claim):
            let frame = RequestMessage.inquired(number, state(of: claim, name))
                .encode(into: &effects.bytes)
            send(frame, to: node, &effects)
        case .inquired(let number, let state):
            inquired(OperationID(rawValue: number), state, by: node, &effects)
        case .outcome(let name, let outcome):
            learnOutcome(name, outcome, since: requestTime, &effects)
        case .askIDs(let place): tellIDs(from: place, to: node, &effects)
        case .toldIDs(let page): heardIDs(page, from: node, &effects)
        }
    }

    /// Notes a claim, as far as there is memory for one more id.
    private mutating func remember(
        _ name: RequestName, _ claim: RequestLedger.Claim, over: RequestLedger.Claim?
    ) -> RequestLedger.Answer {
        requestIDs.ledger.claim(
            name, claim, over: over, now: requestTime, mayGrow: !isMemoryFull)
    }

    private mutating func grant(
        _ number: UInt64, _ request: RequestMessage.ClaimRequest, to node: NodeID,
        _ effects: inout Effects
    ) {
        let (name, claim, since) = (request.name, request.claim, requestTime)
        let location = name.withKey { place(of: $0) }
        let isBroken = configuration.plantedBug == .requestIDForgotten
        var answer = isBroken ? RequestLedger.Answer.granted : .notWhole
        if !isBroken, isReplica(of: location), claim.coordinator.node == node,
            knowsIDs(of: location)
        {
            answer = remember(name, claim, over: request.over)
        }
        let durability = catalog.active[location.keyspace].durability
        if answer == .granted, durability != .memory, !isBroken {
            effects.persist {
                Node.encode(
                    name, .claimed(claim), since: since, isBeforeEffect: false, into: &$0)
            }
        }
        let latest = name.withKey { latestStamp(of: $0, location, &effects) }
        let frame = RequestMessage.claimed(number, answer.told(latest)).encode(into: &effects.bytes)
        send(frame, to: node, &effects)
    }

    /// Notes an outcome if its effect has arrived.
    ///
    /// - Parameter mayBeGone: whether a key that is absent may have had it.
    /// - Returns: false when the effect of a key that is kept here is not here.
    @discardableResult
    mutating func learnOutcome(
        _ name: RequestName, _ outcome: RequestLedger.Outcome, since: UInt64,
        mayBeGone: Bool = false, _ effects: inout Effects
    ) -> Bool {
        let location = name.withKey { place(of: $0) }
        guard isReplica(of: location) else { return true }
        if let dot = outcome.dot {
            guard name.withKey({ hasSeen(dot, $0, location, mayBeGone) }) else { return false }
        }
        guard requestIDs.ledger.learn(name, outcome, since: since) else { return true }
        guard catalog.active[location.keyspace].durability != .memory else { return true }
        effects.append {
            Node.encode(name, .done(outcome), since: since, isBeforeEffect: false, into: &$0)
        }
        return true
    }

    /// Whether the stored state of a key has a write in it, or what replaced it; or the keyspace
    /// was emptied of it, or its name compacted away.
    private mutating func hasSeen(
        _ dot: Dot, _ key: UnsafeRawBufferPointer, _ location: KeyLocation, _ mayBeGone: Bool
    ) -> Bool {
        let settled = settledAnywhere(location.address.range, location.keyspace)
        guard dot.stamp > max(catalog.active[location.keyspace].truncatedAt, settled) else {
            return true
        }
        guard let stored = liveState(location.address, key, location.keyspace) else {
            return mayBeGone
        }
        if catalog.active[location.keyspace].settings.conflict == .lww, !stored.isMergeable {
            return dot <= stored.written || dot == stored.dot || dot == stored.expiryDot
        }
        if stored.isMergeable { return context(of: stored).contains(dot) }
        return SiblingSet(valid: stored).seen.contains(dot)
    }

    /// A link is down: what was asked over it is not answered.
    mutating func claimsLost(_ node: NodeID, _ effects: inout Effects) {
        for slot in 0..<requestIDs.claims.indexEnd {
            guard let id = requestIDs.claims.id(at: slot), let claim = requestIDs.claims[id] else {
                continue
            }
            if case .inquiring(let rival) = claim.stage, rival.coordinator.node == node {
                doubt(id, rival, &effects)
            } else if let place = ring.position(of: node, in: claim.location.address.range) {
                requestIDs.claims[id]?.waiting &= ~(1 << UInt64(place))
                decide(id, &effects)
            }
        }
    }

    /// Nobody waits for grants any longer; what is executed has a deadline of its own.
    mutating func expireClaim(_ id: OperationID, _ effects: inout Effects) {
        guard let claim = requestIDs.claims[id], claim.head.deadline <= now.monotonic else {
            return
        }
        switch claim.stage {
        case .executing, .executed: return
        case .inquiring(let rival): doubt(id, rival, &effects)
        case .claiming:
            countUnavailable(.write, claim.location.keyspace)
            endClaim(
                id,
                text: "UNAVAILABLE too few replicas took the request id in time; "
                    + "this node wrote nothing", &effects)
        }
    }
}

extension RequestLedger.Answer {
    /// What other nodes are told.
    ///
    /// - Parameter latest: the stamp of what the replica has of the key.
    func told(_ latest: Stamp) -> RequestMessage.ClaimAnswer {
        switch self {
        case .granted: .granted(latest)
        case .rival(let claim): .rival(claim)
        case .done: .done
        case .full: .full
        case .notWhole: .notWhole
        }
    }
}
