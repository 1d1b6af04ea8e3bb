import Base
import Causality
import Coding

/// What entries are filed under: an element, a field, a list position.
protocol DotKey: Comparable, Sendable {
    func encode(into encoder: inout DotEncoder)
    init(decoding decoder: inout DotDecoder) throws(DecodeError)
}

/// What an entry holds beside its dot.
protocol DotPayload: Equatable, Sendable {
    func encode(into encoder: inout DotEncoder)
    init(decoding decoder: inout DotDecoder) throws(DecodeError)
    /// Merges what another replica holds under the same dot. Most payloads are written once, so
    /// that only a broken disk or node makes two of them: then a fixed choice, the same in every
    /// order.
    mutating func join(_ other: Self)
    /// Whether the payload could have been written under a dot.
    func mayStand(under dot: Dot) -> Bool
    /// Whether every dot that the payload names, beside its entry's own, satisfies `isKnown`.
    func allDots(_ isKnown: (Dot) -> Bool) -> Bool
    /// Gives the dots that the payload names other names.
    mutating func rename(_ name: (Dot) -> Dot)
    /// When the entry was last written, if that was after its own dot.
    var rewritten: Dot? { get }
}

extension DotPayload {
    func mayStand(under dot: Dot) -> Bool { true }
    func allDots(_ isKnown: (Dot) -> Bool) -> Bool { true }
    mutating func rename(_ name: (Dot) -> Dot) {}
    var rewritten: Dot? { nil }
}

/// The payload of an entry that is nothing but present.
struct Presence: DotPayload {
    init() {}
    func encode(into encoder: inout DotEncoder) {}
    init(decoding decoder: inout DotDecoder) throws(DecodeError) {}
    mutating func join(_ other: Presence) {}
}

/// One live write.
struct DotEntry<Payload: DotPayload>: Equatable, Sendable {
    let dot: Dot
    var payload: Payload

    /// The latest write that it shows.
    var newest: Dot { max(dot, payload.rewritten ?? dot) }

    func allDots(_ isKnown: (Dot) -> Bool) -> Bool { isKnown(dot) && payload.allDots(isKnown) }
}

/// The live writes under each key: the one store that every add-wins type is made of.
///
/// A dot that the context of the key has seen and that is in no store was removed. So nothing is
/// kept of what was removed, and merging is the rule of `SiblingSet`, key by key:
///
///     join(a, b) = entries in both (payloads joined), or in one and not seen by the other
///
/// Invariants: the entries of a key ascend strictly by dot; no key is without entries.
///
/// Source: Almeida et al., "Delta State Replicated Data Types" (2018), §7 (causal CRDTs: DotFun and
/// DotMap); Bieniusa et al., "An Optimized Conflict-free Replicated Set" (2012).
struct DotMap<Key: DotKey, Payload: DotPayload>: Sendable {
    typealias Entry = DotEntry<Payload>
    typealias Entries = [Entry]

    /// None or one. An array serves as the box: a key has one type, and states, changes and deltas
    /// hold a store for each of nine, so that an empty one has to be a word that costs nothing.
    var filled: [ChunkedMap<Key, Entries>] = []

    var map: ChunkedMap<Key, Entries> { filled.isEmpty ? ChunkedMap() : filled[0] }
    var count: Int { filled.isEmpty ? 0 : filled[0].count }
    /// Transparent because states are asked for each of their stores again and again, and a debug
    /// build specializes nothing else.
    var isEmpty: Bool { @_transparent get { filled.isEmpty || filled[0].count == 0 } }

    subscript(key: Key) -> Entries? { filled.isEmpty ? nil : filled[0][key] }

    /// The latest live dot.
    ///
    /// - Complexity: O(n).
    var newest: Dot? { map.lazy.compactMap { $0.value.lazy.map(\.newest).max() }.max() }

    /// Adds one entry; no entry of the key has its dot.
    mutating func insert(_ key: Key, _ entry: Entry) {
        if filled.isEmpty { filled.append(ChunkedMap()) }
        if filled[0].last.map({ $0.key < key }) ?? true { return filled[0].append(key, [entry]) }
        filled[0].change(key) { entries in
            var grown = entries ?? []
            grown.insert(entry, at: grown.firstIndex { entry.dot < $0.dot } ?? grown.count)
            entries = grown
        }
    }

    /// Adds one entry, with the memory of the last key's where both have the same: what one command
    /// added is often removed together.
    mutating func add(_ entry: Entry, of key: Key) {
        guard let last = filled.first?.last, last.key < key, last.value.count == 1,
            last.value[0] == entry
        else { return insert(key, entry) }
        filled[0].append(key, last.value)
    }

    /// As that of the map in here.
    mutating func removeLastEntries(_ budget: inout Int) {
        if !filled.isEmpty { filled[0].removeLastEntries(&budget) }
    }

    /// Adds a key behind all others.
    mutating func append(_ key: Key, _ entries: Entries) {
        if filled.isEmpty { filled.append(ChunkedMap()) }
        filled[0].append(key, entries)
    }

    /// Removes entries of one key.
    mutating func remove(_ key: Key, where isRemoved: (Entry) -> Bool) {
        if filled.isEmpty { return }
        filled[0].change(key) { entries in
            entries?.removeAll(where: isRemoved)
            if entries?.isEmpty == true { entries = nil }
        }
    }

    /// Joins what is held under a dot that is present already.
    ///
    /// - Returns: false when it is not.
    mutating func joinPresent(_ key: Key, _ entry: Entry) -> Bool {
        if filled.isEmpty { return false }
        return filled[0].change(key) { entries in
            guard let index = entries?.index(of: entry.dot) else { return false }
            entries?[index].payload.join(entry.payload)
            return true
        }
    }

    /// Changes what entries hold beside their dots.
    mutating func changePayloads(_ body: (inout Payload) -> Void) {
        if filled.isEmpty { return }
        var changed = DotMap()
        for (key, entries) in map {
            changed.append(
                key,
                entries.map { entry in
                    var entry = entry
                    body(&entry.payload)
                    return entry
                })
        }
        self = changed
    }

    /// Removes every entry.
    mutating func removeAll() { filled = [] }

    /// Removes every entry that a context has seen.
    ///
    /// - Complexity: O(n).
    mutating func clear(_ seen: VersionVector) {
        guard !isEmpty, !seen.isEmpty else { return }
        var kept = DotMap()
        for (key, entries) in map {
            let live = entries.filter { !seen.contains($0.dot) }
            if !live.isEmpty { kept.append(key, live) }
        }
        self = kept
    }

    /// Adds what another replica has, and removes what it saw removed.
    ///
    /// - Complexity: O(entries of both).
    mutating func join(_ other: DotMap, seen: VersionVector, otherSeen: VersionVector) {
        if isEmpty && other.isEmpty { return }
        var joined = DotMap()
        var left = map.makeIterator()
        var right = other.map.makeIterator()
        var (a, b) = (left.next(), right.next())
        func add(_ key: Key, _ entries: Entries) {
            if !entries.isEmpty { joined.append(key, entries) }
        }
        while let mine = a, let theirs = b {
            if mine.key == theirs.key {
                add(mine.key, Self.join(mine.value, seen, theirs.value, otherSeen))
                (a, b) = (left.next(), right.next())
            } else if mine.key < theirs.key {
                add(mine.key, Self.unseen(mine.value, otherSeen))
                a = left.next()
            } else {
                add(theirs.key, Self.unseen(theirs.value, seen))
                b = right.next()
            }
        }
        while let mine = a {
            add(mine.key, Self.unseen(mine.value, otherSeen))
            a = left.next()
        }
        while let theirs = b {
            add(theirs.key, Self.unseen(theirs.value, seen))
            b = right.next()
        }
        self = joined
    }

    /// What of the entries a context has not seen.
    static func unseen(_ entries: Entries, _ seen: VersionVector) -> Entries {
        guard entries.contains(where: { seen.contains($0.dot) }) else { return entries }
        return entries.filter { !seen.contains($0.dot) }
    }

    private static func join(
        _ mine: Entries, _ seen: VersionVector, _ theirs: Entries, _ otherSeen: VersionVector
    ) -> Entries {
        if mine == theirs { return mine }
        var joined: Entries = []
        var (left, right) = (mine[...], theirs[...])
        while let a = left.first, let b = right.first {
            if a.dot < b.dot {
                if !otherSeen.contains(a.dot) { joined.append(a) }
                left.removeFirst()
            } else if b.dot < a.dot {
                if !seen.contains(b.dot) { joined.append(b) }
                right.removeFirst()
            } else {
                var both = a
                both.payload.join(b.payload)
                joined.append(both)
                left.removeFirst()
                right.removeFirst()
            }
        }
        joined += left.filter { !otherSeen.contains($0.dot) }
        joined += right.filter { !seen.contains($0.dot) }
        return joined
    }
}

extension DotMap: Equatable {
    static func == (a: DotMap, b: DotMap) -> Bool { a.map == b.map }
}

// One mutation at home, written down for the others
extension DotMap {
    typealias Changes = DotMapChanges<Key, Payload>

    /// Replaces the entries of a key that `isReplaced` chooses by one new entry.
    mutating func put(
        _ key: Key, _ entry: Entry, into changes: inout Changes,
        replacing isReplaced: (Entry) -> Bool = { _ in true }
    ) {
        if filled.isEmpty { filled.append(ChunkedMap()) }
        var replaced: Entries = []
        filled[0].change(key) { entries in
            guard var kept = entries else {
                entries = [entry]
                return
            }
            replaced = kept.filter(isReplaced)
            kept.removeAll(where: isReplaced)
            kept.insert(entry, at: kept.firstIndex { entry.dot < $0.dot } ?? kept.count)
            entries = kept
        }
        changes.note(removed: replaced, of: key)
        changes.added.insert(key, entry)
    }

    /// Removes the entries of a key that `isRemoved` chooses.
    mutating func take(
        _ key: Key, into changes: inout Changes, where isRemoved: (Entry) -> Bool = { _ in true }
    ) {
        if filled.isEmpty { return }
        var taken: Entries = []
        filled[0].change(key) { entries in
            guard let old = entries else { return }
            taken = old.filter(isRemoved)
            let kept = old.filter { !isRemoved($0) }
            entries = kept.isEmpty ? nil : kept
        }
        changes.note(removed: taken, of: key)
    }

    /// Gives a key entries in the place of those that it has.
    mutating func set(_ entries: Entries, of key: Key) {
        if filled.isEmpty { filled.append(ChunkedMap()) }
        if filled[0].last.map({ $0.key < key }) ?? true { return filled[0].append(key, entries) }
        filled[0].change(key) { $0 = entries }
    }
}

extension DotMap {
    /// Whether every dot satisfies `isKnown`.
    func allDots(_ isKnown: (Dot) -> Bool) -> Bool {
        isEmpty || map.allSatisfy { $0.value.allSatisfy { $0.allDots(isKnown) } }
    }
}

extension Array {
    /// The place of a dot among entries that ascend by it.
    func index<Payload>(of dot: Dot) -> Int? where Element == DotEntry<Payload> {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle].dot < dot { low = middle + 1 } else { high = middle }
        }
        return low < count && self[low].dot == dot ? low : nil
    }
}
