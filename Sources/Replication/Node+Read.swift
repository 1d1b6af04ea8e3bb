import Base
import Causality
import Coding
import Quorum
import RESP
import Ring

// Reads that this node coordinates: answer from here when that suffices, otherwise ask, merge, and
// repair what differed.
extension Node {
    mutating func read(
        _ key: UnsafeRawBufferPointer, keyspace: Int, _ levels: ReadLevels,
        _ purpose: ReadPurpose, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        counters.reads += 1
        let n = catalog.active[keyspace].n
        let address = store.address(of: key)
        let location = KeyLocation(keyspace: keyspace, address: address)
        if levels.stalenessMilliseconds != nil || !client.guarantees.isEmpty {
            let wish = ReadWish(levels: levels, purpose: purpose, target: target)
            return readHeld(key, location, wish, &effects)
        }
        guard levels.readQuorum == 1, isReplica(of: location), isWhole(address.range, keyspace)
        else {
            return ask(key, location, levels, purpose, target, &effects)
        }
        let record = believableState(address, key, keyspace, &effects)
        if client.wantsReceipt { client.evidence.proof = proofHere(location) }
        finish(purpose, key, keyspace, record, target, &effects)
        ledger.answeredNow(keyspace, .read)
        guard n > 1, isSampled(catalog.active[keyspace].readRepairPerMille) else { return }
        let background = ReadLevels(
            readQuorum: n, primaryReadQuorum: 0,
            timeoutMilliseconds: levels.timeoutMilliseconds)
        ask(key, location, background, .compare, .nobody, &effects)
    }

    mutating func isSampled(_ perMille: Int) -> Bool {
        perMille > 0 && random.chance(perMille: perMille)
    }

    /// Starts a read of several replicas, this one first if it is one.
    mutating func ask(
        _ key: UnsafeRawBufferPointer, _ location: KeyLocation, _ levels: ReadLevels,
        _ purpose: ReadPurpose, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        let (keyspace, address) = (location.keyspace, location.address)
        let n = catalog.active[keyspace].n
        guard mayAsk(location, levels, purpose, target, &effects) else { return }
        let isSampled = isSampled(catalog.active[keyspace].readRepairPerMille)
        let length = extent(of: address.range, keyspace, of: levels.readQuorum, for: purpose)
        var operation = ReadOperation(
            head: OperationHead(
                target: outlasting(
                    target, byteCount: replyBytes(of: store.find(address, key), purpose)),
                client: client,
                deadline: now.monotonic
                    + .nanoseconds(milliseconds: UInt64(levels.timeoutMilliseconds)),
                begunAt: now.monotonic),
            key: Array(key), keyspace: keyspace, range: address.range, purpose: purpose,
            comparesAll: isSampled && !purpose.isComparison && length == n, begun: clock.latest,
            dropsHeard: catalog.dropsHeard,
            // The first answer is this node's own, which the client was told.
            toldAnswers: purpose.isComparison ? 1 : nil, retryAt: firstRetry(levels),
            tally: levels.tally(of: length), primaries: n)
        addDemands(to: &operation, levels)
        let id = reads.insert(operation)
        watch(id, at: operation.head.deadline)
        watch(id, at: operation.retryAt)
        if isTyped(keyspace) { reads[id]?.typed = TypedAnswers() }
        let stored = isTyped(keyspace) ? nil : store.find(address, key)?.length
        let expected = expectedBytes(stored)
        reads[id]?.expectedBytes = expected
        reserve(for: id, stored, levels.readQuorum)
        answerOwn(id, address, key, &effects)
        askMore(id, levels.readQuorum, &effects)
        beginHedging(id)
    }

    /// What the reply may have, as far as what is stored here tells.
    private func replyBytes(of stored: Record?, _ purpose: ReadPurpose) -> Int {
        guard let stored else { return 0 }
        guard case .typed(let command) = purpose else { return stored.length }
        guard stored.isExpanded, command.name.walksWhole else { return 0 }
        return store.expanded.bytes(of: stored.expandedPlace)
    }

    mutating func mayAsk(
        _ location: KeyLocation, _ levels: ReadLevels, _ purpose: ReadPurpose,
        _ target: ReplyTarget, _ effects: inout Effects
    ) -> Bool {
        if purpose.isComparison {
            return !isAnswerWaitedFor && reads.room(for: location.keyspace) > reads.capacity / 4
        }
        guard reads.room(for: location.keyspace) > 0 else {
            overload(.read, location.keyspace, target, &effects)
            return false
        }
        let n = catalog.active[location.keyspace].n
        let isMissing =
            isReplica(of: location)
            && !isWhole(location.address.range, location.keyspace)
        let reachable =
            reachableHolders(of: location, levels.primaryReadQuorum)
            - (isMissing ? 1 : 0)
        guard reachable < levels.readQuorum, levels.staleness == nil else { return true }
        countUnavailable(.read, location.keyspace)
        fail(
            target,
            text: "UNAVAILABLE \(reachable) of \(n) replicas reachable, R=\(levels.readQuorum)"
                + (isMissing ? refillNote : ""), &effects)
        return false
    }

    /// This node's own answer, when it is a replica.
    mutating func answerOwn(
        _ id: OperationID, _ address: RecordStore.Address, _ key: UnsafeRawBufferPointer,
        _ effects: inout Effects
    ) {
        guard let read = reads[id] else { return }
        let rank = Int(ranks[Int(address.range.rawValue)])
        guard rank < read.tally.replicaCount else { return }
        reads[id]?.everAsked |= 1 << UInt64(rank)
        guard rank < read.primaries else { return answerOwnHint(id, rank, read, &effects) }
        guard isWhole(address.range, read.keyspace) else {
            let decision = reads[id]?.tally.record(.refused(.unreachable), from: rank)
            return settle(id, decision, &effects)
        }
        let own = believableState(address, key, read.keyspace, &effects)
        if own == nil {
            let absentUpTo = absentUpTo(address.range, read.keyspace)
            reads[id]?.emptiedAt = max(read.emptiedAt, absentUpTo)
        }
        if read.typed != nil { return recordOwnState(own, from: rank, of: id, &effects) }
        record(own, from: rank, of: id, &effects)
    }

    /// Asks reachable replicas until so many have answered or may still answer.
    ///
    /// - Parameter sparing: nobody is asked who owes much already.
    mutating func askMore(
        _ id: OperationID, _ wanted: Int, sparing: Bool = false, _ effects: inout Effects
    ) {
        guard let read = reads[id] else { return }
        var open = read.tally.answered + read.asked.nonzeroBitCount
        guard open < wanted else { return }
        let replicas = ring.primaries(of: read.range, replicationFactor: read.tally.replicaCount)
        let frame = read.key.withUnsafeBytes { key in
            read.typed == nil
                ? effects.bytes.appendMessage(kind: 3, number: id.rawValue, key)
                : askState(id, key, isAnswered: read.toldAnswers != nil, &effects)
        }
        // Nodes that owe much come behind others, nodes that were not heard lately last; among the
        // others the first one asked goes round.
        let first = Int(id.generation) + id.index
        for step in 0..<3 * replicas.count where open < wanted {
            let replica = (first + step) % replicas.count
            let node = replicas[replicas.startIndex + replica]
            let asked = reads[id]?.everAsked ?? 0
            guard asked & 1 << UInt64(replica) == 0,
                isWorthAsking(node, round: step / replicas.count),
                !sparing || !owesMuch(node)
            else { continue }
            noteAsked(id, replica, node)
            send(frame, to: node, &effects)
            open += 1
        }
    }
}

// Counting a read's answers.
extension Node {
    mutating func answered(
        _ id: OperationID, _ record: Record?, _ emptiedAt: Stamp, from node: NodeID,
        _ effects: inout Effects
    ) {
        guard let read = reads[id], let replica = ring.position(of: node, in: read.range),
            replica < read.tally.replicaCount, read.asked & 1 << UInt64(replica) != 0
        else {
            noteLate(from: node, &effects)
            return
        }
        if read.typed != nil {
            return answeredState(id, .found(record, emptiedAt), from: node, &effects)
        }
        guard !isUnheard(read.keyspace, by: node), record?.isMergeable != true else {
            return declined(id, by: node, &effects)
        }
        guard let record else {
            guard !isAhead(emptiedAt) else { return disbelieve(id, replica, &effects) }
            reads[id]?.emptiedAt = max(read.emptiedAt, emptiedAt)
            return self.record(nil, from: replica, of: id, &effects)
        }
        guard bytesMatch(record.key, read.key), !isAhead(record.dot.stamp) else {
            return disbelieve(id, replica, &effects)
        }
        self.record(record, from: replica, of: id, &effects)
    }

    /// An answer by a clock that is ahead, this node's or the other's, says nothing of what the
    /// replica had acknowledged before: it does not count, and another replica is asked.
    mutating func disbelieve(
        _ id: OperationID, _ replica: Int, _ effects: inout Effects
    ) {
        counters.refusedAhead += 1
        if configuration.plantedBug == .refusalCountsAsAnswer {
            return record(nil, from: replica, of: id, &effects)
        }
        pass(over: replica, of: id, &effects)
    }

    /// A replica that is not whole does not answer; another one is asked.
    mutating func declined(
        _ id: OperationID, by node: NodeID, _ effects: inout Effects
    ) {
        if id.kind == .forward { return forwardDeclined(id, by: node, &effects) }
        guard let read = reads[id], let replica = ring.position(of: node, in: read.range),
            replica < read.tally.replicaCount, read.asked & 1 << UInt64(replica) != 0
        else {
            noteLate(from: node, &effects)
            return
        }
        pass(over: replica, of: id, &effects)
    }

    /// Counts a replica out, and asks another one in its place.
    private mutating func pass(
        over replica: Int, of id: OperationID, _ effects: inout Effects
    ) {
        noteEnd(.lost, from: replica, of: id, &effects)
        let decision = reads[id]?.tally.record(.refused(.unreachable), from: replica)
        settle(id, decision, &effects)
        if let read = reads[id], read.tally.decision == nil {
            askMore(id, read.tally.readQuorum, &effects)
        }
    }

    private func bytesMatch(_ a: UnsafeRawBufferPointer, _ b: [UInt8]) -> Bool {
        b.withUnsafeBytes { bytesEqual(a, $0) }
    }

    mutating func record(
        _ record: Record?, from replica: Int, of id: OperationID, _ effects: inout Effects
    ) {
        guard reads.contains(id) else { return }
        if let record {
            let start = reads[id]?.bytes.count ?? 0
            reads[id]?.bytes.append(contentsOf: record.bytes)
            reads[id]?.answers.append((replica, start..<start + record.length))
            turn.spend(bytesCopied: record.length)
        } else {
            reads[id]?.answers.append((replica, nil))
        }
        count(replica, of: id, bytes: record?.length ?? 0, &effects)
        giveWay(read: id, &effects)
    }

    /// Counts a replica's answer of so many bytes.
    mutating func count(
        _ replica: Int, of id: OperationID, bytes: Int, _ effects: inout Effects
    ) {
        noteAnswer(from: replica, of: id)
        noteEnd(.came(bytes: bytes), from: replica, of: id, &effects)
        let primaries = reads[id]?.primaries ?? 0
        let decision = reads[id]?.tally.record(
            .answered(primary: replica < primaries), from: replica)
        settle(id, decision, &effects)
    }

    mutating func readLost(_ id: OperationID, _ node: NodeID, _ effects: inout Effects) {
        guard let read = reads[id], let replica = ring.position(of: node, in: read.range),
            replica < read.tally.replicaCount, read.asked & 1 << UInt64(replica) != 0
        else { return }
        noteEnd(.lost, from: replica, of: id, &effects)
        let decision = reads[id]?.tally.record(.lost, from: replica)
        settle(id, decision, &effects)
        if reads[id]?.tally.decision == nil { askMore(id, read.tally.readQuorum, &effects) }
    }

    mutating func expireRead(_ id: OperationID, _ effects: inout Effects) {
        noteUnanswered(id)
        if giveUpHeld(id, &effects) { return }
        endAll(.tooLate, of: id, &effects)
        let decision = reads[id]?.tally.expire()
        settle(id, decision, &effects)
    }

    /// Answers when the tally decided, and repairs and ends when nobody else will answer.
    private mutating func settle(
        _ id: OperationID, _ decision: ReadDecision?, _ effects: inout Effects
    ) {
        if let decision, let read = reads[id] {
            if decision == .satisfied { noteWin(of: id) }
            decide(id, read, decision, &effects)
        } else {
            reconsider(id, &effects)
        }
        guard let read = reads[id], read.tally.decision != nil, read.asked == 0, !read.isHeldBack
        else { return }
        remove(read: id, &effects)
        if read.typed != nil { return settleStates(read, &effects) }
        noteStaleness(of: read)
        repair(read, &effects)
    }

    mutating func decide(
        _ id: OperationID, _ read: ReadOperation, _ decision: ReadDecision, _ effects: inout Effects
    ) {
        client = read.head.client
        if isOutlived(read) { return endOutlived(read, &effects) }
        if holdsBack(id, read, decision, &effects) { return }
        switch decision {
        case .failed(let answered, let required):
            guard !read.purpose.isComparison else { return }
            counters.unavailable += 1
            count(read, .unavailable)
            fail(
                read.head.target,
                text: "UNAVAILABLE \(answered) of \(required) replicas answered in time"
                    + (isWhole(read.range, read.keyspace) ? "" : refillNote), &effects)
        case .satisfied where read.typed != nil: decideTyped(id, read, &effects)
        case .satisfied:
            let isToldOf = withSum(of: read) { node, sum, _, counted in
                node.counters.droppedValues += counted
                node.noteFallbacks(in: read.tally)
                if node.client.wantsReceipt {
                    node.client.evidence.answers = read.answers.count
                    node.client.evidence.proof = node.proof(of: read)
                }
                node.read(sum, of: read, &effects)
            }
            if isToldOf { compareRest(id, &effects) }
            count(read, isToldOf ? .ok : .refused)
            guard !isToldOf else { return }
            fail(read.head.target, "SIBLINGS more concurrent values than a record holds", &effects)
        }
    }

    private mutating func read(
        _ sum: Record?, of read: ReadOperation, _ effects: inout Effects
    ) {
        read.key.withUnsafeBytes {
            finish(read.purpose, $0, read.keyspace, sum, read.head.target, &effects)
        }
    }

    /// Merges all answers and calls `body` with the sum, which answers fall short of it, and how
    /// many values it dropped.
    ///
    /// - Returns: false, without a call, when the sum exceeds what a record holds.
    @discardableResult
    mutating func withSum(
        of read: ReadOperation, _ body: (inout Node, Record?, [Int], Int) -> Void
    ) -> Bool {
        let policy = catalog.active[read.keyspace].settings.conflict
        return withRecords(of: read) { node, records in
            var sum = ByteBuffer(capacity: 64)
            let merge = AnswerMerge(records, policy: policy, into: &sum)
            switch merge.result {
            case .refused: return false
            case .nothing: body(&node, nil, [], merge.droppedValues)
            case .answer(let index): body(&node, records[index], merge.stale, merge.droppedValues)
            case .merged(let range):
                let record = sum[range].baseAddress.map { Record(at: $0) }
                body(&node, record, merge.stale, merge.droppedValues)
            }
            return true
        }
    }

    /// Calls `body` with what each replica answered, in the order in which they did; nil for
    /// nothing.
    mutating func withRecords<Result>(
        of read: ReadOperation, _ body: (inout Node, [Record?]) -> Result
    ) -> Result {
        read.bytes.withUnsafeBytes { bytes in
            let records = read.answers.map { answer in
                answer.record.flatMap { range in
                    bytes.baseAddress.map { Record(at: $0 + range.lowerBound) }
                }.flatMap { $0.dot.stamp > read.emptiedAt ? $0 : nil }
            }
            return withCompacted(records, read.range, read.keyspace, body)
        }
    }
}
