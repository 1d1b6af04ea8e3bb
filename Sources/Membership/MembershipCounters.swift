/// What happened, by event, since the start.
public struct MembershipCounters: Equatable, Sendable {
    public var probes = 0
    /// Acknowledged, directly or through another node.
    public var probesAcknowledged = 0
    /// Asked of others, each of them counted.
    public var indirectProbes = 0
    public var probesFailed = 0
    /// Probes carried out for others.
    public var relayedProbes = 0
    /// Probes for others that were turned down: too many were under way.
    public var relaysRefused = 0
    public var nacksSent = 0
    /// Suspicions opened here, by an own probe or by word of others.
    public var suspicions = 0
    public var confirmations = 0
    public var suspicionsRefuted = 0
    /// Suspicions whose time ran out here.
    public var declaredDead = 0
    /// Accusations of this node that it refuted.
    public var refutations = 0
    /// Records older than what was known.
    public var staleRecords = 0
    /// Messages of nodes that were removed, have left, or live on under a later identity.
    public var sendersRefused = 0
    /// Messages that came over another node's link than their sender's.
    public var misaddressed = 0
    /// Nodes that there was no room to remember.
    public var membersRefused = 0
    public var conflicts = 0
    /// Messages sent for the news on them alone.
    public var gossips = 0
    public var exchanges = 0
    /// Pages in which another node differed.
    public var pagesDiffering = 0
    /// Deadlines that were noticed too late: this node itself stood still.
    public var oversleeps = 0

    public init() {}
}
