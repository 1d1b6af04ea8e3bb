import Base
import CRDT
import Causality
import Coding

// Recovery and checkpoints.
extension Node {
    /// Takes one journal payload back, before the first step; the order between payloads is the
    /// journal's.
    ///
    /// - Throws: `DecodeError` when the payload passed its checksum and is malformed all the same.
    public mutating func restore(_ payload: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(payload)
        guard let kind = JournalKind(rawValue: try reader.integer()) else {
            throw .invalid("journal record has an unknown kind")
        }
        let rest = reader.rest()
        switch kind {
        case .record:
            try restoreRecord(rest)
            if configuration.plantedBug == .refillForgotten { isRefilling = false }
        case .members: try restoreMembers(rest)
        case .delta: try restoreDelta(rest)
        case .removal: removeStored(rest)
        case .definitions: try restoreDefinitions(rest)
        case .wholeness, .generation, .collection: try restoreMarker(kind, rest)
        case .distrust:
            guard rest.isEmpty else { throw .invalid("a mark of distrust says more") }
            doubtMemory()
        case .correction: try restoreCorrection(rest)
        case .correctionOver: correction = nil
        case .corrected: try restoreCorrected(rest)
        case .hint: try restoreHint(rest)
        case .hintOver: try restoreHintOver(rest)
        case .forgetting:
            var marker = ByteReader(rest)
            let forgotten = try ForgettingMarker(&marker)
            try marker.end()
            try restoreForgetting(forgotten)
        case .configured: catalog.configured = try ConfiguredKeyspaces(decoding: rest)
        case .durability: try restoreStanding(rest)
        case .request: return try restoreRequest(rest)
        case .ownLives: try restoreOwnLives(rest)
        case .written: try restoreWritten(rest)
        }
        restoredEffect()
    }

    private mutating func restoreRecord(
        _ payload: UnsafeRawBufferPointer
    ) throws(DecodeError) {
        guard !restoreFirst(try Record(validating: payload)) else { return }
        restore(try Node.validRecord(payload))
    }

    static func validRecord(
        _ payload: UnsafeRawBufferPointer
    ) throws(DecodeError) -> Record {
        let record = try Record(validating: payload)
        if record.isMergeable { _ = try CRDTState(record) }
        return record
    }

    /// Merges without asking the clock: what this node wrote under a wrong clock is still its
    /// state.
    mutating func restore(_ record: Record) {
        let keyspace = catalog.index(of: record.key)
        noteRestored(record.dot, keyspace)
        let active = catalog.active[keyspace]
        guard record.written.stamp > active.truncatedAt, !isInMemoryOnly(keyspace) else { return }
        let address = store.address(of: record.key)
        if active.settings.conflict == .crdt { return restoreState(record, keyspace) }
        guard !record.isMergeable else {
            counters.refusedDropped += 1
            return
        }
        merged.removeAll()
        let stored = liveState(address, record.key, keyspace)
        let merge = RecordMerge.merge(
            stored: stored, incoming: record, policy: active.settings.conflict, into: &merged)
        switch merge.outcome {
        case .keepStored, .refused: break
        case .takeIncoming: replaceStored(record.bytes, keyspace, address)
        case .merged(let range): replaceStored(merged[range], keyspace, address)
        }
    }

    /// Writes journal payloads of the whole state, a bounded piece at a time: `length (4) |
    /// payload` each.
    ///
    /// - Parameters:
    ///   - cursor: nil to begin; then what the call before returned.
    ///   - bytesMax: bytes after which a piece ends, and earlier when much had to be looked at.
    /// - Returns: the next cursor, or nil when all has been written.
    public func exportState(
        from cursor: UInt64?, bytesMax: Int, into buffer: inout ByteBuffer
    ) -> UInt64? {
        if cursor == nil {
            exportDefinitions(into: &buffer)
            if !keptMembers.isEmpty {
                buffer.appendSized { appendMembers(into: &$0) }
            }
            buffer.appendSized { appendOwnLives(into: &$0) }
            buffer.appendSized { appendWritten(writtenByNow, into: &$0) }
            exportCorrection(into: &buffer)
            exportGeneration(into: &buffer)
            exportWholeness(into: &buffer)
            exportCollection(into: &buffer)
            exportForgetting(into: &buffer)
        }
        var budget = WorkBudget(
            units: configuration.workUnitsMax, bytes: bytesMax - buffer.count)
        return exportContents(from: cursor ?? 0, bytesMax: bytesMax, &budget, into: &buffer) {
            catalog.active[$0].durability != .memory
        }
    }

    /// Writes the same of what some keyspaces hold.
    ///
    /// - Parameter isTaken: whether a keyspace, by index, is one of them.
    func exportContents(
        from cursor: UInt64, bytesMax: Int, _ budget: inout WorkBudget,
        into buffer: inout ByteBuffer, where isTaken: (Int) -> Bool
    ) -> UInt64? {
        var next: UInt64? = cursor
        while let place = next, !budget.isSpent, buffer.count < bytesMax {
            guard place & 0xFF != Node.requestCursorMark else {
                budget.look(records: 1)
                next = exportRequest(from: place, into: &buffer, where: isTaken)
                continue
            }
            guard !Node.isHintCursor(place) else {
                budget.look(records: 1)
                next = exportHint(from: place, into: &buffer, where: isTaken)
                continue
            }
            next =
                exportRecords(from: place, &budget, into: &buffer, where: isTaken)
                ?? Node.firstHintCursor
        }
        return next
    }

    /// - Returns: the next cursor, or nil when all records have been written.
    private func exportRecords(
        from cursor: UInt64, _ budget: inout WorkBudget, into buffer: inout ByteBuffer,
        where isTaken: (Int) -> Bool
    ) -> UInt64? {
        store.visit(from: cursor, &budget) { entry, _ in
            // What was emptied away is known to be so by the definitions.
            guard isTaken(catalog.index(of: entry.record.key)), counts(entry.record) else {
                return 0
            }
            buffer.appendSized {
                $0.append(JournalKind.record.rawValue)
                appendWhole(entry.record, into: &$0)
            }
            return Node.movedBytes(entry.record)
        }
    }
}
