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

    /// Adds the next place: places are numbered from 0 without gaps.
    ///
    /// - Complexity: amortized O(1).
    mutating func insert(_ place: Int, _ fingerprint: (Int) -> UInt64) {
        precondition(place == count, "places are added in order")
        count += 1
        if count * 2 > slots.count {
            slots = Array(repeating: 0, count: slots.count * 2)
            for earlier in 0..<place { put(earlier, fingerprint(earlier)) }
        }
        put(place, fingerprint(place))
    }

    private mutating func put(_ place: Int, _ fingerprint: UInt64) {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: fingerprint) & mask
        while slots[slot] > 0 { slot = (slot + 1) & mask }
        slots[slot] = UInt32(place + 1)
    }
}
