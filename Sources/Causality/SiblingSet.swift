import Base
import Coding

/// One of the values of a key that no later write has replaced.
public struct Sibling: Equatable, Sendable {
    public let dot: Dot
    /// Wall-clock milliseconds since 1970, 0 for never.
    public let expiry: UInt64
    /// The write that gave the expiry: the value's own, or a later EXPIRE or PERSIST.
    public let expiryDot: Dot
    /// The expiry has elapsed, and the value's bytes were let go.
    public let isSpent: Bool
    public let value: [UInt8]

    /// - Parameter expiryDot: nil for the value's own dot.
    public init(
        dot: Dot, expiry: UInt64, expiryDot: Dot? = nil, isSpent: Bool = false, value: [UInt8]
    ) {
        precondition(!isSpent || value.isEmpty && expiry > 0, "what is spent had an expiry")
        self.dot = dot
        self.expiry = expiry
        self.expiryDot = expiryDot ?? dot
        self.isSpent = isSpent
        self.value = value
    }

    /// Whether a reader sees the value.
    ///
    /// - Parameter now: wall-clock milliseconds since 1970.
    public func isLive(at now: UInt64) -> Bool { !isSpent && (expiry == 0 || now < expiry) }

    /// Which of two states of one value counts: the one whose expiry was given later, and of one
    /// expiry the one that has elapsed. Beyond that it is a fixed choice between two contents under
    /// one dot, which only a broken disk or node can bring about.
    func wins(over other: Sibling) -> Bool {
        if expiryDot != other.expiryDot { return other.expiryDot < expiryDot }
        if isSpent != other.isSpent { return isSpent }
        return expiry == other.expiry
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
/// **Expiry** is a part of its own. Each value has one, and beside it the dot of the write that
/// gave it. EXPIRE and PERSIST give another one under a dot of theirs to the values that they have
/// seen, and touch nothing else: joining two states of one value takes the later given expiry, so
/// that they neither bring back a value that was replaced nor make a second one of it. Example: A
/// and B hold v. At A a client sets w, at B another one lets v expire; A receives v with an expiry,
/// sees that v was replaced, and keeps w alone.
///
/// An expiry that has elapsed is a removal of that one value, by time instead of by a dot. A
/// replica may let go of the bytes then (`spend`); what is left wins over the value under the same
/// expiry, and loses to the value under a later given one, from a replica where a client extended
/// its life in time. The dots of such commands are in `expiries`, not in `context`, because the
/// newest entry of that is the newest write (`keepNewest`).
///
/// The type holds the algebra only. It mints no dots (`HybridLogicalClock`), counts no replicas
/// (`Quorum`), and does not know the key (`Record`). Reading order: `Dot`, `VersionVector`,
/// `CausalContext`, this, `SiblingSet+Encoding`, `Record`, `RecordMerge`.
///
/// Invariants:
/// - `siblings` is strictly ascending by dot;
/// - every sibling's dot is in `context`;
/// - `expiries` has no entry that `context` covers;
/// - no `expiryDot` is later than `newest`, none earlier than its value;
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

    /// Every write and deletion that was ever seen for the key.
    public internal(set) var context: CausalContext
    /// The changes of an expiry that were seen beyond that.
    public internal(set) var expiries = VersionVector()
    /// The live values, and what is left of elapsed ones, ascending by dot.
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

    /// Nothing is live: never written, deleted, or spent.
    public var isTombstone: Bool { siblings.allSatisfy(\.isSpent) }

    /// Everything that was ever seen for the key: what a reader hands back as its context.
    public var seen: CausalContext {
        var seen = context
        seen.join(expiries)
        return seen
    }

    /// The latest dot that was seen; nil when nothing was.
    public var newest: Dot? {
        guard let written = context.newest else { return nil }
        return expiries.newest.map { max($0, written) } ?? written
    }

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

    /// Takes out the values of one identity, which the set goes on having seen.
    public mutating func removeValues(of identity: ReplicaIdentity) {
        siblings.removeAll { $0.dot.identity == identity }
    }

    /// The same as if one identity, whose dots nothing else depends on, had never written.
    public func without(_ identity: ReplicaIdentity) -> SiblingSet {
        var rest = self
        rest.removeValues(of: identity)
        rest.context.entries.removeAll { $0.identity == identity }
        return rest
    }

    /// Removes what the writer had read. The delete takes a dot of its own, so that it also wins
    /// where it arrives before the writes that it had seen.
    ///
    /// - Parameters:
    ///   - dot: as for `update`.
    ///   - context: as for `update`.
    public mutating func delete(dot: Dot, context seen: CausalContext) {
        precondition(newest.map { $0 < dot } ?? true, "a dot is later than the set")
        precondition(seen.newest.map { $0 < dot } ?? true, "a dot is later than its context")
        siblings.removeAll { seen.contains($0.dot) }
        context.join(seen)
        context.insert(dot)
        dropCoveredExpiries()
    }

    /// Gives an expiry to the values that a command has seen, if they are still here.
    ///
    /// - Parameters:
    ///   - milliseconds: wall-clock milliseconds since 1970, 0 for never.
    ///   - dots: of the values.
    ///   - dot: later than every dot of this set.
    public mutating func expire(at milliseconds: UInt64, _ dots: [Dot], dot: Dot) {
        precondition(newest.map { $0 < dot } ?? true, "a dot is later than the set")
        for (index, sibling) in siblings.enumerated() where dots.contains(sibling.dot) {
            if sibling.isSpent { continue }
            siblings[index] = Sibling(
                dot: sibling.dot, expiry: milliseconds, expiryDot: dot, value: sibling.value)
        }
        expiries.insert(dot)
    }

    /// Removes values that a command has seen and gives a time that is over, if they are still
    /// here: for good, whatever time another command gives them. It is no write of its own, so what
    /// was written beside it is as new as it was.
    ///
    /// - Parameters:
    ///   - dots: of the values.
    ///   - dot: later than every dot of this set.
    public mutating func remove(_ dots: [Dot], dot: Dot) {
        precondition(newest.map { $0 < dot } ?? true, "a dot is later than the set")
        siblings.removeAll { dots.contains($0.dot) }
        expiries.insert(dot)
    }

    /// Lets go of the bytes of values that have expired. Without a dot: what is left follows from
    /// the value's own state, and is the same on every replica.
    ///
    /// - Parameter time: wall-clock milliseconds since 1970 that every replica's clock has passed.
    /// - Returns: whether there were any.
    public mutating func spend(before time: UInt64) -> Bool {
        var isChanged = false
        for (index, sibling) in siblings.enumerated() where !sibling.isLive(at: time) {
            if sibling.isSpent { continue }
            siblings[index] = Sibling(
                dot: sibling.dot, expiry: sibling.expiry, expiryDot: sibling.expiryDot,
                isSpent: true, value: [])
            isChanged = true
        }
        return isChanged
    }

    /// Takes out the values that were written up to a stamp and are not in the set of somebody who
    /// has seen everything up to there: they were removed, and nobody remembers that. What was
    /// written later stays, and so does the context.
    ///
    /// - Returns: whether there were any.
    public mutating func removeRefuted(through stamp: Stamp, by truth: SiblingSet) -> Bool {
        let before = siblings.count
        siblings.removeAll { value in
            value.dot.stamp <= stamp && !truth.siblings.contains { $0.dot == value.dot }
        }
        return siblings.count < before
    }

    /// Keeps one form for one state: what `context` covers says nothing in `expiries`.
    mutating func dropCoveredExpiries() {
        if expiries.isEmpty { return }
        let left = expiries.entries.filter { !context.contains($0) }
        if left.count < expiries.entries.count { expiries.entries = left }
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
        expiries.join(other.expiries)
        dropCoveredExpiries()
    }

    /// Traps unless the type's invariants hold.
    public func checkInvariants() {
        for (a, b) in zip(siblings, siblings.dropFirst()) {
            precondition(a.dot < b.dot, "siblings ascend by dot")
        }
        for sibling in siblings {
            precondition(context.contains(sibling.dot), "a sibling's dot is in the context")
            precondition(sibling.dot <= sibling.expiryDot, "an expiry is given to what is there")
            precondition(newest.map { sibling.expiryDot <= $0 } ?? false, "an expiry was seen")
        }
        for (a, b) in zip(context.entries, context.entries.dropFirst()) {
            precondition(a.identity < b.identity, "a context ascends by identity")
        }
        for dot in expiries.entries {
            precondition(!context.contains(dot), "a covered change of an expiry is not listed")
        }
    }
}
