/// One Swift file, read once and looked at by every rule.
struct SourceFile {
    /// Relative to the package: `Sources/Base/Table.swift`.
    let path: String
    let lines: [Substring]
    let tokens: [Token]
    let comments: [Comment]
    let declarations: [Declaration]

    init(path: String, text: String) {
        self.path = path
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let lexer = Lexer(text)
        tokens = lexer.tokens
        comments = lexer.comments
        declarations = Declarations(lexer.tokens).all()
    }

    /// The target: the folder below `Sources` or `Tests`.
    var target: String {
        let parts = path.split(separator: "/")
        return parts.count > 2 ? String(parts[1]) : ""
    }

    var isTest: Bool { path.hasPrefix("Tests/") }

    /// The file's name without folder and ending.
    var name: String { String(path.split(separator: "/").last?.split(separator: ".").first ?? "") }

    /// Lines of the file; the empty piece after the last newline is none.
    var lineCount: Int { lines.last == "" ? lines.count - 1 : lines.count }

    func offence(_ line: Int, _ message: String) -> Offence {
        Offence(path: path, line: line, message: message)
    }
}

/// Where a rule is broken, and what to do about it.
struct Offence: Equatable, CustomStringConvertible {
    let path: String
    /// Counted from 1.
    let line: Int
    let message: String

    var description: String { "\(path):\(line): \(message)" }
}
