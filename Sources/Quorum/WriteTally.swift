/// What came of sending a write to one replica.
public enum WriteAnswer: Equatable, Sendable {
    /// The replica has the write.
    ///
    /// - Parameters:
    ///   - primary: it is one of the key's primaries, not a fallback.
    ///   - durable: a crash will not take it back.
    case acknowledged(primary: Bool, durable: Bool)
    /// The replica provably does not have the write and will not have it from this request.
    case refused(Refusal)
    /// No answer will come: the link broke with the request on its way. The replica may have it.
    case lost
}

/// What a write's coordinator tells its client.
public enum WriteDecision: Equatable, Sendable {
    /// W, PW and DW are all reached.
    case satisfied
    /// They cannot be reached, and every replica refused: nothing was written anywhere. The reason
    /// is the most telling one.
    case failed(Refusal)
    /// They cannot be reached, or not in time, and some replica has the write or may have it, so it
    /// may show itself later. The numbers are those of the first quorum that was missed, in the
    /// order W, PW, DW.
    case unknown(acknowledged: Int, required: Int)
}

/// The arithmetic of one write: when do the answers so far decide it, and how?
///
/// The first answer of each replica counts, the decision falls exactly once, and never on a guess:
/// "failed" takes the word of all replicas that nothing happened. While every answer is a refusal
/// the tally therefore waits for the rest, also when W is out of reach; one acknowledged or lost
/// request in such a place makes it "unknown" at once.
///
/// Which answers can still come? A replica without an answer counts as one that may yet acknowledge
/// as a durable primary. After as many answers as replicas there is always a decision.
///
/// The tally sends nothing, knows no time (`expire` is the coordinator's deadline), and does not
/// merge values (`Causality.AnswerMerge`).
///
/// Source: Dynamo (2007), §4.5; PW and DW as in Riak (`riak_kv_put_core`).
public struct WriteTally: Equatable, Sendable {
    public let replicaCount: Int
    public let writeQuorum: Int
    public let primaryWriteQuorum: Int
    public let durableWriteQuorum: Int

    /// Acknowledgements so far, late ones included.
    public private(set) var acknowledged = 0
    public private(set) var acknowledgedByPrimaries = 0
    public private(set) var acknowledgedDurably = 0
    public private(set) var lost = 0
    /// First answers that came after the decision.
    public private(set) var late = 0
    /// What was decided, if anything.
    public private(set) var decision: WriteDecision?
    /// Replicas from which nothing has come yet.
    public private(set) var outstanding: ReplicaSet
    /// Replicas not known to have the write: to be hinted or repaired after the decision.
    public private(set) var unacknowledged: ReplicaSet
    private var refusal = Refusal.unreachable

    /// - Parameters:
    ///   - replicaCount: replicas the write goes to, fallbacks included: 1…64.
    ///   - writeQuorum: acknowledgements needed: 1…replicaCount.
    ///   - primaryWriteQuorum: of these from primaries: 0…replicaCount.
    ///   - durableWriteQuorum: of these durable: 0…replicaCount.
    public init(
        replicaCount: Int, writeQuorum: Int, primaryWriteQuorum: Int = 0,
        durableWriteQuorum: Int = 0
    ) {
        precondition(1...replicaCount ~= writeQuorum, "1 ≤ W ≤ replicas")
        precondition(0...replicaCount ~= primaryWriteQuorum, "0 ≤ PW ≤ replicas")
        precondition(0...replicaCount ~= durableWriteQuorum, "0 ≤ DW ≤ replicas")
        self.replicaCount = replicaCount
        self.writeQuorum = writeQuorum
        self.primaryWriteQuorum = primaryWriteQuorum
        self.durableWriteQuorum = durableWriteQuorum
        outstanding = ReplicaSet(first: replicaCount)
        unacknowledged = outstanding
    }

    /// Counts one answer; a replica's second one changes nothing.
    ///
    /// - Parameter replica: its place in the request, 0..<replicaCount.
    /// - Returns: the decision, if this answer brought it about.
    public mutating func record(_ answer: WriteAnswer, from replica: Int) -> WriteDecision? {
        precondition(0..<replicaCount ~= replica, "a replica of this request answers")
        guard outstanding.contains(replica) else { return nil }
        outstanding.remove(replica)
        switch answer {
        case .acknowledged(let primary, let durable):
            acknowledged += 1
            acknowledgedByPrimaries += primary ? 1 : 0
            acknowledgedDurably += durable ? 1 : 0
            unacknowledged.remove(replica)
        case .refused(let reason): refusal = max(refusal, reason)
        case .lost: lost += 1
        }
        guard decision == nil else {
            late += 1
            return nil
        }
        decision = decided()
        return decision
    }

    /// The deadline has passed: whoever has not answered may have the write all the same.
    ///
    /// - Returns: the decision, unless it had fallen before.
    public mutating func expire() -> WriteDecision? {
        guard decision == nil else { return nil }
        decision = indeterminate
        return decision
    }

    private func decided() -> WriteDecision? {
        let open = outstanding.count
        if isSatisfied(byUpTo: 0) { return .satisfied }
        if isSatisfied(byUpTo: open) { return nil }
        if acknowledged + lost > 0 { return indeterminate }
        return open == 0 ? .failed(refusal) : nil
    }

    /// Whether the quorums are reached once `more` replicas acknowledge as durable primaries.
    private func isSatisfied(byUpTo more: Int) -> Bool {
        acknowledged + more >= writeQuorum
            && acknowledgedByPrimaries + more >= primaryWriteQuorum
            && acknowledgedDurably + more >= durableWriteQuorum
    }

    private var indeterminate: WriteDecision {
        if acknowledged < writeQuorum {
            return .unknown(acknowledged: acknowledged, required: writeQuorum)
        }
        if acknowledgedByPrimaries < primaryWriteQuorum {
            return .unknown(acknowledged: acknowledgedByPrimaries, required: primaryWriteQuorum)
        }
        return .unknown(acknowledged: acknowledgedDurably, required: durableWriteQuorum)
    }
}
