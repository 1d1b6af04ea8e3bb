import Base

/// What someone has seen: for each replica identity the highest stamp, which stands for every dot
/// of that identity up to it.
///
/// An identity mints a dot for a key only on top of its own state of that key, and a memory that
/// lost a key takes a new identity. So whoever saw an identity's dot has also seen its earlier dots
/// of the key, or their successors, although stamps are not contiguous; this is what lets one
/// number replace a set of dots.
///
/// Invariant: `entries` is strictly ascending by identity.
///
/// Source: Preguiça et al., "Dotted Version Vectors" (2010), §2; stamps in place of contiguous
/// counters.
public struct VersionVector: Equatable, Sendable {
    /// The highest dot of each identity, ascending by identity.
    public internal(set) var entries: [Dot] = []

    /// Has seen nothing.
    public init() {}

    /// Has seen one dot, and what that dot's identity had minted before it.
    public init(_ dot: Dot) { entries = [dot] }

    public var isEmpty: Bool { entries.isEmpty }

    /// The latest dot in last-writer-wins order; nil when nothing was seen.
    ///
    /// - Complexity: O(entries).
    public var newest: Dot? { entries.max() }

    /// Whether the dot has been seen.
    ///
    /// - Complexity: O(log entries).
    public func contains(_ dot: Dot) -> Bool {
        let index = entries.partitionPoint { $0.identity < dot.identity }
        return index < entries.count && entries[index].identity == dot.identity
            && dot.stamp <= entries[index].stamp
    }

    /// Adds one dot.
    public mutating func insert(_ dot: Dot) {
        let index = entries.partitionPoint { $0.identity < dot.identity }
        if index == entries.count || entries[index].identity != dot.identity {
            entries.insert(dot, at: index)
        } else if entries[index].stamp < dot.stamp {
            entries[index] = dot
        }
    }

    /// Adds all that `other` has seen.
    ///
    /// - Complexity: O(entries of both).
    public mutating func join(_ other: VersionVector) {
        if other.entries.isEmpty || self == other { return }
        var joined: [Dot] = []
        joined.reserveCapacity(entries.count + other.entries.count)
        var left = entries[...]
        var right = other.entries[...]
        while let a = left.first, let b = right.first {
            joined.append(a.identity < b.identity ? a : b.identity < a.identity ? b : max(a, b))
            if a.identity <= b.identity { left.removeFirst() }
            if b.identity <= a.identity { right.removeFirst() }
        }
        entries = joined + left + right
    }

    /// Whether everything that `other` has seen was seen here too.
    public func dominates(_ other: VersionVector) -> Bool {
        other.entries.allSatisfy { contains($0) }
    }

    /// How the two relate in the order of causality.
    public func compare(_ other: VersionVector) -> CausalOrder {
        switch (dominates(other), other.dominates(self)) {
        case (true, true): .equal
        case (true, false): .after
        case (false, true): .before
        case (false, false): .concurrent
        }
    }

    /// The first index whose identity is not less than `identity`.
}

/// How one history stands to another.
public enum CausalOrder: Equatable, Sendable {
    case equal, before, after, concurrent
}
