import Causality

/// Where a record's block is, by the key's hash; an empty slot has no block.
struct RecordSlot {
    var hash: UInt64
    var block: UnsafeMutableRawPointer?
}

/// The slots of a `RecordTable`: open addressing with linear probing, the home slot of a hash its
/// upper bits. Slots that are being moved to another array are emptied from the front, whole runs
/// of taken slots at a time.
///
/// Whoever holds it frees it, once.
///
/// Invariants: between a key's home and its slot no slot is empty; slots before `moved` are empty,
/// and no key in here whose home is one of them is there.
struct RecordSlots {
    private let slots: UnsafeMutablePointer<RecordSlot>
    let shift: UInt64
    private var moved = 0

    /// - Complexity: O(slots), to write zeros there: a few milliseconds for a million keys.
    init(capacityLog2: UInt64) {
        let capacity = 1 << Int(capacityLog2)
        slots = .allocate(capacity: capacity)
        slots.initialize(repeating: RecordSlot(hash: 0, block: nil), count: capacity)
        shift = 64 - capacityLog2
    }

    func deallocate(withBlocks: Bool) {
        if withBlocks { for index in moved..<capacity { slots[index].block?.deallocate() } }
        slots.deallocate()
    }

    var capacity: Int { 1 << Int(64 - shift) }
    var remaining: Int { capacity - moved }
    var byteCount: Int { capacity * MemoryLayout<RecordSlot>.stride }

    subscript(index: Int) -> RecordSlot {
        @inline(__always) get { slots[index] }
        @inline(__always) nonmutating set { slots[index] = newValue }
    }

    @inline(__always)
    func home(of hash: UInt64) -> Int { Int(hash >> shift) }

    /// The least hash whose home is the next one; nil behind the last.
    func cursor(behind home: Int) -> UInt64? {
        home == capacity - 1 ? nil : UInt64(home + 1) << shift
    }

    /// The slot of the key, or the empty one where it would go.
    @inline(__always)
    func position(of hash: UInt64, _ key: UnsafeRawBufferPointer) -> Int {
        let mask = capacity - 1
        var index = home(of: hash)
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

    /// The key's slot, unless it is not here.
    func find(
        _ hash: UInt64, _ key: UnsafeRawBufferPointer
    ) -> (index: Int, block: UnsafeMutableRawPointer)? {
        let index = position(of: hash, key)
        return slots[index].block.map { (index, $0) }
    }

    /// The slot of a block, unless it is not here.
    func index(of block: UnsafeMutableRawPointer, _ hash: UInt64) -> Int? {
        let mask = capacity - 1
        var index = home(of: hash)
        while let other = slots[index].block {
            if other == block { return index }
            index = (index + 1) & mask
        }
        return nil
    }

    /// Empties a slot and closes the gap, so that no probe ends early.
    func remove(_ index: Int) {
        var gap = index
        let mask = capacity - 1
        var next = (gap + 1) & mask
        while slots[next].block != nil {
            let home = home(of: slots[next].hash)
            if (next - home) & mask >= (next - gap) & mask {
                slots[gap] = slots[next]
                gap = next
            }
            next = (next + 1) & mask
        }
        slots[gap] = RecordSlot(hash: 0, block: nil)
    }

    /// Visits what has a home, of an array of whatever size.
    ///
    /// - Parameter shift: by which a hash gives its home in that array.
    func visit(
        home: Int, shift: UInt64, _ body: (UInt64, UnsafeMutableRawPointer) -> Void
    ) {
        let mask = capacity - 1
        guard shift <= self.shift else {
            let first = UInt64(home) << shift
            return visit(first...first | (1 << shift - 1), body)
        }
        var index = home >> Int(self.shift - shift)
        while let block = slots[index].block {
            let hash = slots[index].hash
            if Int(hash >> shift) == home { body(hash, block) }
            index = (index + 1) & mask
        }
    }

    /// Visits what has a hash between two.
    func visit(
        _ hashes: ClosedRange<UInt64>, _ body: (UInt64, UnsafeMutableRawPointer) -> Void
    ) {
        let mask = capacity - 1
        let (first, last) = (home(of: hashes.lowerBound), home(of: hashes.upperBound))
        var index = first
        var isPastHomes = false
        repeat {
            if let block = slots[index].block {
                let hash = slots[index].hash
                if hashes.contains(hash) { body(hash, block) }
            } else if isPastHomes || index == last {
                return
            }
            if index == last { isPastHomes = true }
            index = (index + 1) & mask
        } while index != first
    }

    /// Moves what stands in the next slots, and in those behind them up to an empty one.
    ///
    /// - Returns: whether nothing is left.
    mutating func move(_ count: Int, to other: RecordSlots) -> Bool {
        let end = min(moved + count, capacity)
        let mask = other.capacity - 1
        while moved < capacity, moved < end || slots[moved].block != nil {
            if slots[moved].block != nil {
                var target = other.home(of: slots[moved].hash)
                while other[target].block != nil { target = (target + 1) & mask }
                other[target] = slots[moved]
                slots[moved] = RecordSlot(hash: 0, block: nil)
            }
            moved += 1
        }
        return moved == capacity
    }
}
