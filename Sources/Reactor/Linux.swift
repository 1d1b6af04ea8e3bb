import Base
import CLinux
import Glibc

// Everything that only Linux has: epoll, eventfd, signalfd, accept4. What another kernel needs is
// another file with the same declarations.

/// Waits for many descriptors at once, level-triggered: a descriptor is reported as long as it is
/// ready.
///
/// Source: epoll(7).
public struct Poller: ~Copyable {
    /// What a descriptor is watched for; errors and hang-ups are reported in any case.
    public struct Interest: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        public static let readable = Interest(rawValue: EPOLLIN.rawValue)
        public static let writable = Interest(rawValue: EPOLLOUT.rawValue)
        /// Reports one event per signal instead of one per wait, so that a `Wakeup` needs no read.
        public static let oncePerSignal = Interest(rawValue: EPOLLET.rawValue)
    }

    /// A descriptor that is ready.
    public struct Ready {
        /// What was given when the descriptor was added.
        public let token: UInt64
        let events: UInt32

        @inline(__always) init(_ event: epoll_event) {
            token = event.data.u64
            events = event.events
        }

        /// Bytes, a connection, or the end of the stream wait.
        public var isReadable: Bool { events & EPOLLIN.rawValue != 0 }
        public var isWritable: Bool { events & EPOLLOUT.rawValue != 0 }
        /// Both directions are shut or the socket has an error; a read tells which.
        public var isHungUp: Bool { events & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 }
    }

    private let descriptor: Int32
    private let events: UnsafeMutableBufferPointer<epoll_event>

    /// - Parameter eventsMax: how many ready descriptors one wait reports at most.
    public init(eventsMax: Int = 256) throws(SocketError) {
        descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
        events = .allocate(capacity: eventsMax)
        guard descriptor >= 0 else { throw SocketError("epoll_create1", errno: errno) }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        events.deallocate()
    }

    /// Watches a descriptor under a token of the caller's choice.
    public func add(
        _ descriptor: Int32, token: UInt64, _ interest: Interest
    ) throws(SocketError) {
        try change(EPOLL_CTL_ADD, descriptor, token, interest)
    }

    /// Watches for something else; an empty interest still reports hang-ups.
    public func modify(
        _ descriptor: Int32, token: UInt64, _ interest: Interest
    ) throws(SocketError) {
        try change(EPOLL_CTL_MOD, descriptor, token, interest)
    }

    /// Stops watching; closing a descriptor does so as well.
    public func remove(_ descriptor: Int32) throws(SocketError) {
        try change(EPOLL_CTL_DEL, descriptor, 0, [])
    }

    /// Waits until something is ready or a moment has come.
    ///
    /// - Parameter deadline: nil waits for ever; a moment that has passed does not wait.
    /// - Returns: how many of `self[0]…` are ready; 0 after the deadline or a signal.
    public func wait(until deadline: Deadline?) throws(SocketError) -> Int {
        var timeout: Int64 = -1
        if let deadline {
            let now = deadline == 0 ? 0 : SystemClock.monotonic()
            timeout = deadline > now ? Int64(clamping: deadline - now) : 0
        }
        let count = quorate_epoll_wait(
            descriptor, events.baseAddress, Int32(events.count), timeout)
        if count >= 0 { return Int(count) }
        guard -count == EINTR else { throw SocketError("epoll_wait", errno: -count) }
        return 0
    }

    /// One of those that the last wait reported.
    public subscript(index: Int) -> Ready { Ready(events[index]) }

    private func change(
        _ operation: Int32, _ target: Int32, _ token: UInt64, _ interest: Interest
    ) throws(SocketError) {
        var event = epoll_event()
        event.events = interest.rawValue
        event.data.u64 = token
        guard epoll_ctl(descriptor, operation, target, &event) == 0 else {
            throw SocketError("epoll_ctl", errno: errno)
        }
    }
}

/// Wakes a poller from another thread. Watch `descriptor` with `[.readable, .oncePerSignal]`; it is
/// never read.
///
/// Source: eventfd(2).
public struct Wakeup: ~Copyable, Sendable {
    /// To be watched; signalled is readable.
    public let descriptor: Int32

    public init() throws(SocketError) {
        descriptor = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
        guard descriptor >= 0 else { throw SocketError("eventfd", errno: errno) }
    }

    deinit { close(descriptor) }

    /// Callable from any thread.
    public func signal() { eventfd_write(descriptor, 1) }
}

/// Signals as something to read instead of something that interrupts: those that ask a process to
/// end, and those that operators send for other reasons. All others that would end the process and
/// name no defect of it are ignored: timers, real-time signals, a write beyond the size limit of
/// files (which then fails).
///
/// Make it on the main thread before any other thread starts: threads inherit the blocked signals.
///
/// Source: signalfd(2), signal(7).
public final class Signals: Sendable {
    /// What a signal asks for.
    public enum Request: Sendable {
        /// To end in good order: SIGTERM, SIGINT, SIGQUIT, SIGPWR, and SIGXCPU, behind which the
        /// kernel kills.
        case stop
        /// Nothing that this program does: SIGHUP, SIGUSR1, SIGUSR2.
        case nothing
    }

    public let descriptor: Int32
    private static let stopping = [SIGTERM, SIGINT, SIGQUIT, SIGPWR, SIGXCPU]
    private static let noted = [SIGHUP, SIGUSR1, SIGUSR2]
    private static let ignored = [
        SIGPIPE, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGSTKFLT, SIGXFSZ, SIGTTIN, SIGTTOU,
    ]
    /// Those of the real-time signals that the C library leaves to programs.
    private static let realTime: ClosedRange<Int32> = 34...64

    /// Blocks the signals on this thread, and so on those it starts.
    ///
    /// - Throws: when no descriptor is left.
    public init() throws(SocketError) {
        for number in Signals.ignored + Signals.realTime { signal(number, SIG_IGN) }
        var set = sigset_t()
        sigemptyset(&set)
        for number in Signals.stopping + Signals.noted { sigaddset(&set, number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        descriptor = signalfd(-1, &set, Int32(SFD_NONBLOCK) | Int32(SFD_CLOEXEC))
        guard descriptor >= 0 else { throw SocketError("signalfd", errno: errno) }
    }

    deinit { close(descriptor) }

    /// - Returns: the number of the next signal that came and what it asks for, or nil.
    public func next() -> (number: Int32, request: Request)? {
        var record = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        guard read(descriptor, &record, size) == size else { return nil }
        let number = Int32(record.ssi_signo)
        return (number, Signals.stopping.contains(number) ? .stop : .nothing)
    }
}

/// accept4(2): the accepted descriptor, non-blocking, or a negative number with `errno` set.
func acceptNonBlocking(_ listener: Int32) -> Int32 {
    let flags = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    return quorate_accept4(listener, nil, nil, flags)
}
