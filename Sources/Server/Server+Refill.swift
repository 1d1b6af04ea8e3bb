import Base
import Reactor
import Replication

// Tells the log when the node begins to be refilled, what it waits for, and when it is whole.
extension Server {
    /// Between two lines about a refill that goes on, nanoseconds.
    private static let reminder: UInt64 = 30_000_000_000

    /// Called at the end of each turn.
    mutating func tellRefill() {
        tellUnvouched()
        guard node.isRefilling else {
            guard let beganAt = notes.refill.beganAt else { return }
            notes.refill.beganAt = nil
            let milliseconds = (now.monotonic - beganAt) / 1_000_000
            return log.info(
                "whole after \(milliseconds) ms and \(node.counters.refilledKeys) keys asked for; "
                    + "reads of every key range are answered here")
        }
        guard let beganAt = notes.refill.beganAt else {
            notes.refill.beganAt = now.monotonic
            notes.refill.remindsAt = now.monotonic + Server.reminder
            return log.info(
                (node.followsOtherList
                    ? "the list of members has changed, and members have yet to hand over their "
                        + "keys"
                    : "this data directory is new, or it lost what it held")
                    + ": reads of a key range go to other nodes until the range is whole here")
        }
        guard notes.refill.remindsAt <= now.monotonic else { return }
        notes.refill.remindsAt = now.monotonic + Server.reminder
        log.warning(
            "\(node.refillFigures.text), for \((now.monotonic - beganAt) / 1_000_000_000) s; "
                + "CLUSTER REFILL WITHOUT NODE goes on without one that never returns")
    }

    private mutating func tellUnvouched() {
        let count = node.counters.keptUnvouched
        guard count > notes.refill.unvouched else { return }
        log.warning(
            "no replica of \(count - notes.refill.unvouched) key ranges is whole any more: all "
                + "keep what they have of them, and what was deleted and forgotten may come back")
        notes.refill.unvouched = count
    }
}
