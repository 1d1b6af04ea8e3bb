/// A map that iterates in key order, as one sorted array: for tens to hundreds of entries, and for
/// determinism.
///
/// Invariant: `keys` is strictly ascending and `keys.count == values.count`.
///
/// - Complexity: lookup O(log n), insertion and removal O(n).
public struct SortedMap<Key: Comparable, Value> {
    public private(set) var keys: [Key] = []
    public private(set) var values: [Value] = []

    public init() {}

    public var count: Int { keys.count }
    public var isEmpty: Bool { keys.isEmpty }

    public subscript(key: Key) -> Value? {
        get {
            let index = keys.partitionPoint { $0 < key }
            return index < keys.count && keys[index] == key ? values[index] : nil
        }
        set {
            let index = keys.partitionPoint { $0 < key }
            let present = index < keys.count && keys[index] == key
            switch (newValue, present) {
            case (.some(let value), true): values[index] = value
            case (.some(let value), false):
                keys.insert(key, at: index)
                values.insert(value, at: index)
            case (.none, true):
                keys.remove(at: index)
                values.remove(at: index)
            case (.none, false): break
            }
        }
    }

    /// Changes a present value in place, without a copy.
    ///
    /// - Returns: what `body` returns, or nil when the key is absent.
    public mutating func update<Result>(_ key: Key, _ body: (inout Value) -> Result) -> Result? {
        let index = keys.partitionPoint { $0 < key }
        guard index < keys.count, keys[index] == key else { return nil }
        return body(&values[index])
    }

    public mutating func removeAll() {
        keys.removeAll()
        values.removeAll()
    }
}

extension SortedMap: Sequence {
    public func makeIterator() -> Zip2Sequence<[Key], [Value]>.Iterator {
        zip(keys, values).makeIterator()
    }
}

extension SortedMap: Equatable where Value: Equatable {}
extension SortedMap: Sendable where Key: Sendable, Value: Sendable {}
