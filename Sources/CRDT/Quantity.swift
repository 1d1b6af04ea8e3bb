import Coding

/// A decimal number with 17 places behind the point, exact: what counters add up.
///
/// Floating point is not associative, so replicas that add the same increments in another order
/// would differ; this does not, and 0.1 + 0.2 is 0.3. Sums wrap around at 2¹²⁸; who lets numbers in
/// keeps them `isInRange`, and differences of running totals are right even where a total wrapped.
public struct Quantity: Hashable, Comparable, Sendable {
    /// How many units of the last place make one.
    public static let one: Int128 = 100_000_000_000_000_000
    /// Digits behind the point.
    public static let places = 17

    /// In units of the last place.
    public let rawValue: Int128

    public init(rawValue: Int128) { self.rawValue = rawValue }

    public init(_ value: Int64) { rawValue = Int128(value) * Quantity.one }

    public static let zero = Quantity(rawValue: 0)

    /// Whether the number lies between the smallest and the largest `Int64`.
    public var isInRange: Bool {
        rawValue >= Int128(Int64.min) * Quantity.one && rawValue <= Int128(Int64.max) * Quantity.one
    }

    /// The number as an integer; nil when it has a fraction or is out of range.
    public var integer: Int64? {
        let (quotient, remainder) = rawValue.quotientAndRemainder(dividingBy: Quantity.one)
        return remainder == 0 ? Int64(exactly: quotient) : nil
    }

    public static func < (a: Quantity, b: Quantity) -> Bool { a.rawValue < b.rawValue }
    /// Wraps around at 2¹²⁸.
    public static func + (a: Quantity, b: Quantity) -> Quantity {
        Quantity(rawValue: a.rawValue &+ b.rawValue)
    }
    /// Wraps around at 2¹²⁸.
    public static func - (a: Quantity, b: Quantity) -> Quantity {
        Quantity(rawValue: a.rawValue &- b.rawValue)
    }
}

extension Quantity {
    /// Collects a sum of up to 2⁶⁰ numbers without wrapping.
    struct Sum {
        private var rest: Int128 = 0
        /// What `rest` had no room for: divisions of so wide numbers are slow, so that few sums
        /// get here.
        private var ones: Int128 = 0
        private var parts: Int128 = 0

        mutating func add(_ quantity: Quantity) {
            let (sum, overflow) = rest.addingReportingOverflow(quantity.rawValue)
            if !overflow {
                rest = sum
                return
            }
            spill()
            rest = quantity.rawValue
        }

        private mutating func spill() {
            let (quotient, remainder) = rest.quotientAndRemainder(dividingBy: Quantity.one)
            ones += quotient
            parts += remainder
            rest = 0
        }

        /// The sum; beyond the range of `Int64`, which only concurrent increments reach, its end.
        var total: Quantity {
            if ones == 0 && parts == 0 { return Quantity(rawValue: rest).clamped }
            var sum = self
            sum.spill()
            return sum.spilled
        }

        private var spilled: Quantity {
            let carried = ones + parts / Quantity.one
            if carried > Int128(Int64.max) { return Quantity(Int64.max) }
            if carried < Int128(Int64.min) { return Quantity(Int64.min) }
            return Quantity(rawValue: carried * Quantity.one + parts % Quantity.one).clamped
        }
    }

    fileprivate var clamped: Quantity {
        min(max(self, Quantity(Int64.min)), Quantity(Int64.max))
    }

    /// Whether what an identity has added may grow by `delta`: that may be more than a value may
    /// have, where others have taken from it.
    func mayAdd(_ delta: Quantity) -> Bool {
        !rawValue.addingReportingOverflow(delta.rawValue).overflow
    }

    /// The number with `delta` added; nil when that is out of range.
    func adding(_ delta: Quantity) -> Quantity? {
        let (sum, overflow) = rawValue.addingReportingOverflow(delta.rawValue)
        let result = Quantity(rawValue: sum)
        return !overflow && result.isInRange ? result : nil
    }
}

// Text
extension Quantity {
    /// Reads `-12`, `3.25`, `1e-3`; places beyond the seventeenth are rounded, halves away from
    /// zero. Nil for anything else, and for what is out of range.
    public init?(decimal text: some Sequence<UInt8>) {
        var scanner = DecimalScanner()
        for byte in text { guard scanner.take(byte) else { return nil } }
        guard let raw = scanner.result else { return nil }
        let quantity = Quantity(rawValue: raw)
        guard quantity.isInRange else { return nil }
        self = quantity
    }

    /// The shortest decimal: no exponent, no zeros at the end.
    public var text: [UInt8] {
        let ones = rawValue.magnitude / UInt128(Quantity.one)
        var parts = rawValue.magnitude % UInt128(Quantity.one)
        var digits = Array(String(UInt64(truncatingIfNeeded: ones)).utf8)
        if rawValue < 0 { digits.insert(UInt8(ascii: "-"), at: 0) }
        guard parts > 0 else { return digits }
        digits.append(UInt8(ascii: "."))
        var unit = UInt128(Quantity.one) / 10
        while parts > 0 {
            digits.append(UInt8(ascii: "0") + UInt8(parts / unit))
            parts %= unit
            unit /= 10
        }
        return digits
    }

    func encode(into encoder: inout DotEncoder) { encoder.append(signed: rawValue) }

    init(decoding decoder: inout DotDecoder) throws(DecodeError) {
        rawValue = try decoder.signed()
    }
}

/// Reads a decimal number byte by byte.
private struct DecimalScanner {
    private enum Part { case sign, ones, fraction, exponentSign, exponent }

    private static let significantMax = Int128(1) << 120

    private var part = Part.sign
    private var isNegative = false
    private var digits: Int128 = 0
    private var digitCount = 0
    private var scale = 0
    private var exponent = 0
    private var exponentDigits = 0
    private var isExponentNegative = false

    mutating func take(_ byte: UInt8) -> Bool {
        switch (part, byte) {
        case (.sign, UInt8(ascii: "-")), (.sign, UInt8(ascii: "+")):
            isNegative = byte == UInt8(ascii: "-")
            part = .ones
        case (.sign, 48...57), (.ones, 48...57), (.fraction, 48...57):
            if part == .sign { part = .ones }
            guard digits < Self.significantMax else { return part == .fraction }
            digits = digits * 10 + Int128(byte - 48)
            digitCount += 1
            if part == .fraction { scale += 1 }
        case (.sign, UInt8(ascii: ".")), (.ones, UInt8(ascii: ".")): part = .fraction
        case (.ones, UInt8(ascii: "e")), (.ones, UInt8(ascii: "E")),
            (.fraction, UInt8(ascii: "e")), (.fraction, UInt8(ascii: "E")):
            part = .exponentSign
        case (.exponentSign, UInt8(ascii: "-")), (.exponentSign, UInt8(ascii: "+")):
            isExponentNegative = byte == UInt8(ascii: "-")
            part = .exponent
        case (.exponentSign, 48...57), (.exponent, 48...57):
            part = .exponent
            exponentDigits += 1
            exponent = min(exponent * 10 + Int(byte - 48), 10_000)
        default: return false
        }
        return true
    }

    /// In units of the last place; nil for no number, or one that is too large.
    var result: Int128? {
        guard digitCount > 0, exponentDigits > 0 || part == .ones || part == .fraction else {
            return nil
        }
        var raw = isNegative ? -digits : digits
        var shift = Quantity.places - scale + (isExponentNegative ? -exponent : exponent)
        while shift > 0, raw != 0 {
            let (product, overflow) = raw.multipliedReportingOverflow(by: 10)
            if overflow { return nil }
            raw = product
            shift -= 1
        }
        while shift < -1, raw != 0 {
            raw /= 10
            shift += 1
        }
        if shift == -1 { raw = (raw + (raw < 0 ? -5 : 5)) / 10 }
        return raw
    }
}
