import Base
import Ring

/// When which stored values expire: a heap for each key range, so that none grows in large steps.
///
/// A value that is written again leaves its old entry behind. So entries are hints, to be compared
/// with what is stored; and a range whose entries have doubled since they were last gathered is
/// gathered anew (`crowded`).
struct ExpiryQueue {
    struct Entry: Equatable {
        /// Wall-clock milliseconds since 1970.
        let expiry: UInt64
        /// Of the key.
        let hash: UInt64
    }

    /// Entries that a range may have beyond twice its values.
    private static let slack = 64

    private var heaps: [[Entry]] = Array(repeating: [], count: KeyRange.count)
    /// How many entries a range may have before it is gathered anew.
    private var limits = Array(repeating: slack, count: KeyRange.count)
    private(set) var crowded: KeyRange?
    /// What was noted of the range that is being gathered: the earliest time of each hash.
    private var former = Table<UInt64, UInt64>()
    /// Which range is being gathered, and from which hash on.
    private var gathering: (range: KeyRange, hash: UInt64)?
    /// No value expires earlier: wall-clock milliseconds since 1970.
    private(set) var earliest = UInt64.max

    /// Entries of all ranges.
    ///
    /// - Complexity: O(key ranges).
    var count: Int { heaps.reduce(0) { $0 + $1.count } }

    mutating func note(_ expiry: UInt64, _ hash: UInt64, _ range: KeyRange) {
        let index = Int(range.rawValue)
        push(Entry(expiry: expiry, hash: hash), index)
        earliest = min(earliest, expiry)
        if heaps[index].count > limits[index] { crowded = range }
    }

    /// Begins to gather a crowded range anew, unless one is being gathered.
    ///
    /// - Returns: from where on its values are to be handed to `gather`; nil when none is.
    mutating func beginGathering() -> (range: KeyRange, hash: UInt64)? {
        if let gathering { return gathering }
        guard let crowded else { return nil }
        former = Table()
        for entry in heaps[Int(crowded.rawValue)] {
            former[entry.hash] = min(entry.expiry, former[entry.hash] ?? .max)
        }
        heaps[Int(crowded.rawValue)].removeAll()
        limits[Int(crowded.rawValue)] = .max
        self.crowded = nil
        gathering = (crowded, 0)
        return gathering
    }

    /// What was noted of a value, where its record does not say when a part of it expires.
    func noted(_ hash: UInt64) -> UInt64? { former[hash] }

    /// Takes values of the range that is being gathered. One that was written since it began may
    /// be noted twice.
    ///
    /// - Parameter next: from which hash on others follow; nil when these were the last.
    mutating func gather(_ values: [Entry], upTo next: UInt64?) {
        guard let range = gathering?.range else { return }
        let index = Int(range.rawValue)
        for value in values { note(value.expiry, value.hash, range) }
        gathering = next.map { (range, $0) }
        if next == nil { former = Table() }
        if next == nil { limits[index] = 2 * heaps[index].count + ExpiryQueue.slack }
    }

    /// Takes out what expires up to a time.
    ///
    /// - Parameters:
    ///   - time: wall-clock milliseconds since 1970.
    ///   - countMax: at least 1.
    mutating func take(through time: UInt64, countMax: Int) -> [(range: KeyRange, hash: UInt64)] {
        guard earliest <= time else { return [] }
        var due: [(range: KeyRange, hash: UInt64)] = []
        earliest = .max
        for range in KeyRange.all {
            let index = Int(range.rawValue)
            while due.count < countMax, let first = heaps[index].first, first.expiry <= time {
                pop(index)
                due.append((range, first.hash))
            }
            if let first = heaps[index].first { earliest = min(earliest, first.expiry) }
        }
        return due
    }

    private mutating func push(_ entry: Entry, _ index: Int) {
        heaps[index].append(entry)
        var child = heaps[index].count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heaps[index][child].expiry < heaps[index][parent].expiry else { return }
            heaps[index].swapAt(child, parent)
            child = parent
        }
    }

    private mutating func pop(_ index: Int) {
        heaps[index].swapAt(0, heaps[index].count - 1)
        heaps[index].removeLast()
        if heaps[index].isEmpty { heaps[index] = [] }
        let count = heaps[index].count
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < count {
                if heaps[index][child].expiry < heaps[index][least].expiry { least = child }
            }
            guard least != parent else { return }
            heaps[index].swapAt(parent, least)
            parent = least
        }
    }
}
