import Base
import Coding

extension Journal {
    /// What the job in flight does, and so what its outcome means.
    enum Job {
        case batch(records: Int, bytes: Int)
        /// Extends the next segment by so many bytes of zeros.
        case preparing(bytes: Int)
        case removing
        case checkpoint(CheckpointWriter.Step)
    }

    /// The next operations to run, or nil when a job is in flight or there is nothing to do.
    ///
    /// Batches and upkeep (the next segment, a checkpoint, removals) take turns, so that neither
    /// starves, and each job is small enough for a batch to wait behind it.
    ///
    /// - Parameter flush: false while nothing that was gathered needs to be durable yet.
    public mutating func nextJob(flush: Bool = true) -> DiskJob? {
        guard failure == nil, inFlight == nil else { return nil }
        let batchIsDue =
            gatheredBytes > 0 && (flush || !waiting.isEmpty || checkpointWaitsForJournal)
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
        case .batch(let records, let bytes):
            durablePosition += UInt64(records)
            counters.batches += 1
            counters.records += records
            counters.bytes += bytes
            counters.syncs += 1
        case .preparing(let bytes):
            preparedBytes += bytes
            counters.syncs += 1
            if isPrepared { counters.segmentsPrepared += 1 }
        case .removing:
            removable.removeFirst()
            counters.segmentsRemoved += 1
            preparingRefused = false
        case .checkpoint(let step): checkpointAdvanced(step)
        }
    }

    private mutating func failed(_ job: Job, _ error: DiskError) {
        switch (job, error) {
        case (.preparing, .full):
            preparingRefused = true
            counters.preparationsRefused += 1
        case (.checkpoint(let step), .full): checkpointRefused(step)
        case (.batch, _), (.preparing, _), (.removing, _), (.checkpoint, _): fail(error)
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
        let blocks = BatchFormat.aligned(size)
        let opensSegment = activeUsed + blocks > limits.segmentBytes
        if opensSegment && !isPrepared { return nil }
        let (bytes, records) = takeBatch()
        inFlight = .batch(records: Int(records), bytes: size)
        lastBatchBytes = size
        guard opensSegment else {
            let name = Journal.segmentName(segments[segments.count - 1])
            defer { activeUsed += blocks }
            return DiskJob(operations: [.write(name, at: activeUsed, bytes), .sync(name)])
        }
        activeUsed = SegmentFormat.headerBytes + blocks
        preparedBytes = 0
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
            kind: .journal, salt: salt, position: first, byteCount: limits.segmentBytes)
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
        preparingJob() ?? checkpointJob() ?? removingJob()
    }

    /// In pieces twice as large as the batches, so that the next segment is ready when this one is
    /// half full.
    private mutating func preparingJob() -> DiskJob? {
        guard !isPrepared, !preparingRefused else { return nil }
        let piece = max(1 << 20, 2 * BatchFormat.aligned(lastBatchBytes))
        let count = min(piece, limits.segmentBytes - preparedBytes)
        let name = SegmentFormat.prepared
        inFlight = .preparing(bytes: count)
        let operation: DiskOperation =
            preparedBytes == 0
            ? .create(name, size: count) : .zero(name, at: preparedBytes, count: count)
        return DiskJob(operations: [operation, .sync(name)])
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
