import Reactor

/// Tells a running server to stop as SIGTERM would; usable from any thread.
public final class StopHandle: Sendable {
    let wakeup: Wakeup

    init() throws(SocketError) { wakeup = try Wakeup() }

    /// Callable at any time, also twice.
    public func callAsFunction() { wakeup.signal() }
}
