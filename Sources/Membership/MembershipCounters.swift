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

    /// Each with the name and the help of its metric, in a fixed order.
    public var named: [(name: String, value: Int, help: String)] {
        [
            ("probes", probes, "Members probed."),
            ("probes_acknowledged", probesAcknowledged, "Probes that were answered."),
            ("indirect_probes", indirectProbes, "Probes asked of other members."),
            ("probes_failed", probesFailed, "Probes that nobody answered in time."),
            ("relayed_probes", relayedProbes, "Probes carried out for other members."),
            ("relays_refused", relaysRefused, "Probes for others turned down: too many at once."),
            ("nacks_sent", nacksSent, "Probes for others that were not answered in time."),
            ("suspicions", suspicions, "Members suspected here."),
            ("confirmations", confirmations, "Suspicions that another member confirmed."),
            ("suspicions_refuted", suspicionsRefuted, "Suspicions that were refuted."),
            ("declared_dead", declaredDead, "Suspicions whose time ran out here."),
            ("refutations", refutations, "Accusations of this node that it refuted."),
            ("stale_records", staleRecords, "Records older than what was known."),
            ("senders_refused", sendersRefused, "Messages of removed or former members."),
            ("misaddressed", misaddressed, "Messages over another node's link than the sender's."),
            ("members_refused", membersRefused, "Nodes that there was no room to remember."),
            ("conflicts", conflicts, "Times that two processes spoke under one number."),
            ("gossips", gossips, "Messages sent for the news on them alone."),
            ("exchanges", exchanges, "Exchanges of whole member lists."),
            ("pages_differing", pagesDiffering, "Pages of lists in which another node differed."),
            ("oversleeps", oversleeps, "Deadlines noticed late: this node stood still."),
        ]
    }
}
