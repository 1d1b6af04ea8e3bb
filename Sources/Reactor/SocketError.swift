import Glibc

/// What the operating system said when a socket, or something else the poller watches, did not do
/// as asked.
public struct SocketError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The call or its purpose, for a log line.
    public let operation: String
    /// The error number, or 0 when the name of a host could not be resolved.
    public let errno: Int32

    public init(_ operation: String, errno: Int32) {
        self.operation = operation
        self.errno = errno
    }

    public var description: String {
        errno == 0 ? operation : "\(operation): \(String(cString: strerror(errno)))"
    }

    /// The process or the machine has no descriptors left: wait before the next accept.
    public var isOutOfDescriptors: Bool { errno == EMFILE || errno == ENFILE }
}
