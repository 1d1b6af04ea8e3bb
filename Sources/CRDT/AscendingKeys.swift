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
        items.sort { a, b in
            if a.number != b.number { return a.number < b.number }
            let order = given[a.place].order(against: given[b.place])
            return order == 0 ? a.place < b.place : order < 0
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

    /// How many bytes all keys begin with.
    private var sharedCount: Int {
        var shared = keys.first?.count ?? 0
        for key in keys where shared > 0 {
            var count = 0
            let most = min(shared, key.count)
            while count < most, key.array[count] == keys[0].array[count] { count += 1 }
            shared = count
        }
        return shared
    }
}

extension Bytes {
    /// Eight bytes from a place on as a number that orders as they do; 0 for those that lack.
    fileprivate func number(from start: Int) -> UInt64 {
        var number: UInt64 = 0
        for place in start..<start + 8 {
            number = number << 8 | (place < array.count ? UInt64(array[place]) : 0)
        }
        return number
    }
}
