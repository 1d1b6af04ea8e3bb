/// Cuts Swift into tokens and comments, as far as style has to know it.
///
/// It understands nested comments, escapes, multi-line and raw strings, and code inside an
/// interpolation. It does not understand regular expression literals: none are written here.
struct Lexer {
    private(set) var tokens: [Token] = []
    private(set) var comments: [Comment] = []

    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private var lineOfLastToken = 0
    private var endOfLastToken = -1

    init(_ text: String) {
        bytes = Array(text.utf8)
        tokens.reserveCapacity(bytes.count / 5)
        lex(untilParenthesis: false)
    }

    private func byte(_ ahead: Int = 0) -> UInt8 {
        position + ahead < bytes.count ? bytes[position + ahead] : 0
    }

    private func sees(_ characters: StaticString) -> Bool {
        let count = characters.utf8CodeUnitCount
        guard position + count <= bytes.count else { return false }
        for index in 0..<count where bytes[position + index] != characters.utf8Start[index] {
            return false
        }
        return true
    }

    /// Reads code up to the end, or up to the parenthesis that closes an interpolation.
    private mutating func lex(untilParenthesis: Bool) {
        var depth = 0
        while position < bytes.count {
            let next = byte()
            if next == UInt8(ascii: "\n") {
                line += 1
                position += 1
            } else if next <= UInt8(ascii: " ") {
                position += 1
            } else if sees("//") {
                lineComment()
            } else if sees("/*") {
                blockComment()
            } else if let hashes = hashesOfString() {
                string(hashes: hashes)
            } else if isWordStart(next) {
                word()
            } else {
                symbol()
                if next == UInt8(ascii: "(") { depth += 1 }
                if next == UInt8(ascii: ")") { depth -= 1 }
                if untilParenthesis && depth == 0 { return }
            }
        }
    }

    private mutating func add(_ kind: Token.Kind, _ text: String, from start: Int, line: Int) {
        tokens.append(
            Token(
                kind: kind, text: text, line: line, touchesPrevious: start == endOfLastToken,
                isFirstOnLine: line != lineOfLastToken))
        lineOfLastToken = self.line
        endOfLastToken = position
    }

    private func text(_ range: Range<Int>) -> String {
        String(decoding: bytes[range], as: UTF8.self)
    }
}

// Comments
extension Lexer {
    private mutating func lineComment() {
        let start = position
        while position < bytes.count, byte() != UInt8(ascii: "\n") { position += 1 }
        let isDocumentation = position >= start + 3 && bytes[start + 2] == UInt8(ascii: "/")
        let content = text(start + (isDocumentation ? 3 : 2)..<position)
        comments.append(Comment(text: content, line: line, isDocumentation: isDocumentation))
    }

    private mutating func blockComment() {
        let isDocumentation = sees("/**") && !sees("/**/")
        position += 2
        var depth = 1
        var start = position
        while position < bytes.count, depth > 0 {
            if sees("/*") {
                depth += 1
                position += 2
            } else if sees("*/") {
                depth -= 1
                position += 2
            } else {
                if byte() == UInt8(ascii: "\n") {
                    addBlockLine(start..<position, isDocumentation)
                    line += 1
                    start = position + 1
                }
                position += 1
            }
        }
        addBlockLine(start..<max(start, position - 2), isDocumentation)
    }

    private mutating func addBlockLine(_ range: Range<Int>, _ isDocumentation: Bool) {
        var content = range
        while let first = content.first,
            bytes[first] == UInt8(ascii: " ") || bytes[first] == UInt8(ascii: "*")
        {
            content.removeFirst()
        }
        comments.append(
            Comment(text: text(content), line: line, isDocumentation: isDocumentation))
    }
}

// Strings
extension Lexer {
    /// How many `#` precede the quote, when a string literal starts here.
    private func hashesOfString() -> Int? {
        var hashes = 0
        while byte(hashes) == UInt8(ascii: "#") { hashes += 1 }
        return byte(hashes) == UInt8(ascii: "\"") ? hashes : nil
    }

    private mutating func string(hashes: Int) {
        let start = position
        let firstLine = line
        position += hashes
        let quotes = sees("\"\"\"") ? 3 : 1
        position += quotes
        let content = position
        let place = tokens.count
        while position < bytes.count, !closes(quotes, hashes) {
            if byte() == UInt8(ascii: "\\"), escapes(hashes) {
                position += 1 + hashes
                if byte() == UInt8(ascii: "(") {
                    lex(untilParenthesis: true)
                } else {
                    position += 1
                }
            } else {
                if byte() == UInt8(ascii: "\n") {
                    line += 1
                    if quotes == 1 { break }
                }
                position += 1
            }
        }
        let literal = text(content..<min(position, bytes.count))
        position = min(position + quotes + hashes, bytes.count)
        add(.string, literal, from: start, line: firstLine)
        if place < tokens.count - 1 { tokens.insert(tokens.removeLast(), at: place) }
    }

    private func closes(_ quotes: Int, _ hashes: Int) -> Bool {
        for index in 0..<quotes where byte(index) != UInt8(ascii: "\"") { return false }
        for index in 0..<hashes where byte(quotes + index) != UInt8(ascii: "#") { return false }
        return true
    }

    private func escapes(_ hashes: Int) -> Bool {
        for index in 0..<hashes where byte(1 + index) != UInt8(ascii: "#") { return false }
        return true
    }
}

// Words and symbols
extension Lexer {
    private func isWordStart(_ byte: UInt8) -> Bool {
        isWordPart(byte) || byte == UInt8(ascii: "@") || byte == UInt8(ascii: "#")
            || byte == UInt8(ascii: "`")
    }

    private func isWordPart(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"), 0x80...:
            true
        default: false
        }
    }

    private mutating func word() {
        let start = position
        let isNumber = byte() >= UInt8(ascii: "0") && byte() <= UInt8(ascii: "9")
        position += 1
        while isWordPart(byte()) || byte() == UInt8(ascii: "`") { position += 1 }
        add(isNumber ? .number : .word, text(start..<position), from: start, line: line)
    }

    /// A bracket or a separator alone, operator characters as one run.
    private mutating func symbol() {
        let start = position
        position += 1
        if isOperator(bytes[start]) {
            while isOperator(byte()), !sees("//"), !sees("/*") { position += 1 }
        } else if bytes[start] == UInt8(ascii: "."), byte() == UInt8(ascii: ".") {
            while byte() == UInt8(ascii: ".") || byte() == UInt8(ascii: "<") { position += 1 }
        }
        add(.symbol, text(start..<position), from: start, line: line)
    }

    private func isOperator(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "="), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "!"),
            UInt8(ascii: "*"), UInt8(ascii: "%"), UInt8(ascii: "<"), UInt8(ascii: ">"),
            UInt8(ascii: "&"), UInt8(ascii: "|"), UInt8(ascii: "^"), UInt8(ascii: "~"),
            UInt8(ascii: "?"), UInt8(ascii: "/"):
            true
        default: false
        }
    }
}
