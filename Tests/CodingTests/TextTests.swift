import Base
import Testing

@testable import Coding

@Suite("Numbers and bytes as text")
struct TextTests {
    func signed(_ text: String) -> Int64? {
        Array(text.utf8).withUnsafeBytes { Int64(decimal: $0) }
    }

    func unsigned(_ text: String) -> UInt64? {
        Array(text.utf8).withUnsafeBytes { UInt64(decimal: $0) }
    }

    @Test(
        "Decimal numbers that fit",
        arguments: [
            0, 1, -1, 9, 10, -10, 123_456_789, Int64.max, Int64.min, Int64.max - 1, Int64.min + 1,
        ])
    func numbers(_ value: Int64) {
        #expect(signed(String(value)) == value)
    }

    @Test(
        "Anything else is no number",
        arguments: [
            "", "-", "+1", "01", "-01", "-0", "00", " 1", "1 ", "1.0", "1e3", "0x1", "a", "1a",
            "--1",
            "9223372036854775808", "-9223372036854775809", "18446744073709551616",
            "99999999999999999999", "123456789012345678901", "\u{0}1", "1\u{0}", "٣",
        ])
    func notNumbers(_ text: String) {
        #expect(signed(text) == nil)
    }

    @Test("Unsigned numbers reach to 2⁶⁴−1")
    func unsignedNumbers() {
        #expect(unsigned("18446744073709551615") == .max)
        #expect(unsigned("18446744073709551616") == nil)
        #expect(unsigned("0") == 0)
        #expect(unsigned("-1") == nil)
    }

    func encoded(_ bytes: [UInt8]) -> String {
        text { buffer in bytes.withUnsafeBytes { Base64URL.encode($0, into: &buffer) } }
    }

    func decoded(_ text: String) throws -> [UInt8] {
        var buffer = ByteBuffer()
        buffer.append("x")
        try Array(text.utf8).withUnsafeBytes { try Base64URL.decode($0, into: &buffer) }
        return Array([UInt8](buffer.bytes).dropFirst())
    }

    @Test(
        "The examples of RFC 4648 §10, without padding",
        arguments: [
            ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"), ("foobar", "Zm9vYmFy"),
        ])
    func base64Examples(_ plain: String, _ text: String) throws {
        #expect(encoded(Array(plain.utf8)) == text)
        #expect(try decoded(text) == Array(plain.utf8))
        #expect(Base64URL.encodedCount(plain.utf8.count) == text.utf8.count)
    }

    @Test("The last two characters are those that need no quoting in a URL")
    func base64Alphabet() throws {
        #expect(encoded([0xFB, 0xFF, 0xBF]) == "-_-_")
        #expect(try decoded("-_-_") == [0xFB, 0xFF, 0xBF])
    }

    @Test("Every run of bytes comes back")
    func base64RoundTrip() throws {
        var random = PRNG(seed: 5)
        for count in 0..<200 {
            let bytes = (0..<count).map { _ in UInt8(random.below(256)) }
            #expect(try decoded(encoded(bytes)) == bytes)
            #expect(Base64URL.encodedCount(count) == encoded(bytes).utf8.count)
        }
    }

    @Test(
        "Foreign characters, padding, cut and second spellings are refused",
        arguments: [
            "Z", "Zg==", "Zm8=", "Zh", "Zm9", "Zm9v Zg", "Zm+v", "Zm/v", "Zm9vY", "Zm9v\n", "é",
        ])
    func base64Refusals(_ text: String) {
        #expect(throws: DecodeError.self) { _ = try decoded(text) }
    }
}
