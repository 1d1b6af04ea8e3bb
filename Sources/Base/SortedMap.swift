/// A map that iterates in key order, as one sorted array: for tens to hundreds of entries, and for
/// determinism.
///
/// Invariant: `keys` is strictly ascending and `keys.count == values.count`.
///
/// Inlinable, because generic code that is not specialized costs ten times as much.
///
/// - Complexity: lookup O(log n), insertion and removal O(n).
public struct SortedMap<Key: Comparable, Value> {
    @usableFromInline var storedKeys: [Key] = []
    @usableFromInline var storedValues: [Value] = []

    @inlinable public init() {}

    @inlinable public var keys: [Key] { storedKeys }
    @inlinable public var values: [Value] { storedValues }
    @inlinable public var count: Int { storedKeys.count }
    @inlinable public var isEmpty: Bool { storedKeys.isEmpty }

    @inlinable public subscript(key: Key) -> Value? {
        get {
            let index = keys.partitionPoint { $0 < key }
            return index < keys.count && keys[index] == key ? values[index] : nil
        }
        set {
            let index = keys.partitionPoint { $0 < key }
            let present = index < keys.count && keys[index] == key
            switch (newValue, present) {
            case (.some(let value), true): storedValues[index] = value
            case (.some(let value), false):
                storedKeys.insert(key, at: index)
                storedValues.insert(value, at: index)
            case (.none, true):
                storedKeys.remove(at: index)
                storedValues.remove(at: index)
            case (.none, false): break
            }
        }
    }

    /// Changes a present value in place, without a copy.
    ///
    /// - Returns: what `body` returns, or nil when the key is absent.
    @inlinable public mutating func update<Result>(
        _ key: Key, _ body: (inout Value) -> Result
    ) -> Result? {
        let index = keys.partitionPoint { $0 < key }
        guard index < keys.count, keys[index] == key else { return nil }
        return body(&storedValues[index])
    }

    @inlinable public mutating func removeAll() {
        storedKeys.removeAll()
        storedValues.removeAll()
    }
}

extension SortedMap: Sequence {
    @inlinable public func makeIterator() -> Zip2Sequence<[Key], [Value]>.Iterator {
        zip(keys, values).makeIterator()
    }
}

extension SortedMap: Equatable where Value: Equatable {}
extension SortedMap: Sendable where Key: Sendable, Value: Sendable {}
