import Base
import Glibc
import Testing

@testable import Reactor

@Suite struct SocketTests {
    @Test("bytes cross a connection both ways", arguments: ["127.0.0.1", "::1", "localhost"])
    func bothWays(host: String) throws {
        let pair = try Loopback(host: host)
        try pair.near.connectOutcome()
        #expect(try pair.near.send("ping") == 4)
        #expect(try pair.far.receive() == "ping")
        #expect(try pair.far.send("pong!") == 5)
        #expect(try pair.near.receive() == "pong!")
    }

    @Test(
        "loopback is told from addresses that others reach",
        arguments: [
            ("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("::ffff:127.0.0.1", true),
            ("0.0.0.0", false), ("::", false), ("10.0.0.127", false), ("::2", false),
            ("::ffff:10.0.0.1", false), ("fe80::1", false),
        ])
    func loopback(host: String, isLoopback: Bool) throws {
        #expect(try SocketAddress(host: host, port: 7).isLoopback == isLoopback)
    }

    @Test("a read says nil when nothing is there and 0 at the end of the stream")
    func nothingAndEnd() throws {
        let listener = try Listener(SocketAddress(host: "127.0.0.1", port: 0))
        let near = try Socket.connecting(to: listener.address)
        try connectThenClose(listener, near)
        #expect(try near.receive() == nil)
    }

    private func connectThenClose(_ listener: borrowing Listener, _ near: borrowing Socket) throws {
        let poller = try Poller()
        try poller.add(listener.descriptor, token: 0, .readable)
        #expect(try poller.wait(until: patience()) == 1)
        let far = try listener.accept()
        let second = try listener.accept()
        let came = (first: far != nil, second: second != nil)
        #expect(came == (true, false))
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 1)
        defer { buffer.deallocate() }
        #expect(try near.read(into: buffer) == nil)
    }

    @Test("a write says 0 when the other end does not read")
    func fullBuffer() throws {
        let pair = try Loopback { $0.set(SOL_SOCKET, SO_SNDBUF, 4096) }
        let chunk = String(repeating: "x", count: 65_536)
        var taken = -1
        for _ in 0..<10_000 where taken != 0 { taken = try pair.near.send(chunk) }
        #expect(taken == 0)
    }

    @Test("a write to a closed connection is an error, not a signal")
    func brokenPipe() throws {
        let listener = try Listener(SocketAddress(host: "127.0.0.1", port: 0))
        let near = try Socket.connecting(to: listener.address)
        try connectThenClose(listener, near)
        _ = try near.receive()
        var failure: SocketError?
        for _ in 0..<100 where failure == nil {
            do throws(SocketError) { _ = try near.send("x") } catch { failure = error }
        }
        #expect(failure?.errno == EPIPE || failure?.errno == ECONNRESET)
    }

    @Test("a connect that nobody answers ends with its reason")
    func refused() throws {
        let address = try unusedAddress()
        do throws(SocketError) {
            let socket = try Socket.connecting(to: address)
            let poller = try Poller()
            try poller.add(socket.descriptor, token: 0, .writable)
            _ = try poller.wait(until: patience())
            try socket.connectOutcome()
            Issue.record("the connect went through")
        } catch {
            #expect(error.errno == ECONNREFUSED)
        }
    }

    private func unusedAddress() throws -> SocketAddress {
        try Listener(SocketAddress(host: "127.0.0.1", port: 0)).address
    }

    @Test("a port that is in use is refused")
    func portInUse() throws {
        let first = try Listener(SocketAddress(host: "127.0.0.1", port: 0))
        let error = #expect(throws: SocketError.self) { _ = try Listener(first.address) }
        #expect(error?.errno == EADDRINUSE)
        #expect(first.address.description == "127.0.0.1:\(first.address.port)")
    }

    @Test("a host without an address is refused with the resolver's words")
    func unknownHost() {
        let error = #expect(throws: SocketError.self) {
            _ = try SocketAddress(host: "256.256.256.256.", port: 1)
        }
        #expect(error?.errno == 0)
    }
}
