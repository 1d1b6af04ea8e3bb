/// A moment in a process's life, handed in with each step: the monotonic clock for deadlines beside
/// the wall clock for stamps and expiry, both read once per turn.
public struct Instant: Sendable, Equatable {
    /// Nanoseconds on the process's monotonic clock; never runs backwards.
    public let monotonic: UInt64
    /// Milliseconds since 1970-01-01T00:00Z on the wall clock; may jump either way.
    public let wallMilliseconds: UInt64

    @inlinable public init(monotonic: UInt64, wallMilliseconds: UInt64) {
        self.monotonic = monotonic
        self.wallMilliseconds = wallMilliseconds
    }
}

/// A monotonic moment in nanoseconds, at which a machine wants to be called again.
public typealias Deadline = UInt64

extension UInt64 {
    /// Nanoseconds of so many milliseconds.
    @inlinable public static func nanoseconds(milliseconds: UInt64) -> UInt64 {
        milliseconds * 1_000_000
    }
}
