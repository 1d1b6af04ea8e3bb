/// Finds the declarations of a file by its tokens.
struct Declarations {
    private let tokens: [Token]
    /// For each opening bracket, where it closes.
    private let closing: [Int: Int]

    init(_ tokens: [Token]) {
        self.tokens = tokens
        var open: [Int] = []
        var closing: [Int: Int] = [:]
        for (index, token) in tokens.enumerated() where token.kind == .symbol {
            switch token.text {
            case "(", "[", "{": open.append(index)
            case ")", "]", "}": if let start = open.popLast() { closing[start] = index }
            default: break
            }
        }
        self.closing = closing
    }

    func all() -> [Declaration] {
        tokens.indices.compactMap { index in
            let token = tokens[index]
            guard token.kind == .word, let kind = Declaration.Kind(rawValue: token.text),
                index == 0 || !isMember(index)
            else { return nil }
            return declaration(kind, at: index)
        }
    }

    /// `.init`, `: class`, `protocol:` are uses, not declarations.
    private func isMember(_ index: Int) -> Bool {
        let before = tokens[index - 1]
        if before.isSymbol(".") || before.isSymbol(":") || before.isWord("import") { return true }
        return index + 1 < tokens.count && tokens[index + 1].isSymbol(":")
    }

    private func declaration(_ kind: Declaration.Kind, at index: Int) -> Declaration? {
        switch kind {
        case .function, .initialiser, .subscript: return callable(kind, at: index)
        case .deinitialiser:
            return make(kind, "deinit", at: index, after: index + 1, body: body(from: index + 1))
        case .var, .let: return property(kind, at: index)
        case .struct, .class, .enum, .actor, .protocol, .extension, .typealias:
            return type(kind, at: index)
        }
    }

    private func make(
        _ kind: Declaration.Kind, _ name: String, at index: Int, after end: Int, body: Int?,
        labels: [String] = []
    ) -> Declaration {
        let start = firstToken(of: index)
        let stop = body ?? min(end + 12, tokens.count)
        return Declaration(
            kind: kind, name: name, modifiers: tokens[start..<index].map(\.text),
            firstLine: tokens[start].line, line: tokens[index].line,
            lastLine: body.flatMap { closing[$0] }.map { tokens[$0].line }, labels: labels,
            signature: end < stop ? tokens[end..<stop].map(\.text) : [])
    }
}

// Kinds
extension Declarations {
    private func callable(_ kind: Declaration.Kind, at index: Int) -> Declaration? {
        var open = index + 1
        while open < tokens.count, !tokens[open].isSymbol("(") {
            if tokens[open].isSymbol("{") || tokens[open].isSymbol("}") { return nil }
            open += 1
        }
        guard open < tokens.count, let close = closing[open] else { return nil }
        let isNamed = kind == .function && open > index + 1
        let name = isNamed ? tokens[index + 1].text : kind.rawValue
        return make(
            kind, name, at: index, after: close + 1, body: body(from: close + 1),
            labels: labels(from: open, to: close))
    }

    /// A property's body is that of its accessors; a stored property has none.
    private func property(_ kind: Declaration.Kind, at index: Int) -> Declaration? {
        guard index + 1 < tokens.count, tokens[index + 1].kind == .word else { return nil }
        let hasType = index + 2 < tokens.count && tokens[index + 2].isSymbol(":")
        return make(
            kind, tokens[index + 1].text, at: index, after: index + 2,
            body: hasType && kind == .var ? body(from: index + 3) : nil)
    }

    private func type(_ kind: Declaration.Kind, at index: Int) -> Declaration? {
        guard index + 1 < tokens.count, tokens[index + 1].kind == .word else { return nil }
        if kind == .class, Declaration.Kind(rawValue: tokens[index + 1].text) != nil { return nil }
        var end = index + 2
        var name = tokens[index + 1].text
        while end + 1 < tokens.count, tokens[end].isSymbol("."), tokens[end + 1].kind == .word {
            name += "." + tokens[end + 1].text
            end += 2
        }
        let body = kind == .typealias ? nil : body(from: end)
        return make(kind, name, at: index, after: end, body: body)
    }
}

// Parts
extension Declarations {
    /// The brace that opens the body, or nil when the declaration ends before one.
    private func body(from start: Int) -> Int? {
        var index = start
        while index < tokens.count {
            let token = tokens[index]
            if token.isSymbol("{") { return index }
            if token.isSymbol("}") || token.isSymbol("=") || token.isSymbol(";") { return nil }
            if token.isFirstOnLine, index > start, startsDeclaration(token) { return nil }
            index = (closing[index] ?? index) + 1
        }
        return nil
    }

    private func startsDeclaration(_ token: Token) -> Bool {
        guard token.kind == .word else { return false }
        return Declaration.Kind(rawValue: token.text) != nil || Self.modifiers.contains(token.text)
            || token.text.hasPrefix("@") || token.text.hasPrefix("#")
            || ["case", "associatedtype", "return", "let", "if", "guard"].contains(token.text)
    }

    /// Walks back over attributes and modifiers.
    private func firstToken(of index: Int) -> Int {
        var start = index
        while start > 0 {
            let before = tokens[start - 1]
            if isModifier(before) {
                start -= 1
            } else if before.isSymbol(")"), let open = opening(of: start - 1), open > 0,
                isModifier(tokens[open - 1]), tokens[open].touchesPrevious
            {
                start = open - 1
            } else {
                break
            }
        }
        return start
    }

    private func isModifier(_ token: Token) -> Bool {
        token.kind == .word && (Self.modifiers.contains(token.text) || token.text.hasPrefix("@"))
    }

    private func opening(of close: Int) -> Int? {
        var depth = 0
        for index in stride(from: close, through: 0, by: -1) {
            if tokens[index].isSymbol(")") { depth += 1 }
            if tokens[index].isSymbol("(") { depth -= 1 }
            if depth == 0 { return index }
        }
        return nil
    }

    /// Each parameter has one colon outside inner brackets; its label is the first word after
    /// the comma.
    private func labels(from open: Int, to close: Int) -> [String] {
        var labels: [String] = []
        var index = open + 1
        var first: String?
        while index < close {
            let token = tokens[index]
            if token.isSymbol(",") {
                first = nil
            } else if token.isSymbol(":"), let label = first {
                labels.append(label)
                first = nil
            } else if token.kind == .word, first == nil, !token.text.hasPrefix("@"),
                tokens[index - 1].isSymbol("(") || tokens[index - 1].isSymbol(",")
                    || tokens[index - 1].text.hasPrefix("@")
            {
                first = token.text
            }
            index = (closing[index] ?? index) + 1
        }
        return labels
    }

    private static let modifiers: Set<String> = [
        "public", "package", "internal", "fileprivate", "private", "open", "static", "class",
        "final", "mutating", "nonmutating", "consuming", "borrowing", "lazy", "weak", "unowned",
        "indirect", "override", "convenience", "required", "nonisolated", "dynamic", "prefix",
        "postfix", "infix", "optional", "distributed", "isolated",
    ]
}
