import Glibc
import Synchronization

/// Looks host names up beside the loop: a name server that does not answer takes seconds.
///
/// Each lookup has a thread of its own, which nobody waits for; the caller asks for one at a time
/// of what it connects to. Watch `wakeupDescriptor` with `[.readable, .oncePerSignal]`.
public final class Resolver: Sendable {
    /// What came of a lookup.
    public struct Answer: Sendable {
        /// What `ask` was given.
        public let number: Int
        public let result: Result<SocketAddress, SocketError>
    }

    /// Finds the address of a host, with a port.
    public typealias Lookup = @Sendable (String, UInt16) throws(SocketError) -> SocketAddress

    /// As the system does.
    public static let systemLookup: Lookup = { (host, port) throws(SocketError) in
        try SocketAddress(host: host, port: port)
    }

    private let lookup: Lookup
    private let wakeup: Wakeup
    private let answers = Mutex<[Answer]>([])

    public init(_ lookup: @escaping Lookup = systemLookup) throws(SocketError) {
        self.lookup = lookup
        wakeup = try Wakeup()
    }

    public var wakeupDescriptor: Int32 { wakeup.descriptor }

    /// Begins a lookup.
    ///
    /// - Parameter number: what the answer is to carry.
    /// - Throws: when there is no thread to be had.
    public func ask(_ host: String, port: UInt16, number: Int) throws(SocketError) {
        let thread = try startThread { [self] in
            let result: Result<SocketAddress, SocketError>
            do throws(SocketError) {
                result = .success(try lookup(host, port))
            } catch { result = .failure(error) }
            answers.withLock { $0.append(Answer(number: number, result: result)) }
            wakeup.signal()
        }
        pthread_detach(thread)
    }

    /// - Returns: what has come since the last call.
    public func takeAnswers() -> [Answer] {
        answers.withLock { waiting in
            defer { waiting.removeAll() }
            return waiting
        }
    }
}
