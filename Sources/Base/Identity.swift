/// The number an operator gives a node; it stays with the machine's role for life.
///
/// Range: 1…65,535. Zero is not a node.
public struct NodeID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt16

    @inlinable public init(_ rawValue: UInt16) { self.rawValue = rawValue }

    @inlinable public static func < (a: NodeID, b: NodeID) -> Bool { a.rawValue < b.rawValue }

    public var description: String { "node \(rawValue)" }
}

/// One life of a node's memory: (node, epoch).
///
/// Every process start takes a new epoch, made durable before the first dot is minted. A replica
/// that lost its disk, one key, or only the bytes it had not synced therefore never speaks under
/// the name of the memory it lost: what the old identity wrote and this process forgot stays
/// concurrent with what it writes next, and no acknowledged write is covered by mistake. An epoch
/// is the wall clock in milliseconds at the start, or more than the stored epoch if that is more.
/// Which of two lives is the later one is not the wall clock's to say, though: a process that hears
/// at its first handshake that the cluster has admitted a life at or above its own begins another
/// life above that one, before anything of it has reached others.
///
/// Layout: node in the upper 16 bits, epoch in the lower 48.
public struct ReplicaIdentity: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt64

    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The last epoch that a process may have; others stay out of reach, so that there is always
    /// a later one.
    public static let epochMax: UInt64 = 1 << 48 - 1 << 20

    /// - Parameter epoch: 1…2⁴⁸−1.
    @inlinable public init(node: NodeID, epoch: UInt64) {
        precondition(epoch < 1 << 48, "an epoch has 48 bits")
        rawValue = UInt64(node.rawValue) << 48 | epoch
    }

    @inlinable public var node: NodeID { NodeID(UInt16(truncatingIfNeeded: rawValue >> 48)) }
    @inlinable public var epoch: UInt64 { rawValue & (1 << 48 - 1) }

    @inlinable public static func < (a: ReplicaIdentity, b: ReplicaIdentity) -> Bool {
        a.rawValue < b.rawValue
    }

    public var description: String { "\(node.rawValue)@\(epoch)" }
}

/// A client connection of one node, a small index that the driver hands out again after `closed`.
public struct ConnectionID: Hashable, Comparable, Sendable {
    public let rawValue: UInt32

    @inlinable public init(_ rawValue: UInt32) { self.rawValue = rawValue }

    @inlinable public static func < (a: ConnectionID, b: ConnectionID) -> Bool {
        a.rawValue < b.rawValue
    }
}
