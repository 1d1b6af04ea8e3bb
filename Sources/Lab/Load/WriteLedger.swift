import Base

/// What a keyspace has promised: for every key the last acknowledged value, and the values that may
/// be there as well.
///
/// Every write has a number of its own, so a value read back names the write that stored it. A key
/// has one write under way at a time; the last acknowledged one is therefore the newest, and it
/// must be found unless a write of unknown outcome took effect: one that nobody answered may do so
/// at any later moment, so all of them stay possible.
public struct WriteLedger: Equatable, Sendable {
    /// What one key was told.
    struct Entry: Equatable {
        /// The number of the last acknowledged write; 0 before the first.
        var acknowledged = 0
        /// The numbers of writes whose outcome nobody knows.
        var unknown: [Int] = []
        var isUnderWay = false
    }

    /// How a key is found at the end.
    public enum Finding: Equatable, Sendable {
        /// The last acknowledged write is there, or one that may have followed it.
        case kept
        case lost
    }

    private(set) var entries: [Entry] = []
    private var lastNumber = 0

    public init() {}

    /// How many keys have been written.
    public var keys: Int { entries.count }

    /// Chooses a key for the next write, three times in four a new one, and numbers the write.
    public mutating func beginWrite(_ random: inout PRNG) -> (key: Int, number: Int) {
        lastNumber += 1
        var key = entries.count
        if key > 0, random.chance(perMille: 250) {
            let candidate = random.below(entries.count)
            if !entries[candidate].isUnderWay { key = candidate }
        }
        if key == entries.count { entries.append(Entry()) }
        entries[key].isUnderWay = true
        return (key, lastNumber)
    }

    /// Notes how a write ended.
    public mutating func endWrite(key: Int, number: Int, _ outcome: Outcome) {
        entries[key].isUnderWay = false
        switch outcome {
        case .done: entries[key].acknowledged = number
        case .refused: break
        case .unknown: entries[key].unknown.append(number)
        }
    }

    /// A key with an acknowledged write, and that write's number; nil when a few tries find none.
    public func anyAcknowledged(_ random: inout PRNG) -> (key: Int, number: Int)? {
        guard !entries.isEmpty else { return nil }
        for _ in 0..<8 {
            let key = random.below(entries.count)
            if entries[key].acknowledged > 0 { return (key, entries[key].acknowledged) }
        }
        return nil
    }

    /// The keys that must be found, ascending.
    public var promised: [Int] { entries.indices.filter { entries[$0].acknowledged > 0 } }

    /// Judges what was read back.
    ///
    /// - Parameter number: the write that stored the value; 0 when there is none.
    public func finding(key: Int, number: Int) -> Finding {
        let entry = entries[key]
        return entry.acknowledged == number || entry.unknown.contains(number) ? .kept : .lost
    }
}
