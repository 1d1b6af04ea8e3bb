import Testing

@testable import Lab

@Suite("Answers in the Redis protocol")
struct ReplyTests {
    static let stream = Array(
        "+OK\r\n:-7\r\n$3\r\na\r\n\r\n$-1\r\n-ERR no\r\n*2\r\n$0\r\n\r\n*-1\r\n*0\r\n".utf8)
    static let replies: [Reply] = [
        .simple("OK"), .integer(-7), .bulk(Array("a\r\n".utf8)), .bulk(nil), .error("ERR no"),
        .array([.bulk([]), .bulk(nil)]), .array([]),
    ]

    @Test("every answer is read, whatever the pieces it arrives in", arguments: [1, 2, 3, 7, 1000])
    func pieces(size: Int) throws {
        var reader = ReplyReader()
        var replies: [Reply] = []
        for start in stride(from: 0, to: Self.stream.count, by: size) {
            let end = min(start + size, Self.stream.count)
            Self.stream.withUnsafeBytes {
                reader.append(UnsafeRawBufferPointer(rebasing: $0[start..<end]))
            }
            while let reply = try reader.next() { replies.append(reply) }
        }
        #expect(replies == Self.replies)
    }

    @Test(
        "what is no answer is refused",
        arguments: [
            "HTTP/1.1 400\r\n", "$x\r\n", "$99999999999999999999\r\n", "*2000000\r\n", "+O\rK\r\n",
            "$1\r\nabc\r\n", "\r\n",
            String(repeating: "*1\r\n", count: 20), ":\r\n", "$999999999\r\n",
            String(repeating: "x", count: 70_000),
        ])
    func refused(text: String) {
        var reader = ReplyReader()
        Array(text.utf8).withUnsafeBytes { reader.append($0) }
        #expect(throws: ReplyReader.ProtocolError.self) { try reader.next() }
    }

    @Test(
        "only codes that promise that nothing happened are refusals; others leave it open",
        arguments: [
            ("UNAVAILABLE 1 of 2", true), ("OVERLOADED x", true), ("DISKFULL x", true),
            ("ERR x", true),
            ("UNKNOWN 1 of 2 acknowledged", false), ("SOMETHING new", false), ("", false),
        ])
    func outcomes(line: String, certain: Bool) {
        #expect(Outcome(.error(line)) == (certain ? .refused(line) : .unknown(line)))
        #expect(Outcome(.bulk(nil)) == .done(.bulk(nil)))
    }

    @Test("a request is an array of bulk strings, counted in bytes")
    func request() {
        var bytes: [UInt8] = []
        encodeRequest(["SET", "é", ""], into: &bytes)
        #expect(
            String(decoding: bytes, as: UTF8.self) == "*3\r\n$3\r\nSET\r\n$2\r\né\r\n$0\r\n\r\n")
    }

    @Test(
        "addresses are read with and without a host",
        arguments: [
            ("7001", "127.0.0.1", 7001), ("a.b:1", "a.b", 1), ("[::1]:65535", "::1", 65_535),
        ])
    func addresses(text: String, host: String, port: Int) {
        #expect(NodeSettings.Endpoint(text) == NodeSettings.Endpoint(host: host, port: port))
    }

    @Test(
        "what is no address is none",
        arguments: ["", "a", "a:0", "a:65536", "::1:7", ":7", "a:b:7"])
    func noAddresses(text: String) {
        #expect(NodeSettings.Endpoint(text) == nil)
    }
}
