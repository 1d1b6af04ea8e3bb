/// What a recovery found, and where the journal goes on.
public struct RecoveryReport: Equatable, Sendable {
    /// The position of the last record that was recovered; the next record gets the one behind it.
    public internal(set) var lastPosition: JournalPosition = 0
    /// The position of the checkpoint that was read, if there is one.
    public internal(set) var checkpointPosition: JournalPosition?
    public internal(set) var checkpointRecords = 0
    /// Of the checkpoint's file.
    public internal(set) var checkpointBytes = 0
    public internal(set) var journalRecords = 0
    /// Of batches, headers included.
    public internal(set) var bytesRead = 0
    /// The torn tail that was dropped, never acknowledged: from the first byte to the last that is
    /// not zero.
    public internal(set) var droppedBytes = 0
    /// What `quarantine` skipped. It stays in place, and is skipped again at the next start, until
    /// the next checkpoint.
    public internal(set) var quarantined: [Damage] = []
    /// Of the segment files that hold records behind the checkpoint, padding included: what the
    /// next checkpoint frees.
    public internal(set) var uncoveredBytes = 0
    /// First positions of the segments that stay, oldest first.
    public internal(set) var segments: [JournalPosition] = []

    /// The first position of the newest segment as the identity file has it, 0 before the first;
    /// nil without such a file.
    var namedNewest: JournalPosition?

    /// A new directory.
    public init() {}
}
