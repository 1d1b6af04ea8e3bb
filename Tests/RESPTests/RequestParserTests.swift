import Testing

@testable import RESP

@Suite("Requests as arrays of bulk strings")
struct RequestParserTests {
    @Test("The specification's example: LLEN mylist")
    func specificationExample() {
        let result = transcript("*2\r\n$4\r\nLLEN\r\n$6\r\nmylist\r\n")
        #expect(result == Transcript(requests: [["LLEN", "mylist"]]))
    }

    @Test("Bulk strings are binary-safe and may be empty")
    func binarySafe() {
        var connection = Connection()
        let words: [[UInt8]] = [[0, 13, 10, 255], [], Array("$3\r\n*1\r\n".utf8)]
        connection.receive(encoded(words))
        #expect(connection.requests == [words])
        #expect(connection.unread.isEmpty)
    }

    @Test("Requests follow each other without being waited for")
    func pipeline() {
        let result = transcript("*1\r\n$4\r\nPING\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n")
        #expect(result == Transcript(requests: [["PING"], ["PING"], ["GET", "k"]]))
    }

    @Test(
        "Empty lines and empty or absent arrays are skipped",
        arguments: [
            "\r\n", "\n", "*0\r\n", "*-1\r\n", "*-10\r\n", "\r\n\r\n*0\r\n\n", "   \r\n", "\t \n",
        ])
    func skipped(_ nothing: String) {
        #expect(transcript(nothing) == Transcript(requests: []))
        let result = transcript(nothing + "*1\r\n$4\r\nPING\r\n" + nothing)
        #expect(result == Transcript(requests: [["PING"]]))
    }

    @Test("What is skipped is consumed at once, also when nothing follows")
    func skippedIsConsumed() {
        var connection = Connection()
        for _ in 0..<100 { connection.receive(Array("\r\n*0\r\n".utf8)) }
        #expect(connection.unread.isEmpty)
    }

    static let malformed: [(String, ProtocolError)] = [
        ("*x\r\n", .invalidMultibulkLength),
        ("*1x\r\n", .invalidMultibulkLength),
        ("*\r\n", .invalidMultibulkLength),
        ("*+1\r\n", .invalidMultibulkLength),
        ("*01\r\n", .invalidMultibulkLength),
        ("*-0\r\n", .invalidMultibulkLength),
        ("*-x\r\n", .invalidMultibulkLength),
        ("*1\n", .invalidMultibulkLength),
        ("*1\r$", .invalidMultibulkLength),
        ("*1048577\r\n", .invalidMultibulkLength),
        ("*2147483648\r\n", .invalidMultibulkLength),
        ("*9999999999999999999999\r\n", .invalidMultibulkLength),
        ("*1\r\n*1\r\n", .expectedBulk(got: UInt8(ascii: "*"))),
        ("*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", .expectedBulk(got: UInt8(ascii: "f"))),
        ("*1\r\n:1\r\n", .expectedBulk(got: UInt8(ascii: ":"))),
        ("*1\r\n$x\r\n", .invalidBulkLength),
        ("*1\r\n$\r\n", .invalidBulkLength),
        ("*1\r\n$-1\r\n", .invalidBulkLength),
        ("*1\r\n$-\r\n", .invalidBulkLength),
        ("*1\r\n$00\r\n", .invalidBulkLength),
        ("*1\r\n$2000000000\r\n", .tooBigBulk(bytesMax: 512 << 20)),
        ("*1\r\n$9223372036854775808\r\n", .invalidBulkLength),
        ("*1\r\n$-9223372036854775808\r\n", .invalidBulkLength),
        ("*1\r\n$4\r\nPINGxx", .unterminatedBulk),
        ("*1\r\n$4\r\nPING\rx", .unterminatedBulk),
    ]

    @Test("A malformed request is named and ends the stream", arguments: malformed)
    func namesMalformed(_ stream: String, _ error: ProtocolError) {
        let result = transcript("*1\r\n$4\r\nECHO\r\n" + stream + "*1\r\n$4\r\nPING\r\n")
        #expect(result == Transcript(requests: [["ECHO"]], error: error))
    }

    @Test("A malformed request is the same error however it is cut", arguments: malformed)
    func malformedSplit(_ stream: String, _ error: ProtocolError) {
        let bytes = Array(stream.utf8)
        for pieces in 1...bytes.count {
            #expect(transcript(bytes, pieces: pieces).error == error)
        }
    }

    @Test("A stream split at each byte, and into pieces of each size, gives the same requests")
    func splits() {
        let stream =
            encoded("SET", "key:1", String(repeating: "v", count: 120))
            + Array("  set k \"a\\x00b\" 'it\\'s'\r\n\r\nPING\n*0\r\n".utf8)
            + encoded("MSET", "a", "", "b", "\r\n") + encoded((0..<20).map { [UInt8($0)] })
        let whole = transcript(stream)
        #expect(whole.requests.count == 5 && whole.error == nil)
        for cut in 0...stream.count {
            var connection = Connection()
            connection.receive(stream[..<cut])
            connection.receive(stream[cut...])
            let requests = connection.requests.map { request in
                request.map { String(decoding: $0, as: UTF8.self) }
            }
            #expect(Transcript(requests: requests, error: connection.error) == whole)
            #expect(transcript(stream, pieces: max(cut, 1)) == whole)
        }
    }

    @Test("A request of more arguments than the table first holds is whole")
    func manyArguments() {
        let words = (0..<10_000).map { Array("\($0)".utf8) }
        var connection = Connection()
        connection.receive(encoded(words))
        connection.receive(encoded("PING"))
        #expect(connection.requests == [words, [Array("PING".utf8)]])
    }
}
