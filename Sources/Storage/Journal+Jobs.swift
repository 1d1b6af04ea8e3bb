import Base
import Coding

extension Journal {
    /// What the job in flight does, and so what its outcome means.
    enum Job {
        case batch(records: Int, bytes: Int, diskBytes: Int)
        /// Extends the next segment by so many bytes of zeros.
        case preparing(bytes: Int)
        /// Makes the file that holds room for a checkpoint, or gives that room to one.
        case reserving(Bool)
        case removing
        case checkpoint(CheckpointWriter.Step)
    }

    /// The next operations to run, or nil when a job is in flight or there is nothing to do.
    ///
    /// Batches and upkeep (the next segment, a checkpoint, removals) take turns, so that neither
    /// starves, and each job is small enough for a batch to wait behind it. While a checkpoint is
    /// under way the journal grows no faster than it.
    ///
    /// - Parameter flush: false while nothing that was gathered needs to be durable yet.
    public mutating func nextJob(flush: Bool = true) -> DiskJob? {
        guard failure == nil, inFlight == nil else { return nil }
        let batchIsDue = space.rollsOver
            || gatheredBytes > 0 && (flush || !waiting.isEmpty || checkpointWaitsForJournal)
        if checkpointLagsBehind, let job = checkpointJob() { return job }
        if upkeepIsNext || !batchIsDue, let job = upkeepJob() {
            upkeepIsNext = false
            return job
        }
        upkeepIsNext = true
        if batchIsDue, let job = batchJob() { return job }
        return upkeepJob()
    }

    /// Takes the outcome of the job that `nextJob` returned last.
    ///
    /// A disk that is full refuses only what was ahead of need: the next segment, or a checkpoint,
    /// which is abandoned. Any other error ends the journal: after a failed sync the fate of the
    /// bytes is unknown, and asking again would be told a lie.
    public mutating func completed(_ result: Result<Void, DiskError>) {
        guard let job = inFlight else { preconditionFailure("an outcome is of a job in flight") }
        inFlight = nil
        switch result {
        case .success: succeeded(job)
        case .failure(let error): failed(job, error)
        }
    }

    private mutating func succeeded(_ job: Job) {
        switch job {
        case .batch(let records, let bytes, let diskBytes):
            durablePosition += UInt64(records)
            counters.batches += 1
            counters.records += records
            counters.bytes += bytes
            counters.diskBytes += diskBytes
            counters.syncs += 1
            if checkpoint != nil { growth.lag += diskBytes }
        case .preparing(let bytes):
            space.prepared += bytes
            counters.syncs += 1
            if space.isPrepared {
                counters.segmentsPrepared += 1
                (space.isRefused, space.isRetrying) = (false, false)
            }
        case .reserving(let isHeld): space.holdsReserve = isHeld
        case .removing:
            removable.removeFirst()
            counters.segmentsRemoved += 1
            space.isRetrying = space.isRefused
        case .checkpoint(let step): checkpointAdvanced(step)
        }
    }

    private mutating func failed(_ job: Job, _ error: DiskError) {
        switch (job, error) {
        case (.preparing, .full):
            (space.isRefused, space.isRetrying) = (true, false)
            counters.preparationsRefused += 1
            // Nothing to roll over into: the checkpoint frees what it can.
            if space.prepared == 0 { space.rollsOver = false }
        case (.reserving, .full): space.isReserveRefused = true
        case (.checkpoint(let step), .full): checkpointRefused(step)
        case (.batch, _), (.preparing, _), (.reserving, _), (.removing, _), (.checkpoint, _):
            fail(error)
        }
    }

    private mutating func fail(_ error: DiskError) {
        failure = error
        gatheredRecords = 0
        waiting.removeAll()
        waitingBytes = 0
        checkpoint = nil
    }

    // MARK: Batches

    private mutating func batchJob() -> DiskJob? {
        let size = waiting.first?.bytes.buffer.count ?? gathering.count
        let sectors = BatchFormat.aligned(size)
        let isRolled = space.rollsOver && space.mayOpen(sectors)
        guard isRolled || gatheredBytes > 0 else { return nil }
        let opensSegment = isRolled || space.used + sectors > space.size
        if opensSegment && !space.mayOpen(sectors) { return nil }
        let (bytes, records) = takeBatch()
        let unused = opensSegment && !segments.isEmpty ? space.size - space.used : 0
        inFlight = .batch(records: Int(records), bytes: size, diskBytes: sectors + unused)
        lastBatchBytes = size
        guard opensSegment else {
            let name = Journal.segmentName(segments[segments.count - 1])
            defer { space.used += sectors }
            return DiskJob(operations: [.write(name, at: space.used, bytes), .sync(name)])
        }
        space.open(sectors)
        return openingJob(bytes)
    }

    /// Seals the oldest batch; its first record follows the last durable one, for only one batch is
    /// ever on its way.
    private mutating func takeBatch() -> (SharedBytes, UInt32) {
        let bytes: SharedBytes
        let records: UInt32
        if waiting.isEmpty {
            swap(&gathering, &flying.buffer)
            Journal.reserveHeader(&gathering)
            gathering.shrink(to: 1 << 20)
            (bytes, records) = (flying, gatheredRecords)
            gatheredRecords = 0
        } else {
            let batch = waiting.removeFirst()
            (bytes, records) = (batch.bytes, batch.recordCount)
            waitingBytes -= bytes.buffer.count
        }
        let header = BatchHeader(
            first: durablePosition + 1, recordCount: records, bodyBytes: 0, closing: false)
        BatchFormat.seal(&bytes.buffer, header, salt: SegmentFormat.checksumSeed(salt: salt))
        return (bytes, records)
    }

    /// The first batch of a segment is synced before the segment gets its name, so a named segment
    /// always starts with a whole header and a whole batch. Once the name is durable, and before
    /// the batch counts as durable, the identity file names the segment: a segment whose records
    /// were ever acknowledged cannot go unnoticed.
    private mutating func openingJob(_ batch: SharedBytes) -> DiskJob {
        let first = durablePosition + 1
        let prepared = SegmentFormat.prepared
        let header = SegmentFormat(
            kind: .journal, salt: salt, position: first, byteCount: space.size)
        // A segment of which nothing could be read has the same name; its copy is in quarantine.
        if segments.last != first { segments.append(first) }
        var operations: [DiskOperation] = [
            .write(prepared, at: 0, SharedBytes(header.encoded())),
            .write(prepared, at: SegmentFormat.headerBytes, batch),
            .sync(prepared),
            .rename(prepared, to: header.name),
            .syncDirectory,
        ]
        if marksIdentity { operations += IdentityFile.marking(newest: first) }
        return DiskJob(operations: operations)
    }

    // MARK: Upkeep

    private mutating func upkeepJob() -> DiskJob? {
        reserveJob() ?? preparingJob() ?? checkpointJob() ?? removingJob()
    }

    /// In pieces twice as large as the batches, so that the next segment is ready when this one is
    /// half full. Room for a checkpoint is left, but for the first piece of a segment without which
    /// nothing could be written, or the checkpoint would free nothing.
    private mutating func preparingJob() -> DiskJob? {
        let isNeeded = space.prepared == 0 && (space.rollsOver || space.isExhausted)
        let mayTry = !space.isRefused || space.isRetrying || space.rollsOver && isNeeded
        guard !space.isPrepared, mayTry else { return nil }
        let usual = min(1 << 20, limits.segmentBytes / 2)
        let piece = isNeeded
            ? max(limits.checkpointReserveBytes / 4, 8 << 10)
            : max(usual, 2 * BatchFormat.aligned(lastBatchBytes))
        let count = min(piece, limits.segmentBytes - space.prepared)
        let name = SegmentFormat.prepared
        inFlight = .preparing(bytes: count)
        let operation: DiskOperation =
            space.prepared == 0
            ? .create(name, size: count) : .zero(name, at: space.prepared, count: count)
        let needed = count + (isNeeded ? 0 : checkpointRoom)
        return DiskJob(operations: [.needRoom(name, bytes: needed), operation, .sync(name)])
    }

    /// What has to stay free for the rest of the checkpoint under way, or for the next one.
    private var checkpointRoom: Int {
        let written = checkpoint?.offset ?? 0
        return max(0, checkpointBytesExpected - written)
            + (space.holdsReserve ? 0 : limits.checkpointReserveBytes)
    }

    /// Keeps the reserve while there is room, and gives it up for the checkpoint of a full disk.
    private mutating func reserveJob() -> DiskJob? {
        let name = SegmentFormat.reserve
        if space.holdsReserve {
            guard checkpoint?.hasRoom == true, lacksRoom else { return nil }
            inFlight = .reserving(false)
            return DiskJob(operations: [.remove(name), .syncDirectory])
        }
        guard !space.isExhausted, checkpoint == nil, !lacksRoom, !space.isReserveRefused else {
            return nil
        }
        inFlight = .reserving(true)
        let bytes = limits.checkpointReserveBytes
        return DiskJob(operations: [
            .needRoom(name, bytes: 2 * bytes), .create(name, size: bytes), .sync(name),
        ])
    }

    private mutating func removingJob() -> DiskJob? {
        guard let name = removable.first else { return nil }
        inFlight = .removing
        return DiskJob(operations: [.remove(name), .syncDirectory])
    }

    static func segmentName(_ first: JournalPosition) -> String {
        SegmentFormat(kind: .journal, salt: 0, position: first).name
    }
}
