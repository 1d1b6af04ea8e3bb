extension JSON {
    /// Why a text is not JSON5, and on which line (from 1).
    public struct ParseError: Error, Equatable, Sendable {
        public let line: Int
        public let problem: String
    }

    /// Reads JSON5: JSON, and beside it comments, trailing commas, bare names, single quotes,
    /// hexadecimal numbers.
    ///
    /// A name that stands twice in one set of members is refused: whichever of the two a reader
    /// took, someone meant the other. Nesting deeper than 64 is refused.
    ///
    /// Source: json5.org specification 1.0.0; bare names are ASCII letters, digits, `_` and `$`, or
    /// beyond ASCII.
    ///
    /// - Throws: `ParseError` with the line at which the text stops making sense.
    public init(parsing text: String) throws(ParseError) {
        var parser = JSONParser(text: text)
        self = try parser.document()
    }
}

/// A recursive-descent reader over the text's bytes, one function per rule of the grammar.
struct JSONParser {
    private static let depthMax = 64
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private var depth = 0

    init(text: String) {
        bytes = Array(text.utf8)
    }

    mutating func document() throws(JSON.ParseError) -> JSON {
        let value = try value()
        try skipBlank()
        guard position == bytes.count else { throw error("found more after the end of the value") }
        return value
    }

    private mutating func value() throws(JSON.ParseError) -> JSON {
        try skipBlank()
        guard let byte = current else { throw error("the text ends where a value should stand") }
        switch byte {
        case UInt8(ascii: "{"):
            return try nested(by: { (parser) throws(JSON.ParseError) in try parser.members() })
        case UInt8(ascii: "["):
            return try nested(by: { (parser) throws(JSON.ParseError) in try parser.list() })
        case UInt8(ascii: "\""), UInt8(ascii: "'"): return .text(try quoted(byte))
        default: return try word()
        }
    }

    private mutating func nested(
        by rule: (inout JSONParser) throws(JSON.ParseError) -> JSON
    ) throws(JSON.ParseError) -> JSON {
        guard depth < JSONParser.depthMax else { throw error("nested deeper than 64") }
        depth += 1
        position += 1
        let value = try rule(&self)
        depth -= 1
        return value
    }

    private mutating func members() throws(JSON.ParseError) -> JSON {
        var members: [JSON.Member] = []
        while try !closes(UInt8(ascii: "}")) {
            let start = line
            let name = try name()
            guard !members.contains(where: { $0.name == name }) else {
                throw error("\"\(name)\" stands here twice")
            }
            try skipBlank()
            guard current == UInt8(ascii: ":") else {
                throw error("expected ':' after \"\(name)\"")
            }
            position += 1
            members.append(JSON.Member(name, try value(), line: start))
            try separate(UInt8(ascii: "}"))
        }
        return .members(members)
    }

    private mutating func list() throws(JSON.ParseError) -> JSON {
        var values: [JSON] = []
        while try !closes(UInt8(ascii: "]")) {
            values.append(try value())
            try separate(UInt8(ascii: "]"))
        }
        return .list(values)
    }

    private mutating func closes(_ bracket: UInt8) throws(JSON.ParseError) -> Bool {
        try skipBlank()
        guard current == bracket else { return false }
        position += 1
        return true
    }

    private mutating func separate(_ bracket: UInt8) throws(JSON.ParseError) {
        try skipBlank()
        if current == UInt8(ascii: ",") {
            position += 1
        } else if current != bracket {
            let found = current == nil ? "the end of the text" : "something else"
            let closing = Character(Unicode.Scalar(bracket))
            throw error("expected ',' or '\(closing)' and found \(found)")
        }
    }

    private mutating func name() throws(JSON.ParseError) -> String {
        if let byte = current, byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
            return try quoted(byte)
        }
        let start = position
        while let byte = current, JSONParser.isWordByte(byte) { position += 1 }
        guard position > start, !JSONParser.isDigit(bytes[start]) else {
            throw error("expected a name")
        }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func word() throws(JSON.ParseError) -> JSON {
        let start = position
        while let byte = current, JSONParser.isWordByte(byte) || "+-.".utf8.contains(byte) {
            position += 1
        }
        let word = String(decoding: bytes[start..<position], as: UTF8.self)
        switch word {
        case "": throw error("expected a value")
        case "null": return .null
        case "true": return .bool(true)
        case "false": return .bool(false)
        default: break
        }
        guard let number = JSONParser.number(word) else {
            throw error("\(word) is no value; text stands in quotes: \"\(word)\"")
        }
        return number
    }

    private static func number(_ word: String) -> JSON? {
        let negative = word.hasPrefix("-")
        let digits = negative || word.hasPrefix("+") ? String(word.dropFirst()) : word
        guard let first = digits.utf8.first,
            isDigit(first) || first == UInt8(ascii: ".") || first == UInt8(ascii: "I")
                || first == UInt8(ascii: "N")
        else { return nil }
        if digits == "Infinity" { return .number(negative ? -.infinity : .infinity) }
        if digits == "NaN" { return .number(.nan) }
        if digits.hasPrefix("0x") || digits.hasPrefix("0X") {
            let sixteenths = digits.dropFirst(2)
            guard sixteenths.allSatisfy(\.isHexDigit) else { return nil }
            return Int((negative ? "-" : "") + sixteenths, radix: 16).map { .integer($0) }
        }
        if let whole = Int((negative ? "-" : "") + digits) { return .integer(whole) }
        guard digits.utf8.allSatisfy({ isDigit($0) || "+-.eE".utf8.contains($0) }) else {
            return nil
        }
        let padded = digits.hasPrefix(".") ? "0" + digits : digits
        let closed = padded.hasSuffix(".") ? padded + "0" : padded
        return Double(closed).map { .number(negative ? -$0 : $0) }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 48 && byte <= 57 }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        isDigit(byte) || (byte | 32 >= 97 && byte | 32 <= 122) || byte >= 0x80
            || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "$")
    }
}

extension JSONParser {
    private mutating func quoted(_ quote: UInt8) throws(JSON.ParseError) -> String {
        position += 1
        var text: [UInt8] = []
        while let byte = current {
            switch byte {
            case quote:
                position += 1
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\n"): throw error("a text in quotes ends with its line")
            case UInt8(ascii: "\\"): try escape(into: &text)
            default:
                text.append(byte)
                position += 1
            }
        }
        throw error("a quote is not closed")
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSON.ParseError) {
        position += 1
        guard let byte = current else { throw error("a quote is not closed") }
        position += 1
        switch byte {
        case UInt8(ascii: "b"): text.append(8)
        case UInt8(ascii: "f"): text.append(12)
        case UInt8(ascii: "n"): text.append(10)
        case UInt8(ascii: "r"): text.append(13)
        case UInt8(ascii: "t"): text.append(9)
        case UInt8(ascii: "v"): text.append(11)
        case UInt8(ascii: "0"): text.append(0)
        case UInt8(ascii: "x"): try append(scalar: hexadecimal(2), into: &text)
        case UInt8(ascii: "u"): try append(scalar: unicodeEscape(), into: &text)
        case UInt8(ascii: "\n"): line += 1
        default: text.append(byte)
        }
    }

    private func append(scalar code: UInt32, into text: inout [UInt8]) throws(JSON.ParseError) {
        guard let scalar = Unicode.Scalar(code) else { throw error("half a surrogate pair") }
        text += Array(String(Character(scalar)).utf8)
    }

    private mutating func unicodeEscape() throws(JSON.ParseError) -> UInt32 {
        let first = try hexadecimal(4)
        guard first & 0xFC00 == 0xD800 else { return first }
        guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
            bytes[position + 1] == UInt8(ascii: "u")
        else { throw error("half a surrogate pair") }
        position += 2
        let second = try hexadecimal(4)
        guard second & 0xFC00 == 0xDC00 else { throw error("half a surrogate pair") }
        return 0x10000 + (first & 0x3FF) << 10 + second & 0x3FF
    }

    private mutating func hexadecimal(_ count: Int) throws(JSON.ParseError) -> UInt32 {
        let end = position + count
        guard end <= bytes.count else { throw error("expected \(count) hexadecimal digits") }
        let digits = String(decoding: bytes[position..<end], as: UTF8.self)
        guard digits.allSatisfy(\.isHexDigit), let code = UInt32(digits, radix: 16) else {
            throw error("expected \(count) hexadecimal digits")
        }
        position = end
        return code
    }

    private mutating func skipBlank() throws(JSON.ParseError) {
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\n"):
                line += 1
                position += 1
            case 9, 11, 12, 13, 32: position += 1
            case UInt8(ascii: "/"): try skipComment()
            case 0xEF where bytes[position...].starts(with: [0xEF, 0xBB, 0xBF]): position += 3
            default: return
            }
        }
    }

    private mutating func skipComment() throws(JSON.ParseError) {
        let next = position + 1 < bytes.count ? bytes[position + 1] : 0
        position += 2
        switch next {
        case UInt8(ascii: "/"):
            while let byte = current, byte != UInt8(ascii: "\n") { position += 1 }
        case UInt8(ascii: "*"):
            while !(current == UInt8(ascii: "*") && position + 1 < bytes.count
                && bytes[position + 1] == UInt8(ascii: "/"))
            {
                guard let byte = current else { throw error("a comment is not closed") }
                if byte == UInt8(ascii: "\n") { line += 1 }
                position += 1
            }
            position += 2
        default: throw error("a lone '/'")
        }
    }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private func error(_ problem: String) -> JSON.ParseError {
        JSON.ParseError(line: line, problem: problem)
    }
}
