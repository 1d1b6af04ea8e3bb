import Base
import Glibc
import Testing

@testable import Reactor

@Suite struct PollerTests {
    @Test("a ready descriptor is reported under its token again and again until it is read")
    func levelTriggered() throws {
        let pair = try Loopback()
        let poller = try Poller()
        try poller.add(pair.far.descriptor, token: 77, .readable)
        #expect(try poller.wait(until: 0) == 0)
        _ = try pair.near.send("x")
        for _ in 0..<3 {
            #expect(try poller.wait(until: patience()) == 1)
            #expect(poller[0].token == 77)
            #expect(poller[0].isReadable && !poller[0].isWritable && !poller[0].isHungUp)
        }
        _ = try pair.far.receive()
        #expect(try poller.wait(until: 0) == 0)
    }

    @Test("the interest can be changed and withdrawn")
    func interest() throws {
        let pair = try Loopback()
        let poller = try Poller()
        try poller.add(pair.far.descriptor, token: 5, [.readable, .writable])
        _ = try pair.near.send("x")
        #expect(try poller.wait(until: patience()) == 1)
        try poller.modify(pair.far.descriptor, token: 6, .writable)
        #expect(try poller.wait(until: patience()) == 1)
        #expect(poller[0].token == 6 && poller[0].isWritable && !poller[0].isReadable)
        try poller.modify(pair.far.descriptor, token: 6, [])
        #expect(try poller.wait(until: 0) == 0)
        try poller.remove(pair.far.descriptor)
        #expect(throws: SocketError("epoll_ctl", errno: ENOENT)) {
            try poller.modify(pair.far.descriptor, token: 6, [.readable])
        }
    }

    @Test("a wait ends at its deadline, not before")
    func deadline() throws {
        let poller = try Poller()
        let deadline = SystemClock.monotonic() + 300_000
        #expect(try poller.wait(until: deadline) == 0)
        #expect(SystemClock.monotonic() >= deadline)
    }

    @Test("a wake-up that is never read is reported once for each signal")
    func wakeup() throws {
        let poller = try Poller()
        let wakeup = try Wakeup()
        try poller.add(wakeup.descriptor, token: 9, [.readable, .oncePerSignal])
        for _ in 0..<3 {
            #expect(try poller.wait(until: 0) == 0)
            wakeup.signal()
            #expect(try poller.wait(until: patience()) == 1)
            #expect(poller[0].token == 9)
        }
    }

    @Test("both clocks advance and agree with the system's")
    func clocks() {
        let first = SystemClock.now()
        let second = SystemClock.now()
        #expect(second.monotonic >= first.monotonic)
        #expect(first.wallMilliseconds / 1000 >= UInt64(time(nil)) - 1)
    }
}
