import Glibc

/// A connected (or connecting) TCP socket: non-blocking, without Nagle's delay, closed when the
/// value ends.
public struct Socket: ~Copyable, Sendable {
    public let descriptor: Int32

    /// Takes over a descriptor.
    init(owning descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Starts to connect; the socket becomes writable when that ended, and `connectOutcome` says
    /// how.
    ///
    /// - Throws: when it failed at once.
    public static func connecting(to address: SocketAddress) throws(SocketError) -> Socket {
        let socket = try Socket(family: address.family)
        socket.setNoDelay()
        let status = address.withAddress { Glibc.connect(socket.descriptor, $0, $1) }
        guard status == 0 || errno == EINPROGRESS else {
            throw SocketError("connect to \(address)", errno: errno)
        }
        return socket
    }

    /// A fresh non-blocking TCP socket.
    init(family: Int32) throws(SocketError) {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = Glibc.socket(family, kind, 0)
        guard descriptor >= 0 else { throw SocketError("socket", errno: errno) }
        self.init(owning: descriptor)
    }

    /// The other end's address with its port; nil when the kernel does not say.
    public var farAddress: String? {
        (try? SocketAddress(of: descriptor, getpeername))?.description
    }

    /// This end's address with its port; nil when the kernel does not say.
    public var nearAddress: String? {
        (try? SocketAddress(of: descriptor, getsockname))?.description
    }

    /// - Throws: why a connect that was under way failed.
    public func connectOutcome() throws(SocketError) {
        var status: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &status, &length)
        guard status == 0 else { throw SocketError("connect", errno: status) }
    }

    /// One read.
    ///
    /// - Returns: bytes read, 0 at the end of the stream, nil when nothing is there yet.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(SocketError) -> Int? {
        while true {
            let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            if count >= 0 { return count }
            switch errno {
            case EAGAIN: return nil
            case EINTR: continue
            default: throw SocketError("read", errno: errno)
            }
        }
    }

    /// One write.
    ///
    /// - Returns: bytes taken, 0 when the kernel's buffer is full.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(SocketError) -> Int {
        while true {
            let count = send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count >= 0 { return count }
            switch errno {
            case EAGAIN: return 0
            case EINTR: continue
            default: throw SocketError("write", errno: errno)
            }
        }
    }

    /// Says that nothing more will be written; what was is still on its way.
    public func endWriting() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Where the other end is, for a log line.
    public var farEnd: String {
        (try? SocketAddress(of: descriptor, getpeername))?.description ?? "unknown"
    }

    /// The other end's address without the port; empty when the connection is gone.
    public var farHost: [UInt8] {
        (try? SocketAddress(of: descriptor, getpeername))?.hostBytes ?? []
    }

    /// Breaks the connection when the other end stays silent, although asked, or takes nothing of
    /// what waits for it, for `milliseconds`.
    public func detectDeadPath(within milliseconds: UInt32) {
        let seconds = max(1, Int32(milliseconds / 4000))
        set(SOL_SOCKET, SO_KEEPALIVE, 1)
        set(Int32(IPPROTO_TCP), TCP_KEEPIDLE, seconds)
        set(Int32(IPPROTO_TCP), TCP_KEEPINTVL, seconds)
        set(Int32(IPPROTO_TCP), TCP_KEEPCNT, 3)
        set(Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, Int32(clamping: milliseconds))
    }

    func setNoDelay() { set(Int32(IPPROTO_TCP), TCP_NODELAY, 1) }

    func set(_ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }
}
