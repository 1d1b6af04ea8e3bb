/// Why a replica provably did not do what it was asked for; a later case says more to a user.
public enum Refusal: UInt8, Comparable, Sendable {
    /// The request never left: there was no link.
    case unreachable
    /// A queue was full.
    case overloaded
    /// The replica and the coordinator disagree on the ring or the keyspace.
    case wrongEpoch
    /// The replica's disk has no room.
    case diskFull
    /// The merged value or its context exceeds a limit.
    case tooLarge
    /// The stamp is too far ahead of the replica's clock.
    case clockAhead

    public static func < (a: Refusal, b: Refusal) -> Bool { a.rawValue < b.rawValue }
}
