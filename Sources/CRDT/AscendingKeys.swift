/// Keys that a command names, in ascending order and each once.
///
/// They are compared by eight bytes behind what all of them begin with, as one number, and as a
/// whole only where these are equal.
struct AscendingKeys {
    private(set) var keys: [Bytes]
    /// Which of the command's keys each of them is: of several equal ones the last.
    private(set) var places: [Int]
    /// Where each of the command's keys is among them.
    private(set) var ranks: [Int]

    init(_ keys: [Bytes]) {
        self.keys = keys
        places = Array(keys.indices)
        ranks = places
        let isAscending = keys.indices.dropFirst().allSatisfy { keys[$0 - 1] < keys[$0] }
        if !isAscending { sort() }
    }

    private struct Item {
        let number: UInt64
        let place: Int
    }

    private mutating func sort() {
        let given = keys
        let shared = sharedCount
        var items: [Item] = []
        items.reserveCapacity(given.count)
        for (place, key) in given.enumerated() {
            items.append(Item(number: key.number(from: shared), place: place))
        }
        AscendingKeys.sortByNumber(&items)
        var start = 0
        while start < items.count {
            var end = start + 1
            while end < items.count, items[end].number == items[start].number { end += 1 }
            if end - start > 1 {
                items[start..<end].sort { a, b in
                    let order = given[a.place].order(against: given[b.place])
                    return order == 0 ? a.place < b.place : order < 0
                }
            }
            start = end
        }
        keys = []
        places = []
        keys.reserveCapacity(given.count)
        places.reserveCapacity(given.count)
        for item in items {
            if keys.last == given[item.place] {
                places[places.count - 1] = item.place
            } else {
                keys.append(given[item.place])
                places.append(item.place)
            }
            ranks[item.place] = keys.count - 1
        }
    }

    /// Sorts by one byte of the numbers after the other, the lowest first, without those that are
    /// the same in all: a step for each key and byte, where a comparison sort takes log n.
    private static func sortByNumber(_ items: inout [Item]) {
        guard items.count > 512 else {
            return items.sort { a, b in
                a.number == b.number ? a.place < b.place : a.number < b.number
            }
        }
        var other = items
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            var starts = [Int](repeating: 0, count: 257)
            for item in items { starts[Int(item.number >> shift & 255) + 1] += 1 }
            if starts.contains(items.count) { continue }
            for digit in 1..<257 { starts[digit] += starts[digit - 1] }
            for item in items {
                let digit = Int(item.number >> shift & 255)
                other[starts[digit]] = item
                starts[digit] += 1
            }
            swap(&items, &other)
        }
    }

    /// How many bytes all keys begin with.
    private var sharedCount: Int {
        var shared = keys.first?.count ?? 0
        for key in keys where shared > 0 {
            shared = keys[0].sharedCount(with: key, max: shared)
        }
        return shared
    }
}

extension Bytes {
    /// Eight bytes from a place on as a number that orders as they do; 0 for those that lack.
    fileprivate func number(from start: Int) -> UInt64 {
        array.withUnsafeBytes { bytes in
            if start + 8 <= bytes.count {
                return UInt64(
                    bigEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self))
            }
            var number: UInt64 = 0
            for place in start..<start + 8 {
                number = number << 8 | (place < bytes.count ? UInt64(bytes[place]) : 0)
            }
            return number
        }
    }

    /// How many bytes, of the first `max`, both begin with.
    fileprivate func sharedCount(with other: Bytes, max: Int) -> Int {
        array.withUnsafeBytes { mine in
            other.array.withUnsafeBytes { theirs in
                let most = min(max, mine.count, theirs.count)
                var count = 0
                while count < most, mine[count] == theirs[count] { count += 1 }
                return count
            }
        }
    }
}
