import Causality

/// A set: add wins. An add, also of an element that is present, makes a new dot and removes those
/// it has seen, so that it survives a concurrent remove; a remove removes the dots it has seen.
///
/// Source: Bieniusa et al., "An Optimized Conflict-free Replicated Set" (2012).
extension CRDTState {
    /// How many elements the set has. O(1) beside the type.
    public func setCount(now: UInt64) -> Int { type(now: now) == .set ? contents.set.count : 0 }

    /// - Complexity: O(log n).
    public func setContains(_ element: Bytes, now: UInt64) -> Bool {
        type(now: now) == .set && contents.set[element] != nil
    }

    /// Whether several elements are there, in their order.
    public func setContains(_ elements: [Bytes], now: UInt64) -> [Bool] {
        guard type(now: now) == .set, elements.count >= CRDTState.keysSortedMin else {
            return elements.map { setContains($0, now: now) }
        }
        let sorted = AscendingKeys(elements)
        let found = contents.set.map.values(ascending: sorted.keys)
        return sorted.ranks.map { found[$0] != nil }
    }

    /// The elements in ascending order.
    public func setElements(now: UInt64) -> [Bytes] {
        type(now: now) == .set ? contents.set.map.map(\.key) : []
    }

    /// One element by its place in ascending order, for random choices.
    ///
    /// - Parameter index: in `0..<setCount(now:)`.
    public func setElement(at index: Int) -> Bytes { contents.set.map.entry(at: index).key }

    /// - Parameters:
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Returns: nil for no elements; how many were not there.
    /// - Complexity: O(elements · log n).
    public mutating func setAdd(
        _ elements: [Bytes], dot: Dot, now: UInt64
    ) throws(CRDTRefusal) -> (delta: Delta?, added: Int) {
        try check(.set, now: now)
        try checkSizes(elements, in: setCount(now: now))
        if elements.isEmpty { return (nil, 0) }
        var delta = try begin(.set, dot: dot, now: now)
        let before = contents.set.count
        // One run of memory for all of them.
        let entries = [DotEntry(dot: dot, payload: Presence())]
        contents.set.put(
            ascending: AscendingKeys(elements).keys, into: &delta.changes.set
        ) { _, _ in entries }
        close(delta)
        return (delta, contents.set.count - before)
    }

    /// - Parameters:
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Returns: how many were there; nil for none.
    /// - Complexity: O(elements · log n).
    public mutating func setRemove(
        _ elements: [Bytes], dot: Dot, now: UInt64
    ) throws(CRDTRefusal) -> (delta: Delta, removed: Int)? {
        try check(.set, now: now)
        let keys = AscendingKeys(elements).keys
        guard type(now: now) == .set, contents.set.map.hasAny(ascending: keys) else { return nil }
        var delta = try begin(.set, dot: dot, now: now)
        let before = contents.set.count
        contents.set.take(ascending: keys, into: &delta.changes.set) { _, _ in }
        close(delta)
        return (delta, before - contents.set.count)
    }

    /// - Throws: `tooLarge` or `tooMany`.
    func checkSizes(_ elements: [Bytes], in count: Int) throws(CRDTRefusal) {
        guard elements.allSatisfy({ $0.count <= CRDTState.elementBytesMax }) else {
            throw .tooLarge
        }
        guard elements.count <= CRDTState.elementsMax - count else { throw .tooMany }
    }
}
