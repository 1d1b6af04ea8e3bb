/// A set of strings as a JSON array, the type of value that `OverflowPolicy.union` merges.
///
/// Read are all arrays of strings that RFC 8259 allows, in UTF-8; an element that stands there
/// twice counts once. Written is one form only: elements ascending by their UTF-8 bytes, no blanks,
/// nothing escaped but what must be. So equal sets are equal bytes, and the union of any lists is
/// the same whichever two are joined first, and however often.
///
/// Strings are equal when their UTF-8 is: there is no normalisation of accents.
struct StringList {
    /// Ascending, each once.
    private(set) var elements: [[UInt8]]

    /// - Returns: nil for bytes that are anything but one array of strings.
    init?(_ json: [UInt8]) {
        var reader = StringListReader(json)
        guard let read = reader.readArray() else { return nil }
        self.init(read)
    }

    /// A list of these strings, in UTF-8.
    ///
    /// - Complexity: O(n log n).
    init(_ strings: [[UInt8]]) {
        elements = []
        for element in strings.sorted(by: { $0.lexicographicallyPrecedes($1) })
        where element != elements.last { elements.append(element) }
    }

    /// The list in its one form.
    func encoded() -> [UInt8] {
        var json: [UInt8] = [UInt8(ascii: "[")]
        for (index, element) in elements.enumerated() {
            if index > 0 { json.append(UInt8(ascii: ",")) }
            json.append(UInt8(ascii: "\""))
            for byte in element { StringList.append(byte, to: &json) }
            json.append(UInt8(ascii: "\""))
        }
        json.append(UInt8(ascii: "]"))
        return json
    }

    private static func append(_ byte: UInt8, to json: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): json += [UInt8(ascii: "\\"), byte]
        case 0..<0x20:
            let digits = Array("0123456789abcdef".utf8)
            json += Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        default: json.append(byte)
        }
    }
}

/// Reads an array of strings, from the front.
private struct StringListReader {
    private let bytes: [UInt8]
    private var index = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func readArray() -> [[UInt8]]? {
        guard String(validating: bytes, as: UTF8.self) != nil, take("[") else { return nil }
        var elements: [[UInt8]] = []
        if !take("]") {
            repeat {
                guard let element = readString() else { return nil }
                elements.append(element)
            } while take(",")
            guard take("]") else { return nil }
        }
        skipBlanks()
        return index == bytes.count ? elements : nil
    }

    private mutating func skipBlanks() {
        while index < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[index]) { index += 1 }
    }

    /// Whether a mark comes next, behind blanks; then it is passed.
    private mutating func take(_ mark: Unicode.Scalar) -> Bool {
        skipBlanks()
        guard index < bytes.count, bytes[index] == UInt8(ascii: mark) else { return false }
        index += 1
        return true
    }

    private mutating func readString() -> [UInt8]? {
        guard take("\"") else { return nil }
        var element: [UInt8] = []
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            switch byte {
            case UInt8(ascii: "\""): return element
            case UInt8(ascii: "\\"):
                guard let character = readEscape() else { return nil }
                element += Array(String(character).utf8)
            case 0..<0x20: return nil
            default: element.append(byte)
            }
        }
        return nil
    }

    private mutating func readEscape() -> Unicode.Scalar? {
        guard index < bytes.count else { return nil }
        let letter = bytes[index]
        index += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"):
            return Unicode.Scalar(letter)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return readScalar()
        default: return nil
        }
    }

    /// Four digits, or twice four where UTF-16 takes two units; half of such a pair is no string.
    private mutating func readScalar() -> Unicode.Scalar? {
        guard let unit = readUnit() else { return nil }
        guard 0xD800..<0xDC00 ~= unit else { return Unicode.Scalar(unit) }
        guard index + 2 <= bytes.count, bytes[index] == UInt8(ascii: "\\"),
            bytes[index + 1] == UInt8(ascii: "u")
        else { return nil }
        index += 2
        guard let low = readUnit(), 0xDC00..<0xE000 ~= low else { return nil }
        return Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00))
    }

    private mutating func readUnit() -> UInt32? {
        guard index + 4 <= bytes.count else { return nil }
        var unit: UInt32 = 0
        for byte in bytes[index..<(index + 4)] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { return nil }
            unit = unit << 4 | UInt32(digit)
        }
        index += 4
        return unit
    }
}
