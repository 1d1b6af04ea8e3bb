import Base
import Causality
import Coding
import Quorum
import RESP
import Ring

// Reads whose answer has to meet more than a number of replicas: it covers what the client's
// session has seen, or reflects every write that was acknowledged longer ago than a bound.
//
// This node's own copy is told when it suffices. Otherwise replicas are asked: for a bound on
// staleness so many that they overlap with every write (n - w + 1, age 0), for a session as many as
// the request says. An answer that falls short is held back: all others are asked, then all again,
// until the request's time is over; then the client is refused, never told less.
extension Node {
    /// Milliseconds until everybody is asked again; twice as long each time.
    private static let retryMilliseconds: UInt64 = 10
    private static let retryMillisecondsMax: UInt64 = 160

    /// Starts a read of a session or with a bound on staleness.
    mutating func readHeld(
        _ key: UnsafeRawBufferPointer, _ location: KeyLocation, _ wish: ReadWish,
        _ effects: inout Effects
    ) {
        let (keyspace, address) = (location.keyspace, location.address)
        var levels = wish.levels
        if wish.purpose.changesExpiry { levels.stalenessMilliseconds = nil }
        let bound = levels.staleness
        guard bound == nil || !catalog.active[keyspace].settings.isSloppy else {
            return fail(wish.target, "MODE STALENESS is not for sloppy=on", &effects)
        }
        if isReplica(of: location), isWhole(address.range, keyspace), maySayAlone(levels, keyspace),
            bound.map({ isFresh(address.range, keyspace, $0) }) ?? true
        {
            let own = believableState(address, key, keyspace, &effects)
            let required = requirement(of: key, wish.target)
            let proof = CoverageProof(keyspace: keyspace, range: address.range, includesOwn: true)
            if covers(required, own, proof) {
                if bound != nil { counters.boundedReadsHere += 1 }
                if client.wantsReceipt { client.evidence.proof = proofHere(location) }
                finish(wish.purpose, key, keyspace, own, wish.target, &effects)
                return ledger.answeredNow(keyspace, .read)
            }
        }
        if bound != nil {
            counters.boundedReadsElsewhere += 1
            levels = overlapping(levels, keyspace)
        }
        ask(key, location, levels, wish.purpose, wish.target, &effects)
    }

    /// Whether one replica's word is enough, if it is the right one.
    private func maySayAlone(_ levels: ReadLevels, _ keyspace: Int) -> Bool {
        levels.stalenessMilliseconds == nil
            ? levels.readQuorum == 1 : leastReadQuorum(catalog.active[keyspace]) == 1
    }

    /// So many replicas that one of them has every write which the keyspace's W acknowledged.
    private func overlapping(_ levels: ReadLevels, _ keyspace: Int) -> ReadLevels {
        let active = catalog.active[keyspace]
        let quorum = active.n - active.writes.writeQuorum + 1
        return ReadLevels(
            readQuorum: max(quorum, leastReadQuorum(active)), primaryReadQuorum: 0,
            timeoutMilliseconds: levels.timeoutMilliseconds,
            stalenessMilliseconds: levels.stalenessMilliseconds)
    }

    private func isFresh(_ range: KeyRange, _ keyspace: Int, _ bound: UInt64) -> Bool {
        age(of: range, keyspace).map { $0 <= bound } ?? false
    }

    /// Gives a read that was begun its conditions.
    func addDemands(to read: inout ReadOperation, _ levels: ReadLevels) {
        guard !read.purpose.isComparison else { return }
        read.stalenessMax = levels.staleness
        guard !client.guarantees.isEmpty else { return }
        read.required = read.key.withUnsafeBytes { requirement(of: $0, read.head.target) }
    }

    /// What a request asks for is refused where its words contradict each other.
    mutating func mayBind(
        _ options: ConsistencyOptions, _ target: ReplyTarget, _ effects: inout Effects
    ) -> Bool {
        guard options.stalenessMilliseconds != nil, options.r != nil || options.pr != nil else {
            return true
        }
        fail(
            target, "CONSISTENCY STALENESS chooses the replicas itself; leave out R and PR",
            &effects)
        return false
    }

    /// The request's own bound, else the connection's where the request names no level.
    func staleness(_ options: ConsistencyOptions) -> UInt32? {
        if let own = options.stalenessMilliseconds { return own }
        return options.r == nil && options.pr == nil ? defaults.stalenessMilliseconds : nil
    }
}

/// A read of one key as a client asked for it.
struct ReadWish {
    let levels: ReadLevels
    let purpose: ReadPurpose
    let target: ReplyTarget
}

extension ReadLevels {
    /// Nanoseconds.
    var staleness: UInt64? {
        stalenessMilliseconds.map { .nanoseconds(milliseconds: UInt64($0)) }
    }
}

extension ReadOperation {
    /// Whether the quorum's answer may not be what the client can be told.
    var isDemanding: Bool { stalenessMax != nil || !required.isNone }
}

// Holding back.
extension Node {
    /// Decides whether what a quorum came to may be told.
    mutating func holdsBack(
        _ id: OperationID, _ read: ReadOperation, _ decision: ReadDecision,
        _ effects: inout Effects
    ) -> Bool {
        guard read.isDemanding else { return false }
        if case .satisfied = decision {
            if configuration.plantedBug == .uncoveredReadAnswers || isCovered(read) { return false }
        } else if read.stalenessMax == nil {
            return false
        }
        if read.retries == 0 { counters.heldReads += 1 }
        reads[id]?.isHeldBack = true
        let retryAt = now.monotonic + .nanoseconds(milliseconds: Node.retryMilliseconds)
        reads[id]?.retryAt = retryAt
        watch(id, at: retryAt)
        if case .satisfied = decision {
            askMore(id, read.tally.replicaCount, sparing: true, &effects)
        }
        return true
    }

    /// Another replica answered a read that is held back.
    mutating func reconsider(_ id: OperationID, _ effects: inout Effects) {
        guard let read = reads[id], read.isHeldBack, read.tally.decision == .satisfied,
            isCovered(read)
        else { return }
        reads[id]?.isHeldBack = false
        decide(id, read, .satisfied, &effects)
    }

    /// It is time to look again at a read with conditions.
    ///
    /// - Returns: false when it waits for its quorum as any other.
    mutating func retryHeld(_ id: OperationID, _ effects: inout Effects) -> Bool {
        guard let read = reads[id], read.isDemanding,
            read.isHeldBack || read.stalenessMax != nil && read.tally.decision == nil
        else { return false }
        if tellOwn(read, id, &effects) { return true }
        reads[id]?.retries += 1
        let pause = min(
            Node.retryMilliseconds << UInt64(min(read.retries, 8)), Node.retryMillisecondsMax)
        reads[id]?.retryAt = now.monotonic + .nanoseconds(milliseconds: pause)
        if read.stalenessMax != nil {
            askReports(of: read.range, read.tally.replicaCount, &effects)
        }
        // What was asked may have been lost without a word.
        if read.asked == 0 || read.retries % 4 == 3 {
            askAnew(id, read, &effects)
        } else {
            askMore(id, read.tally.replicaCount, sparing: true, &effects)
        }
        return true
    }

    /// Answers from this node's own copy if it has become fresh enough.
    private mutating func tellOwn(
        _ read: ReadOperation, _ id: OperationID, _ effects: inout Effects
    ) -> Bool {
        guard let bound = read.stalenessMax, isReplica(of: read.range, read.keyspace),
            leastReadQuorum(catalog.active[read.keyspace]) == 1,
            isFresh(read.range, read.keyspace, bound)
        else { return false }
        return read.key.withUnsafeBytes { key in
            let location = place(of: key)
            let own = believableState(location.address, key, read.keyspace, &effects)
            let proof = CoverageProof(
                keyspace: read.keyspace, range: read.range, includesOwn: true)
            guard covers(read.required, own, proof) else { return false }
            endAll(.unwanted, of: id, &effects)
            remove(read: id, &effects)
            client = read.head.client
            client.evidence.proof = proofHere(location)
            client.evidence.proof.way = "waited"
            finish(read.purpose, key, read.keyspace, own, read.head.target, &effects)
            count(read, .ok)
            return true
        }
    }

    /// Asks everybody anew.
    private mutating func askAnew(
        _ id: OperationID, _ read: ReadOperation, _ effects: inout Effects
    ) {
        endAll(.unwanted, of: id, &effects)
        guard var again = reads[id] else { return }
        again.isHeldBack = false
        again.tally = ReadTally(
            replicaCount: read.tally.replicaCount, readQuorum: read.tally.readQuorum,
            primaryReadQuorum: read.tally.primaryReadQuorum)
        (again.asked, again.everAsked, again.firstAsked, again.hedged) = (0, 0, 0, 0)
        again.bytes = []
        again.answers = []
        again.typed?.digests = []
        reads[id] = again
        read.key.withUnsafeBytes { answerOwn(id, store.address(of: $0), $0, &effects) }
        askMore(id, read.tally.replicaCount, &effects)
    }

    mutating func refuseSession(_ target: ReplyTarget, _ effects: inout Effects) {
        counters.sessionRefusals += 1
        fail(
            target,
            "SESSION no replica in reach has what this session has seen; nothing older is told",
            &effects)
    }

    /// The time of a read with conditions is over.
    ///
    /// - Returns: false when its conditions were not what it waited for.
    mutating func giveUpHeld(_ id: OperationID, _ effects: inout Effects) -> Bool {
        guard let read = reads[id], read.isDemanding,
            read.isHeldBack || read.stalenessMax != nil && read.tally.decision == nil
        else { return false }
        endAll(.tooLate, of: id, &effects)
        remove(read: id, &effects)
        client = read.head.client
        count(read, .unavailable)
        guard let bound = read.stalenessMax, read.tally.decision != .satisfied else {
            refuseSession(read.head.target, &effects)
            return true
        }
        counters.staleRefusals += 1
        let best = age(of: read.range, read.keyspace)
        let here = best.map { "may be \($0.wholeMilliseconds) ms old" } ?? "is of unknown age"
        fail(
            read.head.target,
            text: "STALE what this node has \(here), \(bound / 1_000_000) ms are allowed, and "
                + "\(read.tally.answered) of \(read.tally.readQuorum) replicas answered in time",
            &effects)
        return true
    }
}

extension UInt64 {
    /// Of nanoseconds, rounded up.
    fileprivate var wholeMilliseconds: UInt64 { (self + 999_999) / 1_000_000 }
}

/// What is known of an answer's age, and where it came from.
struct AnswerProof {
    /// `here`, `replicas`, or `waited` when the first answer did not do.
    var way: StaticString = "here"
    /// Every write is part of it that was acknowledged longer ago than this, nanoseconds; nil when
    /// nothing is known.
    var age: UInt64?

    var ageMilliseconds: UInt64? { age?.wholeMilliseconds }
}

// For receipts.
extension Node {
    func proofHere(_ location: KeyLocation) -> AnswerProof {
        AnswerProof(way: "here", age: age(of: location.address.range, location.keyspace))
    }

    func proof(of read: ReadOperation) -> AnswerProof {
        let active = catalog.active[read.keyspace]
        let way: StaticString = read.retries > 0 || read.isHeldBack ? "waited" : "replicas"
        if !active.settings.isSloppy,
            read.answers.count + active.writes.writeQuorum > active.n
        {
            return AnswerProof(way: way, age: 0)
        }
        let rank = Int(ranks[Int(read.range.rawValue)])
        guard read.answers.contains(where: { $0.replica == rank }) else {
            return AnswerProof(way: way, age: nil)
        }
        return AnswerProof(way: way, age: age(of: read.range, read.keyspace))
    }
}
