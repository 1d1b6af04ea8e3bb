import Base
import Coding

extension Journal {
    /// What the job in flight does, and so what its outcome means.
    enum Job {
        case batch(records: Int, bytes: Int, diskBytes: Int)
        /// Extends the next segment by so many bytes of zeros; of any use are so many at least.
        case preparing(Purpose, bytes: Int, bytesMin: Int)
        /// Finds out whether there is room for states that have outgrown the journal.
        case asking
        /// Makes the file that holds room for a checkpoint, or gives that room to one.
        case reserving(Bool)
        case removing
        case checkpoint(CheckpointWriter.Step)
    }

    /// What the next segment is extended for.
    enum Purpose {
        /// A batch that cannot be written otherwise, or a checkpoint that would free nothing.
        case need
        /// Whatever comes.
        case writes
        /// Deletions on a full disk.
        case deletions
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
        if let job = jobBeforeClosing() { return job }
        let batchIsDue = space.rollsOver || gatheredBytes > 0 && (flush || !waiting.isEmpty)
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
        case .asking:
            space.granted = space.asked
            space.refusal = SegmentSpace.Refusal()
        case .preparing(let purpose, let bytes, _):
            space.prepared += bytes
            space.granted = purpose == .writes ? space.asked : space.granted.map { $0 + bytes }
            counters.syncs += 1
            if space.isPrepared {
                counters.segmentsPrepared += 1
                space.refusal = SegmentSpace.Refusal()
            }
        case .reserving(let isHeld):
            space.reserve.isHeld = isHeld
            space.reserve.isGiven = !isHeld
        case .removing:
            removable.removeFirst()
            counters.segmentsRemoved += 1
            space.retry()
        case .checkpoint(let step): checkpointAdvanced(step)
        }
    }

    private mutating func failed(_ job: Job, _ error: DiskError) {
        switch (job, error) {
        case (.preparing(let purpose, let bytes, let bytesMin), .full):
            // Less is tried, as long as that is of any use.
            if bytes > bytesMin { space.refusal.halvings += 1 } else { preparingRefused(purpose) }
        case (.asking, .full): preparingRefused(.writes)
        case (.reserving, .full):
            let half = space.reserve.bytes / 2
            if half < limits.checkpointReserveBytesMin {
                space.reserve.isRefused = true
            } else {
                space.reserve.bytes = half
            }
        case (.checkpoint(let step), .full): checkpointRefused(step)
        case (.batch, _), (.preparing, _), (.asking, _), (.reserving, _), (.removing, _),
            (.checkpoint, _):
            fail(error)
        }
    }

    private mutating func preparingRefused(_ purpose: Purpose) {
        guard purpose != .deletions else {
            space.refusal.isOfDeletions = true
            return
        }
        counters.preparationsRefused += 1
        space.refusal.isOfSegment = true
        space.refusal.isRetrying = false
        space.refusal.checkpointBytes = checkpointBytesExpected
        guard purpose == .need else { return }
        space.refusal.isOfNeed = true
        // Nothing to roll over into: the checkpoint frees what it can.
        space.rollsOver = false
    }

    private mutating func fail(_ error: DiskError) {
        failure = error
        gatheredRecords = 0
        waiting.removeAll()
        waitingBytes = 0
        checkpoint = nil
    }

    // MARK: Batches

    mutating func batchJob() -> DiskJob? {
        let size = waiting.first?.bytes.buffer.count ?? gathering.count
        let sectors = BatchFormat.aligned(size)
        guard space.rollsOver || gatheredBytes > 0 else { return nil }
        // Nothing more goes into a segment that the checkpoint is to free.
        let opensSegment = space.rollsOver || space.used + sectors > space.size
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
    /// half full, and in smaller ones where the disk ends.
    mutating func preparingJob() -> DiskJob? {
        guard !space.isPrepared else { return askingJob() }
        let refusal = space.refusal
        let needed = bytesNeeded
        if needed > 0, !refusal.isOfNeed {
            let given = space.reserve.isGiven ? (space.reserve.bytes / 4) >> refusal.halvings : 0
            return extend(.need, by: max(needed, given), bytesMin: needed)
        }
        if !refusal.isOfSegment || refusal.isRetrying {
            let usual = max(limits.preparedPieceBytes, 2 * BatchFormat.aligned(lastBatchBytes))
            let bytesMin = limits.preparedPieceBytesMin
            return extend(.writes, by: max(usual >> refusal.halvings, bytesMin), bytesMin: bytesMin)
        }
        let kept = deletionReserve
        guard !refusal.isOfDeletions, spare < kept / 2 else { return nil }
        return extend(.deletions, by: kept - spare, bytesMin: .max)
    }

    private mutating func askingJob() -> DiskJob? {
        guard lacksRoom ? space.refusal.isRetrying : isOutgrown else { return nil }
        inFlight = .asking
        space.asked = claim(after: limits.preparedPieceBytes)
        let room = wholeRoom(after: 0) + limits.preparedPieceBytes
        return DiskJob(operations: [.needRoom(SegmentFormat.prepared, bytes: room)])
    }

    private mutating func extend(
        _ purpose: Purpose, by bytes: Int, bytesMin: Int
    ) -> DiskJob {
        let name = SegmentFormat.prepared
        let count = min(JournalLimits.wholeBlocks(bytes), limits.segmentBytes - space.prepared)
        inFlight = .preparing(purpose, bytes: count, bytesMin: bytesMin)
        space.asked = claim(after: count)
        let left =
            switch purpose {
            case .need: 0
            case .writes: wholeRoom(after: count)
            case .deletions: checkpointRoom(after: count)
            }
        let operation: DiskOperation =
            space.prepared == 0
            ? .create(name, size: count) : .zero(name, at: space.prepared, count: count)
        return DiskJob(operations: [.needRoom(name, bytes: count + left), operation, .sync(name)])
    }

    /// The next segment has to be begun, or nothing can be written.
    private var isFirstPiece: Bool {
        space.prepared == 0 && (space.rollsOver || space.isExhausted)
    }

    /// By how much the next segment has to be extended because nothing can be written otherwise, or
    /// the checkpoint under way would free nothing: for a first batch, or for one that fits
    /// nowhere.
    private var bytesNeeded: Int {
        let next = waiting.first?.bytes.buffer.count ?? gathering.count
        let batch = BatchFormat.aligned(next)
        let missing = max(0, SegmentFormat.headerBytes + max(batch, 4096) - space.prepared)
        let isStuck = lacksRoom && gatheredBytes > 0 && space.used + batch > space.size
        guard isFirstPiece || space.rollsOver || isStuck, missing > 0 else { return 0 }
        return JournalLimits.wholeBlocks(missing)
    }

    /// Keeps the reserve while there is room, and gives it up for the checkpoint of a full disk.
    private mutating func reserveJob() -> DiskJob? {
        let name = SegmentFormat.reserve
        if space.reserve.isHeld {
            guard checkpoint?.hasRoom == true, lacksRoom else { return nil }
            inFlight = .reserving(false)
            return DiskJob(operations: [.remove(name), .syncDirectory])
        }
        guard !space.isExhausted, checkpoint == nil, !space.reserve.isRefused else { return nil }
        inFlight = .reserving(true)
        let bytes = space.reserve.bytes
        return DiskJob(operations: [
            .needRoom(name, bytes: max(4 * bytes, wholeRoom(after: 0))),
            .create(name, size: bytes), .sync(name),
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
