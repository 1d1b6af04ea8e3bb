import CRDT
import Causality
import Coding

// Recovery of mergeable states. Most records and deltas are the first of their key: they are taken
// over as they stand in the journal, without building a state.
extension Node {
    /// Takes over the record of a state of which nothing is here yet.
    ///
    /// - Returns: false, and nothing has happened, when the state has to be built.
    mutating func restoreFirst(_ record: Record) -> Bool {
        guard record.isMergeable, !record.isTombstone, !record.isExpanded, record.expiry == 0,
            record.length <= ExpandedStates.encodedBytesMin,
            let location = unusedPlace(of: record.key),
            CRDTState.scan(record.body) == record.dot
        else { return false }
        noteRestored(record.dot)
        replaceStored(record.bytes, location.keyspace, location.address)
        return true
    }

    /// Takes over the state that a delta makes of a key of which nothing is here yet.
    ///
    /// - Parameter bytes: as `DeltaRecord.encode` wrote them.
    /// - Returns: false, and nothing has happened, when the delta has to be built and applied.
    mutating func restoreFirst(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var reader = ByteReader(bytes)
        guard let count = try? reader.integer(UInt16.self), count > 0,
            let key = try? reader.slice(Int(count)), let location = unusedPlace(of: key)
        else { return false }
        exported.removeAll()
        guard let dot = CRDTState.transcribe(reader.rest(), into: &exported),
            Record.length(keyBytes: key.count, bodyBytes: exported.count)
                <= ExpandedStates.encodedBytesMin
        else { return false }
        let length = Record.length(keyBytes: key.count, bodyBytes: exported.count)
        merged.removeAll()
        Record.write(
            to: merged.reserve(length), kind: .mergeable, dot: dot, expiry: 0, key: key,
            body: exported.bytes)
        merged.advance(length)
        noteRestored(dot)
        replaceStored(merged.bytes, location.keyspace, location.address)
        return true
    }

    /// Where a key of a crdt keyspace will be of which nothing was ever stored; nil when something
    /// was, or when its keyspace was emptied.
    private func unusedPlace(of key: UnsafeRawBufferPointer) -> KeyLocation? {
        let keyspace = catalog.index(of: key)
        let location = KeyLocation(keyspace: keyspace, address: store.address(of: key))
        guard isTyped(keyspace), catalog.active[keyspace].truncatedAt.rawValue == 0,
            store.find(location.address, key) == nil
        else { return nil }
        return location
    }

    /// The clock goes on behind what was stamped by it, unless that was wrong.
    private mutating func noteRestored(_ dot: Dot) {
        if !isOfWrongClock(dot) { clock.resume(after: dot.stamp) }
    }
}
