import Base
import Coding

/// A record's place in the journal: 1, 2, 3, … over the life of a data directory. 0 is before the
/// first.
public typealias JournalPosition = UInt64

/// The durable half of a node, as bookkeeping without I/O: records go in, disk jobs come out, and
/// `durablePosition` says how far the past can be relied upon.
///
/// What is appended between two jobs is one *batch*: it is written and synced together, so that
/// group commit needs no policy. While one batch is on its way the next one gathers. The caller
/// decides *when* to ask for a batch (at once for `fsync`, later for `interval`); a batch is always
/// written and synced as one job, because two unsynced batches could reach the disk in the wrong
/// order.
///
/// Caller's obligations:
/// 1. Run each job that `nextJob` returns, in order, and hand its outcome to `completed`; there is
///    one at a time.
/// 2. After start, say how large a checkpoint is going to be (`checkpointBytesExpected`), and run
///    jobs until `nextJob` returns nil: the first segment is prepared by then and `room` is `free`.
/// 3. Refuse new work while `room` or `allowance` says so, or while `gatheredBytes` is above the
///    caller's limit (a slow disk); nothing ever has to wait for a job.
/// 4. While `wantsRetry`, call `retryPreparing` from time to time, and write a checkpoint when
///    `checkpointIsDue`. When `failure` is set, stop the node.
///
/// Files of the directory: `journal-<first position>.segment`, zero-filled ahead under the name
/// `prepared.segment` and renamed together with the first batch;
/// `checkpoint-<position>.checkpoint`; see `SegmentFormat` and `BatchFormat`.
///
/// A full disk. The next segment leaves room for a checkpoint free (`checkpointBytesExpected`), and
/// a file `reserve` holds room for a small one against other programs; so a disk that the journal
/// has filled is freed by a checkpoint (`Journal+Room`). The last of the room in the segments is
/// kept for deletions and definitions. A segment that could be extended only in part is used as it
/// is.
///
/// Invariants: at most one batch is on its way, so only the last batch of the last segment can be
/// torn; positions are consecutive; the last segment is never removed; after an error other than a
/// full disk nothing becomes durable.
///
/// Reading order: this file, `SegmentSpace`, `Journal+Room`, `Journal+Jobs`, `Journal+Checkpoint`,
/// `BatchFormat`, `Recovery`.
public struct Journal: ~Copyable {
    public let limits: JournalLimits
    let salt: UInt64

    /// The position of the record appended last.
    public private(set) var lastPosition: JournalPosition
    /// Every record up to here survives any crash.
    public internal(set) var durablePosition: JournalPosition
    /// Set for ever by the first error other than a full disk, or by a full disk under a batch.
    public internal(set) var failure: DiskError?
    public internal(set) var counters = JournalCounters()

    var gathering: ByteBuffer
    var gatheredRecords: UInt32 = 0
    /// Batches that became too large to gather on, oldest first; rarely any.
    var waiting: [SealedBatch] = []
    var waitingBytes = 0
    /// The other one of the two buffers.
    let flying = SharedBytes(ByteBuffer(capacity: 64 * 1024))
    var inFlight: Job?
    /// There is an identity file, which names the newest segment.
    let marksIdentity: Bool
    var lastBatchBytes = 0

    /// The segments on disk, oldest first, by first position; the last one is written to when
    /// `activeUsed` is set.
    var segments: [JournalPosition]
    var space: SegmentSpace
    var upkeepIsNext = true
    var removable: [String] = []
    var checkpoint: CheckpointWriter?
    var growth: JournalGrowth
    /// How large the next checkpoint is going to be at most, as the caller knows its state.
    public var checkpointBytesExpected = 0 {
        didSet { noteExpected() }
    }
    /// The caller has refused something for want of room that the next checkpoint may free.
    public var isWanted = false
    /// The position of the newest complete checkpoint.
    public internal(set) var checkpointPosition: JournalPosition?

    /// Goes on where a recovery ended, in a fresh segment.
    ///
    /// - Parameter salt: a random number, different for each start and unknown to clients.
    public init(resuming report: RecoveryReport, limits: JournalLimits, salt: UInt64) {
        self.limits = limits
        self.salt = salt
        lastPosition = report.lastPosition
        durablePosition = report.lastPosition
        segments = report.segments
        marksIdentity = report.namedNewest != nil
        space = SegmentSpace(limits)
        checkpointPosition = report.checkpointPosition
        growth = JournalGrowth(
            before: -report.uncoveredBytes, checkpointBytes: report.checkpointBytes)
        gathering = ByteBuffer(capacity: 64 * 1024)
        Journal.reserveHeader(&gathering)
    }

    /// State that is gone leaves room for the next segment.
    private mutating func noteExpected() {
        guard space.refusal.isOfSegment,
            space.refusal.checkpointBytes - checkpointBytesExpected >= limits.preparedPieceBytes
        else { return }
        space.refusal.checkpointBytes = checkpointBytesExpected
        space.retry()
    }

    /// Takes a copy of a record; it becomes durable with a later job.
    ///
    /// - Parameter payload: 0…`limits.recordBytesMax` bytes.
    /// - Returns: the record's position; it is durable once `durablePosition` has reached it.
    public mutating func append(_ payload: UnsafeRawBufferPointer) -> JournalPosition {
        precondition(payload.count <= limits.recordBytesMax, "a record fits into one batch")
        lastPosition += 1
        if failure != nil { return lastPosition }
        let needed = BatchFormat.recordHeaderBytes + payload.count
        if gathering.count + needed > limits.batchBytesMax { setAside() }
        gathering.append(integer: UInt32(payload.count))
        gathering.append(payload)
        gatheredRecords += 1
        return lastPosition
    }

    /// Segment files on disk, the one being filled included.
    public var segmentCount: Int { segments.count }

    /// Bytes that were appended and are in no job yet.
    public var gatheredBytes: Int {
        waitingBytes + (gatheredRecords == 0 ? 0 : gathering.count)
    }

    /// True while a job is out and `completed` has not been called for it.
    public var isBusy: Bool { inFlight != nil }

    /// What the next checkpoint replaces, or the one under way.
    var coveredBytes: Int {
        growth.checkpointWorth + max(0, bytesSinceCheckpoint)
            + (checkpoint == nil ? 0 : growth.uncovered)
    }

    /// Bytes of the directory's journal and checkpoint, zeros ahead left out.
    public var diskBytes: Int { growth.checkpointBytes + max(0, bytesSinceCheckpoint) }

    /// Seals what was gathered, because one more record would make the batch too large.
    private mutating func setAside() {
        var sealed = ByteBuffer(capacity: 64 * 1024)
        Journal.reserveHeader(&sealed)
        swap(&sealed, &gathering)
        waitingBytes += sealed.count
        waiting.append(SealedBatch(bytes: SharedBytes(sealed), recordCount: gatheredRecords))
        gatheredRecords = 0
    }

    static func reserveHeader(_ buffer: inout ByteBuffer) {
        buffer.removeAll()
        let header = buffer.reserve(BatchFormat.headerBytes)
        header.initializeMemory(as: UInt8.self, repeating: 0, count: BatchFormat.headerBytes)
        buffer.advance(BatchFormat.headerBytes)
    }
}

/// Records that wait for their turn as a batch of their own.
struct SealedBatch {
    let bytes: SharedBytes
    let recordCount: UInt32
}

/// What a journal has done since its start, each a count of events or bytes.
public struct JournalCounters: Equatable, Sendable {
    public internal(set) var batches = 0
    public internal(set) var records = 0
    /// Of batches, headers included.
    public internal(set) var bytes = 0
    /// What they take up of the segments, and the ends of segments that were left unused.
    public internal(set) var diskBytes = 0
    /// Of files; directories are not counted.
    public internal(set) var syncs = 0
    public internal(set) var segmentsPrepared = 0
    public internal(set) var segmentsRemoved = 0
    public internal(set) var preparationsRefused = 0
    public internal(set) var checkpointsFinished = 0
    public internal(set) var checkpointsAbandoned = 0
}
