import Coding
import Testing

@testable import RESP

@Suite("Requests with many arguments")
struct LongRequestTests {
    /// What `parse` is offered, and may be changed by a test behind its back.
    private static func withBuffer(
        _ words: [[UInt8]], _ body: (UnsafeMutableRawBufferPointer) -> Void
    ) {
        let bytes = encoded(words)
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyBytes(from: bytes)
        body(copy)
    }

    private static func words(_ count: Int) -> [[UInt8]] {
        (0..<count).map { Array("\($0)".utf8) + [UInt8](repeating: 7, count: $0 % 40) }
    }

    @Test("Arguments that were looked at when they arrived are not looked at again")
    func once() {
        let words = LongRequestTests.words(20_000)
        LongRequestTests.withBuffer(words) { buffer in
            var arguments = Arguments()
            var progress = ParseProgress()
            let half = UnsafeRawBufferPointer(rebasing: buffer[..<(buffer.count / 2)])
            #expect(RequestParser().parse(half, &progress, into: &arguments) == .incomplete)
            // Who looks at them now finds no request.
            for index in 0..<half.count / 2 { buffer[index] = index == 0 ? 42 : 0 }
            let whole = UnsafeRawBufferPointer(buffer)
            #expect(RequestParser().parse(whole, &progress, into: &arguments) == .complete)
            #expect(arguments.count == words.count)
            #expect(arguments[words.count - 1].elementsEqual(words[words.count - 1]))
        }
    }

    @Test("A request that is not taken yet is not looked at again")
    func kept() {
        let words = LongRequestTests.words(20_000)
        LongRequestTests.withBuffer(words) { buffer in
            var arguments = Arguments()
            var progress = ParseProgress()
            let whole = UnsafeRawBufferPointer(buffer)
            #expect(RequestParser().parse(whole, &progress, into: &arguments) == .complete)
            progress.keep(arguments)
            for index in 1..<buffer.count / 2 { buffer[index] = 0 }
            #expect(RequestParser().parse(whole, &progress, into: &arguments) == .complete)
            #expect(arguments.consumed == buffer.count)
            #expect(arguments[words.count - 1].elementsEqual(words[words.count - 1]))
        }
    }

    @Test("Any argument is found, in whatever order they are asked for")
    func anyOrder() {
        let words = LongRequestTests.words(9_000)
        LongRequestTests.withBuffer(words) { buffer in
            var arguments = Arguments()
            var progress = ParseProgress()
            let whole = UnsafeRawBufferPointer(buffer)
            #expect(RequestParser().parse(whole, &progress, into: &arguments) == .complete)
            var index = 0
            for step in 0..<20_000 {
                #expect(arguments[index].elementsEqual(words[index]))
                index = (index + [1, 1, 17, 5_003, 8_999][step % 5]) % words.count
            }
            #expect(arguments.isKnown(toHaveAtMost: 43) && !arguments.isKnown(toHaveAtMost: 42))
        }
    }

    @Test("What arrives in pieces is the same as what arrives at once")
    func pieces() {
        let words = LongRequestTests.words(9_000)
        let stream = encoded(words) + encoded("PING") + encoded(words)
        for piece in [1_021, 65_536] {
            var connection = Connection()
            for start in stride(from: 0, to: stream.count, by: piece) {
                connection.receive(stream[start..<min(stream.count, start + piece)])
            }
            #expect(connection.requests == [words, [Array("PING".utf8)], words])
        }
    }

    @Test("Of what has arrived of it, a sixteenth of the arguments' places is kept")
    func places() {
        let long = LongRequest(count: 1 << 20)
        for index in 0..<1 << 20 { long.note(index, at: index, bytes: 0) }
        #expect(long.noted == 1 << 16)
    }

    @Test("Arguments that are most of their owner's bytes are kept as they are, others are copied")
    func sharing() {
        let request = encoded(LongRequestTests.words(20_000))
        let owner = request.withUnsafeBytes { InputBuffer($0) }
        var arguments = Arguments()
        arguments.owner = owner
        var progress = ParseProgress()
        #expect(RequestParser().parse(owner.bytes, &progress, into: &arguments) == .complete)
        let all = arguments.bulks(1..<arguments.count)
        #expect(all.bytes.baseAddress == arguments[0].baseAddress.map { $0 + 3 })
        #expect(all.bytes.elementsEqual(request.suffix(all.bytes.count)))
        let few = arguments.bulks(1..<5_000)
        #expect(few.bytes.elementsEqual(all.bytes.prefix(few.bytes.count)))
        #expect(few.bytes.baseAddress != all.bytes.baseAddress)
    }

    @Test("What is parsed of other bytes than the owner's is copied")
    func foreign() {
        let request = encoded(LongRequestTests.words(20_000))
        var arguments = Arguments()
        arguments.owner = InputBuffer(capacity: 1 << 20)
        var progress = ParseProgress()
        request.withUnsafeBytes { bytes in
            #expect(RequestParser().parse(bytes, &progress, into: &arguments) == .complete)
            let all = arguments.bulks(1..<arguments.count)
            #expect(all.bytes.baseAddress != arguments[0].baseAddress.map { $0 + 3 })
            #expect(all.bytes.elementsEqual(request.suffix(all.bytes.count)))
        }
    }
}
