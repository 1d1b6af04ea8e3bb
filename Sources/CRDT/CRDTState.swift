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
/// Reading order: `DotMap`, this, `Lifetime`, `Delta`, `Contents`, then a file a type: `CRDTState+String`,
/// `+Flag`, `+Set`, `+Hash`, `+SortedSet`, `+List`, `+BoundedCounter`; `+Retirement`,
/// `+Compaction`, `+Restamp`, `+Encoding`.
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

    /// Every dot that was ever seen for the key. What is live follows from what was seen: replicas
    /// with equal contexts hold equal contents.
    public internal(set) var context = VersionVector()
    @Boxed var contents = Contents()

    /// Nothing was ever written.
    public init() {}

    /// Nothing is live, of any type: never written, or deleted.
    public var isTombstone: Bool { contents.types.isEmpty }

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
    /// - Complexity: O(delta · log entries); O(entries) when the delta empties a type.
    public mutating func apply(_ delta: Delta) -> ApplyResult {
        if delta.through <= context.stamp(of: delta.identity) { return .alreadyKnown }
        guard delta.isGrounded(on: context) else { return .needsState }
        contents.clear(delta.clears, seen: delta.clearedContext)
        contents.apply(delta.changes, seen: context)
        context.insert(delta.dot)
        return .applied
    }

    /// Adds everything that `other` knows. Commutative, associative, idempotent and inflationary.
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
        contents.clear(mask, seen: context)
        if mask.contains(.string) { contents.counter.reset(into: &delta.changes.counter) }
        delta.clears.formUnion(mask)
        delta.clearedContext = context
    }
}
