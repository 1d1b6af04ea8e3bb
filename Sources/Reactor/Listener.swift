import Glibc

/// A listening TCP socket, closed when the value ends.
public struct Listener: ~Copyable, Sendable {
    private let socket: Socket
    /// Where it listens, with the port that the kernel picked.
    public let address: SocketAddress

    /// Binds and listens; an address in TIME_WAIT is taken over, one in use is not.
    public init(_ address: SocketAddress) throws(SocketError) {
        let socket = try Socket(family: address.family)
        socket.set(SOL_SOCKET, SO_REUSEADDR, 1)
        guard address.withAddress({ bind(socket.descriptor, $0, $1) }) == 0 else {
            throw SocketError("listen on \(address)", errno: errno)
        }
        guard listen(socket.descriptor, SOMAXCONN) == 0 else {
            throw SocketError("listen on \(address)", errno: errno)
        }
        self.address = try SocketAddress(of: socket.descriptor, getsockname)
        self.socket = socket
    }

    public var descriptor: Int32 { socket.descriptor }

    /// Takes one waiting connection.
    ///
    /// - Returns: nil when none waits.
    /// - Throws: what is wrong with the listener or the process (`isOutOfDescriptors`), not with
    /// one connection.
    public func accept() throws(SocketError) -> Socket? {
        while true {
            let descriptor = acceptNonBlocking(socket.descriptor)
            if descriptor >= 0 {
                let accepted = Socket(owning: descriptor)
                accepted.setNoDelay()
                return accepted
            }
            switch errno {
            case EAGAIN: return nil
            case EINTR, ECONNABORTED, EPROTO, ENETDOWN, EHOSTUNREACH, ENETUNREACH: continue
            default: throw SocketError("accept", errno: errno)
            }
        }
    }
}
