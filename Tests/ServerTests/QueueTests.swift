import Base
import Coding
import Testing

@testable import Server

private func withBytes<Result>(
    _ text: String, _ body: (UnsafeRawBufferPointer) -> Result
) -> Result {
    Array(text.utf8).withUnsafeBytes(body)
}

@Suite struct OutputQueueTests {
    @Test("bytes leave in the order in which they came, whatever pieces the kernel takes")
    func order() {
        var queue = OutputQueue(retainedBytes: 16)
        var random = PRNG(seed: 1)
        var expected: [UInt8] = []
        var sent: [UInt8] = []
        for _ in 0..<2_000 {
            let piece = (0..<random.below(40)).map { _ in UInt8(random.below(256)) }
            expected += piece
            piece.withUnsafeBytes { queue.append($0) }
            let taken = random.below(queue.count + 1)
            sent += queue.bytes[..<taken]
            queue.removeFirst(taken)
        }
        sent += queue.bytes
        queue.removeFirst(queue.count)
        let isEmpty = queue.isEmpty
        #expect(sent == expected)
        #expect(isEmpty)
    }
}

@Suite struct HoldQueueTests {
    @Test("effects are due in order, each when its position is durable")
    func due() {
        var holds = HoldQueue()
        let connection = ConnectionID(4)
        withBytes("+OK\r\n") {
            holds.append(.reply(connection, generation: 9, byteCount: 5), at: 3, $0)
        }
        holds.append(.notify(77), at: 3)
        withBytes("frame") {
            holds.append(.send(NodeID(2), generation: 1, byteCount: 5), at: 8, $0)
        }
        #expect(take(&holds, durable: 2) == nil)
        #expect(take(&holds, durable: 3) == "reply +OK\r\n")
        #expect(take(&holds, durable: 3) == "notify 77")
        #expect(take(&holds, durable: 7) == nil)
        #expect(take(&holds, durable: 8) == "send frame")
        #expect(take(&holds, durable: 100) == nil)
        let left = (holds.isEmpty, holds.byteCount)
        #expect(left == (true, 0))
    }

    @Test("many effects keep their bytes apart")
    func many() {
        var holds = HoldQueue()
        for round in 0..<20_000 {
            let text = "reply \(round)"
            withBytes(text) {
                holds.append(
                    .reply(ConnectionID(0), generation: 0, byteCount: text.utf8.count),
                    at: UInt64(round), $0)
            }
            if round % 3 > 0 {
                let oldest = "reply reply \(round - 1 - round / 3)"
                #expect(take(&holds, durable: UInt64(round)) == oldest)
            }
        }
    }

    private func take(_ holds: inout HoldQueue, durable: UInt64) -> String? {
        switch holds.due(at: durable) {
        case nil: return nil
        case .reply(_, _, let count):
            defer { holds.removeFirst(byteCount: count) }
            return "reply " + String(decoding: holds.carried(count), as: UTF8.self)
        case .send(_, _, let count):
            defer { holds.removeFirst(byteCount: count) }
            return "send " + String(decoding: holds.carried(count), as: UTF8.self)
        case .notify(let token):
            holds.removeFirst()
            return "notify \(token)"
        case .close, .more, .disconnect, .beginLife:
            holds.removeFirst()
            return "other"
        }
    }
}

@Suite struct SlabTests {
    /// Counts what is alive, to see that each element ends once.
    private final class Census { var alive = 0 }

    private struct Element: ~Copyable {
        let number: Int
        let census: Census

        init(_ number: Int, _ census: Census) {
            self.number = number
            self.census = census
            census.alive += 1
        }

        deinit { census.alive -= 1 }
    }

    @Test("indices are used again, elements survive growth and end exactly once")
    func lives() {
        let census = Census()
        fill(census)
        #expect(census.alive == 0)
    }

    private func fill(_ census: Census) {
        var slab = Slab<Element>()
        for number in 0..<100 { #expect(slab.insert(Element(number, census)) == number) }
        for index in stride(from: 0, to: 100, by: 2) { slab.remove(index) }
        let counts = (slab.count, census.alive, slab.contains(2), slab.contains(3))
        #expect(counts == (50, 50, false, true))
        for number in 200..<250 {
            let index = slab.insert(Element(number, census))
            #expect(index < 100 && index % 2 == 0)
            #expect(slab[index].number == number)
        }
        let third = slab[3].number
        let limit = slab.limit
        #expect((third, limit) == (3, 100))
    }
}

@Suite struct PatienceTests {
    @Test("a window lets its events through and says later how many it kept back")
    func rateLimit() {
        var limit = RateLimit(eventsMax: 2, windowNanoseconds: 100)
        #expect(limit.admit(at: 1_000) == 0)
        #expect(limit.admit(at: 1_001) == 0)
        #expect(limit.admit(at: 1_002) == nil)
        #expect(limit.admit(at: 1_099) == nil)
        #expect(limit.admit(at: 1_100) == 2)
        #expect(limit.admit(at: 1_101) == 0)
        #expect(limit.admit(at: 1_102) == nil)
        limit.suppress(3)
        #expect(limit.takeSuppressed(after: 1_199) == 0)
        #expect(limit.takeSuppressed(after: 1_200) == 4)
        #expect(limit.takeSuppressed(after: 1_200) == 0)
    }

    @Test("calls back off to at most three seconds, and never below 25 ms")
    func backOff() throws {
        var neighbour = Neighbour(
            node: NodeID(2), host: "127.0.0.1", port: 1, isCalled: true)
        var random = PRNG(seed: 3)
        for failure in 0..<100 {
            neighbour.backOff(now: 5, random: &random)
            let milliseconds = (neighbour.callAt - 5) / 1_000_000
            #expect(milliseconds >= 25 && milliseconds <= 3_000)
            #expect(failure < 10 || milliseconds >= 1_000)
        }
    }
}
