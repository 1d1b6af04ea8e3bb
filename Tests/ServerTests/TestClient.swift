import Base
import Glibc
import Reactor
import Testing

/// One blocking connection that gives up after ten seconds.
struct TestClient: ~Copyable {
    private let socket: Socket
    private let poller: Poller
    private var received: [UInt8]

    init(port: UInt16) throws {
        let address = try SocketAddress(host: "127.0.0.1", port: port)
        let socket = try Socket.connecting(to: address)
        let poller = try Poller()
        try poller.add(socket.descriptor, token: 0, .writable)
        _ = try poller.wait(until: SystemClock.monotonic() + 10_000_000_000)
        try socket.connectOutcome()
        self.socket = socket
        self.poller = poller
        received = []
    }

    /// Sends all bytes, waiting for room; false when the other end closed.
    @discardableResult
    func send(_ bytes: [UInt8]) throws -> Bool {
        var offset = 0
        try poller.modify(socket.descriptor, token: 0, .writable)
        while offset < bytes.count {
            let taken = bytes.withUnsafeBytes { raw in
                try? socket.write(UnsafeRawBufferPointer(rebasing: raw[offset...]))
            }
            guard let taken else { return false }
            offset += taken
            if taken == 0 { try awaitEvent() }
        }
        return true
    }

    /// Whether anything has come by now.
    mutating func hasReceived() throws -> Bool {
        try poller.modify(socket.descriptor, token: 0, .readable)
        return try poller.wait(until: 0) > 0 || !received.isEmpty
    }

    /// Nothing comes while another connection is served a hundred times.
    mutating func expectSilence(whilePinging port: UInt16) throws {
        var other = try TestClient(port: port)
        for _ in 0..<100 { try other.expect("+PONG\r\n", to: "PING\r\n") }
        #expect(try hasReceived() == false)
    }

    /// The connection is broken off when this value goes.
    func breakOff() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        let size = socklen_t(MemoryLayout.size(ofValue: linger))
        setsockopt(socket.descriptor, SOL_SOCKET, SO_LINGER, &linger, size)
    }

    /// Closes the sending half.
    func endSending() { shutdown(socket.descriptor, Int32(SHUT_WR)) }

    @discardableResult
    func send(_ text: String) throws -> Bool { try send(Array(text.utf8)) }

    /// The next `count` bytes as text; fewer when the other end closed before.
    mutating func receive(_ count: Int) throws -> String {
        while received.count < count, try readMore() {}
        let taken = received.prefix(count)
        received.removeFirst(taken.count)
        return String(decoding: taken, as: UTF8.self)
    }

    /// Whatever comes next; empty when the other end closed.
    mutating func receiveBytes() throws -> [UInt8] {
        if received.isEmpty { _ = try readMore() }
        defer { received = [] }
        return received
    }

    /// The next line with its end, or what came before the end of the stream.
    mutating func receiveLine() throws -> String {
        while !received.contains(10), try readMore() {}
        let line = received.prefix { $0 != 10 }
        return try receive(min(line.count + 1, received.count))
    }

    /// Sends a command and expects exactly this answer.
    mutating func expect(
        _ answer: String, to command: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        try send(command)
        let got = try receive(answer.utf8.count)
        #expect(got == answer, sourceLocation: sourceLocation)
    }

    /// All bytes up to the end of the stream.
    mutating func receiveToEnd() throws -> String {
        while try readMore() {}
        defer { received = [] }
        return String(decoding: received, as: UTF8.self)
    }

    private mutating func readMore() throws -> Bool {
        try poller.modify(socket.descriptor, token: 0, .readable)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 1)
        defer { buffer.deallocate() }
        while true {
            let count: Int?
            do throws(SocketError) { count = try socket.read(into: buffer) } catch { return false }
            guard let count else {
                try awaitEvent()
                continue
            }
            received.append(contentsOf: buffer[..<count])
            return count > 0
        }
    }

    private func awaitEvent() throws {
        let ready = try poller.wait(until: SystemClock.monotonic() + 10_000_000_000)
        try #require(ready > 0, "nothing came for ten seconds")
    }
}

/// One of several connections that a test keeps.
final class KeptClient {
    var client: TestClient

    init(port: UInt16) throws { client = try TestClient(port: port) }
}

extension TestClient {
    /// Repeats a command until the answer is right: links take a moment to come up.
    static func insist(_ answer: String, _ command: String, port: UInt16) throws {
        var client = try TestClient(port: port)
        let deadline = SystemClock.monotonic() + 10_000_000_000
        var got = ""
        repeat {
            try client.send(command)
            got = try client.receiveLine()
        } while got != answer && SystemClock.monotonic() < deadline
        #expect(got == answer)
    }
}
