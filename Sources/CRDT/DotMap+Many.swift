import Causality

// Many keys at once
extension DotMap {
    /// As `put` of several keys, each of which gets entries in the place of all that it has.
    ///
    /// - Parameters:
    ///   - keys: strictly ascending.
    ///   - entries: gets each key's index and what it replaces.
    /// - Complexity: as that of `ChunkedMap.change(ascending:)`.
    mutating func put(
        ascending keys: [Key], into changes: inout Changes,
        _ entries: (Int, Entries?) -> Entries
    ) {
        if filled.isEmpty { filled.append(ChunkedMap()) }
        var added: [Entries] = []
        added.reserveCapacity(keys.count)
        var removed = Removed()
        filled[0].change(ascending: keys) { index, value in
            let new = entries(index, value)
            if let value { removed.note(value, of: keys[index]) }
            value = new
            added.append(new)
        }
        removed.enter(&changes)
        changes.added.enter(keys, added)
    }

    /// What several keys have lost, in their order.
    private struct Removed {
        private var keys: [Key] = []
        private var entries: [DotMap<Key, Presence>.Entries] = []

        /// One run of memory serves all keys in a row of which one command had added what they had.
        mutating func note(_ removed: Entries, of key: Key) {
            keys.append(key)
            if removed.count == 1, let last = entries.last, last.count == 1,
                last[0].dot == removed[0].dot
            {
                return entries.append(last)
            }
            entries.append(removed.map { DotEntry(dot: $0.dot, payload: Presence()) })
        }

        func enter(_ changes: inout Changes) { changes.removed.enter(keys, entries) }
    }

    /// Adds entries of keys.
    ///
    /// - Parameter keys: strictly ascending; none of them is in the map.
    private mutating func enter(_ keys: [Key], _ entries: [Entries]) {
        if keys.isEmpty { return }
        if filled.isEmpty { filled.append(ChunkedMap()) }
        guard filled[0].isEmpty else {
            for (key, entries) in zip(keys, entries) { set(entries, of: key) }
            return
        }
        filled[0].insert(keys, entries, at: 0)
    }

    /// As `take` of several keys.
    ///
    /// - Parameters:
    ///   - keys: strictly ascending.
    ///   - note: gets what each of them had.
    /// - Complexity: as that of `ChunkedMap.change(ascending:)`.
    mutating func take(
        ascending keys: [Key], into changes: inout Changes, _ note: (Int, Entries) -> Void
    ) {
        if filled.isEmpty { return }
        var removed = Removed()
        filled[0].change(ascending: keys) { index, value in
            guard let taken = value else { return }
            removed.note(taken, of: keys[index])
            note(index, taken)
            value = nil
        }
        removed.enter(&changes)
    }

    /// As `take` of keys at some places.
    ///
    /// - Parameter ranges: ascending, apart from each other, within the map.
    mutating func take(at ranges: [Range<Int>], into changes: inout Changes) {
        if filled.isEmpty { return }
        var removed = Removed()
        filled[0].remove(at: ranges) { removed.note($1, of: $0) }
        removed.enter(&changes)
    }

    /// Puts new keys side by side, of which there is none in the map.
    ///
    /// - Parameters:
    ///   - keys: strictly ascending, between those before and at the place.
    ///   - place: of the first of them.
    mutating func put(
        _ keys: [Key], _ entries: [Entries], at place: Int, into changes: inout Changes
    ) {
        if filled.isEmpty { filled.append(ChunkedMap()) }
        filled[0].insert(keys, entries, at: place)
        changes.added.enter(keys, entries)
    }

    /// Does what a mutation did elsewhere.
    ///
    /// - Parameter seen: the context before the mutation; what it contains and the map does not was
    ///   removed, and stays so.
    mutating func apply(_ changes: Changes, seen: VersionVector) {
        if changes.isEmpty { return }
        let (gone, goneEntries) = changes.removed.listed
        if !gone.isEmpty, !filled.isEmpty {
            filled[0].change(ascending: gone) { index, entries in
                entries?.removeAll { goneEntries[index].index(of: $0.dot) != nil }
                if entries?.isEmpty == true { entries = nil }
            }
        }
        let (new, newEntries) = changes.added.listed
        if new.isEmpty { return }
        if filled.isEmpty { filled.append(ChunkedMap()) }
        filled[0].change(ascending: new) { index, entries in
            DotMap.add(newEntries[index], to: &entries, seen)
        }
    }

    private static func add(_ added: Entries, to entries: inout Entries?, _ seen: VersionVector) {
        guard var grown = entries else {
            let news = unseen(added, seen)
            if !news.isEmpty { entries = news }
            return
        }
        for entry in added {
            if let index = grown.index(of: entry.dot) {
                grown[index].payload.join(entry.payload)
            } else if !seen.contains(entry.dot) {
                grown.insert(entry, at: grown.firstIndex { entry.dot < $0.dot } ?? grown.count)
            }
        }
        entries = grown
    }

    /// The keys, and what each has.
    private var listed: (keys: [Key], entries: [Entries]) {
        if isEmpty { return ([], []) }
        return (map.chunks.flatMap { $0.keys }, map.chunks.flatMap { $0.values })
    }
}
