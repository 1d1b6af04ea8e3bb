import Base
import CRDT
import Causality
import Coding

/// Mergeable states that are too large to be decoded and encoded for each command: kept as values,
/// so that a command costs what it changes and not what is there.
///
/// The key's record in its table is then a stub that holds the place in here and what is asked of a
/// record without looking into it. Small states, which most keys have, are kept encoded: a counter
/// of 40 bytes would take 700 as a value.
struct ExpandedStates {
    /// Bytes of an encoded state above which it is kept as a value.
    static let encodedBytesMin = 1_024

    /// Bytes of an encoded state up to which a recovery keeps it as it stands in the journal; the
    /// first command that asks for it pays for the value, within a fraction of a turn.
    static let restoredBytesMax = 64 << 10

    private struct Entry {
        var state: CRDTState
        /// Of the encoding, at most; what commands did since it was measured is added up.
        var bytes: Int
        /// By how much less it may be.
        var doubt = 0
        /// Whose state it is.
        let key: [UInt8]
    }

    private var entries: [Entry?] = []
    private var free: [Int] = []
    /// Of all states, as if they were encoded.
    private(set) var byteCount = 0
    /// By how much less that may be.
    private var doubt = 0
    /// Where the next look for what is to be measured begins.
    private var cursor = 0

    /// What is left of large states that were removed, to be freed some entries at a time.
    private var remains: [CRDTState] = []

    /// Bytes of an encoded state above which it is not freed at once.
    static let remainsBytesMin = 64 << 10

    var isEmpty: Bool { entries.count == free.count }
    var count: Int { entries.count - free.count }

    subscript(index: Int) -> CRDTState {
        guard let entry = entries[index] else { preconditionFailure("a stub points to a state") }
        return entry.state
    }

    func bytes(of index: Int) -> Int { entries[index]?.bytes ?? 0 }

    /// - Parameter size: of the encoding, at most, and by how much less it may be.
    mutating func insert(
        _ state: CRDTState, _ size: SizeChange, of key: UnsafeRawBufferPointer
    ) -> Int {
        let entry = Entry(state: state, bytes: size.growth, doubt: size.doubt, key: Array(key))
        byteCount += size.growth
        doubt += size.doubt
        if let index = free.popLast() {
            entries[index] = entry
            return index
        }
        entries.append(entry)
        return entries.count - 1
    }

    /// Hands a state out to be changed; `put` follows before anything else is asked of it.
    mutating func take(_ index: Int) -> CRDTState {
        guard let state = entries[index]?.state else {
            preconditionFailure("a stub points to a state")
        }
        entries[index]?.state = CRDTState()
        return state
    }

    /// Keeps a state that nobody needs any more, to be freed by `freeRemains`.
    mutating func bury(_ state: CRDTState) { remains.append(state) }

    var hasRemains: Bool { !remains.isEmpty }

    /// Frees some of what is left of removed states.
    ///
    /// - Complexity: O(budget).
    mutating func freeRemains(_ budget: Int) {
        guard let last = remains.indices.last else { return }
        if remains[last].removeLastEntries(budget) { remains.removeLast() }
    }

    /// Puts a state back that was changed. It is measured when a good part of what it is taken for
    /// may not be there.
    ///
    /// - Parameter isTight: a full disk needs to know more exactly.
    mutating func put(
        _ state: CRDTState, at index: Int, _ change: SizeChange, isTight: Bool = false
    ) {
        entries[index]?.state = state
        guard change.doubt > 0, let entry = entries[index] else { return }
        let (bytes, doubt) = (entry.bytes + change.growth, entry.doubt + change.doubt)
        guard doubt > bytes / (isTight ? 8 : 2) else { return note(bytes, doubt, at: index) }
        note(state.encodedBytes, 0, at: index)
    }

    private mutating func note(_ bytes: Int, _ doubt: Int, at index: Int) {
        guard let entry = entries[index] else { return }
        byteCount += bytes - entry.bytes
        self.doubt += doubt - entry.doubt
        entries[index]?.bytes = bytes
        entries[index]?.doubt = doubt
    }

    /// Of the encoding: as last measured if nothing has changed since, measured anew otherwise.
    ///
    /// - Parameter state: what `take` handed out for the place, as it was.
    /// - Complexity: O(entries) after a change.
    mutating func measure(_ index: Int, _ state: CRDTState) -> Int {
        guard let entry = entries[index], entry.doubt > 0 else { return bytes(of: index) }
        let bytes = state.encodedBytes
        note(bytes, 0, at: index)
        return bytes
    }

    /// Whether more than a sixteenth of what is counted may not be there.
    var isDoubtful: Bool { doubt > byteCount / 16 }

    /// Measures the next state of which more than a sixteenth may not be there.
    ///
    /// - Parameter looks: how many to look at; what is left of it comes back.
    /// - Returns: its place, size and key; nil when none was found.
    /// - Complexity: O(looks + entries of the state).
    mutating func measureNext(
        _ looks: inout Int
    ) -> (place: Int, bytes: Int, key: [UInt8])? {
        while looks > 0, !entries.isEmpty {
            looks -= 1
            cursor = (cursor + 1) % entries.count
            guard let entry = entries[cursor], entry.doubt > entry.bytes / 16 else { continue }
            return (cursor, measure(cursor, entry.state), entry.key)
        }
        return nil
    }

    mutating func remove(_ index: Int) {
        if let entry = entries[index], entry.bytes > ExpandedStates.remainsBytesMin {
            bury(entry.state)
        }
        note(0, 0, at: index)
        entries[index] = nil
        free.append(index)
    }
}

/// What a change did to the size of an encoded state, as far as that is known without encoding it.
struct SizeChange {
    /// By how many bytes it has grown, at most.
    let growth: Int
    /// By how much less that may be.
    let doubt: Int

    static let none = SizeChange(growth: 0, doubt: 0)
    /// The state is measured anew.
    static let unknown = SizeChange(growth: 0, doubt: .max / 4)

    /// - Parameter doubt: all of it unless told.
    init(growth: Int, doubt: Int? = nil) {
        self.growth = growth
        self.doubt = doubt ?? growth
    }

    /// What a delta does.
    ///
    /// - Parameters:
    ///   - bytes: of its encoding.
    ///   - state: with it.
    init(_ delta: Delta, bytes: Int, in state: CRDTState) {
        growth = delta.growth(bytes: bytes, identities: state.context.entries.count)
        doubt = delta.empties ? SizeChange.unknown.doubt : growth + (delta.onlyAdds ? 0 : bytes)
    }
}

extension CRDTState {
    /// - Complexity: O(entries).
    var encodedBytes: Int {
        var buffer = ByteBuffer(capacity: 1_024)
        encode(into: &buffer)
        return buffer.count
    }
}

extension Record {
    /// Bytes of a stub's body: `place (8) | digest (8) | bytes of the state (8)`.
    static let stubBytes = 24

    /// Where the state is kept.
    var expandedPlace: Int { Int(body.loadUnaligned(as: UInt64.self)) }
    var expandedDigest: UInt64 { body.loadUnaligned(fromByteOffset: 8, as: UInt64.self) }
    var expandedBytes: Int { Int(body.loadUnaligned(fromByteOffset: 16, as: UInt64.self)) }

    /// Stands for the state of a key in comparisons between nodes, for whatever forms replicas keep
    /// it in: the same for the same context.
    var contextDigest: UInt64 {
        if isExpanded { return expandedDigest }
        if isMergeable { return Record.contextDigest(key, CRDTState.contextBytes(in: body)) }
        guard isSiblingSet || isLayered else {
            let dot = UnsafeRawBufferPointer(start: base + 8, count: 16)
            return Record.contextDigest(key, dot)
        }
        return Record.contextDigest(key, SiblingSet(valid: self).seen)
    }

    /// - Parameter context: identity (8) and stamp (8) of each entry.
    static func contextDigest(
        _ key: UnsafeRawBufferPointer, _ context: UnsafeRawBufferPointer
    ) -> UInt64 {
        var sum = UInt64(CRC32C.checksum(key))
        for offset in stride(from: 0, to: context.count, by: 8) {
            sum = finalMix(sum ^ context.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        return sum
    }

    static func contextDigest(_ key: UnsafeRawBufferPointer, _ context: VersionVector) -> UInt64 {
        var sum = UInt64(CRC32C.checksum(key))
        for dot in context.entries {
            sum = finalMix(finalMix(sum ^ dot.identity.rawValue) ^ dot.stamp.rawValue)
        }
        return sum
    }
}
