import Base

/// A hybrid logical clock reading: 48 bits of wall-clock milliseconds since 1970, then 16 bits that
/// count events within one millisecond. It orders events of different nodes by time, and those of
/// one causal chain by cause.
public struct Stamp: Hashable, Comparable, Sendable {
    public let rawValue: UInt64

    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }

    @inlinable public init(milliseconds: UInt64, logical: UInt16 = 0) {
        rawValue = milliseconds << 16 | UInt64(logical)
    }

    /// Of a wall-clock time that may be later than any stamp: then the last one.
    ///
    /// - Parameter milliseconds: since 1970.
    public init(atMost milliseconds: UInt64) {
        rawValue = milliseconds >> 48 == 0 ? milliseconds << 16 : .max
    }

    @inlinable public var milliseconds: UInt64 { rawValue >> 16 }
    /// The one right behind it; the last one stays the last.
    public var next: Stamp { Stamp(rawValue: rawValue == .max ? .max : rawValue + 1) }

    @inlinable public static func < (a: Stamp, b: Stamp) -> Bool { a.rawValue < b.rawValue }
}

/// One write, named for ever: which memory minted it, and when on that memory's strictly rising
/// clock.
///
/// The stamp serves as the dot's counter, so the dot that names a concurrent write is also its
/// place in last-writer-wins order: later stamp first, then the higher identity, the same in every
/// merge order.
public struct Dot: Hashable, Comparable, Sendable {
    public let identity: ReplicaIdentity
    public let stamp: Stamp

    @inlinable public init(identity: ReplicaIdentity, stamp: Stamp) {
        self.identity = identity
        self.stamp = stamp
    }

    /// Last-writer-wins order.
    @inlinable public static func < (a: Dot, b: Dot) -> Bool {
        a.stamp == b.stamp ? a.identity < b.identity : a.stamp < b.stamp
    }
}
