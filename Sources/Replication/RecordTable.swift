import Base
import Causality

/// Open addressing from a key's 64-bit hash to its record, with linear probing, for the keys of one
/// key range.
///
/// A slot is (hash, block); a block is 4 bytes of capacity, 4 of the record's `RecordTally`, and
/// then the record's bytes, so the stored state is the very run of bytes that the journal and the
/// replicas receive. The home slot is the hash's upper bits: growth keeps the order of homes, which
/// lets a scan's cursor be a hash and survive it.
///
/// Invariants: at most ¾ of the slots are taken; between a key's home and its slot no slot is
/// empty.
///
/// - Complexity: every operation O(1) expected; growth O(keys of the range).
struct RecordTable: ~Copyable {
    private struct Slot {
        var hash: UInt64
        var block: UnsafeMutableRawPointer?
    }

    static let blockHeaderBytes = 8

    private var slots: UnsafeMutablePointer<Slot>
    private var shift: UInt64
    private(set) var count = 0
    /// Bytes of all blocks and slots.
    private(set) var allocatedBytes: Int

    init(capacityLog2: UInt64 = 3) {
        let capacity = 1 << Int(capacityLog2)
        slots = RecordTable.allocateSlots(capacity)
        shift = 64 - capacityLog2
        allocatedBytes = capacity * MemoryLayout<Slot>.stride
    }

    deinit {
        for index in 0..<capacity { slots[index].block?.deallocate() }
        slots.deallocate()
    }

    var capacity: Int { 1 << Int(64 - shift) }

    /// Where a key is, or where it would go; valid until the next change of the table.
    struct Place {
        fileprivate let index: Int
        fileprivate let block: UnsafeMutableRawPointer?

        /// The key's record, if there is one.
        @inline(__always) var record: Record? {
            block.map { Record(at: $0 + RecordTable.blockHeaderBytes) }
        }

        /// How the key's record is accounted for; without one, nothing is.
        @inline(__always) var tally: RecordTally {
            block.map { RecordTable.tally(in: $0) } ?? RecordTally(stored: 0)
        }
    }

    /// A record that a walk came by; valid until the record is replaced or removed.
    struct Entry {
        let hash: UInt64
        fileprivate let block: UnsafeMutableRawPointer

        @inline(__always) var record: Record { Record(at: block + RecordTable.blockHeaderBytes) }

        /// How the record is accounted for.
        @inline(__always) var tally: RecordTally {
            get { RecordTable.tally(in: block) }
            nonmutating set { RecordTable.set(newValue, in: block) }
        }
    }

    @inline(__always)
    fileprivate static func tally(in block: UnsafeMutableRawPointer) -> RecordTally {
        RecordTally(stored: block.load(fromByteOffset: 4, as: UInt32.self))
    }

    @inline(__always)
    fileprivate static func set(_ tally: RecordTally, in block: UnsafeMutableRawPointer) {
        block.storeBytes(of: tally.stored, toByteOffset: 4, as: UInt32.self)
    }

    @inline(__always)
    private static func capacity(of block: UnsafeMutableRawPointer) -> Int {
        Int(block.load(as: UInt32.self))
    }

    @inline(__always)
    func locate(_ hash: UInt64, _ key: UnsafeRawBufferPointer) -> Place {
        let index = position(of: hash, key)
        return Place(index: index, block: slots[index].block)
    }

    /// Gives `length` bytes to write the key's new record into: those of the old record when they
    /// suffice, new ones otherwise. The caller writes a whole record there before the next call.
    ///
    /// - Parameters:
    ///   - place: of this key, still valid.
    ///   - tally: of the new record.
    @inline(__always)
    mutating func prepare(
        _ place: Place, _ hash: UInt64, _ key: UnsafeRawBufferPointer, length: Int,
        _ tally: RecordTally
    ) -> UnsafeMutableRawPointer {
        if let block = place.block, RecordTable.fits(length, in: block) {
            RecordTable.set(tally, in: block)
            return block + RecordTable.blockHeaderBytes
        }
        let record = replaceBlock(place, hash, key, length)
        RecordTable.set(tally, in: record - RecordTable.blockHeaderBytes)
        return record
    }

    private mutating func replaceBlock(
        _ place: Place, _ hash: UInt64, _ key: UnsafeRawBufferPointer, _ length: Int
    ) -> UnsafeMutableRawPointer {
        var index = place.index
        if let block = place.block {
            release(block)
        } else {
            if (count + 1) * 4 > capacity * 3 {
                grow()
                index = position(of: hash, key)
            }
            count += 1
        }
        let block = allocate(length)
        slots[index] = Slot(hash: hash, block: block)
        return block + RecordTable.blockHeaderBytes
    }

    /// Forgets a key and closes the gap, so that no probe ends early.
    ///
    /// - Returns: whether the key was present.
    mutating func remove(_ hash: UInt64, _ key: UnsafeRawBufferPointer) -> Bool {
        let index = position(of: hash, key)
        guard slots[index].block != nil else { return false }
        removeSlot(index)
        return true
    }

    /// Forgets the record that a walk came by.
    mutating func remove(_ entry: Entry) {
        let mask = capacity - 1
        var index = Int(entry.hash >> shift)
        while let block = slots[index].block, block != entry.block { index = (index + 1) & mask }
        precondition(slots[index].block == entry.block, "an entry is removed while it is there")
        removeSlot(index)
    }

    private mutating func removeSlot(_ index: Int) {
        var gap = index
        guard let block = slots[gap].block else { return }
        release(block)
        count -= 1
        let mask = capacity - 1
        var next = (gap + 1) & mask
        while slots[next].block != nil {
            let home = Int(slots[next].hash >> shift)
            if (next - home) & mask >= (next - gap) & mask {
                slots[gap] = slots[next]
                gap = next
            }
            next = (next + 1) & mask
        }
        slots[gap] = Slot(hash: 0, block: nil)
    }

    /// Visits the records whose home is `cursor`'s, and returns the cursor of the next home, or nil
    /// after the last.
    ///
    /// A key that is present for the whole scan is visited, however the table grows between calls.
    func visitHome(of cursor: UInt64, _ body: (Record) -> Void) -> UInt64? {
        let mask = capacity - 1
        let home = Int(cursor >> shift)
        var index = home
        while let block = slots[index].block {
            if Int(slots[index].hash >> shift) == home {
                body(Record(at: block + RecordTable.blockHeaderBytes))
            }
            index = (index + 1) & mask
        }
        return home == mask ? nil : UInt64(home + 1) << shift
    }

    /// Visits the records of homes from `cursor`'s on until the budget is spent, of one home at
    /// least.
    ///
    /// - Parameter body: returns the bytes that it is about to move.
    /// - Returns: the cursor of the next home, or nil after the last.
    func visitHomes(
        from cursor: UInt64, _ budget: inout WorkBudget, _ body: (Entry) -> Int
    ) -> UInt64? {
        guard count > 0 else {
            budget.look(slots: 1)
            return nil
        }
        let mask = capacity - 1
        var home = Int(cursor >> shift)
        while true {
            var index = home
            budget.look(slots: 1)
            while let block = slots[index].block {
                if Int(slots[index].hash >> shift) == home {
                    budget.look(records: 1)
                    budget.move(bytes: body(Entry(hash: slots[index].hash, block: block)))
                }
                index = (index + 1) & mask
            }
            if home == mask { return nil }
            home += 1
            if budget.isSpent { return UInt64(home) << shift }
        }
    }

    /// Visits the records whose hashes lie between two: they stand together.
    ///
    /// - Complexity: O(records visited) expected.
    func visit(_ hashes: ClosedRange<UInt64>, _ body: (UInt64, Record) -> Void) {
        let mask = capacity - 1
        let (first, last) = (Int(hashes.lowerBound >> shift), Int(hashes.upperBound >> shift))
        var index = first
        var isPastHomes = false
        repeat {
            if let block = slots[index].block {
                let hash = slots[index].hash
                if hashes.contains(hash) {
                    body(hash, Record(at: block + RecordTable.blockHeaderBytes))
                }
            } else if isPastHomes || index == last {
                return
            }
            if index == last { isPastHomes = true }
            index = (index + 1) & mask
        } while index != first
    }

    /// The slot of the key, or the empty one where it would go.
    private func position(of hash: UInt64, _ key: UnsafeRawBufferPointer) -> Int {
        let mask = capacity - 1
        var index = Int(hash >> shift)
        while let block = slots[index].block {
            if slots[index].hash == hash,
                bytesEqual(Record(at: block + RecordTable.blockHeaderBytes).key, key)
            {
                return index
            }
            index = (index + 1) & mask
        }
        return index
    }

    private mutating func grow() {
        let old = slots
        let oldCapacity = capacity
        slots = RecordTable.allocateSlots(oldCapacity * 2)
        shift -= 1
        let mask = capacity - 1
        for index in 0..<oldCapacity where old[index].block != nil {
            var target = Int(old[index].hash >> shift)
            while slots[target].block != nil { target = (target + 1) & mask }
            slots[target] = old[index]
        }
        old.deallocate()
        allocatedBytes += oldCapacity * MemoryLayout<Slot>.stride
    }

    private static func allocateSlots(_ capacity: Int) -> UnsafeMutablePointer<Slot> {
        let slots = UnsafeMutablePointer<Slot>.allocate(capacity: capacity)
        slots.initialize(repeating: Slot(hash: 0, block: nil), count: capacity)
        return slots
    }

    /// In place when the record fits and does not waste more than half of a large block.
    private static func fits(_ length: Int, in block: UnsafeMutableRawPointer) -> Bool {
        let capacity = capacity(of: block)
        return length <= capacity && (capacity <= 256 || length * 2 >= capacity)
    }

    private mutating func allocate(_ length: Int) -> UnsafeMutableRawPointer {
        let capacity = (length + 15) & ~15
        precondition(capacity < 1 << 32, "a record is shorter than 4 GiB")
        let block = UnsafeMutableRawPointer.allocate(
            byteCount: capacity + RecordTable.blockHeaderBytes, alignment: 8)
        block.storeBytes(of: UInt32(capacity), as: UInt32.self)
        allocatedBytes += capacity + RecordTable.blockHeaderBytes
        return block
    }

    private mutating func release(_ block: UnsafeMutableRawPointer) {
        allocatedBytes -= RecordTable.capacity(of: block) + RecordTable.blockHeaderBytes
        block.deallocate()
    }
}

/// Whether two runs hold the same bytes: eight at a time.
@inline(__always)
func bytesEqual(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    guard a.count == b.count else { return false }
    guard let first = a.baseAddress, let second = b.baseAddress else { return true }
    var offset = 0
    while offset + 8 <= a.count {
        let left = first.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        if left != second.loadUnaligned(fromByteOffset: offset, as: UInt64.self) { return false }
        offset += 8
    }
    while offset < a.count {
        let left = first.load(fromByteOffset: offset, as: UInt8.self)
        if left != second.load(fromByteOffset: offset, as: UInt8.self) { return false }
        offset += 1
    }
    return true
}
