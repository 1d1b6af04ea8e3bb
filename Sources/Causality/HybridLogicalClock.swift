import Base

/// A clock whose readings rise strictly and stay near a physical clock, whatever other nodes do.
///
/// What the caller owes it:
/// 1. The stamp of every record from outside (its dot is the newest that it has seen) and the
///    newest stamp of every context from outside go through `observe` first, and what it refuses is
///    refused as a whole. So a node with a clock an hour ahead is told so, instead of dragging all
///    others along; and a forged context covers no write beyond the bound.
/// 2. Before it mints a dot for a key it also observes the stamp of its own state of that key,
///    after a restart above all, so that what is written later is also stamped later.
/// 3. `restart` comes with a new replica identity. Stamps may then repeat; dots do not, because the
///    identity is new.
///
/// Which physical clock it stays near is `ClusterClock`'s to decide.
///
/// Source: Kulkarni et al., "Logical Physical Clocks" (2014), §3, with both parts in one integer,
/// so that the logical part overflows into the physical one by carry.
public struct HybridLogicalClock: Equatable, Sendable {
    /// The last reading given out or observed.
    public private(set) var last: Stamp
    /// How far ahead of the physical clock a stamp from outside may be, in milliseconds.
    public let forwardDriftMax: UInt64

    /// - Parameters:
    ///   - milliseconds: the physical clock now, milliseconds since 1970.
    ///   - forwardDriftMax: milliseconds that a stamp may be ahead of the physical clock.
    public init(milliseconds: UInt64, forwardDriftMax: UInt64 = 500) {
        last = Stamp(milliseconds: milliseconds)
        self.forwardDriftMax = forwardDriftMax
    }

    /// Takes a reading, later than every one before. Where the physical clock went back, readings
    /// go on from the last one.
    ///
    /// - Parameter milliseconds: the physical clock now, milliseconds since 1970.
    public mutating func tick(_ milliseconds: UInt64) -> Stamp {
        last = max(Stamp(milliseconds: milliseconds), last.next)
        return last
    }

    /// Learns a stamp from outside, so that the next reading is later.
    ///
    /// - Parameter milliseconds: the physical clock now, milliseconds since 1970.
    /// - Returns: false, and nothing is learned, when the stamp is ahead by more than
    ///   `forwardDriftMax`.
    public mutating func observe(_ remote: Stamp, _ milliseconds: UInt64) -> Bool {
        guard remote.milliseconds <= milliseconds + forwardDriftMax else { return false }
        last = max(last, remote)
        return true
    }

    /// Learns a stamp that this node itself stored, in this life or one before.
    mutating func resume(after stamp: Stamp) { last = max(last, stamp) }

    /// Goes on from where the physical clock stands, for a new replica identity.
    ///
    /// - Parameter milliseconds: the physical clock now, milliseconds since 1970.
    public mutating func restart(_ milliseconds: UInt64) {
        last = Stamp(milliseconds: milliseconds)
    }
}
