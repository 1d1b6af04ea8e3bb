import Base
import Replication
import Storage

extension Server {
    mutating func takeDiskOutcome() throws(ServerError) {
        do throws(DiskError) { try lane.takeOutcome() } catch { throw .storage(error) }
        releaseHeld()
    }

    /// The end of a turn: what was gathered goes to the disk, and the node learns whether there is room.
    mutating func endJournalTurn() {
        tendCheckpoint()
        lane.startJob(now: now.monotonic)
        let isFull = lane.journal.isFull
        guard isFull != isDiskFull else { return }
        isDiskFull = isFull
        log.warning(isFull ? "disk full: writes are refused" : "disk has room again")
        settlements.append(.diskRoom)
    }

    /// Waits for the disk when too much waits for it, so that a slow disk bounds memory.
    mutating func relieveDisk() throws(ServerError) {
        let limit = configuration.limits.diskBacklogBytesMax
        while holds.byteCount > limit || lane.backlogBytes > limit {
            guard try waitForJob() else { return }
            releaseHeld()
            flushClients()
            flushLinks()
        }
    }

    /// Runs jobs until nothing is left to do.
    mutating func drainJournal() throws(ServerError) {
        while try waitForJob() {}
    }

    private mutating func waitForJob() throws(ServerError) -> Bool {
        do throws(DiskError) { return try lane.waitForJob() } catch { throw .storage(error) }
    }
}
