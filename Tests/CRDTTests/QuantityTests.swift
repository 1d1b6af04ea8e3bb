import Testing

@testable import CRDT

@Suite("Exact decimal numbers")
struct QuantityTests {
    private func text(_ input: String) -> String? {
        Quantity(decimal: input.utf8).map { String(decoding: $0.text, as: UTF8.self) }
    }

    @Test(
        "decimals are read and written in their shortest form",
        arguments: [
            ("0", "0"), ("-0", "0"), ("12", "12"), ("+7", "7"), ("-12.50", "-12.5"), (".5", "0.5"),
            ("3.0e3", "3000"), ("1e-3", "0.001"), ("0.00000000000000001", "0.00000000000000001"),
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("0.000000000000000005", "0.00000000000000001"),
            ("0.000000000000000004", "0"), ("1e-400", "0"), ("0e9999", "0"), ("5.", "5"),
        ])
    func reading(_ input: String, _ output: String) { #expect(text(input) == output) }

    @Test(
        "what is no number, or too large, is none",
        arguments: [
            "", "-", ".", "e5", "1e", "1e+", "1 ", " 1", "abc", "nan", "inf", "0x10", "1.2.3",
            "--1",
            "9223372036854775808", "1e400", "99999999999999999999999999999999999999999999999999",
        ])
    func refused(_ input: String) { #expect(text(input) == nil) }

    @Test("0.1 + 0.2 is 0.3 in every order, and a difference is right where totals wrapped")
    func exact() throws {
        let a = try #require(Quantity(decimal: "0.1".utf8))
        let b = try #require(Quantity(decimal: "0.2".utf8))
        #expect(String(decoding: (a + b).text, as: UTF8.self) == "0.3")
        let high = Quantity(rawValue: .max)
        #expect((high + a) - high == a)
    }

    @Test("a sum beyond the range stops at its end")
    func clamped() {
        var sum = Quantity.Sum()
        sum.add(Quantity(.max))
        sum.add(Quantity(5))
        #expect(sum.total == Quantity(.max))
        sum.add(Quantity(-6))
        #expect(sum.total == Quantity(.max - 1))
    }
}
