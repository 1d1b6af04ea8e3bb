import Base

/// What one session of a client has seen: what a later read of each key has to cover, and after
/// which stamp its next write has to come.
///
/// A session moves between nodes that know different things. So the history names writes, not
/// nodes: for each key the dots that were read or written, in a table with a limit. What no longer
/// fits leaves a stamp behind, the floor: a key that is not in the table may have been touched up
/// to it.
///
/// Keys are known by a hash that every node of the cluster computes alike. Two keys of one hash
/// make the session demand more of each than it saw, never less.
///
/// The type holds the bookkeeping only. Whether a replica's state covers a requirement, and what to
/// do when it does not, is the reader's (`Replication`); whether a stamp may be believed is decided
/// by `HybridLogicalClock.observe`.
///
/// **What a write may replace** is less than what a read has to cover. A dot in a version vector
/// stands for the earlier ones of its identity too, so a dot may be replaced only by a session that
/// has seen, or replaced, all that its node had then. Example: node A holds v and a value w that
/// the session does not know. The session's QSET at A takes dot 9 and replaces neither; its EXPIRE
/// of v takes dot 10. Reads have to cover both dots, but a SET at B that replaced "all of A up to
/// 10" would delete w. What was replaceable before stays so: the SET does replace v.
///
/// A change that leaves no value of its own, an EXPIRE or a deletion of what was read, is required
/// for as long as what it read may be seen: until a write of the session replaced that.
///
/// Invariants: at most `keysMax` keys with `dotsMax` dots together; the newest dot of a key that
/// was pushed out is not later than `floor`.
///
/// Source: Terry et al., "Session Guarantees for Weakly Consistent Replicated Data" (1994), §4 and
/// §5, with a version vector a key in place of one a session, as replicas here receive writes in no
/// common order.
public struct SessionHistory: Equatable, Sendable {
    /// How many keys a history may remember at most, and how many dots.
    public static let keysMax = 1_024
    public static let dotsMax = 4_096

    /// What was seen of one key.
    struct Entry: Equatable {
        var seen = VersionVector()
        /// What was seen before is covered by every state that has seen something later.
        var floor = Stamp(rawValue: 0)
        /// What of `seen` was read or replaced, so that a write may replace it.
        var replaceable = VersionVector()
        /// Changes without a value of their own, of what `replaceable` has.
        var changes = VersionVector()
        /// Under last-writer-wins, the newest change of an expiry that was seen beside `seen`.
        var expiry = Stamp(rawValue: 0)

        /// A write may replace all that was seen.
        var isWhole: Bool { replaceable == seen }

        /// The latest stamp of a dot in it.
        var newestDot: Stamp {
            [seen, replaceable, changes].reduce(Stamp(rawValue: 0)) {
                max($0, $1.newest?.stamp ?? $0)
            }
        }

        /// The latest stamp in it.
        var newest: Stamp { max(floor, expiry, newestDot) }

        /// How many dots it takes to note it.
        var dots: Int {
            seen.entries.count + changes.entries.count
                + (isWhole ? 0 : replaceable.entries.count)
        }
    }

    /// A key that is not in the table may have been touched up to this stamp.
    public internal(set) var floor = Stamp(rawValue: 0)
    /// The session's next write comes after this stamp.
    public internal(set) var order = Stamp(rawValue: 0)
    var entries = SortedMap<UInt64, Entry>()
    var dots = 0
    private let keysMax: Int
    /// Keys that were looked at to find out which to push out, in all; no part of what was seen.
    private(set) var evictionWork = 0

    /// Has seen nothing.
    ///
    /// - Parameter keysMax: keys to remember: 1…1,024.
    public init(keysMax: Int) {
        precondition(1...SessionHistory.keysMax ~= keysMax, "a history has 1 to 1,024 keys")
        self.keysMax = keysMax
    }

    /// Keys in the table.
    public var count: Int { entries.count }

    /// What the table takes in memory, about.
    public var byteCount: Int { entries.count * 64 + dots * 16 }

    /// The latest stamp in it.
    ///
    /// - Complexity: O(dots).
    public var newest: Stamp {
        entries.values.reduce(max(floor, order)) {
            max($0, $1.newest)
        }
    }

    /// What a read of the key has to cover.
    ///
    /// - Complexity: O(log keys).
    public func requirement(of key: UInt64) -> SessionRequirement {
        guard let entry = entries[key] else {
            return SessionRequirement(seen: VersionVector(), floor: floor)
        }
        var seen = entry.seen
        seen.join(entry.changes)
        return SessionRequirement(seen: seen, floor: entry.floor, expiry: entry.expiry)
    }

    /// What a write of the session may replace because the session has seen all of it.
    public func replaceable(of key: UInt64) -> VersionVector {
        entries[key]?.replaceable ?? VersionVector()
    }

    /// The latest that the session has seen of a key, or requires of whatever key: a write of that
    /// key comes after it.
    public func latest(of key: UInt64) -> Stamp { max(order, entries[key]?.newestDot ?? order) }

    /// The next write comes after this one.
    public mutating func follow(_ stamp: Stamp) { order = max(order, stamp) }

    /// A state of the key was read that covers what is required of it.
    ///
    /// - Parameter context: all that the state has seen.
    public mutating func read(_ key: UInt64, _ context: VersionVector) {
        if context.isEmpty { return }
        put(key, Entry(seen: context, replaceable: context))
    }

    /// The same under last-writer-wins, where a later write covers all earlier ones.
    ///
    /// - Parameters:
    ///   - written: the write that was read.
    ///   - expiry: the newest change of an expiry that was seen beside it; or the write. It does
    ///     not order values: a state covers it that has this write or a later one and has seen a
    ///     change as late.
    public mutating func read(_ key: UInt64, _ written: Dot, expiry: Dot) {
        let seen = VersionVector(written)
        var entry = Entry(seen: seen, replaceable: seen)
        if written < expiry { entry.expiry = expiry.stamp }
        put(key, entry)
    }

    /// A write of the key was acknowledged.
    ///
    /// - Parameter replaces: the write replaced all that its replica held, and what is
    ///   `replaceable`.
    public mutating func wrote(_ key: UInt64, _ dot: Dot, replaces: Bool) {
        var entry = entries[key] ?? Entry(floor: floor)
        entry.seen.insert(dot)
        if replaces {
            entry.replaceable.insert(dot)
            entry.changes = VersionVector()
        }
        put(key, entry)
    }

    /// A change was acknowledged that leaves no value of its own: of an expiry, or a deletion.
    ///
    /// - Parameter context: all that had been read for it, which is what it changed.
    public mutating func changed(_ key: UInt64, _ dot: Dot, read context: VersionVector) {
        var entry = entries[key] ?? Entry(floor: floor)
        entry.seen.join(context)
        entry.replaceable.join(context)
        entry.changes.insert(dot)
        put(key, entry)
    }

    /// The same under last-writer-wins.
    ///
    /// - Parameters:
    ///   - written: the write, or the one whose expiry was changed.
    ///   - expiry: the write, or the change.
    public mutating func wrote(_ key: UInt64, _ written: Dot, expiry: Dot) {
        var entry = entries[key] ?? Entry(floor: floor)
        entry.seen = VersionVector(max(entry.seen.newest ?? written, written))
        entry.replaceable = entry.seen
        if written < expiry { entry.expiry = max(entry.expiry, expiry.stamp) }
        put(key, entry)
    }

    /// Adds what another session has seen.
    ///
    /// - Complexity: O(keys · log keys) of both.
    public mutating func join(_ other: SessionHistory) {
        let before = entries
        (entries, dots) = (SortedMap(), 0)
        // Ascending, so that each is put behind the others.
        var rest = other.entries.makeIterator()
        var next = rest.next()
        for (key, ours) in before {
            while let theirs = next, theirs.key < key {
                put(theirs.key, theirs.value.above(floor), evicting: false)
                next = rest.next()
            }
            if let theirs = next, theirs.key == key {
                put(key, theirs.value.joined(ours), evicting: false)
                next = rest.next()
            } else {
                put(key, ours.above(other.floor), evicting: false)
            }
        }
        while let theirs = next {
            put(theirs.key, theirs.value.above(floor), evicting: false)
            next = rest.next()
        }
        floor = max(floor, other.floor)
        order = max(order, other.order)
        evict()
    }

    /// What matters to one key and to the order of writes: what goes along with a command.
    public func excerpt(of key: UInt64) -> SessionHistory {
        var excerpt = SessionHistory(keysMax: 1)
        excerpt.floor = floor
        excerpt.order = order
        if let entry = entries[key] { excerpt.put(key, entry) }
        return excerpt
    }

    mutating func put(_ key: UInt64, _ entry: Entry, evicting: Bool = true) {
        dots += entry.dots - (entries[key]?.dots ?? 0)
        entries[key] = entry
        if evicting { evict() }
    }

    /// Pushes out the keys whose newest dots are the oldest, so that the floor stays low.
    ///
    /// - Complexity: O(keys) for one key, O(keys · log keys) for many at once.
    mutating func evict() {
        guard entries.count > keysMax || dots > SessionHistory.dotsMax else { return }
        evictionWork += entries.count
        var ages = entries.map { (stamp: $0.value.newest, key: $0.key) }
        if entries.count == keysMax + 1, dots <= SessionHistory.dotsMax {
            if let oldest = ages.min(by: <) { evict(oldest.key, oldest.stamp) }
            return
        }
        ages.sort(by: <)
        var left = ages.count
        var last = ages[0]
        for age in ages where left > keysMax || dots > SessionHistory.dotsMax {
            dots -= entries[age.key]?.dots ?? 0
            left -= 1
            last = age
        }
        floor = max(floor, last.stamp)
        entries.removeAll { ($0.value.newest, $0.key) <= last }
    }

    private mutating func evict(_ key: UInt64, _ stamp: Stamp) {
        dots -= entries[key]?.dots ?? 0
        entries[key] = nil
        floor = max(floor, stamp)
    }

    /// What both have seen.
    public static func == (a: SessionHistory, b: SessionHistory) -> Bool {
        (a.floor, a.order, a.keysMax) == (b.floor, b.order, b.keysMax) && a.entries == b.entries
    }
}

extension SessionHistory.Entry {
    /// The key was not in a table with this floor.
    fileprivate func above(_ floor: Stamp) -> Self {
        var entry = self
        entry.floor = max(entry.floor, floor)
        return entry
    }

    fileprivate func joined(_ other: Self) -> Self {
        var entry = self
        entry.seen.join(other.seen)
        entry.replaceable.join(other.replaceable)
        entry.changes.join(other.changes)
        entry.floor = max(floor, other.floor)
        entry.expiry = max(expiry, other.expiry)
        return entry
    }
}
