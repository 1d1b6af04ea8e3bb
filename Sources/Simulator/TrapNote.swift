import Glibc
import Synchronization

/// Says which seed was running when the process traps: a broken precondition of a node ends the
/// simulator as well, and the seed is what finds the place again.
enum TrapNote {
    private static let running = Atomic<UInt64>(0)
    /// What else wants to know of a trap: the toolchain's backtrace.
    private static let handlerBefore = Mutex<sigaction?>(nil)

    static func begin(seed: UInt64) {
        running.store(seed, ordering: .relaxed)
        handlerBefore.withLock { before in
            guard before == nil else { return }
            var present = sigaction()
            sigaction(SIGILL, nil, &present)
            before = present
            signal(SIGILL, TrapNote.tell)
        }
    }

    /// Writes the note and lets the signal come again, to whoever handled it before.
    private static let tell: @convention(c) (Int32) -> Void = { number in
        let text = "a node trapped in seed \(running.load(ordering: .relaxed))\n"
        _ = write(STDERR_FILENO, text, text.utf8.count)
        var before = handlerBefore.withLock { $0 } ?? sigaction()
        sigaction(number, &before, nil)
    }
}
