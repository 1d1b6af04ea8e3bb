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
/// A table of a million keys neither grows nor shrinks in one step: the slots from before stay
/// beside the new ones, and each key that comes or goes moves a few of them (`RecordSlots`). A key
/// is in one of the two. A table shrinks to a quarter when ⅛ of its slots are taken.
///
/// Invariants: at most ¾ of the slots are taken; those of `RecordSlots`.
///
/// - Complexity: every operation O(1) expected.
struct RecordTable: ~Copyable {
    static let blockHeaderBytes = 8
    /// Slots that one new key moves, and as many more as stand together with them.
    static let slotsMovedAtOnce = 64
    /// The logarithm of the slots of an empty table.
    static let leastCapacityLog2: UInt64 = 3

    private var slots: RecordSlots
    /// From before the table grew or shrank, as far as they have not been moved.
    private var former: RecordSlots?
    private(set) var count = 0
    /// Bytes of all blocks and slots.
    private(set) var allocatedBytes: Int

    init(capacityLog2: UInt64 = RecordTable.leastCapacityLog2) {
        slots = RecordSlots(capacityLog2: capacityLog2)
        allocatedBytes = slots.byteCount
    }

    /// What owns the blocks frees them.
    deinit {
        slots.deallocate(withBlocks: true)
        former?.deallocate(withBlocks: true)
    }

    var capacity: Int { slots.capacity }
    /// Slots that wait to be moved.
    var unmovedSlots: Int { former?.remaining ?? 0 }

    /// Where a key is, or where it would go; valid until the next change of the table.
    struct Place {
        fileprivate let index: Int
        fileprivate let block: UnsafeMutableRawPointer?
        /// It is one of the slots from before the table grew or shrank.
        fileprivate var isFormer = false

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
        let index = slots.position(of: hash, key)
        let block = slots[index].block
        if block == nil, former != nil { return locateFormer(hash, key, index) }
        return Place(index: index, block: block)
    }

    private func locateFormer(
        _ hash: UInt64, _ key: UnsafeRawBufferPointer, _ index: Int
    ) -> Place {
        guard let before = former?.find(hash, key) else { return Place(index: index, block: nil) }
        return Place(index: before.index, block: before.block, isFormer: true)
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
        if let block = place.block {
            release(block)
            let block = allocate(length)
            if place.isFormer {
                former?[place.index] = RecordSlot(hash: hash, block: block)
            } else {
                slots[place.index] = RecordSlot(hash: hash, block: block)
            }
            return block + RecordTable.blockHeaderBytes
        }
        var index = place.index
        if former != nil || (count + 1) * 4 > capacity * 3 {
            resize(toCapacityLog2: 65 - slots.shift)
            index = slots.position(of: hash, key)
        }
        count += 1
        let block = allocate(length)
        slots[index] = RecordSlot(hash: hash, block: block)
        return block + RecordTable.blockHeaderBytes
    }

    /// Forgets a key and closes the gap, so that no probe ends early.
    ///
    /// - Returns: whether the key was present.
    mutating func remove(_ hash: UInt64, _ key: UnsafeRawBufferPointer) -> Bool {
        let place = locate(hash, key)
        guard place.block != nil else { return false }
        remove(place)
        return true
    }

    /// Forgets the record that a walk came by.
    mutating func remove(_ entry: Entry) {
        if let index = slots.index(of: entry.block, entry.hash) {
            return remove(Place(index: index, block: entry.block))
        }
        guard let index = former?.index(of: entry.block, entry.hash) else {
            preconditionFailure("an entry is removed while it is there")
        }
        remove(Place(index: index, block: entry.block, isFormer: true))
    }

    private mutating func remove(_ place: Place) {
        guard let block = place.block else { return }
        release(block)
        count -= 1
        if place.isFormer { former?.remove(place.index) } else { slots.remove(place.index) }
        if former != nil || count * 8 < capacity { shrink() }
    }

    /// Begins to shrink, or goes on with what it does; an empty table is as it was made.
    private mutating func shrink() {
        let capacityLog2 = 64 - slots.shift
        if count == 0 {
            guard former != nil || capacityLog2 > RecordTable.leastCapacityLog2 else { return }
            former?.deallocate(withBlocks: false)
            former = nil
            slots.deallocate(withBlocks: false)
            slots = RecordSlots(capacityLog2: RecordTable.leastCapacityLog2)
            allocatedBytes = slots.byteCount
        } else if former != nil || capacityLog2 >= RecordTable.leastCapacityLog2 + 2 {
            resize(toCapacityLog2: capacityLog2 - 2)
        }
    }

    /// Visits the records whose home is `cursor`'s, and returns the cursor of the next home, or nil
    /// after the last.
    ///
    /// A key that is present for the whole scan is visited, however the table grows or shrinks
    /// between calls.
    func visitHome(of cursor: UInt64, _ body: (Record) -> Void) -> UInt64? {
        visitHome(slots.home(of: cursor)) { body($0.record) }
        return slots.cursor(behind: slots.home(of: cursor))
    }

    /// Visits the records of one home, those that have not been moved there yet among them.
    private func visitHome(_ home: Int, _ body: (Entry) -> Void) {
        slots.visit(home: home, shift: slots.shift) { body(Entry(hash: $0, block: $1)) }
        former?.visit(home: home, shift: slots.shift) { body(Entry(hash: $0, block: $1)) }
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
        var home = slots.home(of: cursor)
        while true {
            budget.look(slots: 1)
            visitHome(home) { entry in
                budget.look(records: 1)
                budget.move(bytes: body(entry))
            }
            guard let next = slots.cursor(behind: home) else { return nil }
            home += 1
            if budget.isSpent { return next }
        }
    }

    /// Visits the records whose hashes lie between two: they stand together.
    ///
    /// - Complexity: O(records visited) expected.
    func visit(_ hashes: ClosedRange<UInt64>, _ body: (UInt64, Record) -> Void) {
        slots.visit(hashes) { body($0, Record(at: $1 + RecordTable.blockHeaderBytes)) }
        former?.visit(hashes) { body($0, Record(at: $1 + RecordTable.blockHeaderBytes)) }
    }

    /// Begins to move to so many slots, or goes on with the move that has begun.
    private mutating func resize(toCapacityLog2 capacityLog2: UInt64) {
        if former == nil {
            former = slots
            slots = RecordSlots(capacityLog2: capacityLog2)
            allocatedBytes += slots.byteCount
        }
        guard former?.move(RecordTable.slotsMovedAtOnce, to: slots) == true else { return }
        allocatedBytes -= former?.byteCount ?? 0
        former?.deallocate(withBlocks: false)
        former = nil
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
