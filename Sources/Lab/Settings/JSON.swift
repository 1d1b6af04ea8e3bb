/// A JSON value that keeps its members in order: what machines read on standard output, and what
/// settings are read from.
///
/// Reading accepts JSON5 (`JSON(parsing:)` in JSONParser.swift); writing produces plain JSON.
public enum JSON: Equatable, Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case text(String)
    case list([JSON])
    case members([Member])

    /// One name with its value.
    public struct Member: Equatable, Sendable {
        public let name: String
        public let value: JSON
        /// The line of the name in the text it came from, from 1; 0 when it came from no text.
        public let line: Int

        public init(_ name: String, _ value: JSON, line: Int = 0) {
            self.name = name
            self.value = value
            self.line = line
        }

        /// Where a member stood does not make it another one.
        public static func == (a: Member, b: Member) -> Bool {
            a.name == b.name && a.value == b.value
        }
    }

    /// The value of a member, or nil when this is no set of members or has none of that name.
    public subscript(name: String) -> JSON? {
        guard case .members(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// A number rounded to three decimals, which is all that a latency in milliseconds carries.
    public static func rounded(_ value: Double) -> JSON {
        value.isFinite && value.magnitude < 1e12 ? .number((value * 1000).rounded() / 1000) : .null
    }

    /// One line of JSON.
    public var line: String {
        var text = ""
        write(into: &text, depth: nil)
        return text
    }

    /// JSON on several lines, two spaces a level, ending in a line feed: for files that people
    /// open.
    public var pretty: String {
        var text = ""
        write(into: &text, depth: 0)
        return text + "\n"
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .text(value) }
    public init(integerLiteral value: Int) { self = .integer(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: JSON...) { self = .list(elements) }
    public init(dictionaryLiteral elements: (String, JSON)...) {
        self = .members(elements.map { Member($0.0, $0.1) })
    }
}

extension JSON {
    private func write(into text: inout String, depth: Int?) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .integer(let value): text += String(value)
        case .number(let value): text += value.isFinite ? "\(value)" : "null"
        case .text(let value): JSON.quote(value, into: &text)
        case .list(let values):
            JSON.write(values.map { (nil, $0) }, between: ("[", "]"), depth, into: &text)
        case .members(let members):
            JSON.write(members.map { ($0.name, $0.value) }, between: ("{", "}"), depth, into: &text)
        }
    }

    private static func write(
        _ items: [(name: String?, value: JSON)], between brackets: (String, String), _ depth: Int?,
        into text: inout String
    ) {
        let inner = depth.map { $0 + 1 }
        text += brackets.0
        for (position, item) in items.enumerated() {
            if position > 0 { text += "," }
            newLine(inner, into: &text)
            if let name = item.name {
                quote(name, into: &text)
                text += depth == nil ? ":" : ": "
            }
            item.value.write(into: &text, depth: inner)
        }
        if !items.isEmpty { newLine(depth, into: &text) }
        text += brackets.1
    }

    private static func newLine(_ depth: Int?, into text: inout String) {
        guard let depth else { return }
        text += "\n" + String(repeating: "  ", count: depth)
    }

    private static func quote(_ value: String, into text: inout String) {
        text += "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "\u{0}"..<" ", "\u{7F}":
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
