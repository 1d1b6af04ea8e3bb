import Base
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
        guard record.isMergeable, !record.isTombstone, !record.isExpanded,
            record.length <= ExpandedStates.restoredBytesMax,
            let location = unusedPlace(of: record.key),
            let state = CRDTState.scan(
                record.body, after: catalog.active[location.keyspace].truncatedAt),
            state.newest == record.dot, state.expiry == record.expiry
        else { return false }
        noteRestored(record.dot, location.keyspace)
        replaceStored(record.bytes, location.keyspace, location.address)
        return true
    }

    /// Takes a delta back from the journal.
    ///
    /// - Parameter bytes: as `DeltaRecord.encode` wrote them.
    mutating func restoreDelta(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(bytes)
        let key = try reader.slice(Int(try reader.integer(UInt16.self)))
        let keyspace = catalog.index(of: key)
        if !key.isEmpty, isTyped(keyspace), !isInMemoryOnly(keyspace),
            restoreEncoded(reader.rest(), of: key, keyspace)
        {
            return
        }
        restore(try DeltaRecord(decoding: bytes))
    }

    /// Does what a delta did with the key's encoded state.
    ///
    /// - Returns: false, and nothing has happened, when the delta has to be built and applied.
    private mutating func restoreEncoded(
        _ delta: UnsafeRawBufferPointer, of key: UnsafeRawBufferPointer, _ keyspace: Int
    ) -> Bool {
        let address = store.address(of: key)
        let place = store.locate(address, key)
        let truncatedAt = catalog.active[keyspace].truncatedAt
        exported.removeAll()
        let (newest, expiry): (Dot, UInt64)
        var kind = RecordKind.mergeable
        if let stored = place.record, stored.written.stamp > truncatedAt {
            guard stored.isMergeable, !stored.isExpanded,
                let dot = Delta.dot(encoded: delta), dot.stamp > truncatedAt,
                !isToBuild(stored, dot)
            else { return false }
            switch CRDTState.graft(delta: delta, onto: stored.body, into: &exported) {
            case .state(let dot, let isLive, let time):
                (newest, expiry) = (dot, time)
                if !isLive { kind = .mergeableTombstone }
            case .alreadyKnown:
                noteRestored(dot, keyspace)
                return true
            case .unknown: return false
            }
        } else {
            guard let state = CRDTState.transcribe(delta, into: &exported),
                state.newest.stamp > truncatedAt
            else { return false }
            (newest, expiry) = (state.newest, state.expiry)
        }
        let length = Record.length(keyBytes: key.count, bodyBytes: exported.count)
        guard length <= ExpandedStates.restoredBytesMax else { return false }
        merged.removeAll()
        Record.write(
            to: merged.reserve(length), kind: kind, dot: newest, expiry: expiry, key: key,
            body: exported.bytes)
        merged.advance(length)
        noteRestored(Delta.dot(encoded: delta) ?? newest, keyspace)
        replaceStored(merged.bytes, KeyLocation(keyspace: keyspace, address: address), at: place)
        return true
    }

    /// Whether a state is to become a value now. In a large one a change costs less, but to build
    /// one costs as much as several changes without; nobody knows how many are to come. So it comes
    /// to be built by chance, and takes no more than about twice the time of what would have been
    /// right.
    private func isToBuild(_ stored: Record, _ change: Dot) -> Bool {
        stored.length > ExpandedStates.encodedBytesMin && finalMix(change.stamp.rawValue) % 8 == 0
    }

    /// Where a key of a crdt keyspace will be of which nothing is stored that counts; nil when
    /// something is.
    private func unusedPlace(of key: UnsafeRawBufferPointer) -> KeyLocation? {
        let keyspace = catalog.index(of: key)
        let location = KeyLocation(keyspace: keyspace, address: store.address(of: key))
        guard isTyped(keyspace), !isInMemoryOnly(keyspace),
            liveState(location.address, key, keyspace) == nil
        else { return nil }
        return location
    }

    /// The journal has a write. The clock goes on behind what was stamped by it, unless that was
    /// wrong; and what this node wrote to a key that it alone keeps is known to have been here.
    mutating func noteRestored(_ dot: Dot, _ keyspace: Int) {
        if !isOfWrongClock(dot) { clock.resume(after: dot.stamp) }
        guard catalog.active[keyspace].n == 1, dot.identity.node == configuration.node else {
            return
        }
        ownLives.noteWritten(dot)
    }
}
