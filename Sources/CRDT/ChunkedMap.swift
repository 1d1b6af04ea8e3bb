import Base

/// A map in key order that stays cheap to change when it is large: sorted chunks of bounded size in
/// one outer array.
///
/// A sorted array moves half of a million entries to insert one; a chunk moves at most `chunkMax`,
/// and the outer array is touched only when a chunk splits or empties.
///
/// Invariant: keys ascend strictly over all chunks; no chunk is empty or larger than `chunkMax`;
/// `count` is the sum of the chunks.
///
/// - Complexity: look-up O(log n); change O(log n + chunkMax), and O(n / chunkMax) for one change
///   in `chunkMax / 2`; by index O(n / chunkMax).
struct ChunkedMap<Key: Comparable, Value> {
    static var chunkMax: Int { 128 }

    struct Chunk {
        var keys: [Key] = []
        var values: [Value] = []
    }

    var chunks: [Chunk] = []
    var count = 0

    var isEmpty: Bool { count == 0 }

    subscript(key: Key) -> Value? {
        guard let place = place(of: key), place.isPresent else { return nil }
        return chunks[place.chunk].values[place.offset]
    }

    /// Changes, adds or removes the value of one key.
    mutating func change<Result>(_ key: Key, _ body: (inout Value?) -> Result) -> Result {
        guard let place = place(of: key) else {
            var value: Value?
            let result = body(&value)
            if let value { append(key, value) }
            return result
        }
        var value = place.isPresent ? chunks[place.chunk].values[place.offset] : nil
        let result = body(&value)
        switch (value, place.isPresent) {
        case (.some(let value), true): chunks[place.chunk].values[place.offset] = value
        case (.some(let value), false): insert(key, value, at: place)
        case (nil, true): remove(at: place)
        case (nil, false): break
        }
        return result
    }

    /// Adds an entry behind all others.
    mutating func append(_ key: Key, _ value: Value) {
        let last = chunks.count - 1
        count += 1
        guard last >= 0 else { return chunks.append(Chunk(keys: [key], values: [value])) }
        let size = chunks[last].keys.count
        precondition(chunks[last].keys[size - 1] < key, "keys ascend")
        guard size < Self.chunkMax else {
            return chunks.append(Chunk(keys: [key], values: [value]))
        }
        chunks[last].keys.append(key)
        chunks[last].values.append(value)
    }

    /// The last key, and what stands there.
    var last: (key: Key, value: Value)? {
        guard let chunk = chunks.last, let key = chunk.keys.last, let value = chunk.values.last
        else { return nil }
        return (key, value)
    }

    /// Removes whole chunks from the end.
    ///
    /// - Parameter budget: about how many entries; what is left of it comes back.
    mutating func removeLastEntries(_ budget: inout Int) {
        while budget > 0, let last = chunks.popLast() {
            budget -= last.keys.count
            count -= last.keys.count
        }
    }

    /// The entry at a place in key order.
    ///
    /// - Parameter index: in `0..<count`.
    func entry(at index: Int) -> (key: Key, value: Value) {
        precondition(0..<count ~= index, "an index lies in the map")
        var rest = index
        for chunk in chunks {
            if rest < chunk.keys.count { return (chunk.keys[rest], chunk.values[rest]) }
            rest -= chunk.keys.count
        }
        preconditionFailure("the count is the sum of the chunks")
    }

    /// How many keys are less than `key`.
    func rank(of key: Key) -> Int {
        guard let place = place(of: key) else { return 0 }
        return chunks[..<place.chunk].reduce(0) { $0 + $1.keys.count } + place.offset
    }

    private struct Place {
        let chunk: Int
        let offset: Int
        let isPresent: Bool
    }

    /// Where the key is or belongs; nil in an empty map.
    private func place(of key: Key) -> Place? {
        guard !chunks.isEmpty else { return nil }
        // By hand, not by `partitionPoint`: a closure takes each chunk with a reference to it.
        var (low, high) = (0, chunks.count)
        while low < high {
            let middle = (low + high) / 2
            if chunks[middle].keys[0] <= key { low = middle + 1 } else { high = middle }
        }
        let chunk = Swift.max(0, low - 1)
        (low, high) = (0, chunks[chunk].keys.count)
        while low < high {
            let middle = (low + high) / 2
            if chunks[chunk].keys[middle] < key { low = middle + 1 } else { high = middle }
        }
        let isPresent = low < chunks[chunk].keys.count && chunks[chunk].keys[low] == key
        return Place(chunk: chunk, offset: low, isPresent: isPresent)
    }

    private mutating func insert(_ key: Key, _ value: Value, at place: Place) {
        chunks[place.chunk].keys.insert(key, at: place.offset)
        chunks[place.chunk].values.insert(value, at: place.offset)
        count += 1
        split(place.chunk)
    }

    /// Makes two of a chunk that is too large.
    mutating func split(_ number: Int) {
        let size = chunks[number].keys.count
        guard size > Self.chunkMax else { return }
        var upper = Chunk()
        upper.keys = Array(chunks[number].keys[(size / 2)...])
        upper.values = Array(chunks[number].values[(size / 2)...])
        chunks[number].keys.removeSubrange((size / 2)...)
        chunks[number].values.removeSubrange((size / 2)...)
        chunks.insert(upper, at: number + 1)
    }

    private mutating func remove(at place: Place) {
        chunks[place.chunk].keys.remove(at: place.offset)
        chunks[place.chunk].values.remove(at: place.offset)
        count -= 1
        if chunks[place.chunk].keys.isEmpty { chunks.remove(at: place.chunk) }
    }
}

extension ChunkedMap: Sequence {
    struct Iterator: IteratorProtocol {
        private let chunks: [Chunk]
        private var chunk: Int
        private var offset: Int

        init(_ chunks: [Chunk], chunk: Int, offset: Int) {
            self.chunks = chunks
            self.chunk = chunk
            self.offset = offset
        }

        mutating func next() -> (key: Key, value: Value)? {
            while chunk < chunks.count {
                if offset < chunks[chunk].keys.count {
                    defer { offset += 1 }
                    return (chunks[chunk].keys[offset], chunks[chunk].values[offset])
                }
                chunk += 1
                offset = 0
            }
            return nil
        }
    }

    func makeIterator() -> Iterator { Iterator(chunks, chunk: 0, offset: 0) }

    /// The entries from a place in key order on.
    ///
    /// - Complexity: O(n / chunkMax) to begin.
    func iterator(from index: Int) -> Iterator {
        var rest = index
        for (number, chunk) in chunks.enumerated() {
            if rest < chunk.keys.count { return Iterator(chunks, chunk: number, offset: rest) }
            rest -= chunk.keys.count
        }
        return Iterator(chunks, chunk: chunks.count, offset: 0)
    }
}

extension ChunkedMap: Equatable where Value: Equatable {
    static func == (a: ChunkedMap, b: ChunkedMap) -> Bool {
        a.count == b.count && zip(a, b).allSatisfy { $0.key == $1.key && $0.value == $1.value }
    }
}

extension ChunkedMap: Sendable where Key: Sendable, Value: Sendable {}
extension ChunkedMap.Chunk: Sendable where Key: Sendable, Value: Sendable {}
