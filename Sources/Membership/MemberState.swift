/// What is believed of one life of a node.
public enum MemberState: UInt8, Sendable {
    case alive
    /// A probe of it failed; unless it refutes that, it will be taken for dead.
    case suspect
    /// It did not answer in time; the same life may still return, by a higher incarnation.
    case dead
    /// It said good-bye; this life is over, the next one is welcome.
    case left
    /// An operator took the node out: no life of it is believed until it is admitted again.
    case removed

    /// Whether requests may be sent to it: a suspect is a member until it is declared dead.
    @inlinable public var isReachable: Bool { self == .alive || self == .suspect }

    /// Whether this life can never come back.
    public var isFinal: Bool { self == .left || self == .removed }
}
