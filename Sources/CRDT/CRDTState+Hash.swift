import Causality

/// A hash: fields that are registers and counters at once, add-wins as the elements of a set are.
///
/// A field holds its newest value, plus the increments that no HSET or HDEL has seen where that
/// value is a number; while it is none, they are hidden. Each identity keeps one running total a
/// field (`CountedMap`).
extension CRDTState {
    /// How many fields the hash has. O(1) beside the type.
    public func hashCount(now: UInt64) -> Int { type(now: now) == .hash ? contents.hash.count : 0 }

    /// What a field holds; nil when it is absent.
    ///
    /// - Complexity: O(log n).
    public func hashField(_ field: Bytes, now: UInt64) -> StringValue? {
        guard type(now: now) == .hash else { return nil }
        return contents.hash[field].map(CRDTState.value)
    }

    /// What several fields hold, in their order.
    public func hashFields(_ fields: [Bytes], now: UInt64) -> [StringValue?] {
        guard type(now: now) == .hash, fields.count >= CRDTState.keysSortedMin else {
            return fields.map { hashField($0, now: now) }
        }
        let sorted = AscendingKeys(fields)
        let values = contents.hash.map.values(ascending: sorted.keys)
        return sorted.ranks.map { rank in values[rank].map { value($0, of: sorted.keys[rank]) } }
    }

    /// Keys from which on they are looked up in their order, each once.
    static let keysSortedMin = 32

    /// One field by its place in ascending order.
    ///
    /// - Parameter index: in `0..<hashCount(now:)`.
    public func hashEntry(at index: Int) -> (field: Bytes, value: StringValue) {
        let entry = contents.hash.map.entry(at: index)
        return (entry.key, value(entry.value, of: entry.key))
    }

    /// All fields in ascending order, with what they hold.
    public func hashFields(now: UInt64) -> [(field: Bytes, value: StringValue)] {
        guard type(now: now) == .hash else { return [] }
        return contents.hash.map.map { ($0.key, value($0.value, of: $0.key)) }
    }

    /// - Parameters:
    ///   - fields: the last of several values of one field counts.
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Returns: nil for no fields; how many were not there.
    public mutating func hashSet(
        _ fields: [(field: Bytes, value: Bytes)], dot: Dot, now: UInt64
    ) throws(CRDTRefusal) -> (delta: Delta?, added: Int) {
        try check(.hash, now: now)
        try checkSizes(fields.map(\.field), in: hashCount(now: now))
        try checkSizes(fields.map(\.value), in: 0)
        if fields.isEmpty { return (nil, 0) }
        var delta = try begin(.hash, dot: dot, now: now)
        let before = contents.hash.count
        let sorted = AscendingKeys(fields.map(\.field))
        contents.hash.put(ascending: sorted.keys, dot: dot, into: &delta.changes.hash) { index, _ in
            .value(fields[sorted.places[index]].value)
        }
        close(delta)
        return (delta, contents.hash.count - before)
    }

    /// Adds to the number in a field.
    ///
    /// - Parameters:
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Throws: `notANumber` when the field holds none, `overflow` as `increment` does.
    public mutating func hashIncrement(
        _ field: Bytes, by amount: Quantity, dot: Dot, now: UInt64
    ) throws(CRDTRefusal) -> Delta {
        try check(.hash, now: now)
        try checkSizes([field], in: hashCount(now: now))
        let parts = type(now: now) == nil ? [] : contents.hash[field] ?? []
        switch parts.isEmpty ? .number(.zero) : CRDTState.value(parts) {
        case .number(let number):
            guard number.adding(amount) != nil else { throw .overflow }
        case .bytes(let bytes):
            guard let number = Quantity(decimal: bytes.array) else { throw .notANumber }
            guard number.adding(amount) != nil else { throw .overflow }
        }
        // The total counts from where the identity began; what of it has ended is still in it.
        let own = contents.hash.live[field]?.last {
            $0.dot.identity == dot.identity && $0.payload.total != nil
        }
        let total = type(now: now) == nil ? .zero : own?.payload.total ?? .zero
        guard total.mayAdd(amount) else { throw .overflow }
        var delta = try begin(.hash, dot: dot, now: now)
        contents.hash.add(field, dot: dot, into: &delta.changes.hash) { before in
            .total((before?.total ?? .zero) + amount, since: before?.since ?? dot.stamp)
        }
        close(delta)
        return delta
    }

    /// - Parameters:
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Returns: how many were there; nil for none.
    public mutating func hashRemove(
        _ fields: [Bytes], dot: Dot, now: UInt64
    ) throws(CRDTRefusal) -> (delta: Delta, removed: Int)? {
        try check(.hash, now: now)
        let keys = AscendingKeys(fields).keys
        guard type(now: now) == .hash, contents.hash.map.hasAny(ascending: keys) else { return nil }
        var delta = try begin(.hash, dot: dot, now: now)
        let before = contents.hash.count
        contents.hash.take(ascending: keys, dot: dot, into: &delta.changes.hash) { _, _ in }
        close(delta)
        return (delta, before - contents.hash.count)
    }

    private func value(_ parts: [DotEntry<FieldPart>], of field: Bytes) -> StringValue {
        CRDTState.value(contents.hash.counting(parts, of: field))
    }

    static func value(_ parts: [DotEntry<FieldPart>]) -> StringValue {
        var base: Bytes?
        var sum = Quantity.Sum()
        var isCounter = false
        for part in parts {
            switch part.payload {
            case .value(let bytes): base = bytes
            case .total(let quantity, _):
                sum.add(quantity)
                isCounter = true
            }
        }
        guard let base else { return .number(sum.total) }
        guard isCounter, let number = Quantity(decimal: base.array) else { return .bytes(base) }
        sum.add(number)
        return .number(sum.total)
    }
}
