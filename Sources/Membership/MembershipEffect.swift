import Base

/// Everything that a step can ask of its driver, in order.
public enum MembershipEffect: Equatable, Sendable {
    /// Best effort: a message that cannot leave is lost, never kept.
    case send(to: NodeID, MembershipMessage)
    /// Another node's identity is in another state than before.
    case memberChanged(ReplicaIdentity, MemberState)
    /// Two identities speak under one number: a cloned disk or a second process. Told once.
    case conflict(older: ReplicaIdentity, newer: ReplicaIdentity)
    /// The members know of a life of this node that this one cannot outrank. Whether that life
    /// still runs the driver has to find out: if it does, `.superseded` ends this one; if not,
    /// another life has to begin above it. Told each time that it is heard.
    case outlived(by: ReplicaIdentity)
    /// The members have been learned from a seed.
    case joined
    /// An operator's order was not carried out.
    case refused(MembershipRefusal)
    /// This life takes no further part; the machine is silent from now on.
    case ended(MembershipEnd)
}

/// Why an operator's order was not carried out.
public enum MembershipRefusal: Equatable, Sendable {
    /// A node does not remove itself: it leaves.
    case ownNumber
    /// Only a removed node can be admitted again.
    case notRemoved(NodeID)
    /// No more nodes can be remembered.
    case tooManyMembers
    /// This node has left, was removed, or gave way to a later life.
    case ended
}

/// Why a node is no member any more.
public enum MembershipEnd: Equatable, Sendable {
    case left
    case removed
    /// The next life of this node takes part: an operator let it in again after its removal, or
    /// the members know of a later life, which does not run.
    case reborn
    /// A later life of this node takes part.
    case superseded(by: ReplicaIdentity)
}
