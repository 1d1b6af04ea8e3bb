import Glibc
import Synchronization

private let received = Atomic<Int32>(0)

/// Turns SIGINT and SIGTERM into a question that long work asks, so that what was started is also
/// ended.
public enum Interruption {
    /// Starts to listen; from then on the signals no longer end the process by themselves, and
    /// neither does a reader of our output who left.
    public static func listen() {
        received.store(0, ordering: .relaxed)
        signal(SIGPIPE, SIG_IGN)
        for number in [SIGINT, SIGTERM, SIGHUP] {
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { received.store($0, ordering: .relaxed) }
            sigaction(number, &action, nil)
        }
    }

    /// The signal that asked to stop, or nil.
    public static var requested: Int32? {
        let number = received.load(ordering: .relaxed)
        return number == 0 ? nil : number
    }

    /// - Throws: `interrupted` when a signal has asked to stop.
    public static func check() throws(Failure) {
        if requested != nil { throw Failure(.interrupted, "interrupted") }
    }
}
