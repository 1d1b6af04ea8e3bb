import Coding
import Testing

@testable import RESP

@Suite("Limits, and clients that try them (TRAPS row 24)")
struct LimitTests {
    let limits = RequestLimits(
        bulkBytesMax: 100, argumentsMax: 10, inlineBytesMax: 20, requestBytesMax: 400)

    func bulk(_ count: Int) -> [UInt8] { [UInt8](repeating: 118, count: count) }

    @Test("An argument has at most bulkBytesMax bytes, refused before they arrive")
    func bulkLimit() {
        #expect(transcript(encoded([bulk(100)]), limits: limits).requests.count == 1)
        #expect(transcript("*1\r\n$101\r\n", limits: limits).error == .tooBigBulk(bytesMax: 100))
    }

    @Test("A request has at most argumentsMax arguments, refused before they arrive")
    func argumentLimit() {
        let ten = encoded([[UInt8]](repeating: [1], count: 10))
        #expect(transcript(ten, limits: limits).requests.count == 1)
        #expect(transcript("*11\r\n", limits: limits).error == .invalidMultibulkLength)
    }

    @Test("An inline command has at most inlineBytesMax bytes, with or without its end in sight")
    func inlineLimit() {
        let line = String(repeating: "x", count: 20)
        for end in ["\r\n", "\n"] {
            #expect(transcript(line + end, limits: limits).requests == [[line]])
            #expect(transcript(line + "x" + end, limits: limits).error == .tooBigInline)
        }
        #expect(transcript(line + "xxx", limits: limits).error == .tooBigInline)
        for pieces in 1...24 {
            let long = Array((line + "x\r\n").utf8)
            #expect(transcript(long, pieces: pieces, limits: limits).error == .tooBigInline)
        }
    }

    @Test("A request has at most requestBytesMax bytes in all")
    func requestLimit() {
        let request = encoded([bulk(100), bulk(100), bulk(100), bulk(65)])
        #expect(request.count == 400)
        #expect(transcript(request, limits: limits).requests.count == 1)
        let larger = encoded([bulk(100), bulk(100), bulk(100), bulk(66)])
        #expect(transcript(larger, limits: limits).error == .tooBigRequest(bytesMax: 400))
    }

    @Test("An announced 512 MiB costs nothing until it arrives")
    func hugeBulk() {
        var connection = Connection()
        connection.receive(Array("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nabc".utf8))
        #expect(connection.requests.isEmpty && connection.error == nil)
        #expect(connection.arguments.allocatedSlices == 16)
        #expect(MemoryLayout<ParseProgress>.size <= 32)
    }

    @Test("An announced million of arguments costs nothing until they arrive")
    func hugeArray() {
        var connection = Connection()
        connection.receive(Array("*1048576\r\n".utf8))
        #expect(connection.error == nil)
        #expect(connection.arguments.allocatedSlices == 16)
    }

    @Test("A table that grew for a huge request is given back by the next")
    func tableShrinks() {
        var connection = Connection()
        connection.receive(Array(String(repeating: "a ", count: 20_000).utf8) + [13, 10])
        #expect(connection.requests.count == 1)
        #expect(connection.arguments.allocatedSlices >= 20_000)
        connection.receive(encoded("PING"))
        #expect(connection.arguments.allocatedSlices <= Arguments.retainedMax)
    }

    @Test("A slow client's progress moves on without what it sent being looked at again")
    func slowLoris() {
        var connection = Connection()
        let request = encoded("SET", "key", String(repeating: "v", count: 1000))
        var needed: [Int] = []
        for byte in request.dropLast() {
            connection.receive([byte])
            #expect(connection.requests.isEmpty)
            needed.append(connection.progress.bytesNeeded)
        }
        #expect(needed == needed.sorted())
        #expect(needed.last == request.count)
        #expect(needed.count { $0 == request.count } == 1002)
        connection.receive([10])
        #expect(connection.requests.count == 1)
        #expect(connection.progress.offset == 0 && connection.progress.bytesNeeded == 0)
    }

    @Test("A huge bulk in pieces of 16 KiB is looked at once, when it is there")
    func largeBulkInPieces() {
        let value = [UInt8](repeating: 7, count: 1 << 20)
        let request = encoded([Array("SET".utf8), [107], value])
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: request.count, alignment: 1)
        defer { buffer.deallocate() }
        buffer.copyBytes(from: request)
        var arguments = Arguments()
        var progress = ParseProgress()
        for end in stride(from: 16_384, to: request.count, by: 16_384) {
            let seen = UnsafeRawBufferPointer(rebasing: buffer[..<end])
            let outcome = RequestParser().parse(seen, &progress, into: &arguments)
            #expect(outcome == .incomplete)
            #expect(progress.bytesNeeded == request.count)
        }
        let whole = UnsafeRawBufferPointer(buffer)
        #expect(RequestParser().parse(whole, &progress, into: &arguments) == .complete)
        #expect(arguments[2].elementsEqual(value))
    }

    @Test("Many arguments arriving one by one: each step starts where the last one stopped")
    func manyArgumentsInPieces() {
        var connection = Connection()
        let request = encoded([[UInt8]](repeating: [1, 2], count: 200))
        for (index, byte) in request.enumerated().dropLast() {
            connection.receive([byte])
            #expect(connection.progress.offset + 10 >= index)
        }
        connection.receive([10])
        #expect(connection.requests.first?.count == 200)
    }

    static let foreign = [
        "GET / HTTP/1.1\r\n", "GET /index.html HTTP/1.0\n", "POST / HTTP/1.1\r\n", "post x\r\n",
        "Host: localhost:6379\r\n", "host: x\r\n", "HOST: x\r\n", "OPTIONS * HTTP/1.1\r\n",
    ]

    @Test("Whoever speaks HTTP is cut off, and nothing behind it is executed", arguments: foreign)
    func http(_ line: String) {
        let result = transcript(line + "SET a b\r\n")
        #expect(result == Transcript(requests: [], error: .foreignProtocol))
    }

    @Test("A TLS greeting is one long line at most")
    func tls() {
        let greeting: [UInt8] = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3]
        let result = transcript(greeting + [UInt8](repeating: 0xAB, count: 70_000))
        #expect(result == Transcript(requests: [], error: .tooBigInline))
    }

    static let wordings: [(ProtocolError, String)] = [
        (.invalidMultibulkLength, "-ERR Protocol error: invalid multibulk length\r\n"),
        (.invalidBulkLength, "-ERR Protocol error: invalid bulk length\r\n"),
        (
            .tooBigBulk(bytesMax: 100),
            "-ERR Protocol error: invalid bulk length: an argument may have 100 bytes "
                + "(limits.requestBytes)\r\n"
        ),
        (
            .tooBigRequest(bytesMax: 400),
            "-ERR Protocol error: too big request: it may have 400 bytes "
                + "(twice limits.requestBytes)\r\n"
        ),
        (.expectedBulk(got: 120), "-ERR Protocol error: expected '$', got 'x'\r\n"),
        (.expectedBulk(got: 10), "-ERR Protocol error: expected '$', got ' '\r\n"),
        (.tooBigInline, "-ERR Protocol error: too big inline request\r\n"),
        (.unbalancedQuotes, "-ERR Protocol error: unbalanced quotes in request\r\n"),
        (.foreignProtocol, ""),
    ]

    @Test("Protocol errors begin as Redis words them, and name the limit", arguments: wordings)
    func wording(_ error: ProtocolError, _ text: String) {
        var buffer = ByteBuffer()
        buffer.writeError(error)
        #expect(String(decoding: buffer.bytes, as: UTF8.self) == text)
    }
}
