import Base
import Causality
import Coding

/// The mergeable state of one key: what was seen of it, and what of that is live.
///
/// How can two replicas both change a set while they cannot talk, and later agree without a third
/// party? Every mutation has a dot; every live element carries the dots that put it there; the
/// context has seen every dot that ever mattered. An element whose dot the other side has seen and
/// does not hold was removed there; one whose dot it has not seen is news. So add wins over a
/// concurrent remove, a remove removes exactly what it had seen, and nothing is kept of what was
/// removed.
///
/// The state holds every type side by side, because two sides of a partition may give one key two
/// types. **Type conflict**: the visible type is the one that holds the newest live dot (later
/// stamp, then higher identity). The others stay hidden until the next mutation of the key removes
/// them, or until what hid them is removed. A mutation for another type than the visible one is
/// refused.
///
/// **Observed means observed**: whatever two sides of a cut do, what one of them removed or
/// replaced is gone as far as that side had seen it, and nothing else is.
///
///     type         on A                  on B                     together
///     any          DEL                   anything new             what B added, without the rest
///     any          one type              another type             the one written last is seen
///     string       SET 7                 SET 8                    the newer one
///     string       SET 7, APPEND, GETSET INCR of 10               8: the 10 were seen
///     string       DEL, GETDEL           INCR of 10               1
///     string       INCR                  INCR of 10               12
///     flag         ENABLE                DISABLE                  enabled
///     set          SADD m                SREM m, SPOP, SADD m     m
///     set          SREM m                SREM m, SPOP             no m
///     hash         HSET f 0              HINCRBY f 1 of 10        1
///     hash         HDEL f                HINCRBY f 1 of 10        1
///     hash         HDEL f                HSET f v                 v
///     hash         HSET f v              HSET f w                 the newer one
///     hash         HSET f word           HINCRBY f 1              word; the increment is hidden
///     sorted set   ZADD, ZREM, ZPOP…     ZINCRBY, ZADD            as the fields of a hash
///     sorted set   ZINCRBY m inf         ZINCRBY m -inf           0
///     list         a push or insert      a push or insert         each side's together, in order
///     list         LPOP, LREM, LTRIM     LSET of the same         gone
///     list         LSET                  LSET of the same         the newer one
///     list         LPOP                  LPOP                     gone, once
///     bounded      INCR, DECR, GRANT     INCR, DECR, GRANT        all count, never below the bound
///     bounded      DEL                   INCR, DECR               gone
///     any          EXPIRE, then elapsed  anything                 as if A had said DEL when it
///                                                                 said EXPIRE
///     any          EXPIRE, PERSIST       SET, DEL                 what B did; the new value has
///                                                                 no expiry
///     any          EXPIRE, PERSIST       EXPIRE, PERSIST          the later one, for what both saw
///     any that     SADD b, INCR, …       EXPIRE, PERSIST          b ends as it was given to end
///     expires                                                     when it was added
///
/// With three sides the same holds for each two of them. `PairTests` tries all of it.
///
/// **Deletes**: `delete` removes what it has seen, of every type; the context stays, and a state
/// without live entries is the tombstone.
///
/// **Expiry**: a part of its own that names what it was given to (`Lifetime`). Once the time has
/// come that reads as absent, and what is not named stays.
///
/// What the caller owes it:
/// 1. Dots come from a `HybridLogicalClock` that has observed this state's newest stamp; an
///    identity mints for the key only on top of all it ever did to it (`ReplicaIdentity`).
/// 2. The stamps of deltas (`Delta.dot`) and states (`context.newest`) from outside are observed
///    first.
/// 3. What has expired in part is removed before anything else is done or read (`removeElapsed`,
///    `withoutElapsed`), and what is done to a key that expires is covered (`cover`).
/// 4. `.needsState` is answered by joining the whole state of a replica that has the delta.
///
/// It mints no dots, knows no key and no clock, and does not decide when a tombstone may go.
///
/// Reading order: `DotMap`, this, `Delta`, `Contents`, then a file a type: `CRDTState+String`,
/// `+Flag`, `+Set`, `+Hash`, `+SortedSet`, `+List`, `+BoundedCounter`; `Lifetime`, `Lifetimes`,
/// `+Expiry`; `+Retirement`, `+Compaction`, `+Refutation`, `+Restamp`, `+Encoding`.
///
/// Invariants: every live dot is in `context`; those of the stores.
///
/// Source: Almeida et al., "Delta State Replicated Data Types" (2018); stamps in place of
/// contiguous counters, and interval deltas in place of a cloud of dots.
public struct CRDTState: Equatable, Sendable {
    /// How many elements, fields or members a mutation may bring a key to.
    public static let elementsMax = 1 << 24
    /// How many bytes an element, a field or a value may have.
    public static let elementBytesMax = 1 << 26
    /// How many identities a state may name. Who lets new ones write stays below a part of it, so
    /// that what several replicas wrote apart still fits (`mayGrow`).
    public static let identitiesMax = 1 << 16

    /// Every dot that was ever seen for the key. What is live follows from what was seen: replicas
    /// with equal contexts hold equal contents.
    public internal(set) var context = VersionVector()
    @Boxed var contents = Contents()

    /// Nothing was ever written.
    public init() {}

    /// Nothing is live, of any type: never written, or deleted.
    public var isTombstone: Bool { contents.types.isEmpty }

    /// How many elements are live, of all types that have some.
    public var elementCount: Int {
        contents.set.count + contents.hash.count + contents.sortedSet.members.count
            + contents.list.count
    }

    /// Whether it remembers running totals that have ended.
    public var remembersEnded: Bool {
        !contents.hash.ended.isEmpty || !contents.sortedSet.members.ended.isEmpty
    }

    /// The visible type, whether or not it has expired; nil when nothing is live.
    ///
    /// - Complexity: O(identities); O(entries) while there is a type conflict.
    public var type: CRDTType? {
        let live = contents.types
        guard live.bits.nonzeroBitCount > 1 else { return live.first }
        var visible: CRDTType?
        for type in CRDTType.allCases where live.contains(type) {
            guard let other = visible else {
                visible = type
                continue
            }
            if let a = contents.newest(other), let b = contents.newest(type), a < b {
                visible = type
            }
        }
        return visible
    }

    /// The visible type; nil when nothing is live or the key has expired.
    ///
    /// - Parameter now: wall-clock milliseconds since 1970.
    public func type(now: UInt64) -> CRDTType? {
        guard let type else { return nil }
        let expiry = hasElapsed(now: now) ? effectiveExpiry : 0
        return expiry > 0 && expiry <= now ? nil : type
    }
}

// Replication
extension CRDTState {
    /// Does what a mutation did elsewhere.
    ///
    /// - Complexity: O(delta · log entries); O(entries) when the delta empties a type, and has not
    ///   seen all that is here.
    public mutating func apply(_ delta: Delta) -> ApplyResult {
        if delta.through <= context.stamp(of: delta.identity) { return .alreadyKnown }
        guard delta.isGrounded(on: context) else { return .needsState }
        guard
            context.entries.count < CRDTState.identitiesMax
                || context.stamp(of: delta.identity).rawValue > 0,
            mayJoin(delta.changes.expiry.added[.unit] ?? [])
        else { return .tooMany }
        if delta.clearedContext.dominates(context) {
            contents.removeAll(delta.clears)
        } else {
            contents.clear(delta.clears, seen: delta.clearedContext)
        }
        contents.apply(delta.changes, seen: context)
        context.insert(delta.dot)
        return .applied
    }

    /// Whether the state can be written down and read back: what two states make together may
    /// name too many identities.
    public var isWithinLimits: Bool {
        context.entries.count <= CRDTState.identitiesMax
            && (contents.expiry[.unit] ?? []).allSatisfy(\.payload.isWithinLimits)
    }

    /// Whether lifetimes of which one stands under a dot that is here can be read back when they
    /// are joined: only a broken node sends two of one dot.
    private func mayJoin(_ lifetimes: [DotEntry<Lifetime>]) -> Bool {
        lifetimes.allSatisfy { entry in
            var joined = entry.payload
            for own in contents.expiry[.unit] ?? [] where own.dot == entry.dot {
                joined.join(own.payload)
            }
            return joined.isWithinLimits
        }
    }

    /// Whether an identity may begin to write to the key. If each of `replicas` asks this before
    /// it lets one in, what all of them let in apart stays within the limits.
    public func mayGrow(by identity: ReplicaIdentity, replicas: Int) -> Bool {
        context.entries.count < CRDTState.identitiesMax / max(1, replicas)
            || context.stamp(of: identity).rawValue > 0
    }

    /// Adds everything that `other` knows. Commutative, associative, idempotent and inflationary.
    ///
    /// Who joins what comes from elsewhere asks `isWithinLimits` afterwards.
    ///
    /// - Complexity: O(entries of both).
    public mutating func join(_ other: CRDTState) {
        contents.join(other.contents, seen: context, otherSeen: other.context)
        context.join(other.context)
    }
}

// Mutation
extension CRDTState {
    /// Removes everything that is live.
    ///
    /// - Parameter dot: later than everything in `context`.
    /// - Returns: nil when nothing was live.
    public mutating func delete(dot: Dot) -> Delta? {
        guard !contents.live.isEmpty else { return nil }
        var delta = open(dot)
        clear(contents.live, into: &delta)
        close(delta)
        return delta
    }

    /// Begins a mutation of one type: removes what is hidden or expired.
    ///
    /// - Throws: `wrongType` when another type is visible.
    mutating func begin(
        _ type: CRDTType, dot: Dot, now: UInt64
    ) throws(CRDTRefusal) -> Delta {
        let visible = self.type(now: now)
        if let visible, visible != type { throw .wrongType(visible) }
        var delta = open(dot)
        if visible == nil {
            clear(contents.live, into: &delta)
        } else {
            clearHidden(except: type, into: &delta)
        }
        return delta
    }

    /// - Throws: `wrongType` when another type is visible.
    func check(_ type: CRDTType, now: UInt64) throws(CRDTRefusal) {
        if let visible = self.type(now: now), visible != type { throw .wrongType(visible) }
    }

    /// Forgets a few of the removals of which everybody has heard by now, as part of a mutation of
    /// which the delta was not sent yet. So a key that never rests does not remember all that ever
    /// was removed from it.
    ///
    /// - Parameters:
    ///   - delta: of the last mutation.
    ///   - stamp: whatever is not known here has seen everything up to it.
    public mutating func sweep(_ delta: inout Delta, through stamp: Stamp) {
        precondition(context.stamp(of: delta.identity) == delta.through, "the latest mutation")
        let hash = delta.changes.hash.ended.added.count
        let sortedSet = delta.changes.sortedSet.ended.added.count
        // Somewhere else each time; so that more go than come.
        let first = finalMix(delta.through.rawValue)
        contents.hash.sweep(
            through: stamp, first: first, keys: 4 + 2 * hash, into: &delta.changes.hash)
        contents.sortedSet.tidy {
            $0.sweep(
                through: stamp, first: first, keys: 4 + 2 * sortedSet,
                into: &delta.changes.sortedSet)
        }
    }

    func open(_ dot: Dot) -> Delta {
        precondition(context.newest.map { $0.stamp < dot.stamp } ?? true, "a dot is the latest")
        return Delta(dot: dot, after: context.stamp(of: dot.identity))
    }

    mutating func close(_ delta: Delta) { context.insert(delta.dot) }

    mutating func clearHidden(except type: CRDTType, into delta: inout Delta) {
        let hidden = contents.types.bits & ~TypeMask(type).bits
        clear(TypeMask(bits: hidden), into: &delta)
    }

    /// Empties some of the types.
    mutating func clear(_ mask: TypeMask, into delta: inout Delta) {
        guard !mask.isEmpty else { return }
        if mask.contains(.hash) {
            contents.hash.endAll(dot: delta.dot, into: &delta.changes.hash)
        }
        if mask.contains(.sortedSet) {
            contents.sortedSet.tidy {
                $0.endAll(dot: delta.dot, into: &delta.changes.sortedSet)
            }
        }
        contents.removeAll(mask)
        if mask.contains(.string) { contents.counter.reset(into: &delta.changes.counter) }
        delta.clears.formUnion(mask)
        delta.clearedContext = context
    }
}
