import Causality

/// What a mutation removed from a store and added to it.
struct DotMapChanges<Key: DotKey, Payload: DotPayload>: Equatable, Sendable {
    var removed = DotMap<Key, Presence>()
    var added = DotMap<Key, Payload>()

    var isEmpty: Bool { removed.isEmpty && added.isEmpty }
    /// Keys that something was removed of, and those that something was added to.
    var keyCount: Int { removed.map.count + added.map.count }

    mutating func note(removed entries: [DotEntry<Payload>], of key: Key) {
        guard entries.count == 1 else {
            for entry in entries {
                removed.insert(key, DotEntry(dot: entry.dot, payload: Presence()))
            }
            return
        }
        removed.add(DotEntry(dot: entries[0].dot, payload: Presence()), of: key)
    }

    /// Goes on with a later mutation, after it has cleared what `cleared` contains.
    mutating func append(_ next: DotMapChanges, cleared: VersionVector) {
        if next.isEmpty && added.isEmpty { return }
        added.clear(cleared)
        for (key, removed) in next.removed.map {
            added.remove(key) { entry in removed.index(of: entry.dot) != nil }
            for entry in removed where !self.removed.joinPresent(key, entry) {
                self.removed.insert(key, entry)
            }
        }
        for (key, entries) in next.added.map {
            for entry in entries where !added.joinPresent(key, entry) { added.insert(key, entry) }
        }
    }

    /// Whether every dot that the changes stand upon satisfies `isKnown`.
    func allDots(_ isKnown: (Dot) -> Bool) -> Bool {
        removed.allDots(isKnown) && added.allDots(isKnown)
    }
}
