import Base

/// The room that exists in the last segment and the next one.
struct SegmentSpace {
    let segmentBytes: Int
    /// How many bytes of the last segment are in use, of how many; equal when it is not written to
    /// any more, and before there is one.
    var used = 0
    var size = 0
    /// How many bytes of the next segment exist as zeros.
    var prepared = 0
    /// The next batch opens a segment, so that the checkpoint under way covers all of those before.
    var rollsOver = false
    var refusal = Refusal()
    var reserve: Reserve
    /// What the disk was last found to have room for, as `Journal.claim` has it; nil before.
    var granted: Int?
    /// What the job under way asks room for.
    var asked = 0

    /// What a full disk did not give.
    struct Refusal {
        /// The next segment could not be extended, and is not whole since.
        var isOfSegment = false
        /// It is tried again all the same.
        var isRetrying = false
        /// There was no room even for what a batch needs at once.
        var isOfNeed = false
        /// There was none for deletions, but what is kept for a checkpoint.
        var isOfDeletions = false
        /// How large a checkpoint would have been then; less leaves room for more.
        var checkpointBytes = 0
        /// By how much less than usual the next segment is extended, as a power of two.
        var halvings = 0
    }

    /// The file that holds room for a checkpoint.
    struct Reserve {
        var isHeld = false
        /// The checkpoint under way has it, and a part of it is for what is written meanwhile.
        var isGiven = false
        /// There was no room for it when it was tried last.
        var isRefused = false
        /// What it has, or gets next.
        var bytes: Int
    }

    init(_ limits: JournalLimits) {
        segmentBytes = limits.segmentBytes
        reserve = Reserve(bytes: limits.checkpointReserveBytes)
    }

    var isPrepared: Bool { prepared == segmentBytes }

    /// What is left of the last segment.
    var rest: Int { rollsOver ? 0 : size - used }

    /// What batches can take of the next one, as far as it exists.
    var ahead: Int { max(0, prepared - SegmentFormat.headerBytes) }

    /// Whether there is nothing that could be written to.
    var isExhausted: Bool { used == size && prepared == 0 }

    /// Whether a batch of so many bytes may open the next segment: a whole one, or what there is of
    /// it when the disk has no room for more.
    func mayOpen(_ batchBytes: Int) -> Bool {
        isPrepared || refusal.isOfSegment && SegmentFormat.headerBytes + batchBytes <= prepared
    }

    /// The next segment becomes the last one, with its first batch in it.
    mutating func open(_ batchBytes: Int) {
        rollsOver = false
        used = SegmentFormat.headerBytes + batchBytes
        size = prepared
        prepared = 0
    }

    /// Room has come back: what was refused is tried again.
    mutating func retry() {
        refusal.isRetrying = refusal.isOfSegment
        refusal.isOfNeed = false
        refusal.isOfDeletions = false
        refusal.halvings = 0
        reserve.isRefused = false
    }
}

/// How much of the disk the journal has taken since its checkpoints.
struct JournalGrowth {
    /// What `bytesSinceCheckpoint` counts from; below 0 by what a recovery found.
    var before: Int
    /// What the checkpoint under way is to cover.
    var uncovered = 0
    /// By how many bytes the journal has grown more than the checkpoint under way.
    var lag = 0
    /// The size of the newest complete checkpoint.
    var checkpointBytes: Int
    /// The same, or what was expected of it if that was more: what it is compared by, so that an
    /// estimate that is always too high does not pass for growth.
    var checkpointWorth: Int
    /// How large the checkpoint would have been that the disk had no room for last.
    var refusedBytes: Int?

    init(before: Int, checkpointBytes: Int) {
        self.before = before
        self.checkpointBytes = checkpointBytes
        checkpointWorth = checkpointBytes
    }
}
