/// Finds the places of an array by 64-bit fingerprints that stand in it: open addressing with
/// linear probing, at most half full, so that a look-up takes one or two steps however many places
/// there are.
struct FingerprintIndex {
    /// A place plus 1; 0 for an empty slot. A power of two of them.
    private var slots: [UInt32] = Array(repeating: 0, count: 4)
    private var count = 0

    /// - Parameter fingerprint: of the place with an index.
    /// - Complexity: O(1) expected.
    @inline(__always)
    func find(_ wanted: UInt64, _ fingerprint: (Int) -> UInt64) -> Int? {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: wanted) & mask
        while true {
            let entry = slots[slot]
            guard entry > 0 else { return nil }
            if fingerprint(Int(entry) - 1) == wanted { return Int(entry) - 1 }
            slot = (slot + 1) & mask
        }
    }

    /// Adds a place.
    ///
    /// - Complexity: amortized O(1).
    mutating func insert(_ place: Int, _ fingerprint: (Int) -> UInt64) {
        count += 1
        if count * 2 > slots.count {
            let places = slots.filter { $0 > 0 }
            slots = Array(repeating: 0, count: slots.count * 2)
            for entry in places { put(Int(entry) - 1, fingerprint(Int(entry) - 1)) }
        }
        put(place, fingerprint(place))
    }

    /// Takes a place out.
    ///
    /// - Complexity: O(1) expected.
    mutating func remove(_ place: Int, _ fingerprint: (Int) -> UInt64) {
        let mask = slots.count - 1
        var hole = Int(truncatingIfNeeded: fingerprint(place)) & mask
        while slots[hole] != UInt32(place + 1) {
            precondition(slots[hole] > 0, "what is taken out is there")
            hole = (hole + 1) & mask
        }
        count -= 1
        // Whoever was put behind the hole because the hole was taken moves into it.
        var slot = (hole + 1) & mask
        while slots[slot] > 0 {
            let home = Int(truncatingIfNeeded: fingerprint(Int(slots[slot]) - 1)) & mask
            if (slot - home) & mask >= (slot - hole) & mask {
                slots[hole] = slots[slot]
                hole = slot
            }
            slot = (slot + 1) & mask
        }
        slots[hole] = 0
    }

    private mutating func put(_ place: Int, _ fingerprint: UInt64) {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: fingerprint) & mask
        while slots[slot] > 0 { slot = (slot + 1) & mask }
        slots[slot] = UInt32(place + 1)
    }
}
