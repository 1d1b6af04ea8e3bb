import Base

/// The room that exists in the last segment and the next one.
struct SegmentSpace {
    let segmentBytes: Int
    /// How many bytes of the last segment are in use, of how many; as many as there are when it is
    /// not written to any more.
    var used: Int
    var size: Int
    /// How many bytes of the next segment exist as zeros.
    var prepared = 0
    /// The disk was full when the next segment was extended last, and it is not whole since.
    var isRefused = false
    /// It is tried again all the same.
    var isRetrying = false
    /// The next batch opens a segment, so that the checkpoint under way covers all of those before.
    var rollsOver = false
    /// The file `reserve` exists.
    var holdsReserve = false
    /// There was no room for it when it was tried last.
    var isReserveRefused = false

    init(_ limits: JournalLimits) {
        segmentBytes = limits.segmentBytes
        used = limits.segmentBytes
        size = limits.segmentBytes
    }

    var isPrepared: Bool { prepared == segmentBytes }

    /// Of both segments.
    var bytes: Int {
        (rollsOver ? 0 : size - used) + max(0, prepared - SegmentFormat.headerBytes)
    }

    /// Whether there is nothing that could be written to.
    var isExhausted: Bool { used == size && prepared == 0 }

    /// Whether a batch of so many bytes may open the next segment: a whole one, or what there is of
    /// it when the disk has no room for more.
    func mayOpen(_ batchBytes: Int) -> Bool {
        isPrepared || isRefused && SegmentFormat.headerBytes + batchBytes <= prepared
    }

    /// The next segment becomes the last one, with its first batch in it.
    mutating func open(_ batchBytes: Int) {
        rollsOver = false
        used = SegmentFormat.headerBytes + batchBytes
        size = prepared
        prepared = 0
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

    init(before: Int, checkpointBytes: Int) {
        self.before = before
        self.checkpointBytes = checkpointBytes
    }
}
