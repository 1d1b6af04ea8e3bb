import Coding

/// A floating-point number as Redis writes one: the fewest digits that read back the same, without
/// an exponent up to seven places behind or zeros after them.
///
/// Source: Redis 7.2, `addReplyDouble` and `fpconv_dtoa`.
struct ScoreText {
    private var isNegative: Bool
    /// Without zeros at either end.
    private var digits: [UInt8] = []
    /// The power of ten of the last digit.
    private var exponent = 0

    /// - Parameter value: finite, and not zero.
    static func write(_ value: Double, into buffer: inout ByteBuffer) {
        if let whole = Int(exactly: value), whole.magnitude < 1 << 52 {
            buffer.append(decimal: whole)
        } else {
            ScoreText(value).write(into: &buffer)
        }
    }

    private init(_ value: Double) {
        isNegative = value < 0
        var places = 0
        var text = value.magnitude.description
        text.withUTF8 { bytes in
            var isBehindPoint = false
            for (offset, byte) in bytes.enumerated() {
                if byte == UInt8(ascii: "e") {
                    let rest = UnsafeBufferPointer(rebasing: bytes[(offset + 1)...])
                    exponent = Int(String(decoding: rest, as: UTF8.self)) ?? 0
                    break
                }
                if byte == UInt8(ascii: ".") {
                    isBehindPoint = true
                } else {
                    digits.append(byte)
                    places += isBehindPoint ? 1 : 0
                }
            }
        }
        exponent -= places
        while digits.count > 1, digits.last == UInt8(ascii: "0") {
            digits.removeLast()
            exponent += 1
        }
        digits.removeFirst(digits.prefix { $0 == UInt8(ascii: "0") }.count)
    }

    private func write(into buffer: inout ByteBuffer) {
        if isNegative { buffer.append("-") }
        let power = exponent + digits.count - 1
        if exponent >= 0, power < digits.count + 7 {
            buffer.append(digits)
            for _ in 0..<exponent { buffer.append("0") }
        } else if exponent < 0, exponent > -7 || abs(power) < 4 {
            writeFraction(into: &buffer)
        } else {
            buffer.append(digits[0])
            if digits.count > 1 { buffer.append(".") }
            buffer.append(Array(digits.dropFirst()))
            buffer.append(power < 0 ? "e-" : "e+")
            buffer.append(decimal: abs(power))
        }
    }

    private func writeFraction(into buffer: inout ByteBuffer) {
        let whole = digits.count + exponent
        guard whole > 0 else {
            buffer.append("0.")
            for _ in whole..<0 { buffer.append("0") }
            return buffer.append(digits)
        }
        buffer.append(Array(digits.prefix(whole)))
        buffer.append(".")
        buffer.append(Array(digits.dropFirst(whole)))
    }
}
