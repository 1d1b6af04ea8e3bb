import Base
import Quorum
import Ring

// Reads whose replicas are slow.
//
// A hedge: after the keyspace's delay one more replica is asked, within a budget
// (`KeyspaceHedging`); whichever answers make up the quorum first are told. What is measured is how
// long the replicas took that were asked first, also when the read had been answered by then, or
// the slow ones would never be seen.
//
// The last resort: a replica from which nothing at all has come for longer than a heartbeat may
// have died without a word, and the read must not depend on a budget; all others are asked. Where
// everybody is slow but alive that waits until half of the read's time is over.
//
// Either way who said nothing since the read began is asked last until something comes from it, so
// a replica that stalls costs the reads that were under way, not all that follow.
//
// Hedges go out in steps of their own only: when this node itself was held up, the answers that
// wait in its sockets come first.
extension Node {
    /// Longer than a heartbeat.
    private static let silenceMilliseconds: UInt64 = 250
    /// What the turns of two loops alone may take: before that nobody is silent.
    private static let answerNanoseconds = UInt64.nanoseconds(milliseconds: 1)
    /// Reads with a bound on staleness look again at what has become fresh.
    private static let freshnessMilliseconds: UInt64 = 20

    /// When a read is first looked at that has not been answered.
    func firstRetry(_ levels: ReadLevels) -> Deadline {
        let quarter = UInt64(levels.timeoutMilliseconds) * 250_000
        let pause =
            levels.stalenessMilliseconds == nil
            ? min(quarter, .nanoseconds(milliseconds: Node.silenceMilliseconds))
            : .nanoseconds(milliseconds: Node.freshnessMilliseconds)
        return now.monotonic + pause
    }

    /// A read has asked its first replicas.
    mutating func beginHedging(_ id: OperationID) {
        guard let read = reads[id], read.asked != 0 else { return }
        reads[id]?.firstAsked = read.asked
        while hedging.count <= read.keyspace { hedging.append(KeyspaceHedging(links: links.count)) }
        hedging[read.keyspace].budget.earn()
        guard !read.purpose.isComparison, read.tally.decision == nil,
            read.everAsked.nonzeroBitCount < read.tally.replicaCount
        else { return }
        let delay: UInt64
        switch catalog.active[read.keyspace].settings.hedge {
        case .off: return
        case .fixed(let milliseconds): delay = .nanoseconds(milliseconds: UInt64(milliseconds))
        case .percentile(let perMille):
            delay = hedging[read.keyspace].delay(percentile: perMille)
        }
        if hedges.count > 2 * reads.count + 64 { hedges.keep { reads.contains($0) } }
        hedges.insert(DeadlineQueue.Entry(at: now.monotonic + delay, id: id))
    }

    /// Nanoseconds that reads of a keyspace wait; nil where none hedges.
    func hedgeDelay(_ keyspace: Int) -> UInt64? {
        guard catalog.active[keyspace].n > 1 else { return nil }
        switch catalog.active[keyspace].settings.hedge {
        case .off: return nil
        case .fixed(let milliseconds): return .nanoseconds(milliseconds: UInt64(milliseconds))
        case .percentile(let perMille):
            let known = keyspace < hedging.count ? hedging[keyspace] : KeyspaceHedging(links: 0)
            return known.smallest(perMille)
        }
    }

    /// Forgets reads that are over, as far as nothing else is due before them.
    mutating func pruneHedges() {
        while let next = hedges.first, !reads.contains(next.id) { hedges.removeFirst() }
    }

    mutating func sendHedges(_ effects: inout Effects) {
        while let next = hedges.first, next.at <= now.monotonic {
            hedges.removeFirst()
            hedge(next.id, &effects)
        }
    }

    private mutating func hedge(_ id: OperationID, _ effects: inout Effects) {
        guard let read = reads[id], read.tally.decision == nil, read.asked != 0 else { return }
        if now.monotonic - read.head.begunAt >= Node.answerNanoseconds { noteSilence(of: read) }
        let replicas = ring.primaries(of: read.range, replicationFactor: read.tally.replicaCount)
        let mayAsk = replicas.enumerated().contains { rank, node in
            read.everAsked & 1 << UInt64(rank) == 0 && isResponsive(node)
        }
        guard mayAsk else { return }
        guard !isAnswerWaitedFor, hedging[read.keyspace].budget.spend() else {
            counters.hedgesDenied += 1
            return
        }
        counters.hedgedReads += 1
        askMore(id, read.tally.answered + read.asked.nonzeroBitCount + 1, &effects)
        let everAsked = reads[id]?.everAsked ?? 0
        reads[id]?.hedged = everAsked & ~read.everAsked
    }

    /// It is time to look again at a read.
    mutating func retry(_ id: OperationID, _ effects: inout Effects) {
        if retryHeld(id, &effects) { return }
        guard let read = reads[id] else { return }
        reads[id]?.retryAt = .max
        guard read.tally.decision == nil else { return }
        let half = read.head.begunAt / 2 + read.head.deadline / 2
        guard noteSilence(of: read) || read.asked == 0 || now.monotonic >= half else {
            reads[id]?.retryAt = half
            return
        }
        askMore(id, read.tally.replicaCount, sparing: true, &effects)
        if reads[id]?.everAsked != read.everAsked {
            counters.retriedReads += 1
        } else {
            reads[id]?.retryAt =
                now.monotonic
                + .nanoseconds(
                    milliseconds: Node.silenceMilliseconds)
        }
    }

    /// Notes which replicas a read waits for that have said nothing since it began.
    ///
    /// - Returns: whether there are any.
    @discardableResult
    private mutating func noteSilence(of read: ReadOperation) -> Bool {
        var isAny = false
        let replicas = ring.primaries(of: read.range, replicationFactor: read.tally.replicaCount)
        for (rank, node) in replicas.enumerated() where read.asked & 1 << UInt64(rank) != 0 {
            guard let index = linkIndex(of: node), links[index].spokeAt <= read.head.begunAt else {
                continue
            }
            links[index].isSilent = true
            isAny = true
        }
        return isAny
    }
}

// Measuring.
extension Node {
    mutating func noteAnswer(from replica: Int, of id: OperationID) {
        guard let read = reads[id], read.firstAsked & 1 << UInt64(replica) != 0 else { return }
        reads[id]?.firstAsked &= ~(1 << UInt64(replica))
        measure(replica, read)
    }

    /// A read's time is over: who was asked first and has not answered took at least so long.
    mutating func noteUnanswered(_ id: OperationID) {
        guard let read = reads[id] else { return }
        for replica in 0..<read.tally.replicaCount
        where read.firstAsked & read.asked & 1 << UInt64(replica) != 0 {
            measure(replica, read)
        }
        reads[id]?.firstAsked = 0
    }

    private mutating func measure(_ replica: Int, _ read: ReadOperation) {
        guard case .percentile = catalog.active[read.keyspace].settings.hedge else { return }
        let replicas = ring.primaries(of: read.range, replicationFactor: read.tally.replicaCount)
        guard let link = linkIndex(of: replicas[replicas.startIndex + replica]) else { return }
        hedging[read.keyspace].record(now.monotonic - read.head.begunAt, link: link)
    }

    /// What answered is told: whether that took the hedge, because who was asked before it has not
    /// answered.
    mutating func noteWin(of id: OperationID) {
        guard let read = reads[id], read.hedged != 0, read.firstAsked & read.asked != 0,
            read.answers.contains(where: { read.hedged & 1 << UInt64($0.replica) != 0 })
        else { return }
        counters.hedgesWon += 1
    }

    mutating func forgetAnswerTimes(link: Int) {
        for keyspace in hedging.indices { hedging[keyspace].forget(link: link) }
    }
}
