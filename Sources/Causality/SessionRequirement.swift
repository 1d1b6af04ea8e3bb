import Base

/// What a read has to cover for one session.
public struct SessionRequirement: Equatable, Sendable {
    /// Dots that the answer must have seen.
    public var seen: VersionVector
    /// Whatever was seen besides is not later than this; zero for nothing.
    public var floor: Stamp
    /// Under last-writer-wins, the newest change of an expiry that the answer must have seen; zero
    /// for none.
    public var expiry: Stamp

    public init(
        seen: VersionVector, floor: Stamp, expiry: Stamp = Stamp(rawValue: 0)
    ) {
        self.seen = seen
        self.floor = floor
        self.expiry = expiry
    }

    /// Requires nothing.
    public static var none: SessionRequirement {
        SessionRequirement(seen: VersionVector(), floor: Stamp(rawValue: 0))
    }

    public var isNone: Bool { seen.isEmpty && floor.rawValue == 0 && expiry.rawValue == 0 }

    /// What is left when everything up to a stamp was emptied away.
    public func after(_ emptied: Stamp) -> SessionRequirement {
        guard emptied.rawValue > 0 else { return self }
        var left = SessionRequirement.none
        for dot in seen.entries where dot.stamp > emptied { left.seen.insert(dot) }
        if floor > emptied { left.floor = floor }
        if expiry > emptied { left.expiry = expiry }
        return left
    }
}
