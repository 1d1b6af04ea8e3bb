import Glibc

/// A TCP connection to one node that never blocks: everything of the operating system's that a
/// client needs.
public final class ClientSocket {
    /// What reading or writing came to.
    public enum Progress: Equatable, Sendable {
        case moved(Int)
        case wouldBlock
        case closed
    }

    public let descriptor: Int32

    private init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Starts to connect; writable means that it came to a result, which `connectError` tells.
    ///
    /// - Parameters:
    ///   - host: an IPv4 or IPv6 address or a name.
    ///   - port: 1…65,535.
    /// - Throws: `unavailable` when the name is unknown or the system refuses at once.
    public static func connect(host: String, port: Int) throws(Failure) -> ClientSocket {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, String(port), &hints, &list)
        guard status == 0, let address = list else {
            throw Failure(
                .unavailable, "cannot resolve \(host): \(String(cString: gai_strerror(status)))")
        }
        defer { freeaddrinfo(list) }
        let flags = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.pointee.ai_family, flags, 0)
        guard descriptor >= 0 else { throw Failure(.unavailable, "no socket: \(lastError())") }
        let connection = ClientSocket(descriptor: descriptor)
        var one: Int32 = 1
        setsockopt(
            descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        let result = Glibc.connect(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen)
        guard result == 0 || errno == EINPROGRESS else {
            throw Failure(.unavailable, "cannot reach \(host):\(port): \(lastError())")
        }
        return connection
    }

    /// Why connecting failed, or nil when it succeeded.
    public var connectError: String? {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length)
        return code == 0 ? nil : String(cString: strerror(code))
    }

    /// Writes as much as the system takes.
    public func send(_ bytes: UnsafeRawBufferPointer) -> Progress {
        progress { Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL)) }
    }

    /// Reads what is there, up to the buffer's size.
    public func receive(into buffer: UnsafeMutableRawBufferPointer) -> Progress {
        let progress = progress { recv(descriptor, buffer.baseAddress, buffer.count, 0) }
        return progress == .moved(0) ? .closed : progress
    }

    private func progress(_ call: () -> Int) -> Progress {
        while true {
            let count = call()
            if count >= 0 { return .moved(count) }
            if errno == EINTR { continue }
            return errno == EAGAIN ? .wouldBlock : .closed
        }
    }
}

/// The text of `errno`.
func lastError() -> String { String(cString: strerror(errno)) }

/// Waits for any of several sockets, to the microsecond: `poll` only knows milliseconds, and a
/// probe means less.
///
/// Limit: descriptors below 1,024, which is what `select` can name.
struct ReadySet {
    private var reading = fd_set()
    private var writing = fd_set()
    private var highest: Int32 = -1

    mutating func watch(_ descriptor: Int32, write: Bool) {
        precondition(descriptor >= 0 && descriptor < 1024, "select names descriptors below 1,024")
        ReadySet.insert(descriptor, into: &reading)
        if write { ReadySet.insert(descriptor, into: &writing) }
        highest = max(highest, descriptor)
    }

    /// Waits until something is ready, a signal arrives or the time is over; afterwards only what
    /// is ready is left.
    mutating func wait(nanoseconds: UInt64) {
        var time = timespec(
            tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        if pselect(highest + 1, &reading, &writing, nil, &time, nil) <= 0 {
            reading = fd_set()
            writing = fd_set()
        }
    }

    mutating func isReadable(_ descriptor: Int32) -> Bool {
        ReadySet.contains(descriptor, &reading)
    }

    mutating func isWritable(_ descriptor: Int32) -> Bool {
        ReadySet.contains(descriptor, &writing)
    }

    private static func insert(_ descriptor: Int32, into set: inout fd_set) {
        withUnsafeMutableBytes(of: &set) { $0[Int(descriptor) / 8] |= 1 << UInt8(descriptor % 8) }
    }

    private static func contains(_ descriptor: Int32, _ set: inout fd_set) -> Bool {
        withUnsafeMutableBytes(of: &set) {
            $0[Int(descriptor) / 8] & 1 << UInt8(descriptor % 8) != 0
        }
    }
}
