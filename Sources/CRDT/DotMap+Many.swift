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
        filled[0].change(ascending: keys) { index, value in
            let added = entries(index, value)
            if let value { changes.note(removed: value, of: keys[index]) }
            value = added
            changes.added.set(added, of: keys[index])
        }
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
        filled[0].change(ascending: keys) { index, value in
            guard let taken = value else { return }
            changes.note(removed: taken, of: keys[index])
            note(index, taken)
            value = nil
        }
    }

    /// As `take` of keys at some places.
    ///
    /// - Parameter ranges: ascending, apart from each other, within the map.
    mutating func take(at ranges: [Range<Int>], into changes: inout Changes) {
        if filled.isEmpty { return }
        filled[0].remove(at: ranges) { changes.note(removed: $1, of: $0) }
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
        for (key, entries) in zip(keys, entries) { changes.added.set(entries, of: key) }
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
        return (map.chunks.flatMap(\.keys), map.chunks.flatMap(\.values))
    }
}
