import Base
import Testing

@testable import Reactor

/// A listener on a port that the kernel picked, and both ends of one connection to it.
struct Loopback: ~Copyable {
    let listener: Listener
    let near: Socket
    let far: Socket

    init(host: String = "127.0.0.1", prepare: (borrowing Socket) -> Void = { _ in }) throws {
        let listener = try Listener(SocketAddress(host: host, port: 0))
        let near = try Socket.connecting(to: listener.address)
        prepare(near)
        let poller = try Poller()
        try poller.add(listener.descriptor, token: 1, .readable)
        let ready = try poller.wait(until: SystemClock.monotonic() + 5_000_000_000)
        try #require(ready == 1)
        var accepted = try listener.accept()
        guard let far = accepted.take() else { throw SocketError("nobody came", errno: 0) }
        self.listener = listener
        self.near = near
        self.far = far
    }
}

/// A moment so far away that reaching it is a failure.
func patience() -> Deadline { SystemClock.monotonic() + 10_000_000_000 }

extension Socket {
    func send(_ text: String) throws(SocketError) -> Int {
        let bytes = Array(text.utf8)
        var result: Result<Int, SocketError> = .success(0)
        bytes.withUnsafeBytes { raw in
            do throws(SocketError) { result = .success(try write(raw)) } catch {
                result = .failure(error)
            }
        }
        return try result.get()
    }

    /// Waits until something can be read, and reads it once; nil at the end of the stream.
    func receive() throws -> String? {
        let poller = try Poller()
        try poller.add(descriptor, token: 0, .readable)
        _ = try poller.wait(until: patience())
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 1)
        defer { buffer.deallocate() }
        guard let count = try read(into: buffer), count > 0 else { return nil }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }
}
