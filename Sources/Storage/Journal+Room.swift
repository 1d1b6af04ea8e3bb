import Base

// What the disk takes now, and what is kept of it for whom.
//
// Each byte of a segment may become a byte of state, and a checkpoint holds the state once more. So
// a segment is extended only while the disk keeps room for a checkpoint of the state as it is and
// of all that the segments still take (`checkpointRoom`): a checkpoint can always be written, and
// frees what the journal holds beyond it.
//
// Deletions have a reserve D of journal. Writes leave it alone, and leave room for it and its
// checkpoint (2 D) free when they have a segment extended. With volume S, state L and the file
// `reserve` R that is S - R >= 2 L + 2 D at any time; so behind a checkpoint, when the journal is
// empty, D can be had once more, whatever the deletions that used it up have freed. A volume that
// is full of state is emptied by deletions and checkpoints in turn, until there is room for writes.
//
// Where a state grows by more than the record that made it grow, as a set does, the sum of the two
// (`claim`) outgrows what the disk was found to have room for (`granted`). What it has outgrown it
// by (`debt`) is left unused of the segments, or asked for where the disk is not full.
//
//     a segment's rest 100, state 100, journal 100: claim 100 + 100 = 200
//     10 bytes of journal become 25 of state: rest 90, state 125, journal 110, claim 230; debt 30
//     writes may take 60 of the rest, as if the 10 had taken 40
//
// Deletions take what is left unused as well, for each of them lessens the debt by what it deletes.
extension Journal {
    /// What may be appended now. It changes by itself as jobs are done.
    public var room: DiskRoom {
        if spare >= 2 * limits.batchBytesMax + limits.reserveBytes { return .free }
        guard lacksRoom else { return .busy }
        let allowance = scarceAllowance
        if allowance.writes >= Journal.writeBytesMin { return .free }
        if allowance.deletions >= Journal.deletionBytesMin { return .deletions }
        // What is left of the checkpoint's room comes back with it.
        let isUnderWay = checkpoint != nil || inFlight != nil || checkpointIsDue(after: 1 << 48)
        return isUnderWay ? .busy : .none
    }

    /// How much may be appended while `room` is `free`, or by deletions while it is `deletions`.
    public var allowance: DiskAllowance { lacksRoom ? scarceAllowance : .unlimited }

    /// True from when the disk was too full for the next segment until that is whole: this segment
    /// may still have room for a while, and by the time it has not the next one must be there.
    public var lacksRoom: Bool { space.refusal.isOfSegment }

    /// True when so little is left that a checkpoint is worth it for whatever it frees.
    public var isScarce: Bool {
        guard lacksRoom else { return false }
        let little = max((space.size + space.prepared) / 4, checkpointBytesExpected / 8)
        return isWanted || spare < little || scarceAllowance.writes < Journal.writeBytesMin
    }

    /// True when `retryPreparing` would change something.
    public var wantsRetry: Bool {
        lacksRoom || space.reserve.isRefused || growth.refusedBytes != nil
    }

    /// Lets the next jobs try again what the disk had no room for.
    public mutating func retryPreparing() {
        guard wantsRetry else { return }
        space.retry()
        if !space.reserve.isHeld { space.reserve.bytes = limits.checkpointReserveBytes }
        growth.refusedBytes = nil
    }

    private static let writeBytesMin = 2_048
    private static let deletionBytesMin = 512

    /// What has been gathered, each batch with its header and the sector that it ends in.
    private var backlog: Int {
        gatheredBytes + (waiting.count + 1) * BatchFormat.sectorBytes
    }

    var spare: Int { space.rest + space.ahead - backlog }

    /// By how much a checkpoint of the state as it is would be larger than what it replaces: the
    /// checkpoint after it needs that much more room.
    private var excess: Int {
        max(0, checkpointBytesExpected - coveredBytes - gatheredBytes)
    }

    /// What the state may need of the disk beside what it has, once the segments are full.
    private var claim: Int {
        checkpointBytesExpected + max(0, space.rest + space.prepared - gatheredBytes) + excess
    }

    /// By how much that is more than the disk was found to have room for.
    private var debt: Int { space.granted.map { max(0, claim - $0) } ?? 0 }

    /// The claim, once the segments have been extended by so many bytes.
    func claim(after added: Int) -> Int { claim + added }

    /// The states have grown so much that the disk is to be asked whether there is room for them.
    var isOutgrown: Bool { debt > limits.preparedPieceBytes }

    /// What is kept for deletions and definitions with so large a state: many of them, that the
    /// checkpoint behind them is worth it, and little of a small volume.
    func deletionReserve(_ stateBytes: Int) -> Int {
        min(limits.reserveBytes, max(stateBytes / 16, limits.reserveBytes / 64))
    }

    var deletionReserve: Int { deletionReserve(checkpointBytesExpected) }

    /// A batch lies in one piece, and leaves unused what it does not fit into: that is less than
    /// the batch, so twice its bytes are always enough.
    private var scarceAllowance: DiskAllowance {
        let kept = deletionReserve
        let (rest, ahead, waiting) = (space.rest, space.ahead, backlog)
        let all = rest + ahead
        let writes = min(
            max(min(rest, all - kept), ahead - kept, (all - kept) / 2), all - kept - debt)
        let deletions = max(rest, ahead, all / 2)
        return DiskAllowance(
            writes: max(0, writes - waiting), deletions: max(0, deletions - waiting),
            tombstones: max(0, deletions - waiting - kept / 2))
    }

    /// What has to stay free for the rest of the checkpoint under way, or for the next one, once
    /// the segments have been extended by so many bytes.
    func checkpointRoom(after added: Int) -> Int {
        let written = checkpoint?.offset ?? 0
        let pieces = checkpointBytesExpected + checkpointBytesExpected / 1_024
        return max(0, pieces - written) + space.rest + space.prepared + added
            + (space.reserve.isHeld ? 0 : space.reserve.bytes)
    }

    /// The same with what deletions need besides, when it is for writes.
    func wholeRoom(after added: Int) -> Int {
        let state = checkpointBytesExpected + space.rest + space.prepared + added
        return checkpointRoom(after: added) + 2 * deletionReserve(state) + excess
    }
}
