import Base
import Replication
import Storage

extension Server {
    mutating func takeDiskOutcome() throws(ServerError) {
        do throws(DiskError) { try lane.takeOutcome() } catch { throw .storage(error) }
        releaseHeld()
    }

    /// The end of a turn: what was gathered goes to the disk, and the node learns what the disk
    /// takes now. Nothing here waits for the disk: what would have to wait is refused.
    mutating func endJournalTurn() {
        tendCheckpoint()
        lane.startJob(now: now.monotonic)
        tellAllowance()
        var room = lane.journal.room
        if room == .free, isDiskBehind { room = .busy }
        guard room != diskRoom else { return }
        logDiskRoom(room)
        diskRoom = room
        settlements.append(.diskRoom)
    }

    /// Whether so much waits for the disk that nothing more may; once it does, until half of that
    /// is done.
    private var isDiskBehind: Bool {
        let limit = configuration.limits.diskBacklogBytesMax
        let waiting = lane.backlogBytes + holds.byteCount
        return waiting > (diskRoom == .busy ? limit / 2 : limit)
    }

    private mutating func logDiskRoom(_ room: DiskRoom) {
        switch (diskRoom, room) {
        case (_, .deletions), (_, .none):
            log.warning(
                "disk full: writes are refused, reads \(room == .none ? "" : "and deletions ")go "
                    + "on; a checkpoint is written as soon as there is room for one of about "
                    + "\(lane.journal.checkpointBytesExpected) bytes. Free space on the volume of "
                    + "\(configuration.dataDirectory), or delete keys")
        case (.deletions, _), (.none, _): log.info("disk has room again: writes are taken")
        case (_, .busy):
            guard diskLog.admit(at: now.monotonic) != nil else { return }
            log.warning(
                "the disk is slower than what is written: \(lane.backlogBytes) bytes wait for it, "
                    + "and writes are answered OVERLOADED until it has caught up")
        case (_, .free): break
        }
    }

    /// There is room, and not for all that comes.
    mutating func logDiskShort() {
        guard node.isDiskShort, diskRoom == .free, diskLog.admit(at: now.monotonic) != nil else {
            return
        }
        log.warning(
            "disk nearly full: writes larger than the room that is left are refused (DISKFULL), "
                + "smaller ones, reads and deletions go on. Free space on the volume of "
                + "\(configuration.dataDirectory), or delete keys")
    }

    /// Runs jobs until nothing is left to do.
    mutating func drainJournal() throws(ServerError) {
        while try waitForJob() {}
    }

    private mutating func waitForJob() throws(ServerError) -> Bool {
        do throws(DiskError) { return try lane.waitForJob() } catch { throw .storage(error) }
    }
}
