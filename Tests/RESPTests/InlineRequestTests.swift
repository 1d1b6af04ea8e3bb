import Testing

@testable import RESP

@Suite("Inline commands")
struct InlineRequestTests {
    static let table: [(line: String, words: [String])] = [
        ("PING", ["PING"]),
        ("  set  key   value  ", ["set", "key", "value"]),
        ("set\tkey\u{B}value", ["set", "key", "value"]),
        (#"set k "hello world""#, ["set", "k", "hello world"]),
        (#"set k """#, ["set", "k", ""]),
        (#"set k ''"#, ["set", "k", ""]),
        (#"set k "a\"b""#, ["set", "k", "a\"b"]),
        (#"set k "\n\r\t\b\a\\""#, ["set", "k", "\n\r\t\u{8}\u{7}\\"]),
        (#"set k "\x41\x7a\x0D""#, ["set", "k", "Az\r"]),
        (#"set k "\xZZ\x4""#, ["set", "k", "xZZx4"]),
        (#"set k "\q""#, ["set", "k", "q"]),
        (#"set k 'a\'b'"#, ["set", "k", "a'b"]),
        (#"set k 'a\nb\\c'"#, ["set", "k", #"a\nb\\c"#]),
        (#"set k 'say "hi"'"#, ["set", "k", #"say "hi""#]),
        (#"set k "it's""#, ["set", "k", "it's"]),
        (#"set k a"b c""#, ["set", "k", "ab c"]),
        (#"set k \x41"#, ["set", "k", #"\x41"#]),
        (#""set" 'k' v"#, ["set", "k", "v"]),
        ("set k \0v", ["set", "k", "v"]),
    ]

    @Test("Words are split and unquoted as Redis does it", arguments: table)
    func words(_ row: (line: String, words: [String])) {
        for end in ["\n", "\r\n"] {
            #expect(transcript(row.line + end) == Transcript(requests: [row.words]))
        }
    }

    @Test(
        "Quotes that do not balance, or that text follows, end the stream",
        arguments: [
            #"set k "abc"#, #"set k 'abc"#, #"set k "abc"d"#, #"set k 'abc'd"#, #"set k "abc\""#,
            #"set k 'abc\'"#, #"set k 'abc\\'"#, #"""#, #"set k "abc\"#, #"set k 'a'"b""#,
        ])
    func unbalanced(_ line: String) {
        #expect(transcript(line + "\r\n") == Transcript(requests: [], error: .unbalancedQuotes))
    }

    @Test("A byte that is written in hexadecimal need not be text")
    func hexadecimal() {
        var connection = Connection()
        connection.receive(Array(#"set k "\xff\x00""#.utf8) + [10])
        #expect(connection.requests.first?.last == [255, 0])
    }
}
