import Base
import Replication

/// What the log was told last of what goes on for a while.
struct LogNotes {
    struct Refill {
        var beganAt: UInt64?
        var remindsAt: UInt64 = 0
        /// Key ranges of which no replica knew what had been deleted.
        var unvouched = 0
    }

    struct Clock {
        var isTroubled = false
        var looksAt: UInt64 = 0
    }

    var refill = Refill()
    var clock = Clock()
}

// Tells the log which clock is wrong, and when it is right again.
extension Server {
    /// Between two looks at the clocks, nanoseconds.
    private static let look: UInt64 = 1_000_000_000
    /// Between two lines about a clock that stays wrong, nanoseconds.
    private static let reminder: UInt64 = 30_000_000_000

    /// Called at the end of each turn.
    mutating func tellClock() {
        guard now.monotonic >= notes.clock.looksAt else { return }
        notes.clock.looksAt = now.monotonic + Server.look
        if let trouble = node.clockTrouble {
            notes.clock = .init(isTroubled: true, looksAt: now.monotonic + Server.reminder)
            return log.warning("clocks: \(trouble)")
        }
        guard notes.clock.isTroubled else { return }
        notes.clock.isTroubled = false
        log.info("clocks: all agree with the majority again")
    }
}
