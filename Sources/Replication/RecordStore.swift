import Base
import Causality
import Ring

/// Everything that a node remembers of keys: one `RecordTable` per key range, and who holds how
/// much.
///
/// Expired and truncated records stay until something overwrites them, so that every replica merges
/// the same states; `isLive` is what readers ask.
struct RecordStore: ~Copyable {
    private let tables: UnsafeMutablePointer<RecordTable>
    private let hashKey: UInt64
    /// Records, tombstones included.
    private(set) var count = 0
    private var tableBytes = 0
    /// The states that some records point to.
    var expanded = ExpandedStates()

    /// Of tables, records and expanded states.
    @inline(__always) var allocatedBytes: Int { tableBytes + expanded.byteCount }

    init(hashKey: UInt64) {
        self.hashKey = hashKey
        tables = .allocate(capacity: KeyRange.count)
        for index in 0..<KeyRange.count {
            (tables + index).initialize(to: RecordTable())
            tableBytes += tables[index].allocatedBytes
        }
    }

    deinit {
        tables.deinitialize(count: KeyRange.count)
        tables.deallocate()
    }

    /// Where a key lives in the tables: computed once per request.
    struct Address {
        let hash: UInt64
        let range: KeyRange
    }

    @inline(__always)
    func address(of key: UnsafeRawBufferPointer) -> Address {
        Address(hash: keyHash(key, key: hashKey), range: KeyRange(Slot(key: key)))
    }

    @inline(__always)
    func find(_ address: Address, _ key: UnsafeRawBufferPointer) -> Record? {
        locate(address, key).record
    }

    @inline(__always)
    func locate(_ address: Address, _ key: UnsafeRawBufferPointer) -> RecordTable.Place {
        tables[Int(address.range.rawValue)].locate(address.hash, key)
    }

    /// Gives room for the key's new record; the caller writes all of it at once.
    ///
    /// - Parameters:
    ///   - place: of this key, still valid.
    ///   - tally: how the new record is accounted for.
    @inline(__always)
    mutating func prepare(
        _ place: RecordTable.Place, _ address: Address, _ key: UnsafeRawBufferPointer, length: Int,
        _ tally: RecordTally
    ) -> UnsafeMutableRawPointer {
        let index = Int(address.range.rawValue)
        let before = (tables[index].count, tables[index].allocatedBytes)
        let target = tables[index].prepare(place, address.hash, key, length: length, tally)
        count += tables[index].count - before.0
        tableBytes += tables[index].allocatedBytes - before.1
        return target
    }

    /// A record is about to be replaced or removed: lets go of the state that it points to, unless
    /// the new one points there as well.
    @inline(__always)
    mutating func release(_ record: Record?, for next: Record? = nil) {
        guard !expanded.isEmpty, let record, record.isExpanded else { return }
        if let next, next.isExpanded, next.expandedPlace == record.expandedPlace { return }
        expanded.remove(record.expandedPlace)
    }

    mutating func remove(_ address: Address, _ key: UnsafeRawBufferPointer) {
        let index = Int(address.range.rawValue)
        let before = tables[index].allocatedBytes
        if tables[index].remove(address.hash, key) { count -= 1 }
        tableBytes += tables[index].allocatedBytes - before
    }

    /// Forgets the record that a walk came by.
    mutating func remove(_ entry: RecordTable.Entry, in range: KeyRange) {
        let index = Int(range.rawValue)
        let before = tables[index].allocatedBytes
        tables[index].remove(entry)
        count -= 1
        tableBytes += tables[index].allocatedBytes - before
    }

    /// Visits the records of a key range whose hashes lie between two, in no order.
    func visit(
        _ range: KeyRange, _ hashes: ClosedRange<UInt64>, _ body: (UInt64, Record) -> Void
    ) {
        tables[Int(range.rawValue)].visit(hashes, body)
    }

    /// Visits every record.
    func visitAll(_ body: (Record) -> Void) {
        var next: UInt64? = 0
        while let place = next { next = visit(from: place, body) }
    }

    /// Visits records from a cursor on, at least one home's.
    ///
    /// - Parameter cursor: 0 at first; then what the call before returned. Upper 8 bits the range,
    ///   then the hash's.
    /// - Returns: the next cursor, or nil when all ranges have been visited.
    func visit(from cursor: UInt64, _ body: (Record) -> Void) -> UInt64? {
        let range = Int(cursor >> 56)
        if let next = tables[range].visitHome(of: cursor << 8, body) {
            return UInt64(range) << 56 | next >> 8
        }
        return range + 1 < KeyRange.count ? UInt64(range + 1) << 56 : nil
    }

    /// Visits records from a cursor on until the budget is spent.
    ///
    /// - Parameters:
    ///   - cursor: as for `visit(from:)`.
    ///   - body: returns the bytes that it is about to move.
    /// - Returns: the next cursor, or nil when all ranges have been visited.
    func visit(
        from cursor: UInt64, _ budget: inout WorkBudget,
        _ body: (RecordTable.Entry, KeyRange) -> Int
    ) -> UInt64? {
        var range = Int(cursor >> 56)
        var next: UInt64? = cursor << 8
        while let place = next {
            let number = KeyRange(UInt8(range))
            next = tables[range].visitHomes(from: place, &budget) { body($0, number) }
            if next == nil {
                range += 1
                guard range < KeyRange.count else { return nil }
                next = 0
            }
            if budget.isSpent, let next { return UInt64(range) << 56 | next >> 8 }
        }
        return nil
    }

    /// Visits the records of one range from a hash on until the budget is spent.
    ///
    /// - Parameter body: returns the bytes that it is about to move.
    /// - Returns: where to go on, or nil when the range has been visited.
    func visit(
        _ range: KeyRange, from hash: UInt64, _ budget: inout WorkBudget,
        _ body: (RecordTable.Entry) -> Int
    ) -> UInt64? {
        tables[Int(range.rawValue)].visitHomes(from: hash, &budget, body)
    }
}

/// Which rules hold for a key, and where its record is.
struct KeyLocation {
    /// The keyspace's index in the catalog.
    let keyspace: Int
    let address: RecordStore.Address
}
