import Base

/// A clock whose readings rise strictly and stay near the wall clock, whatever the wall clock and
/// other nodes do.
///
/// What the caller owes it:
/// 1. The stamp of every record from outside (its dot is the newest that it has seen) and the
///    newest stamp of every context from outside go through `observe` first, and what it refuses is
///    refused as a whole. So a node with a clock an hour ahead is told so, instead of dragging all
///    others along; and a forged context covers no write beyond the bound.
/// 2. Before it mints a dot for a key it also observes the stamp of its own state of that key,
///    after a restart above all, so that what is written later is also stamped later.
/// 3. On `.wentBack` it takes a new replica identity, makes it durable, and calls `restart`. Stamps
///    may then repeat; dots do not, because the identity is new.
///
/// Source: Kulkarni et al., "Logical Physical Clocks" (2014), §3, with both parts in one integer,
/// so that the logical part overflows into the physical one by carry.
public struct HybridLogicalClock: Equatable, Sendable {
    /// The last reading given out or observed.
    public private(set) var last: Stamp
    /// How far ahead of the wall clock a stamp may be, in milliseconds.
    public let forwardDriftMax: UInt64

    /// - Parameters:
    ///   - wallMilliseconds: the wall clock now, milliseconds since 1970.
    ///   - forwardDriftMax: milliseconds that a stamp may be ahead of the wall clock.
    public init(wallMilliseconds: UInt64, forwardDriftMax: UInt64 = 500) {
        last = Stamp(milliseconds: wallMilliseconds)
        self.forwardDriftMax = forwardDriftMax
    }

    /// Takes a reading, later than every one before.
    ///
    /// - Parameter wallMilliseconds: the wall clock now, milliseconds since 1970.
    public mutating func tick(wallMilliseconds: UInt64) -> Tick {
        guard isNear(last, wallMilliseconds) else { return .wentBack }
        last = max(Stamp(milliseconds: wallMilliseconds), Stamp(rawValue: last.rawValue + 1))
        return .stamp(last)
    }

    /// Learns a stamp from outside, so that the next reading is later.
    ///
    /// - Parameter wallMilliseconds: the wall clock now, milliseconds since 1970.
    /// - Returns: false, and nothing is learned, when the stamp is ahead by more than
    ///   `forwardDriftMax`.
    public mutating func observe(_ remote: Stamp, wallMilliseconds: UInt64) -> Bool {
        guard isNear(remote, wallMilliseconds) else { return false }
        last = max(last, remote)
        return true
    }

    /// Goes on from the wall clock, for a new replica identity.
    ///
    /// - Parameter wallMilliseconds: the wall clock now, milliseconds since 1970.
    public mutating func restart(wallMilliseconds: UInt64) {
        last = Stamp(milliseconds: wallMilliseconds)
    }

    private func isNear(_ stamp: Stamp, _ wallMilliseconds: UInt64) -> Bool {
        stamp.milliseconds <= wallMilliseconds + forwardDriftMax
    }
}

/// What a hybrid logical clock reads.
public enum Tick: Equatable, Sendable {
    case stamp(Stamp)
    /// The wall clock is behind the last reading by more than the bound. Waiting could take an
    /// hour, and going on from the last reading would have every other node refuse the stamps: go
    /// on under a new replica identity.
    case wentBack
}
