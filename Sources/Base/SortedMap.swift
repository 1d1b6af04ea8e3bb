/// A map that iterates in key order, as one sorted array: for tens to hundreds of entries, and for
/// determinism.
///
/// Invariant: the keys are strictly ascending.
///
/// Inlinable, because generic code that is not specialized costs ten times as much.
///
/// - Complexity: lookup O(log n), insertion and removal O(n).
public struct SortedMap<Key: Comparable, Value> {
    /// A key and what it stands for.
    public typealias Entry = (key: Key, value: Value)

    @usableFromInline var entries: [Entry] = []

    @inlinable public init() {}

    @inlinable public var keys: some BidirectionalCollection<Key> { entries.lazy.map(\.key) }
    @inlinable public var values: some BidirectionalCollection<Value> { entries.lazy.map(\.value) }
    @inlinable public var count: Int { entries.count }
    @inlinable public var isEmpty: Bool { entries.isEmpty }

    @inlinable public subscript(key: Key) -> Value? {
        get {
            let index = entries.partitionPoint { $0.key < key }
            return index < entries.count && entries[index].key == key ? entries[index].value : nil
        }
        set {
            let index = entries.partitionPoint { $0.key < key }
            let present = index < entries.count && entries[index].key == key
            switch (newValue, present) {
            case (.some(let value), true): entries[index].value = value
            case (.some(let value), false): entries.insert((key, value), at: index)
            case (.none, true): entries.remove(at: index)
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
        let index = entries.partitionPoint { $0.key < key }
        guard index < entries.count, entries[index].key == key else { return nil }
        return body(&entries[index].value)
    }

    @inlinable public mutating func removeAll() { entries.removeAll() }

    /// - Complexity: O(n), however many go.
    @inlinable public mutating func removeAll(where goes: (Entry) -> Bool) {
        entries.removeAll(where: goes)
    }
}

extension SortedMap: Sequence {
    @inlinable public func makeIterator() -> IndexingIterator<[Entry]> { entries.makeIterator() }
}

extension SortedMap: Equatable where Value: Equatable {
    @inlinable public static func == (a: SortedMap, b: SortedMap) -> Bool {
        a.entries.elementsEqual(b.entries) { $0 == $1 }
    }
}

extension SortedMap: Sendable where Key: Sendable, Value: Sendable {}
