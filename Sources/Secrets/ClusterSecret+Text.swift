// A secret as an operator writes it: hexadecimal digits, or base64 of either alphabet, with or
// without padding.
extension ClusterSecret {
    /// Why a text is no secret. Nothing here repeats the text.
    public enum TextError: Error, Equatable, Sendable {
        /// Neither hexadecimal digits nor base64.
        case malformed
        /// Meant to be hexadecimal, and not quite: how many of its characters are no digits.
        case mistypedHexadecimal(others: Int)
        case tooShort(byteCount: Int)
        case tooLong

        /// What is wrong and what would be right, behind the setting's name.
        public var text: String {
            switch self {
            case .malformed: "is neither hexadecimal digits nor base64; \(TextError.advice)"
            case .mistypedHexadecimal(0):
                "has an odd number of hexadecimal digits; one is missing or too many"
            case .mistypedHexadecimal(let others):
                "has \(others) \(others == 1 ? "character that is no" : "characters that are no") "
                    + "hexadecimal digit among hexadecimal digits, so it is mistyped"
            case .tooShort(let count):
                "has \(count) bytes where at least 32 are needed; \(TextError.advice)"
            case .tooLong: "has more than 1,024 bytes; 32 are enough"
            }
        }

        private static let advice = "make one with: openssl rand -hex 32"
    }

    /// - Parameter text: blanks and line ends around it do not count.
    public init(text: String) throws(TextError) {
        var characters = Array(text.utf8)[...]
        while let last = characters.last, TextCharacters.isBlank(last) { characters.removeLast() }
        while let first = characters.first, TextCharacters.isBlank(first) {
            characters.removeFirst()
        }
        let others = characters.count { TextCharacters.digit($0) == nil }
        // Of random characters of base64 two thirds are no hexadecimal digits.
        let isMistyped =
            others > 0 ? others * 8 <= characters.count : !characters.count.isMultiple(of: 2)
        if isMistyped, characters.count >= ClusterSecret.byteCounts.lowerBound {
            throw .mistypedHexadecimal(others: others)
        }
        let decoded = TextCharacters.hexadecimal(characters) ?? TextCharacters.base64(characters)
        guard let bytes = decoded else { throw .malformed }
        guard bytes.count <= ClusterSecret.byteCounts.upperBound else { throw .tooLong }
        guard let secret = ClusterSecret(bytes) else { throw .tooShort(byteCount: bytes.count) }
        self = secret
    }

    /// Hexadecimal digits that `init(text:)` reads: for the one file that holds the secret.
    public var text: String { hexadecimal }
}

private enum TextCharacters {
    static func isBlank(_ character: UInt8) -> Bool { [9, 10, 13, 32].contains(character) }

    static func hexadecimal(_ characters: ArraySlice<UInt8>) -> [UInt8]? {
        guard characters.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in characters {
            guard let digit = digit(character) else { return nil }
            if let first = high {
                bytes.append(first << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        return bytes
    }

    static func digit(_ character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - 48
        case UInt8(ascii: "a")...UInt8(ascii: "f"): character - 87
        case UInt8(ascii: "A")...UInt8(ascii: "F"): character - 55
        default: nil
        }
    }

    static func base64(_ characters: ArraySlice<UInt8>) -> [UInt8]? {
        var characters = characters
        while characters.last == UInt8(ascii: "=") { characters.removeLast() }
        var bytes: [UInt8] = []
        var (bits, bitCount): (UInt32, UInt32) = (0, 0)
        for character in characters {
            guard let sextet = sextet(character) else { return nil }
            bits = bits << 6 | sextet
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> bitCount))
            }
        }
        return bitCount < 6 ? bytes : nil
    }

    private static func sextet(_ character: UInt8) -> UInt32? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(character) - 65
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(character) - 71
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(character) + 4
        case UInt8(ascii: "+"), UInt8(ascii: "-"): 62
        case UInt8(ascii: "/"), UInt8(ascii: "_"): 63
        default: nil
        }
    }
}
