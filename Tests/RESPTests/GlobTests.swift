import Base
import Testing

@testable import RESP

@Suite("Patterns")
struct GlobTests {
    func matches(_ pattern: String, _ text: String) -> Bool {
        matches(Array(pattern.utf8), Array(text.utf8))
    }

    func matches(_ pattern: [UInt8], _ text: [UInt8]) -> Bool {
        pattern.withUnsafeBytes { pattern in text.withUnsafeBytes { Glob(pattern).matches($0) } }
    }

    @Test(
        "What matches",
        arguments: [
            ("", ""), ("*", ""), ("*", "abc"), ("***", "x"), ("h?llo", "hello"), ("h*llo", "hllo"),
            ("h*llo", "heeeello"), ("h[ae]llo", "hallo"), ("h[^e]llo", "hbllo"),
            ("h[a-c]llo", "hbllo"),
            ("h[c-a]llo", "hbllo"), (#"h\?llo"#, "h?llo"), (#"a\*"#, "a*"), ("[a-", "a"),
            ("[a-", "-"),
            ("[abc", "c"), (#"[\]]"#, "]"), (#"[a\-z]"#, "-"), ("*a*b*", "xxaxxbxx"),
            ("a*b*c", "abbc"),
            (#"a\"#, #"a\"#), ("key:*:[0-9]?", "key:user:42"), ("*b", "bbb"), ("a*a", "aa"),
        ])
    func matching(_ pattern: String, _ text: String) {
        #expect(matches(pattern, text))
    }

    @Test(
        "What does not",
        arguments: [
            ("", "a"), ("a", ""), ("?", ""), ("h?llo", "hllo"), ("h[^e]llo", "hello"), ("H", "h"),
            ("h[a-b]llo", "hcllo"), ("*b", "abc"), ("a*", "ba"), (#"a\*"#, "ab"), ("[]", "a"),
            ("a*a", "a"), ("[a-", "b"), ("abc", "abcd"), ("abcd", "abc"),
        ])
    func notMatching(_ pattern: String, _ text: String) {
        #expect(!matches(pattern, text))
    }

    @Test("Agrees with the definition on random small patterns")
    func definition() {
        var random = PRNG(seed: 6)
        for _ in 0..<20_000 {
            let pattern = (0..<random.below(7)).map { _ in Array("*?ab".utf8)[random.below(4)] }
            let text = (0..<random.below(7)).map { _ in Array("ab".utf8)[random.below(2)] }
            #expect(matches(pattern, text) == defined(pattern[...], text[...]))
        }
    }

    /// The definition, tried every way.
    private func defined(_ pattern: ArraySlice<UInt8>, _ text: ArraySlice<UInt8>) -> Bool {
        guard let first = pattern.first else { return text.isEmpty }
        let rest = pattern.dropFirst()
        if first == UInt8(ascii: "*") {
            return defined(rest, text) || (!text.isEmpty && defined(pattern, text.dropFirst()))
        }
        guard let byte = text.first, first == UInt8(ascii: "?") || first == byte else {
            return false
        }
        return defined(rest, text.dropFirst())
    }

    @Test("Many stars cost no more than the product of the lengths")
    func bounded() {
        let pattern = String(repeating: "*a", count: 300) + "b"
        #expect(!matches(pattern, String(repeating: "a", count: 2000)))
    }

    @Test("Random patterns never trap")
    func randomPatterns() {
        var random = PRNG(seed: 7)
        let alphabet = Array("*?[]^-\\ab".utf8)
        for _ in 0..<50_000 {
            let pattern = (0..<random.below(10)).map { _ in alphabet[random.below(alphabet.count)] }
            _ = matches(pattern, Array("ab-]a".utf8))
        }
    }
}
