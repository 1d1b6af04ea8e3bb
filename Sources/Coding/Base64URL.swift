/// Bytes as text that needs no quoting anywhere a client may put it: how opaque tokens travel.
///
/// Source: RFC 4648 §5, without padding; only the one canonical spelling is decoded.
public enum Base64URL {
    /// How many characters so many bytes become.
    public static func encodedCount(_ count: Int) -> Int { count / 3 * 4 + (count % 3 * 8 + 5) / 6 }

    /// Appends the text of the bytes, which are not the buffer's own.
    public static func encode(_ bytes: UnsafeRawBufferPointer, into buffer: inout ByteBuffer) {
        var bits: UInt32 = 0
        var bitCount: UInt32 = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            bitCount += 8
            while bitCount >= 6 {
                bitCount -= 6
                buffer.append(character(UInt8(truncatingIfNeeded: bits >> bitCount) & 63))
            }
        }
        if bitCount > 0 {
            buffer.append(character(UInt8(truncatingIfNeeded: bits << (6 - bitCount)) & 63))
        }
    }

    /// Appends the bytes that the text stands for.
    ///
    /// - Throws: `invalid` for a foreign character, padding, an impossible length or bits that the
    ///   encoder leaves zero; the buffer is then as it was.
    public static func decode(
        _ text: UnsafeRawBufferPointer, into buffer: inout ByteBuffer
    ) throws(DecodeError) {
        let start = buffer.count
        var bits: UInt32 = 0
        var bitCount = 0
        for character in text {
            guard let sextet = value(of: character) else {
                buffer.truncate(to: start)
                throw .invalid("not a base64url character")
            }
            bits = bits << 6 | UInt32(sextet)
            bitCount += 6
            guard bitCount >= 8 else { continue }
            bitCount -= 8
            buffer.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
        }
        guard bitCount < 6, bits & (1 << UInt32(bitCount) - 1) == 0 else {
            buffer.truncate(to: start)
            throw .invalid("base64url text is cut or not canonical")
        }
    }

    private static func character(_ sextet: UInt8) -> UInt8 {
        switch sextet {
        case 0..<26: sextet + 65
        case 26..<52: sextet + 71
        case 52..<62: sextet - 4
        case 62: UInt8(ascii: "-")
        default: UInt8(ascii: "_")
        }
    }

    private static func value(of character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): character - 65
        case UInt8(ascii: "a")...UInt8(ascii: "z"): character - 71
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character + 4
        case UInt8(ascii: "-"): 62
        case UInt8(ascii: "_"): 63
        default: nil
        }
    }
}
