import Base
import Causality
import Coding

// Links: who may talk to this node, and what becomes of requests when one breaks.
extension Node {
    /// How many links are up, and not silent.
    public var linksUp: Int { links.indices.reduce(0) { $0 + (isHeard($1) ? 1 : 0) } }

    func linkIndex(of node: NodeID) -> Int? {
        links.firstIndex { $0.node == node }
    }

    mutating func linked(
        _ node: NodeID, _ identity: ReplicaIdentity, _ effects: inout Effects
    ) {
        guard let index = linkIndex(of: node) else { return }
        let known = links[index].highest
        if known != identity {
            equalities.forget(link: index)
            refill.beginAnew(with: index)
        }
        clock.forget(link: index)
        forgetting.forget(link: index)
        links[index].agrees = false
        links[index].identity = identity
        links[index].isSilent = false
        links[index].highest = max(links[index].highest, identity)
        wasLinked = true
        noteLinkedLife(index, &effects)
        keepMembers(&effects)
        (links[index].heardAt, links[index].heardThereAt) = (now.monotonic, 0)
        links[index].wentWithoutAt = clock.latest
        noteMissing(index)
        beginPromises(index, &effects)
        if known != identity, known.rawValue != 0 {
            send(to: node, kind: Message.knownLifeKind, number: known.rawValue, &effects)
        }
        beginFreshness(index, identity, &effects)
        introduceDrops(to: node, index, &effects)
        sendHeartbeat(to: index, &effects)
        sendReport(to: index, &effects)
        beginGeneration(with: index, &effects)
        joinMembers(through: node, &effects)
        if isRefilling, background.hasTrees { inquire(index, &effects) }
    }

    mutating func unlinked(_ node: NodeID, _ effects: inout Effects) {
        guard let index = linkIndex(of: node) else { return }
        links[index].identity = nil
        clock.forget(link: index)
        forgetting.forget(link: index)
        forgetOwed(index)
        links[index].answers.forgetOverdue()
        relieve(index, &effects)
        breakHandOff(index)
        forgetAnswerTimes(link: index)
        giveUpWaiting(for: node, index, &effects)
        for slot in 0..<administrations.indexEnd {
            if let id = administrations.id(at: slot) { administrationLost(id, index, &effects) }
        }
        claimsLost(node, &effects)
    }

    /// Ends what waits for a node that will not answer.
    private mutating func giveUpWaiting(
        for node: NodeID, _ index: Int, _ effects: inout Effects
    ) {
        for slot in 0..<writes.indexEnd {
            if let id = writes.id(at: slot) { replicaLost(id, node, &effects) }
        }
        for slot in 0..<reads.indexEnd {
            if let id = reads.id(at: slot) { readLost(id, node, &effects) }
        }
        for slot in 0..<forwards.indexEnd {
            if let id = forwards.id(at: slot) { forwardLost(id, node, &effects) }
        }
    }

    /// The members have declared a node dead. If nothing comes from it here either, what waits for
    /// it waits no longer, although the link has not broken.
    mutating func declaredDead(_ node: NodeID, _ effects: inout Effects) {
        guard let index = linkIndex(of: node), links[index].isUp, isLost(index) else { return }
        giveUpWaiting(for: node, index, &effects)
    }

    /// Whether requests can go to a node right now. A cut that is silent counts once the members
    /// have noticed it.
    @inline(__always)
    func isReachable(_ node: NodeID) -> Bool {
        guard let index = linkIndex(of: node) else { return false }
        return links[index].isUp && !isLost(index)
    }

    /// Whether a node can be expected to answer at once.
    func isResponsive(_ node: NodeID) -> Bool {
        guard let index = linkIndex(of: node) else { return false }
        return links[index].isUp && !links[index].isSilent && !isLost(index)
    }

    /// Whether a node was heard so lately that it can be relied on to answer.
    func isHeard(_ node: NodeID) -> Bool {
        guard let index = linkIndex(of: node), isResponsive(node) else { return false }
        return isHeard(index)
    }

    mutating func noteSilence(of node: NodeID) {
        if let index = linkIndex(of: node) { links[index].isSilent = true }
    }

    /// Sends an encoded message unless the link is down or cut.
    func send(_ frame: Range<Int>, to node: NodeID, _ effects: inout Effects) {
        guard let index = linkIndex(of: node), links[index].isUp, !isCut(index) else { return }
        effects.add(.send(node, frame))
    }

    func send(
        to node: NodeID, kind: UInt8, flag: UInt8 = 0, number: UInt64, _ effects: inout Effects
    ) {
        let frame = effects.bytes.appendMessage(kind: kind, flag: flag, number: number)
        send(frame, to: node, &effects)
    }

    func send(
        to node: NodeID, kind: UInt8, flag: UInt8 = 0, number: UInt64,
        _ rest: UnsafeRawBufferPointer, _ effects: inout Effects
    ) {
        let frame = effects.bytes.appendMessage(kind: kind, flag: flag, number: number, rest)
        send(frame, to: node, &effects)
    }

    mutating func receive(
        _ payload: UnsafeRawBufferPointer, from node: NodeID, _ effects: inout Effects
    ) {
        guard let index = linkIndex(of: node), links[index].isUp, !isLostToFault(index) else {
            return
        }
        counters.messagesReceived += 1
        links[index].isSilent = false
        links[index].spokeAt = now.monotonic
        do throws(DecodeError) {
            let message = try Message(decoding: payload)
            if links[index].isBehind, isKeptOut(message, from: node, &effects) { return }
            try handle(message, from: node, &effects)
        } catch {
            counters.malformedMessages += 1
            effects.add(.disconnect(node))
        }
    }

    private mutating func handle(
        _ message: Message, from node: NodeID, _ effects: inout Effects
    ) throws(DecodeError) {
        switch message {
        case .replicate(let number, let record, let durability):
            replicate(number, record, durability, from: node, &effects)
        case .replicated(let number, .superseded, let stamp):
            superseded(OperationID(rawValue: number), by: stamp, from: node, &effects)
        case .replicated(let number, let status, _):
            replicated(OperationID(rawValue: number), status, from: node, &effects)
        case .replicateDelta(let number, let record, let durability):
            replicate(number, record, durability, from: node, &effects)
        case .readState, .readContext, .covered, .contextTold:
            handleState(message, from: node, &effects)
        case .read(let number, let key): answerRead(number, key, from: node, &effects)
        case .answer(let number, let record, let emptiedAt):
            answered(OperationID(rawValue: number), record, emptiedAt, from: node, &effects)
        case .command(let number, let dialect, let wishes, let bytes):
            executeForwarded((node, number), dialect, wishes, bytes, &effects)
        case .commandReply(let number, let bytes):
            try forwardAnswered(OperationID(rawValue: number), bytes, from: node, &effects)
        case .answerDeclined(let number):
            declined(OperationID(rawValue: number), by: node, &effects)
        case .exchange(let n, let message, let moment, let sum):
            if case .roots(let roots) = message {
                noteRoots(roots, n, sum, from: node, &effects)
                tellSame(roots, moment, n, node, &effects)
            }
            exchange(message, n, from: node, &effects)
        case .refill(let n, let message, let digest):
            try refill(message, n, digest, from: node, &effects)
        case .hint(let number, let hinted): hint(number, hinted, from: node, &effects)
        case .handOff(let number, let record): takeHandOff(number, record, from: node, &effects)
        case .generation(let message): heard(message, from: node, &effects)
        case .definitions, .definitionsLearned, .membership, .heartbeat, .survey, .surveyOver,
            .surveyed, .knownLife, .latestStamp, .latestStampTold, .session, .promises, .request:
            try handleAdministration(message, from: node, &effects)
        }
    }

    private mutating func handleAdministration(
        _ message: Message, from node: NodeID, _ effects: inout Effects
    ) throws(DecodeError) {
        switch message {
        case .definitions(let number, let forgotten, let bytes):
            try learnDefinitions(number, forgotten, bytes, from: node, &effects)
        case .definitionsLearned(let number):
            definitionsLearned(OperationID(rawValue: number), by: node, &effects)
        case .membership(let message):
            let known = message.restricted { linkIndex(of: $0) != nil }
            stepMembership(.received(known, from: node), &effects)
        case .heartbeat(let stamp, let names, let reading, let room):
            heard(room: Int(clamping: room), of: node)
            noteEcho(reading.timing.echo, of: node)
            if let index = linkIndex(of: node) { links[index].hasSpoken = true }
            heardClock(reading, from: node, &effects)
            heard(stamp, names, from: node, &effects)
        case .survey(let number, let name): survey(number, name, from: node, &effects)
        case .surveyOver(let name): liftFence(Array(name), of: node)
        case .surveyed(let number, let keys):
            surveyed(OperationID(rawValue: number), keys, by: node, &effects)
        case .knownLife(let life): heardOfLife(life, from: node, &effects)
        case .promises(let message): heardPromises(message, from: node, &effects)
        case .session(let message): try take(message, from: node, &effects)
        case .request(let message): take(message, from: node, &effects)
        case .latestStamp(let number, let name):
            tellTime(number, dropping: Array(name), to: node, &effects)
        case .latestStampTold(let number, let stamp):
            toldTime(OperationID(rawValue: number), stamp, by: node, &effects)
        case .replicate, .replicated, .replicateDelta, .readState, .readContext, .covered,
            .contextTold, .read, .answer, .generation,
            .answerDeclined, .command, .commandReply, .exchange, .refill, .hint, .handOff:
            preconditionFailure("messages about keys are handled before")
        }
    }
}

// Time: heartbeats and deadlines.
extension Node {
    static let heartbeatMilliseconds: UInt64 = 200

    mutating func passTime(_ effects: inout Effects) {
        let scope = effects.beginScope()
        defer { effects.endScope(scope) }
        if now.monotonic >= nextHeartbeat { beat(&effects) }
        tendBackground(&effects)
        tendMembership(&effects)
        pruneHedges()
        if let due = nextElapsed, due <= now.monotonic { tendExpiries(&effects) }
        expireDue(&effects)
    }

    private mutating func beat(_ effects: inout Effects) {
        nextHeartbeat = now.monotonic + .nanoseconds(milliseconds: Node.heartbeatMilliseconds)
        for index in links.indices {
            if let fault = links[index].fault, now.monotonic >= fault.until {
                links[index].fault = nil
            }
            clock.setVoter(!isRemoved(links[index].node), link: index)
            tendHints(index, &effects)
            guard links[index].isUp else { continue }
            sendHeartbeat(to: index, &effects)
            sendReport(to: index, &effects)
            tendExchange(index, &effects)
        }
        tendCorrection(&effects)
        tendExpiries(&effects)
        tendGeneration(&effects)
        background.keeping.resume()
        forgetWhatWasBefore()
        tendCollection(&effects)
        tendForgetting(&effects)
        recountMemory()
        wakeWaiting(&effects)
        tendAnswers(&effects)
        tendRequestIDs()
        if isRefilling { tendRefill(&effects) }
    }

    mutating func sendHeartbeat(to index: Int, _ effects: inout Effects) {
        let room = disk.roomForWrites
        links[index].toldRoom = room
        let frame = effects.bytes.appendMessage(kind: 9, number: clock.latest.rawValue) {
            clock.reading(for: index).encode(into: &$0)
            Message.Names(
                digest: catalog.digest, isDurable: hasDurableDefinitions,
                hasCaughtUp: forgetting.hasCaughtUp, forgettingWord
            ).encode(into: &$0)
            $0.append(integer: UInt64(room))
        }
        send(frame, to: links[index].node, &effects)
    }

    private mutating func heard(
        _ stamp: Stamp, _ names: Message.Names, from node: NodeID, _ effects: inout Effects
    ) {
        noteLife(of: node)
        if !clock.observe(stamp) {
            counters.refusedAhead += 1
        }
        if let index = linkIndex(of: node) { heardWord(names, index) }
        noteDefinitions(names.digest, of: node)
        advanceGeneration(&effects)
        if names.digest != catalog.digest || names.word.promised < catalog.forgotten.known {
            sendDefinitions(to: node, number: 0, &effects)
        }
    }

    /// Another node says which heartbeat of this one it has heard last.
    ///
    /// - Parameter milliseconds: when that was sent, by this node's monotonic clock.
    private mutating func noteEcho(_ milliseconds: UInt64, of node: NodeID) {
        guard let index = linkIndex(of: node), milliseconds <= now.monotonic / 1_000_000 else {
            return
        }
        links[index].heardThereAt = .nanoseconds(milliseconds: milliseconds)
    }

    private mutating func noteLife(of node: NodeID) {
        guard let index = linkIndex(of: node) else { return }
        let silence = now.monotonic - links[index].heardAt
        links[index].heardAt = now.monotonic
        if silence > .nanoseconds(milliseconds: 2 * Node.heartbeatMilliseconds) {
            noteMissing(index)
        }
    }

    /// Has an operation looked at when something becomes due for it.
    mutating func watch(_ id: OperationID, at deadline: Deadline) {
        guard deadline != .max else { return }
        let underWay =
            reads.count * 2 + writes.count + forwards.count + administrations.count
            + requestIDs.claims.count
        if deadlines.count > 2 * underWay + 64 {
            var waiting = DeadlineQueue()
            swap(&waiting, &deadlines)
            waiting.keep { isUnderWay($0) }
            swap(&waiting, &deadlines)
        }
        deadlines.insert(DeadlineQueue.Entry(at: deadline, id: id))
    }

    private func isUnderWay(_ id: OperationID) -> Bool {
        switch id.kind {
        case .write: writes.contains(id)
        case .read: reads.contains(id)
        case .forward: forwards.contains(id)
        case .administration: administrations.contains(id)
        case .claim: requestIDs.claims.contains(id)
        case .gather, .refill, .hint, .definitions, .surplus, .forgetting, nil: false
        }
    }

    /// Ends the operations whose time is over, and forgets those that have ended in front of the
    /// others.
    private mutating func expireDue(_ effects: inout Effects) {
        while let next = deadlines.first {
            guard next.at <= now.monotonic || !isUnderWay(next.id) else { return }
            deadlines.removeFirst()
            expire(next.id, &effects)
        }
    }

    private mutating func expire(_ id: OperationID, _ effects: inout Effects) {
        let time = now.monotonic
        switch id.kind {
        case .write:
            if let at = writes[id]?.head.deadline, at <= time { expireWrite(id, &effects) }
        case .read:
            guard let at = reads[id]?.head.deadline, let retryAt = reads[id]?.retryAt else {
                return
            }
            if at <= time {
                expireRead(id, &effects)
            } else if retryAt <= time {
                retry(id, &effects)
                if let again = reads[id]?.retryAt { watch(id, at: again) }
            }
        case .forward:
            if let at = forwards[id]?.head.deadline, at <= time { expireForward(id, &effects) }
        case .administration:
            if let at = administrations[id]?.head.deadline, at <= time {
                expireAdministration(id, &effects)
            }
        case .claim: expireClaim(id, &effects)
        case .gather, .refill, .hint, .definitions, .surplus, .forgetting, nil: return
        }
    }

    /// Whether some request goes on in a step of its own.
    var hasWork: Bool {
        !work.isEmpty || store.expanded.hasRemains || hasOwedAnswers || isToMeasure
    }

    /// Requests that take several steps and go on in one, a step of each, as long as the turn
    /// admits it: one in any case.
    private static let workAtOnce = 16
    /// Entries of removed values that one step frees.
    private static let entriesFreedAtOnce = 8_192

    mutating func runWork(_ effects: inout Effects) {
        for number in 0..<min(work.count, Node.workAtOnce) where number == 0 || !turn.isSpent {
            guard let id = work.popFirst() else { break }
            effects.inScope { goOn(id, &$0) }
        }
        if store.expanded.hasRemains { store.expanded.freeRemains(Node.entriesFreedAtOnce) }
        if isToMeasure { measureStates() }
        if hasOwedAnswers { effects.inScope { giveOwedAnswers(&$0) } }
    }
}
