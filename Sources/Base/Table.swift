/// A dictionary that cannot be iterated.
///
/// Two equal `Dictionary` values iterate in different orders even inside one process, so a protocol
/// that walks one behaves differently in a replay. Lookup is all that is offered; who needs an
/// order keeps a `SortedMap`.
public struct Table<Key: Hashable, Value> {
    @usableFromInline var storage: [Key: Value] = [:]

    @inlinable public init() {}

    @inlinable public var count: Int { storage.count }
    /// Values that there is room for until it is moved.
    @inlinable public var capacity: Int { storage.capacity }
    @inlinable public var isEmpty: Bool { storage.isEmpty }

    @inlinable public subscript(key: Key) -> Value? {
        get { storage[key] }
        _modify { yield &storage[key] }
    }

    @inlinable public subscript(key: Key, default value: @autoclosure () -> Value) -> Value {
        get { storage[key, default: value()] }
        _modify { yield &storage[key, default: value()] }
    }

    /// - Returns: the value that was there.
    @inlinable public mutating func exchange(_ value: Value, for key: Key) -> Value? {
        storage.updateValue(value, forKey: key)
    }

    @inlinable public mutating func removeAll() { storage.removeAll() }
}

extension Table: Sendable where Key: Sendable, Value: Sendable {}
extension Table: Equatable where Value: Equatable {}
