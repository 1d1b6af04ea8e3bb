import Coding

/// The URL-safe base64 alphabet without padding, and only its one canonical spelling of each run of
/// bytes.
///
/// Source: RFC 4648 §5 and §3.5.
enum Base64URL {
    private static let alphabet: StaticString =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    static func encode(_ bytes: UnsafeRawBufferPointer, into buffer: inout ByteBuffer) {
        var bits: UInt32 = 0
        var pending = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            pending += 8
            while pending >= 6 {
                pending -= 6
                buffer.append(alphabet.utf8Start[Int(bits >> UInt32(pending) & 63)])
            }
        }
        if pending > 0 { buffer.append(alphabet.utf8Start[Int(bits << UInt32(6 - pending) & 63)]) }
    }

    /// - Throws: `invalid` for a foreign character, or for bits set behind the last byte.
    static func decode(
        _ text: UnsafeRawBufferPointer, into buffer: inout ByteBuffer
    ) throws(DecodeError) {
        var bits: UInt32 = 0
        var pending = 0
        for character in text {
            guard let value = value(of: character) else {
                throw .invalid("causal context has a foreign character")
            }
            bits = bits << 6 | value
            pending += 6
            if pending >= 8 {
                pending -= 8
                buffer.append(UInt8(truncatingIfNeeded: bits >> UInt32(pending)))
            }
        }
        guard pending < 6, bits & (1 << UInt32(pending) - 1) == 0 else {
            throw .invalid("causal context ends within a byte")
        }
    }

    private static func value(of character: UInt8) -> UInt32? {
        switch character {
        case 65...90: UInt32(character - 65)
        case 97...122: UInt32(character - 71)
        case 48...57: UInt32(character + 4)
        case 45: 62
        case 95: 63
        default: nil
        }
    }
}
