/// How a stored record is accounted for: which keyspace's sums it is part of, and which hash tree.
///
/// It stands in the record's block. Definitions change at once, while the sums over a million
/// records follow in bounded steps (`Reshaping`); so what a record was counted as is not what the
/// definitions say of it now, and whoever replaces or removes it takes out what was put in.
struct RecordTally: Equatable {
    private let rawValue: UInt32

    /// A record that was emptied away: it takes room, and nothing else.
    @inline(__always)
    init(emptied keyspace: Int) { rawValue = UInt32(truncatingIfNeeded: keyspace) & 0xFFFF }

    /// A record that counts.
    ///
    /// - Parameters:
    ///   - keyspace: its index in the catalog, below 65,536.
    ///   - n: of the trees that it is part of, 0 for none, at most 64.
    ///   - isTyped: a tree holds the digest of its context in place of its bytes'.
    init(counting keyspace: Int, n: Int, isTyped: Bool) {
        precondition(keyspace < 1 << 16 && 0...64 ~= n, "a tally has room for what is possible")
        rawValue = UInt32(keyspace) | UInt32(n) << 16 | (isTyped ? 1 << 23 : 0) | 1 << 24
    }

    /// As it stands in a block.
    @inline(__always)
    init(stored: UInt32) { rawValue = stored }

    @inline(__always) var stored: UInt32 { rawValue }
    @inline(__always) var keyspace: Int { Int(rawValue & 0xFFFF) }
    @inline(__always) var n: Int { Int(rawValue >> 16 & 0x7F) }
    @inline(__always) var isTyped: Bool { rawValue & 1 << 23 != 0 }
    @inline(__always) var counts: Bool { rawValue & 1 << 24 != 0 }
}

/// How much one step of background work may look at, so that no step takes long.
///
/// A record that is looked at costs a few cache misses, a slot of a table next to nothing; bytes
/// are those that are encoded, decoded or handed to the journal.
struct WorkBudget {
    /// Bytes that one turn moves in background work, and one record more.
    static let turnBytes = 128 << 10
    static let recordUnits = 8
    /// Of what nobody waits for.
    static let unlimited = WorkBudget(units: .max, bytes: .max)

    private(set) var units: Int
    private(set) var bytes: Int

    init(units: Int, bytes: Int) {
        (self.units, self.bytes) = (units, bytes)
    }

    @inline(__always) var isSpent: Bool { units <= 0 || bytes <= 0 }

    @inline(__always)
    mutating func look(slots: Int) { units -= slots }

    @inline(__always)
    mutating func look(records: Int) { units -= records * WorkBudget.recordUnits }

    mutating func move(bytes count: Int) { bytes -= count }
}
