import Base

/// Everything that a step can ask of its driver, in order.
public enum MembershipEffect: Equatable, Sendable {
    /// Best effort: a message that cannot leave is lost, never kept.
    case send(to: NodeID, MembershipMessage)
    /// Another node's identity is in another state than before.
    case memberChanged(ReplicaIdentity, MemberState)
    /// Two identities speak under one number: a cloned disk or a second process. Told once.
    case conflict(older: ReplicaIdentity, newer: ReplicaIdentity)
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
    /// An operator let this node in again after its removal, in its next life.
    case readmitted
    /// A later life of this node has been seen, or this one cannot refute any more.
    case superseded(by: ReplicaIdentity)
}
