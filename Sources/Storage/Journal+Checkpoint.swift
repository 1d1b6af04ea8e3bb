import Base
import Coding

/// Checkpoints: the node's whole state as records, so that the segments before it can go.
///
/// The caller begins one, feeds all of its state in bounded chunks while `isCheckpointing &&
/// checkpointHasRoom`, and finishes it. State may change meanwhile: a checkpoint must hold *at
/// least* what the records up to its position did, and the records behind it are replayed over it.
/// What it holds may stand upon records that were appended meanwhile: a request that it says is
/// done upon the effect, which was fed before it was changed. So those are durable before it
/// counts, or stand in it as well, where the segments have no room.
///
/// A full disk abandons a checkpoint: `isCheckpointing` turns false.
extension Journal {
    /// How much the journal has grown on disk since a checkpoint began last, the files of earlier
    /// lives that no checkpoint covers included, for a node that is killed again and again.
    public var bytesSinceCheckpoint: Int { counters.diskBytes - growth.before }

    /// Whether a checkpoint is worth what it costs: it would free as much as it is going to write,
    /// and so many bytes more. So all checkpoints together write no more than the journal does, and
    /// the directory stays below three times the state, that much, and what comes meanwhile.
    ///
    /// Where the disk's room is scarce a small gain is worth it, and the less is left the smaller.
    public func checkpointIsDue(after bytes: Int) -> Bool {
        let gain = growth.checkpointWorth + max(0, bytesSinceCheckpoint) - checkpointBytesExpected
        if let refused = growth.refusedBytes, checkpointBytesExpected >= refused { return false }
        if gain >= checkpointBytesExpected + bytes { return true }
        guard isScarce else { return false }
        var wanted = checkpointBytesExpected / 8 + space.reserve.bytes / 4
        let kept = deletionReserve
        if spare < kept / 2 { wanted = min(wanted, kept / 4) }
        if spare < kept / 8 { wanted = min(wanted, 2 * SegmentFormat.headerBytes) }
        return gain > wanted
    }

    /// Starts a checkpoint that will cover every record that is durable by the time that it is fed.
    ///
    /// - Returns: false while an earlier one is not done yet.
    public mutating func beginCheckpoint() -> Bool {
        guard checkpoint == nil, failure == nil else { return false }
        checkpoint = CheckpointWriter(position: lastPosition)
        growth.uncovered = bytesSinceCheckpoint
        growth.before = counters.diskBytes
        growth.lag = 0
        return true
    }

    /// True from `beginCheckpoint` until `finishCheckpoint`, or until a full disk or a failure
    /// ended it.
    public var isCheckpointing: Bool {
        guard let checkpoint else { return false }
        return checkpoint.phase == .feeding
    }

    /// True while the journal has grown more than the checkpoint under way: batches wait for it.
    public var checkpointLagsBehind: Bool { growth.lag > CheckpointWriter.pieceBytes }

    /// True when the next chunk may be appended: there is room for the checkpoint, and less than a
    /// piece (1 MiB) waits to be written.
    public var checkpointHasRoom: Bool {
        guard let checkpoint, checkpoint.hasRoom else { return false }
        return checkpoint.gathering.buffer.count < CheckpointWriter.pieceBytes
    }

    /// Adds a record to the checkpoint under way, which must be `isCheckpointing`.
    ///
    /// - Parameter payload: 0…`limits.recordBytesMax` bytes.
    public mutating func appendToCheckpoint(_ payload: UnsafeRawBufferPointer) {
        precondition(isCheckpointing, "a record goes into a checkpoint under way")
        precondition(payload.count <= limits.recordBytesMax, "a record fits into one batch")
        guard let piece = checkpoint?.gathering else { return }
        if checkpoint?.isFed == false { checkpoint?.begin(at: lastPosition) }
        piece.buffer.append(integer: UInt32(payload.count))
        piece.buffer.append(payload)
        checkpoint?.gatheredRecords += 1
    }

    /// Says that all state has been appended. The checkpoint counts, and older segments go, once
    /// later jobs have run.
    public mutating func finishCheckpoint() {
        precondition(isCheckpointing, "only a checkpoint under way is finished")
        checkpoint?.phase = .finishing
        checkpoint?.fedThrough = lastPosition
    }

    /// What has to be done before the checkpoint under way may be closed.
    mutating func jobBeforeClosing() -> DiskJob? {
        guard let checkpoint, checkpoint.phase == .finishing,
            durablePosition < checkpoint.fedThrough
        else { return nil }
        return batchJob() ?? (space.isPrepared ? nil : preparingJob())
    }

    mutating func checkpointJob() -> DiskJob? {
        guard let checkpoint else { return nil }
        let name = SegmentFormat.unfinishedCheckpoint
        let needed =
            checkpointBytesExpected + checkpointBytesExpected / 1_024
            + space.reserve.bytes / 8
        let header = SegmentFormat(kind: .checkpoint, salt: salt, position: checkpoint.position)
        if !checkpoint.hasRoom {
            inFlight = .checkpoint(.looking)
            let reserve = space.reserve.bytes
            let held = space.reserve.isHeld && lacksRoom ? reserve : 0
            let more = (lacksRoom ? reserve / 4 : 0) - held
            return DiskJob(operations: [.needRoom(name, bytes: needed + more)])
        }
        switch checkpoint.phase {
        case .feeding where checkpoint.isCreated && checkpointHasRoom: return nil
        case .feeding, .finishing:
            if checkpoint.isCreated { return pieceJob(name) }
            inFlight = .checkpoint(.creating)
            return DiskJob(operations: [
                .needRoom(name, bytes: needed), .create(name, size: SegmentFormat.headerBytes),
                .write(name, at: 0, SharedBytes(header.encoded())),
            ])
        case .whole:
            inFlight = .checkpoint(.naming)
            return DiskJob(operations: [.rename(name, to: header.name), .syncDirectory])
        case .abandoned:
            inFlight = .checkpoint(.discarding)
            return DiskJob(operations: [.remove(name)])
        }
    }

    private mutating func pieceJob(_ name: String) -> DiskJob? {
        guard var writer = checkpoint else { return nil }
        if writer.phase == .finishing, durablePosition < writer.fedThrough {
            for batch in waiting { writer.include(batch.bytes.buffer, records: batch.recordCount) }
            writer.include(gathering, records: gatheredRecords)
        }
        let piece = writer.takePiece(salt: SegmentFormat.checksumSeed(salt: salt))
        let offset = writer.offset
        writer.offset += BatchFormat.aligned(piece.buffer.count)
        growth.lag = max(0, growth.lag - piece.buffer.count)
        inFlight = .checkpoint(.writing(closing: writer.phase == .finishing))
        checkpoint = writer
        return DiskJob(operations: [.write(name, at: offset, piece), .sync(name)])
    }

    mutating func checkpointAdvanced(_ step: CheckpointWriter.Step) {
        switch step {
        case .looking:
            checkpoint?.hasRoom = true
            // What was appended meanwhile is in the state that is fed from now on. It covers no
            // record that is not durable: a crash might take that back, and another one would get
            // its position.
            let covered = checkpoint?.isFed == true ? checkpoint?.position : nil
            checkpoint?.position = min(covered ?? durablePosition, durablePosition)
            // The last segment never goes; so all that fills a full disk has to be in earlier ones.
            space.rollsOver =
                isScarce && !space.refusal.isOfNeed
                && (gatheredRecords > 0 || segments.last != durablePosition + 1)
        case .creating: checkpoint?.isCreated = true
        case .writing(let closing):
            counters.syncs += 1
            if closing { checkpoint?.phase = .whole }
        case .naming: checkpointFinished()
        case .discarding: checkpoint = nil
        }
    }

    /// The disk was full under a checkpoint: its file, if there is one, is removed.
    mutating func checkpointRefused(_ step: CheckpointWriter.Step) {
        counters.checkpointsAbandoned += 1
        // It frees nothing, so what it was to cover is still to be covered.
        growth.before -= growth.uncovered
        growth.refusedBytes = checkpointBytesExpected - checkpointBytesExpected / 64
        takeReserveBack()
        space.rollsOver = false
        switch step {
        case .looking, .creating: checkpoint = nil
        case .writing, .naming, .discarding: checkpoint?.phase = .abandoned
        }
    }

    /// The reserve, if it was given, is made anew as large as it may be.
    private mutating func takeReserveBack() {
        space.reserve.isGiven = false
        if !space.reserve.isHeld { space.reserve.bytes = limits.checkpointReserveBytes }
    }

    private mutating func checkpointFinished() {
        guard let position = checkpoint?.position else { return }
        growth.checkpointBytes = checkpoint?.offset ?? 0
        growth.checkpointWorth = max(growth.checkpointBytes, checkpointBytesExpected)
        growth.refusedBytes = nil
        checkpoint = nil
        space.retry()
        takeReserveBack()
        space.rollsOver = false
        isWanted = false
        counters.checkpointsFinished += 1
        if let older = checkpointPosition, older != position {
            removable.append(SegmentFormat(kind: .checkpoint, salt: salt, position: older).name)
        }
        checkpointPosition = position
        let kept = Journal.firstNeeded(segments, after: position)
        removable += segments[..<kept].map(Journal.segmentName)
        segments.removeFirst(kept)
    }

    /// The index of the oldest segment that holds a record after `position`, or else of the last
    /// one, which always stays.
    static func firstNeeded(_ segments: [JournalPosition], after position: JournalPosition) -> Int {
        segments.lastIndex { $0 <= position + 1 } ?? 0
    }
}
