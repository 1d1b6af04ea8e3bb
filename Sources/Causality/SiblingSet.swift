import Base
import Coding

/// One of the values of a key that no later write has replaced.
public struct Sibling: Equatable, Sendable {
    public let dot: Dot
    /// Wall-clock milliseconds since 1970, 0 for never.
    public let expiry: UInt64
    public let value: [UInt8]

    public init(dot: Dot, expiry: UInt64, value: [UInt8]) {
        self.dot = dot
        self.expiry = expiry
        self.value = value
    }

    /// A fixed choice between two siblings under one dot, which only a broken disk or node can
    /// bring about.
    func wins(over other: Sibling) -> Bool {
        expiry == other.expiry
            ? other.value.lexicographicallyPrecedes(value) : other.expiry < expiry
    }
}

/// The state of one key that keeps every concurrent value: a dotted version vector set.
///
/// Which writes of a key were replaced, and which are merely older? Time cannot tell; the dots can.
/// The set keeps the live values, each under its dot, and one context of everything that was ever
/// seen for the key. A dot in the context without a sibling was replaced or deleted; so a set
/// without siblings is the tombstone, and merging needs no third party:
///
///     join(a, b) = siblings in both, or in one and not seen by the other; contexts joined
///
/// The type holds the algebra only. It mints no dots (`HybridLogicalClock`), counts no replicas
/// (`Quorum`), and does not know the key (`Record`). Reading order: `Dot`, `VersionVector`,
/// `CausalContext`, this, `SiblingSet+Encoding`, `Record`, `RecordMerge`.
///
/// Invariants:
/// - `siblings` is strictly ascending by dot;
/// - every sibling's dot is in `context`;
/// - every identity in `context` minted its dot there on top of this set's history (see
///   `VersionVector`).
///
/// Source: Almeida et al., "Scalable and Accurate Causality Tracking for Eventually Consistent
/// Stores" (2014), §5 (DVVSet), with an explicit dot a value in place of lists by position, as
/// stamps are not contiguous.
public struct SiblingSet: Equatable, Sendable {
    /// How many siblings a set may have in its encoding: more than 32 nodes leave together when
    /// each keeps to a keyspace's limit, which is at most 1,000.
    public static let siblingsMax = 1 << 16

    /// Every dot that was ever seen for the key.
    public internal(set) var context: CausalContext
    /// The live values, ascending by dot.
    public internal(set) var siblings: [Sibling]

    /// Nothing was ever written.
    public init() { self.init(context: CausalContext(), siblings: []) }

    /// One write that saw nothing else; without a value it is a delete.
    public init(dot: Dot, value: [UInt8]?, expiry: UInt64 = 0) {
        context = CausalContext(dot)
        siblings = value.map { [Sibling(dot: dot, expiry: expiry, value: $0)] } ?? []
    }

    init(context: CausalContext, siblings: [Sibling]) {
        self.context = context
        self.siblings = siblings
    }

    /// Nothing is live: never written, or deleted.
    public var isTombstone: Bool { siblings.isEmpty }

    /// When the last sibling expires: wall-clock milliseconds since 1970, 0 for never.
    public var expiry: UInt64 {
        var latest: UInt64 = 0
        for sibling in siblings {
            if sibling.expiry == 0 { return 0 }
            latest = max(latest, sibling.expiry)
        }
        return latest
    }

    /// Writes a value that replaces what the writer had read, and nothing else.
    ///
    /// - Parameters:
    ///   - dot: later than every dot of this set and of `context`, which observing both with the
    ///     `HybridLogicalClock` brings about.
    ///   - expiry: wall-clock milliseconds since 1970, 0 for never.
    ///   - context: what the writer had read; the set's own to replace everything, empty to
    ///     replace nothing.
    public mutating func update(dot: Dot, value: [UInt8], expiry: UInt64, context: CausalContext) {
        delete(dot: dot, context: context)
        siblings.append(Sibling(dot: dot, expiry: expiry, value: value))
    }

    /// Removes what the writer had read. The delete takes a dot of its own, so that it also wins
    /// where it arrives before the writes that it had seen.
    ///
    /// - Parameters:
    ///   - dot: as for `update`.
    ///   - context: as for `update`.
    public mutating func delete(dot: Dot, context seen: CausalContext) {
        precondition(context.newest.map { $0 < dot } ?? true, "a dot is later than the set")
        precondition(seen.newest.map { $0 < dot } ?? true, "a dot is later than its context")
        siblings.removeAll { seen.contains($0.dot) }
        context.join(seen)
        context.insert(dot)
    }

    /// Adds everything that `other` knows. Commutative, associative and idempotent.
    ///
    /// - Complexity: O((siblings + identities) · log identities).
    public mutating func join(_ other: SiblingSet) {
        var joined: [Sibling] = []
        joined.reserveCapacity(siblings.count + other.siblings.count)
        var left = siblings[...]
        var right = other.siblings[...]
        while let a = left.first, let b = right.first {
            if a.dot == b.dot {
                joined.append(a.wins(over: b) ? a : b)
                left.removeFirst()
                right.removeFirst()
            } else if a.dot < b.dot {
                if !other.context.contains(a.dot) { joined.append(a) }
                left.removeFirst()
            } else {
                if !context.contains(b.dot) { joined.append(b) }
                right.removeFirst()
            }
        }
        joined += left.filter { !other.context.contains($0.dot) }
        joined += right.filter { !context.contains($0.dot) }
        siblings = joined
        context.join(other.context)
    }

    /// Traps unless the type's invariants hold.
    public func checkInvariants() {
        for (a, b) in zip(siblings, siblings.dropFirst()) {
            precondition(a.dot < b.dot, "siblings ascend by dot")
        }
        for sibling in siblings {
            precondition(context.contains(sibling.dot), "a sibling's dot is in the context")
        }
        for (a, b) in zip(context.entries, context.entries.dropFirst()) {
            precondition(a.identity < b.identity, "a context ascends by identity")
        }
    }
}
