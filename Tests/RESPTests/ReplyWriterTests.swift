import Coding
import Testing

@testable import RESP

/// What is written, as text.
func written(_ body: (inout ByteBuffer) -> Void) -> String {
    var buffer = ByteBuffer(capacity: 1)
    body(&buffer)
    return String(decoding: buffer.bytes, as: UTF8.self)
}

extension ByteBuffer {
    /// A bulk string of text bytes, through the door that the server uses.
    mutating func writeBulkBytes(_ text: String) {
        Array(text.utf8).withUnsafeBytes { writeBulk($0) }
    }
}

@Suite("Replies: the examples of the RESP specification")
struct ReplyWriterTests {
    @Test("Types that both dialects share")
    func shared() {
        #expect(written { $0.writeOK() } == "+OK\r\n")
        #expect(written { $0.writeSimple("PONG") } == "+PONG\r\n")
        #expect(
            written { $0.writeError("ERR unknown command 'asdf'") }
                == "-ERR unknown command 'asdf'\r\n")
        #expect(written { $0.writeInteger(0) } == ":0\r\n")
        #expect(written { $0.writeInteger(1000) } == ":1000\r\n")
        #expect(written { $0.writeInteger(-1) } == ":-1\r\n")
        #expect(written { $0.writeBulkBytes("hello") } == "$5\r\nhello\r\n")
        #expect(written { $0.writeBulkBytes("") } == "$0\r\n\r\n")
        #expect(written { $0.writeBulk("static") } == "$6\r\nstatic\r\n")
        #expect(written { $0.writeBulk(text: "é") } == "$2\r\né\r\n")
        #expect(written { $0.writeArrayHeader(count: 0) } == "*0\r\n")
        let array = written {
            $0.writeArrayHeader(count: 2)
            $0.writeBulkBytes("hello")
            $0.writeBulkBytes("world")
        }
        #expect(array == "*2\r\n$5\r\nhello\r\n$5\r\nworld\r\n")
    }

    @Test("A bulk string holds any bytes")
    func binary() {
        var buffer = ByteBuffer()
        [UInt8]([13, 10, 0, 255]).withUnsafeBytes { buffer.writeBulk($0) }
        #expect([UInt8](buffer.bytes) == Array("$4\r\n".utf8) + [13, 10, 0, 255, 13, 10])
    }

    @Test(
        "Types that the dialects spell differently",
        arguments: [
            (Dialect.resp2, "$-1\r\n*-1\r\n*4\r\n*2\r\n*3\r\n:1\r\n:0\r\n"),
            (.resp3, "_\r\n_\r\n%2\r\n~2\r\n>3\r\n#t\r\n#f\r\n"),
        ])
    func different(_ dialect: Dialect, _ expected: String) {
        let text = written {
            $0.writeNull(dialect)
            $0.writeNullArray(dialect)
            $0.writeMapHeader(pairs: 2, dialect)
            $0.writeSetHeader(count: 2, dialect)
            $0.writePushHeader(count: 3, dialect)
            $0.writeBoolean(true, dialect)
            $0.writeBoolean(false, dialect)
        }
        #expect(text == expected)
    }

    @Test(
        "Doubles",
        arguments: [
            (1.23, ",1.23\r\n", "$4\r\n1.23\r\n"), (10, ",10\r\n", "$2\r\n10\r\n"),
            (.infinity, ",inf\r\n", "$3\r\ninf\r\n"), (-.infinity, ",-inf\r\n", "$4\r\n-inf\r\n"),
            (.nan, ",nan\r\n", "$3\r\nnan\r\n"), (-0.5, ",-0.5\r\n", "$4\r\n-0.5\r\n"),
            (1e-5, ",0.00001\r\n", "$7\r\n0.00001\r\n"), (1e16, ",1e+16\r\n", "$5\r\n1e+16\r\n"),
            (12_345_678_901_234_568, ",12345678901234568\r\n", "$17\r\n12345678901234568\r\n"),
            (-1.5e-7, ",-1.5e-7\r\n", "$7\r\n-1.5e-7\r\n"), (0.25, ",0.25\r\n", "$4\r\n0.25\r\n"),
            (-0.0, ",-0\r\n", "$2\r\n-0\r\n"), (1.25e300, ",1.25e+300\r\n", "$9\r\n1.25e+300\r\n"),
        ])
    func doubles(_ value: Double, _ resp3: String, _ resp2: String) {
        #expect(written { $0.writeDouble(value, .resp3) } == resp3)
        #expect(written { $0.writeDouble(value, .resp2) } == resp2)
    }

    @Test("every double is written, and reads back the same: powers and their neighbours")
    func allDoubles() {
        let powers = (-1_074...1_023).map { Double(sign: .plus, exponent: $0, significand: 1) }
        let tens = (-307...308).compactMap { Double("1e\($0)") }
        let edges = [Double(Int.max), .greatestFiniteMagnitude, .leastNonzeroMagnitude, 0]
        for power in powers + tens + edges {
            for magnitude in [power.nextDown, power, power.nextUp] where magnitude.isFinite {
                for value in [magnitude, -magnitude] {
                    let text = written { $0.writeDouble(value, .resp3) }.dropFirst().dropLast()
                    #expect(Double(String(text)) == value, "\(value): \(text)")
                }
            }
        }
    }

    @Test("Decimals that are text already")
    func decimals() {
        for (dialect, expected) in [(Dialect.resp2, "$4\r\n0.30\r\n"), (.resp3, ",0.30\r\n")] {
            let text = written { buffer in
                Array("0.30".utf8).withUnsafeBytes { buffer.writeDouble(text: $0, dialect) }
            }
            #expect(text == expected)
        }
    }

    @Test("Members with scores: flat in RESP2, pairs in RESP3, as ZRANGE WITHSCORES answers")
    func pairs() {
        for (dialect, expected) in [
            (Dialect.resp2, "*4\r\n$1\r\na\r\n$3\r\n1.5\r\n$1\r\nb\r\n$1\r\n2\r\n"),
            (.resp3, "*2\r\n*2\r\n$1\r\na\r\n,1.5\r\n*2\r\n$1\r\nb\r\n,2\r\n"),
        ] {
            let text = written {
                $0.writePairsHeader(count: 2, dialect)
                for (member, score) in [("a", 1.5), ("b", 2)] {
                    $0.writePairHeader(dialect)
                    $0.writeBulkBytes(member)
                    $0.writeDouble(score, dialect)
                }
            }
            #expect(text == expected)
        }
    }

    @Test("Verbatim strings")
    func verbatim() {
        for (dialect, expected) in [
            (Dialect.resp3, "=15\r\ntxt:Some string\r\n"), (.resp2, "$11\r\nSome string\r\n"),
        ] {
            let text = written { buffer in
                Array("Some string".utf8).withUnsafeBytes { buffer.writeVerbatim($0, dialect) }
            }
            #expect(text == expected)
        }
    }

    @Test("Attributes precede the reply that they are about")
    func attributes() {
        let text = written {
            $0.writeAttributeHeader(pairs: 1)
            $0.writeSimple("mode")
            $0.writeSimple("quorum")
            $0.writeNull(.resp3)
        }
        #expect(text == "|1\r\n+mode\r\n+quorum\r\n_\r\n")
    }

    @Test("No byte of a client's ends an error line or fills it")
    func sanitised() {
        let hostile = Array("a\r\n+OK\r\n\0\u{1B}".utf8)
        let text = written { buffer in
            hostile.withUnsafeBytes { buffer.writeError("ERR no '", quoting: $0, "'") }
        }
        #expect(text == "-ERR no 'a  +OK    '\r\n")
        #expect(written { $0.writeError(text: "ERR a\r\nb") } == "-ERR a  b\r\n")
        let long = [UInt8](repeating: 120, count: 10_000)
        let short = written { buffer in
            long.withUnsafeBytes { buffer.writeError("ERR ", quoting: $0, "") }
        }
        #expect(short.utf8.count < 200)
    }
}
