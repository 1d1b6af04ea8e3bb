import Base

/// Who is in the cluster and who is alive, as one node sees it: SWIM with Lifeguard, as a value.
///
/// Every probe interval the node pings one other member. No answer: it asks a few others to ping
/// it and pings again itself, twice. Still none: the member is suspect, and the news rides on
/// whatever is sent next. A suspect that hears of it refutes by a higher incarnation; one that does
/// not is dead when the suspicion's time is over. Cost per node and second: a constant number of
/// messages of bounded size, however many members there are.
///
/// Three additions against accusations by a node that is slow itself (Lifeguard): a local health
/// score makes its probes rarer and more patient (`LocalHealth`); a suspicion starts long and
/// shrinks with independent accusations (`Suspicion`); a suspect is told of it with the first
/// message it gets. A fourth, ours: a deadline that is noticed late proves that this node stood
/// still, so nobody is blamed for that time.
///
/// Gossip may miss a node, and the dead are not probed. So each node also compares a page of its
/// records with a random other, dead ones too: that heals a long network partition
/// (`Membership+Exchange`).
///
/// It does *not* open links, know addresses, place keys, or decide that a dead node is gone for
/// good: only an operator removes. Messages are best effort; loss, delay, duplicates and any order
/// are expected.
///
/// What the driver owes: a new identity for each process start, durable before `init`; a monotonic
/// `now`; `tick` at `nextDeadline`, after the messages that have arrived by then; messages only
/// from authenticated nodes, with the number that the link was opened for.
///
/// Invariants (`checkInvariants`): the table only moves up in the order of `MemberRecord`; exactly
/// the suspects have a `Suspicion`; one update per node in the queue; relays within their limit.
///
/// Reading order: `MemberRecord`, `MembershipInput`, `MembershipEffect`, `Membership+Probing`,
/// `Membership+Suspicions`, `Membership+Records`, `Membership+Exchange`, `Membership+Operator`.
///
/// Source: SWIM (Das, Gupta, Motivala 2002); Lifeguard (Dadgar, Phillips, Currey 2017).
public struct Membership: Sendable {
    let configuration: MembershipConfiguration
    /// This node's own record, as it announces itself.
    var own: MemberRecord
    var random: PRNG
    var table = MemberTable()
    var queue = UpdateQueue()
    var health: LocalHealth
    /// What happened, by event.
    public internal(set) var counters = MembershipCounters()
    /// The record by which an operator took this node out, whatever its life.
    var removal: MemberRecord?
    /// Why this life takes no further part; nil while it does.
    public internal(set) var end: MembershipEnd?

    var now: Deadline
    var order = ProbeOrder()
    var probe: Probe?
    var relays: [Relay] = []
    var nextSequence: UInt32 = 1
    var nextProbe: Deadline
    var suspicions = SortedMap<NodeID, Suspicion>()
    /// At or before the first suspicion's end.
    var nextSuspicionEnd: Deadline?
    var nextExchange: Deadline
    /// When news that wait leave in a message of their own.
    var nextGossip: Deadline
    /// Where the next page begins.
    var exchangeAfter: UInt16 = 0
    var joining: Joining?
    /// When a node that leaves has said so for long enough.
    var leftAt: Deadline?

    /// - Parameters:
    ///   - identity: of this life; durable already.
    ///   - random: a generator of its own.
    public init(
        identity: ReplicaIdentity, _ configuration: MembershipConfiguration, random: PRNG,
        now: Instant
    ) {
        configuration.check()
        self.configuration = configuration
        self.random = random
        self.now = now.monotonic
        own = MemberRecord(identity)
        health = LocalHealth(scoreMax: configuration.localHealthMax)
        // Nodes that start together must not probe together.
        let interval = UInt64.nanoseconds(milliseconds: configuration.probeIntervalMilliseconds)
        nextProbe = now.monotonic + self.random.next() % interval
        nextGossip = now.monotonic + self.random.next() % interval
        let exchange = UInt64.nanoseconds(milliseconds: configuration.exchangeIntervalMilliseconds)
        nextExchange = now.monotonic + self.random.next() % exchange
        announceSelf()
    }

    /// Takes one input; everything it leads to is appended to `effects`.
    public mutating func step(
        _ input: MembershipInput, now: Instant, into effects: inout [MembershipEffect]
    ) {
        precondition(now.monotonic >= self.now, "monotonic time never runs backwards")
        self.now = now.monotonic
        guard end == nil else { return refuseWhenEnded(input, &effects) }
        noticeStandstill()
        switch input {
        case .tick: passTime(&effects)
        case .received(let message, let node): receive(message, from: node, &effects)
        case .learned(let record): learn([record], &effects)
        case .superseded(let identity): finish(.superseded(by: identity), &effects)
        case .join(let seeds): join(seeds, &effects)
        case .leave: leave(&effects)
        case .remove(let node): remove(node, &effects)
        case .readmit(let node): readmit(node, &effects)
        }
    }

    /// When the next `tick` is due; nil when there will be none.
    public var nextDeadline: Deadline? {
        guard end == nil else { return nil }
        var first = min(nextProbe, nextExchange, nextGossip)
        if let attempt = probe?.nextAttempt { first = min(first, attempt) }
        if let suspicion = nextSuspicionEnd { first = min(first, suspicion) }
        if let joining { first = min(first, joining.retryAt) }
        if let leftAt { first = min(first, leftAt) }
        for relay in relays { first = min(first, relay.nackAt ?? relay.endAt) }
        return first
    }

    private mutating func passTime(_ effects: inout [MembershipEffect]) {
        if let leftAt, leftAt <= now { return finish(.left, &effects) }
        passRelays(&effects)
        passProbe(&effects)
        passSuspicions(&effects)
        passGossip(&effects)
        passExchange(&effects)
    }

    /// Whoever looks at a deadline much too late was not there to hear the answers either.
    private mutating func noticeStandstill() {
        guard let due = nextDeadline, now > due + probeTimeout else { return }
        counters.oversleeps += 1
        health.worsen(by: configuration.localHealthMax)
        let standstill = now - due
        probe = nil
        relays.removeAll()
        nextProbe = now
        nextExchange = max(nextExchange, now)
        nextGossip = max(nextGossip, now)
        leftAt = leftAt.map { max($0, now) }
        if let retryAt = joining?.retryAt { joining?.retryAt = max(retryAt, now) }
        putOffSuspicions(by: standstill)
    }

    /// Nanoseconds.
    var probeInterval: UInt64 {
        .nanoseconds(milliseconds: configuration.probeIntervalMilliseconds)
    }
    var probeTimeout: UInt64 {
        .nanoseconds(milliseconds: configuration.probeTimeoutMilliseconds)
    }
}

// What others may ask.
extension Membership {
    /// Who this node is.
    public var identity: ReplicaIdentity { own.identity }

    /// What there is to say of this node: its own record, or the one by which it was taken out.
    public var ownRecord: MemberRecord { removal ?? own }

    /// This node's local health: 0 is healthy, `localHealthMax` least so.
    public var localHealth: Int { health.score }

    /// How many members are alive or suspect, this node included.
    public var reachableCount: Int { table.reachableCount }

    /// Whether no seed has answered yet since `join`.
    public var isJoining: Bool { joining != nil }

    /// Every node ever heard of, this one included, in order of the numbers.
    public var members: [KnownMember] { table.members }

    /// What is known of a node; nil when it was never heard of.
    ///
    /// - Complexity: O(1).
    public func member(_ node: NodeID) -> KnownMember? {
        table.index(of: node).map { table.members[$0] }
    }

    /// Whether requests may be sent to a node: it is alive or suspect.
    ///
    /// - Complexity: O(1).
    public func isReachable(_ node: NodeID) -> Bool {
        table.record(of: node)?.state.isReachable ?? false
    }
}
