import Base

/// A member as this node sees it.
public struct KnownMember: Equatable, Sendable {
    public internal(set) var record: MemberRecord
    /// Monotonic nanoseconds at which this identity was first seen in this state.
    public internal(set) var since: Deadline
    /// Another identity that speaks under the same number, when that has been reported.
    public internal(set) var rival: ReplicaIdentity?
}
