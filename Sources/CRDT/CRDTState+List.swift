import Causality

/// A list: elements at fixed positions (`Position`), so that concurrent insertions neither overtake
/// each other nor interleave. An element that is removed anywhere is gone; one that is set keeps
/// its position, and the newest of concurrent values counts.
extension CRDTState {
    /// How many elements the list has. O(1) beside the type.
    public func listCount(now: UInt64) -> Int { type(now: now) == .list ? contents.list.count : 0 }

    /// Elements in their order.
    ///
    /// - Parameter range: clamped to the list.
    /// - Complexity: O(n / 128 + range).
    public func listElements(_ range: Range<Int>, now: UInt64) -> [Bytes] {
        let range = range.clamped(to: 0..<listCount(now: now))
        var iterator = contents.list.map.iterator(from: range.lowerBound)
        var elements: [Bytes] = []
        while elements.count < range.count, let (_, entries) = iterator.next() {
            elements.append(entries.last?.payload.value ?? .unit)
        }
        return elements
    }

    /// Inserts elements side by side; at 0 or at the count it is a push.
    ///
    /// - Parameters:
    ///   - index: where the first one will be, in `0...listCount(now:)`.
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    ///   - heard: every other replica has heard this one after this stamp; zero while one is away.
    /// - Returns: nil for no elements.
    /// - Throws: `absent` for an index outside; `tooLarge` also where replicas have inserted
    ///   between each other's elements at one place more than `Position.depthMax` times.
    /// - Complexity: O(n / 128 + elements · log n).
    public mutating func listInsert(
        _ elements: [Bytes], at index: Int, dot: Dot, now: UInt64,
        heard: Stamp = Stamp(rawValue: 0)
    ) throws(CRDTRefusal) -> Delta? {
        try check(.list, now: now)
        let count = listCount(now: now)
        try checkSizes(elements, in: count)
        guard 0...count ~= index else { throw .absent }
        if elements.isEmpty { return nil }
        let left = index > 0 ? contents.list.map.entry(at: index - 1) : nil
        let right = index < count ? contents.list.map.entry(at: index) : nil
        let inserted = (left ?? right)?.value.last?.dot.stamp ?? Stamp(rawValue: 0)
        let room = Position.between(
            left?.key, right?.key, count: elements.count, dot: dot, mayBeginTree: inserted < heard)
        guard let room else { throw .tooLarge }
        var delta = try begin(.list, dot: dot, now: now)
        let entries = elements.map { [DotEntry(dot: dot, payload: ListElement($0))] }
        let place = contents.list.isEmpty ? 0 : index
        contents.list.put(room, entries, at: place, into: &delta.changes.list)
        close(delta)
        return delta
    }

    /// Puts a value in place of an element.
    ///
    /// - Parameters:
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Throws: `absent` for an index outside.
    public mutating func listSet(
        _ element: Bytes, at index: Int, dot: Dot, now: UInt64
    ) throws(CRDTRefusal) -> Delta {
        try check(.list, now: now)
        try checkSizes([element], in: 0)
        guard 0..<listCount(now: now) ~= index else { throw .absent }
        let place = contents.list.map.entry(at: index)
        guard let inserted = place.value.last?.dot else { throw .absent }
        var delta = try begin(.list, dot: dot, now: now)
        let changed = DotEntry(dot: inserted, payload: ListElement(element, rewritten: dot))
        guard contents.list.joinPresent(place.key, changed) else { throw .absent }
        delta.changes.list.added.insert(place.key, changed)
        close(delta)
        return delta
    }

    /// Removes elements by their places: for pops, trims and removal by value.
    ///
    /// - Parameters:
    ///   - ranges: ascending, apart from each other; what is outside the list is ignored.
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Returns: nil when there is nothing to remove.
    /// - Complexity: O(n / 128 + elements).
    public mutating func listRemove(
        at ranges: [Range<Int>], dot: Dot, now: UInt64
    ) throws(CRDTRefusal) -> Delta? {
        try check(.list, now: now)
        let all = 0..<listCount(now: now)
        let ranges = ranges.map { $0.clamped(to: all) }.filter { !$0.isEmpty }
        if ranges.isEmpty { return nil }
        var delta = try begin(.list, dot: dot, now: now)
        contents.list.take(at: ranges, into: &delta.changes.list)
        close(delta)
        return delta
    }
}
