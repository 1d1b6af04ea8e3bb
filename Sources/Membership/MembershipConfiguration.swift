/// What a node is told once about how to watch the others.
///
/// Defaults are those of the Lifeguard paper (§V-A) and of `hashicorp/memberlist` on a LAN.
public struct MembershipConfiguration: Sendable {
    /// Between two probes, while this node is healthy.
    public var probeIntervalMilliseconds: UInt64 = 1_000
    /// For the answer to a direct probe, while this node is healthy; less than the interval.
    public var probeTimeoutMilliseconds: UInt64 = 500
    /// How many others are asked to probe a member that did not answer: 0…255.
    public var indirectProbesMax = 3
    /// α: the shortest suspicion, in probe intervals times log₁₀ of the members.
    public var suspicionFactor: UInt64 = 5
    /// β: the longest suspicion, as a multiple of the shortest.
    public var suspicionStretch: UInt64 = 6
    /// K: accusations besides the first that bring a suspicion down to its shortest: 0…3.
    public var confirmationsMax = 3
    /// S: the local health score that means least healthy; 0 turns local health off.
    public var localHealthMax = 8
    /// λ: an update is sent λ · ⌈log₁₀(members + 1)⌉ times.
    public var retransmissionFactor = 4
    /// Others that news are sent to in each probe interval, besides those that are probed: 0…255.
    public var gossipFanout = 2
    /// Updates that ride on one message: 1…255.
    public var updatesMax = 128
    /// Records in one page of an exchange: 1…255.
    public var pageRecordsMax = 128
    /// Between two comparisons of a page with some other node.
    public var exchangeIntervalMilliseconds: UInt64 = 2_000
    /// Probes under way on behalf of others.
    public var relaysMax = 64
    /// Nodes that are remembered, those that left or were removed included.
    public var membersMax = 4_096

    public init() {}

    func check() {
        precondition(
            0 < probeTimeoutMilliseconds && probeTimeoutMilliseconds < probeIntervalMilliseconds,
            "a probe's timeout lies within its interval")
        precondition(0...255 ~= indirectProbesMax, "indirect probes: 0 to 255")
        precondition(0...255 ~= gossipFanout, "a fanout: 0 to 255")
        precondition(0...3 ~= confirmationsMax, "confirmations: 0 to 3")
        precondition(suspicionFactor > 0 && suspicionStretch > 0, "a suspicion takes time")
        precondition(localHealthMax >= 0 && retransmissionFactor > 0, "factors are positive")
        precondition(1...255 ~= updatesMax && 1...255 ~= pageRecordsMax, "a count fits a byte")
        precondition(exchangeIntervalMilliseconds > 0, "exchanges take turns")
        precondition(relaysMax > 0, "some probes can be relayed")
        precondition(2...65_535 ~= membersMax, "members: 2 to 65,535")
    }
}
