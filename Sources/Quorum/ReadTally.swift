/// What came of asking one replica for a key.
public enum ReadAnswer: Equatable, Sendable {
    /// The replica said what it has, which may be nothing.
    ///
    /// - Parameter primary: it is one of the key's primaries, not a fallback.
    case answered(primary: Bool)
    /// The replica will not say.
    case refused(Refusal)
    /// No answer will come: the link broke.
    case lost
}

/// What a read's coordinator tells its client.
public enum ReadDecision: Equatable, Sendable {
    /// R and PR are both reached.
    case satisfied
    /// They cannot be reached, or not in time. A read changes nothing, so there is no "unknown".
    /// The numbers are those of the first quorum that was missed, R before PR.
    case failed(answered: Int, required: Int)
}

/// The arithmetic of one read: when do the answers so far decide it, and how?
///
/// The first answer of each replica counts, the decision falls exactly once, and as soon as it is
/// certain; answers that come later are counted, and still serve read repair.
///
/// Source: Dynamo (2007), §4.5; PR as in Riak (`riak_kv_get_core`).
public struct ReadTally: Equatable, Sendable {
    public let replicaCount: Int
    public let readQuorum: Int
    public let primaryReadQuorum: Int

    /// Answers so far, late ones included.
    public private(set) var answered = 0
    public private(set) var answeredByPrimaries = 0
    /// First answers that came after the decision.
    public private(set) var late = 0
    /// What was decided, if anything.
    public private(set) var decision: ReadDecision?
    /// Replicas from which nothing has come yet.
    public private(set) var outstanding: ReplicaSet

    /// - Parameters:
    ///   - replicaCount: replicas that are asked, fallbacks included: 1…64.
    ///   - readQuorum: answers needed: 1…replicaCount.
    ///   - primaryReadQuorum: of these from primaries: 0…replicaCount.
    public init(replicaCount: Int, readQuorum: Int, primaryReadQuorum: Int = 0) {
        precondition(1...replicaCount ~= readQuorum, "1 ≤ R ≤ replicas")
        precondition(0...replicaCount ~= primaryReadQuorum, "0 ≤ PR ≤ replicas")
        self.replicaCount = replicaCount
        self.readQuorum = readQuorum
        self.primaryReadQuorum = primaryReadQuorum
        outstanding = ReplicaSet(first: replicaCount)
    }

    /// Counts one answer; a replica's second one changes nothing.
    ///
    /// - Parameter replica: its place in the request, 0..<replicaCount.
    /// - Returns: the decision, if this answer brought it about.
    public mutating func record(_ answer: ReadAnswer, from replica: Int) -> ReadDecision? {
        precondition(0..<replicaCount ~= replica, "a replica of this request answers")
        guard outstanding.contains(replica) else { return nil }
        outstanding.remove(replica)
        if case .answered(let primary) = answer {
            answered += 1
            answeredByPrimaries += primary ? 1 : 0
        }
        guard decision == nil else {
            late += 1
            return nil
        }
        if isSatisfied(byUpTo: 0) {
            decision = .satisfied
        } else if !isSatisfied(byUpTo: outstanding.count) {
            decision = unsatisfied
        }
        return decision
    }

    /// The deadline has passed.
    ///
    /// - Returns: the decision, unless it had fallen before.
    public mutating func expire() -> ReadDecision? {
        guard decision == nil else { return nil }
        decision = unsatisfied
        return decision
    }

    /// Whether the quorums are reached once `more` primaries answer.
    private func isSatisfied(byUpTo more: Int) -> Bool {
        answered + more >= readQuorum && answeredByPrimaries + more >= primaryReadQuorum
    }

    private var unsatisfied: ReadDecision {
        answered < readQuorum
            ? .failed(answered: answered, required: readQuorum)
            : .failed(answered: answeredByPrimaries, required: primaryReadQuorum)
    }
}
