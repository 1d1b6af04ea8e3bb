import Base

// Many entries at once: each chunk is touched once.
extension ChunkedMap {
    /// Keys of one chunk from which on it is put together anew.
    private static var keysMergedMin: Int { 8 }

    /// Changes, adds or removes the values of several keys.
    ///
    /// - Parameters:
    ///   - keys: strictly ascending.
    ///   - body: gets each key's index and value once, in order.
    /// - Complexity: O(keys + n / chunkMax), and O(chunkMax) for each chunk that a key belongs to;
    ///   for few keys as that of `change`.
    mutating func change(ascending keys: [Key], _ body: (Int, inout Value?) -> Void) {
        guard keys.count >= Self.keysMergedMin else {
            for (index, key) in keys.enumerated() { change(key) { body(index, &$0) } }
            return
        }
        var former: [Chunk] = []
        swap(&former, &chunks)
        if former.isEmpty { former.append(Chunk()) }
        chunks.reserveCapacity(former.count + keys.count / Self.chunkMax)
        count = 0
        var next = 0
        for number in former.indices {
            let start = next
            if number + 1 < former.count {
                while next < keys.count, keys[next] < former[number + 1].keys[0] { next += 1 }
            } else {
                next = keys.count
            }
            var chunk = Chunk()
            swap(&chunk, &former[number])
            if next - start < Self.keysMergedMin {
                for index in start..<next { Self.change(&chunk, keys[index]) { body(index, &$0) } }
                appendChunk(chunk)
            } else {
                merge(chunk, keys, start..<next, body)
            }
        }
    }

    private static func change(
        _ chunk: inout Chunk, _ key: Key, _ body: (inout Value?) -> Void
    ) {
        let place = chunk.keys.partitionPoint { $0 < key }
        let isPresent = place < chunk.keys.count && chunk.keys[place] == key
        var value = isPresent ? chunk.values[place] : nil
        body(&value)
        switch (value, isPresent) {
        case (.some(let value), true): chunk.values[place] = value
        case (.some(let value), false):
            chunk.keys.insert(key, at: place)
            chunk.values.insert(value, at: place)
        case (nil, true):
            chunk.keys.remove(at: place)
            chunk.values.remove(at: place)
        case (nil, false): break
        }
    }

    /// Adds a chunk's entries behind all others, changed as `body` says.
    private mutating func merge(
        _ chunk: Chunk, _ keys: [Key], _ range: Range<Int>, _ body: (Int, inout Value?) -> Void
    ) {
        var merged = Chunk()
        merged.keys.reserveCapacity(Self.chunkMax)
        merged.values.reserveCapacity(Self.chunkMax)
        func add(_ key: Key, _ value: Value) {
            if merged.keys.count == Self.chunkMax {
                appendChunk(merged)
                merged.keys.removeAll(keepingCapacity: true)
                merged.values.removeAll(keepingCapacity: true)
            }
            merged.keys.append(key)
            merged.values.append(value)
        }
        var place = 0
        for index in range {
            let key = keys[index]
            while place < chunk.keys.count, chunk.keys[place] < key {
                add(chunk.keys[place], chunk.values[place])
                place += 1
            }
            var value: Value?
            if place < chunk.keys.count, chunk.keys[place] == key {
                value = chunk.values[place]
                place += 1
            }
            body(index, &value)
            if let value { add(key, value) }
        }
        for place in place..<chunk.keys.count { add(chunk.keys[place], chunk.values[place]) }
        appendChunk(merged)
    }

    /// Adds the entries of a chunk, of whatever size, behind all others.
    private mutating func appendChunk(_ chunk: Chunk) {
        count += chunk.keys.count
        guard chunk.keys.count > Self.chunkMax else {
            if !chunk.keys.isEmpty { chunks.append(chunk) }
            return
        }
        let half = chunk.keys.count / 2
        for range in [0..<half, half..<chunk.keys.count] {
            chunks.append(
                Chunk(keys: Array(chunk.keys[range]), values: Array(chunk.values[range])))
        }
    }

    /// The values of several keys.
    ///
    /// - Parameter keys: strictly ascending.
    /// - Complexity: O(keys · log chunkMax + n / chunkMax).
    func values(ascending keys: [Key]) -> [Value?] {
        var values: [Value?] = []
        values.reserveCapacity(keys.count)
        find(ascending: keys) { chunk, place in
            values.append(place.map { chunks[chunk].values[$0] })
            return true
        }
        return values
    }

    /// Whether any of several keys is there.
    ///
    /// - Parameter keys: strictly ascending.
    /// - Complexity: as that of `values`.
    func hasAny(ascending keys: [Key]) -> Bool {
        var isFound = false
        find(ascending: keys) { _, place in
            isFound = place != nil
            return !isFound
        }
        return isFound
    }

    /// - Parameter body: gets each key's chunk and its place there, nil for none; returns whether
    ///   to go on.
    private func find(ascending keys: [Key], _ body: (Int, Int?) -> Bool) {
        var number = 0
        var start = 0
        for key in keys {
            while number + 1 < chunks.count, chunks[number + 1].keys[0] <= key {
                number += 1
                start = 0
            }
            var isPresent = false
            if number < chunks.count {
                let end = chunks[number].keys.count
                if start < end, chunks[number].keys[start] < key {
                    var (low, high) = (start + 1, end)
                    while low < high {
                        let middle = (low + high) / 2
                        let isBefore = chunks[number].keys[middle] < key
                        if isBefore { low = middle + 1 } else { high = middle }
                    }
                    start = low
                }
                isPresent = start < end && chunks[number].keys[start] == key
            }
            guard body(number, isPresent ? start : nil) else { return }
        }
    }

    /// Inserts entries side by side.
    ///
    /// - Parameters:
    ///   - keys: strictly ascending, behind the key before the place and before the one at it.
    ///   - place: of the first one, in `0...count`.
    /// - Complexity: O(keys + n / chunkMax).
    mutating func insert(_ keys: [Key], _ values: [Value], at place: Int) {
        precondition(keys.count == values.count && 0...count ~= place, "a place lies in the map")
        guard !keys.isEmpty else { return }
        count += keys.count
        var (number, rest) = (0, place)
        while number < chunks.count, rest > chunks[number].keys.count {
            rest -= chunks[number].keys.count
            number += 1
        }
        var pieces = Chunk(keys: keys, values: values)
        if number < chunks.count {
            if chunks[number].keys.count + keys.count <= 2 * Self.chunkMax {
                chunks[number].keys.insert(contentsOf: keys, at: rest)
                chunks[number].values.insert(contentsOf: values, at: rest)
                return split(number)
            }
            pieces.keys += chunks[number].keys[rest...]
            pieces.values += chunks[number].values[rest...]
            chunks[number].keys.removeSubrange(rest...)
            chunks[number].values.removeSubrange(rest...)
            if rest > 0 { number += 1 } else { chunks.remove(at: number) }
        }
        let added = stride(from: 0, to: pieces.keys.count, by: Self.chunkMax).map { start in
            let range = start..<Swift.min(start + Self.chunkMax, pieces.keys.count)
            return Chunk(keys: Array(pieces.keys[range]), values: Array(pieces.values[range]))
        }
        chunks.insert(contentsOf: added, at: number)
    }

    /// Removes entries by their places.
    ///
    /// - Parameters:
    ///   - ranges: ascending, apart from each other, within the map.
    ///   - body: gets each of them, in order.
    /// - Complexity: O(entries removed + n / chunkMax).
    mutating func remove(at ranges: [Range<Int>], _ body: (Key, Value) -> Void) {
        if ranges.count == 1, removeInChunk(ranges[0], body) { return }
        var former: [Chunk] = []
        swap(&former, &chunks)
        chunks.reserveCapacity(former.count)
        count = 0
        var rest = ranges[...]
        var base = 0
        for number in former.indices {
            var chunk = Chunk()
            swap(&chunk, &former[number])
            let size = chunk.keys.count
            // Of the ranges those that lie in the chunk, by their places in it.
            var inside: [Range<Int>] = []
            while let range = rest.first, range.lowerBound < base + size {
                let part = range.clamped(to: base..<base + size)
                inside.append(part.lowerBound - base..<part.upperBound - base)
                if range.upperBound > base + size { break }
                rest.removeFirst()
            }
            base += size
            for range in inside {
                for place in range { body(chunk.keys[place], chunk.values[place]) }
            }
            Self.remove(inside, from: &chunk)
            appendChunk(chunk)
        }
    }

    /// Removes entries that stand in one chunk, which is found from the nearer end.
    ///
    /// - Returns: false, and nothing has happened, when they stand in several.
    private mutating func removeInChunk(
        _ range: Range<Int>, _ body: (Key, Value) -> Void
    ) -> Bool {
        guard !range.isEmpty else { return true }
        var (number, start) = (0, 0)
        if range.lowerBound < count / 2 {
            while start + chunks[number].keys.count <= range.lowerBound {
                start += chunks[number].keys.count
                number += 1
            }
        } else {
            (number, start) = (chunks.count, count)
            repeat {
                number -= 1
                start -= chunks[number].keys.count
            } while range.lowerBound < start
        }
        let inside = range.lowerBound - start..<range.upperBound - start
        guard inside.upperBound <= chunks[number].keys.count else { return false }
        for place in inside { body(chunks[number].keys[place], chunks[number].values[place]) }
        Self.remove([inside], from: &chunks[number])
        if chunks[number].keys.isEmpty { chunks.remove(at: number) }
        count -= inside.count
        return true
    }

    private static func remove(_ ranges: [Range<Int>], from chunk: inout Chunk) {
        guard ranges.count > 1 else {
            guard let range = ranges.first else { return }
            chunk.keys.removeSubrange(range)
            chunk.values.removeSubrange(range)
            return
        }
        var kept = Chunk()
        var place = 0
        for range in ranges {
            kept.keys += chunk.keys[place..<range.lowerBound]
            kept.values += chunk.values[place..<range.lowerBound]
            place = range.upperBound
        }
        kept.keys += chunk.keys[place...]
        kept.values += chunk.values[place...]
        chunk = kept
    }
}
