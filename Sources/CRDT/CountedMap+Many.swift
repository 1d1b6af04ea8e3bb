import Causality

// Many keys at once
extension CountedMap {
    /// As `put` of several keys.
    ///
    /// - Parameters:
    ///   - keys: strictly ascending.
    ///   - part: gets each key's index, and the parts as they count that it replaces.
    mutating func put(
        ascending keys: [Bytes], dot: Dot, into changes: inout Changes,
        _ part: (Int, Entries?) -> Part
    ) {
        var replaced: [(key: Bytes, parts: Entries)] = []
        let before = self.ended.isEmpty ? nil : self
        live.put(ascending: keys, into: &changes.live) { index, parts in
            if let parts, parts.contains(where: { $0.payload.since != nil }) {
                replaced.append((keys[index], parts))
            }
            let counted = parts.map { before?.counting($0, of: keys[index]) ?? $0 }
            return [DotEntry(dot: dot, payload: part(index, counted))]
        }
        for (key, parts) in replaced { end(foreign(parts, dot), of: key, dot, &changes) }
    }

    /// As `take` of several keys.
    ///
    /// - Parameters:
    ///   - keys: strictly ascending.
    ///   - note: gets the index of each key that was there, and the parts as they counted.
    mutating func take(
        ascending keys: [Bytes], dot: Dot, into changes: inout Changes,
        _ note: (Int, Entries) -> Void
    ) {
        var removed: [(key: Bytes, parts: Entries)] = []
        let before = self.ended.isEmpty ? nil : self
        live.take(ascending: keys, into: &changes.live) { index, parts in
            if parts.contains(where: { $0.payload.since != nil }) {
                removed.append((keys[index], parts))
            }
            note(index, before?.counting(parts, of: keys[index]) ?? parts)
        }
        for (key, parts) in removed { end(foreign(parts, dot), of: key, dot, &changes) }
    }
}
