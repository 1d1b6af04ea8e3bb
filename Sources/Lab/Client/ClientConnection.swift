import Glibc

/// One connection that asks and waits: for commands, not for load.
public final class ClientConnection {
    /// The address, for messages.
    public let address: NodeSettings.Endpoint
    private let socket: ClientSocket
    private var reader = ReplyReader()
    private var chunk = [UInt8](repeating: 0, count: 65_536)
    private let timeoutMilliseconds: Int

    /// Connects.
    ///
    /// - Parameter timeoutMilliseconds: the bound for connecting, and later for each answer.
    /// - Throws: `unavailable` when nobody listens there, or the time is over.
    public init(
        _ address: NodeSettings.Endpoint, timeoutMilliseconds: Int = 5000
    ) throws(Failure) {
        self.address = address
        self.timeoutMilliseconds = timeoutMilliseconds
        socket = try ClientSocket.connect(host: address.host, port: address.port)
        try pause(for: Int16(POLLOUT), until: deadline)
        if let problem = socket.connectError {
            throw Failure(.unavailable, "cannot reach \(address): \(problem)")
        }
    }

    /// Sends one request and waits for its answer.
    ///
    /// - Throws: `unknown` when the connection broke or the time was over after sending.
    public func ask(_ words: String...) throws(Failure) -> Reply { try ask(words) }

    /// Sends one request and waits for its answer.
    public func ask(_ words: [String]) throws(Failure) -> Reply {
        let deadline = deadline
        var bytes: [UInt8] = []
        encodeRequest(words, into: &bytes)
        try send(bytes, until: deadline)
        return try receive(until: deadline)
    }

    private var deadline: UInt64 { MonotonicClock.now + UInt64(timeoutMilliseconds) * 1_000_000 }

    private func send(_ bytes: [UInt8], until deadline: UInt64) throws(Failure) {
        var sent = 0
        while sent < bytes.count {
            switch bytes.withUnsafeBytes({
                socket.send(UnsafeRawBufferPointer(rebasing: $0[sent...]))
            }) {
            case .moved(let count): sent += count
            case .wouldBlock: try pause(for: Int16(POLLOUT), until: deadline)
            case .closed: throw broken
            }
        }
    }

    private func receive(until deadline: UInt64) throws(Failure) -> Reply {
        while true {
            do {
                if let reply = try reader.next() { return reply }
            } catch {
                throw Failure(
                    .unavailable, "\(address) does not speak the Redis protocol: \(error.problem)")
            }
            switch chunk.withUnsafeMutableBytes({ socket.receive(into: $0) }) {
            case .moved(let count):
                chunk.withUnsafeBytes {
                    reader.append(UnsafeRawBufferPointer(rebasing: $0[..<count]))
                }
            case .wouldBlock: try pause(for: Int16(POLLIN), until: deadline)
            case .closed: throw broken
            }
        }
    }

    private var broken: Failure {
        Failure(.unknown, "\(address) closed the connection before it answered")
    }

    private func pause(for events: Int16, until deadline: UInt64) throws(Failure) {
        var entry = pollfd(fd: socket.descriptor, events: events, revents: 0)
        while true {
            let now = MonotonicClock.now
            guard now < deadline else {
                throw Failure(
                    .unknown, "\(address) did not answer within \(timeoutMilliseconds) ms")
            }
            if poll(&entry, 1, Int32((deadline - now) / 1_000_000 + 1)) > 0 { return }
            if Interruption.requested != nil { throw Failure(.interrupted, "interrupted") }
        }
    }
}

extension NodeSettings.Endpoint: CustomStringConvertible {
    public var description: String {
        host.utf8.contains(58) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// Reads `HOST:PORT`, `[IPV6]:PORT` or `PORT` alone, which means loopback; nil for anything
    /// else.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard let last = parts.last, let port = Int(last), (1...65_535).contains(port) else {
            return nil
        }
        var host = parts.dropLast().joined(separator: ":")
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
        } else if parts.count > 2 || (parts.count == 2 && host.isEmpty) {
            return nil
        }
        self.init(host: host.isEmpty ? "127.0.0.1" : host, port: port)
    }
}
