import Glibc

/// One line per event on a descriptor: time, level, text.
public struct Log: Sendable {
    /// How much attention a line wants.
    public enum Level: String, Sendable {
        case info = "info "
        case warning = "warn "
        case error = "error"
    }

    private let descriptor: Int32

    /// - Parameter descriptor: where lines go; standard error by default.
    public init(descriptor: Int32 = 2) { self.descriptor = descriptor }

    /// Something expected happened.
    public func info(_ text: String) { write(.info, text) }
    /// Something is wrong that may pass by itself.
    public func warning(_ text: String) { write(.warning, text) }
    /// The process ends, or a promise cannot be kept.
    public func error(_ text: String) { write(.error, text) }

    private func write(_ level: Level, _ text: String) {
        var line = "\(Log.timestamp()) \(level.rawValue) \(text)\n"
        line.withUTF8 { _ = Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }

    /// The wall clock in UTC as RFC 3339 with milliseconds.
    static func timestamp() -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var parts = tm()
        gmtime_r(&now.tv_sec, &parts)
        var text = [CChar](repeating: 0, count: 32)
        strftime(&text, text.count, "%Y-%m-%dT%H:%M:%S", &parts)
        let seconds = text.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.map { String(cString: $0) } ?? ""
        }
        let thousands = String(1000 + now.tv_nsec / 1_000_000).dropFirst()
        return "\(seconds).\(thousands)Z"
    }
}

/// Lets a few events through in each window, so that a stranger cannot fill the disk with log
/// lines.
struct RateLimit {
    let eventsMax: Int
    let windowNanoseconds: UInt64
    private var windowEnd: UInt64 = 0
    private var events = 0
    private var suppressed = 0

    init(eventsMax: Int, windowNanoseconds: UInt64) {
        self.eventsMax = eventsMax
        self.windowNanoseconds = windowNanoseconds
    }

    /// - Returns: how many events were suppressed since the last that passed, or nil to suppress
    ///   this one.
    mutating func admit(at now: UInt64) -> Int? {
        if now >= windowEnd {
            windowEnd = now + windowNanoseconds
            events = 0
        }
        guard events < eventsMax else {
            suppressed += 1
            return nil
        }
        events += 1
        return takeSuppressed()
    }

    /// Counts events that were suppressed elsewhere.
    mutating func suppress(_ count: Int) { suppressed += count }

    /// - Returns: how many events were suppressed since the last that passed, once their window is
    ///   over; none are told later.
    mutating func takeSuppressed(after now: UInt64) -> Int {
        now >= windowEnd ? takeSuppressed() : 0
    }

    private mutating func takeSuppressed() -> Int {
        defer { suppressed = 0 }
        return suppressed
    }
}
