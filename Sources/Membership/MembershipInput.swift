import Base

/// Everything that can happen to a `Membership`.
public enum MembershipInput: Sendable {
    /// Time has passed: to be called at `nextDeadline`, behind the messages that have arrived.
    case tick
    /// A message came over the link of `from`.
    case received(MembershipMessage, from: NodeID)
    /// A record that another node's greeting on a link has shown.
    case learned(MemberRecord)
    /// A later life of this node takes part: this one is over.
    case superseded(by: ReplicaIdentity)
    /// Learn the members from these nodes, one after the other until one answers.
    case join(seeds: [NodeID])
    /// Say good-bye and end.
    case leave
    /// The operator takes a node out for good.
    case remove(NodeID)
    /// The operator lets lives of a removed node in again, later ones than the one removed.
    case readmit(NodeID)
}
