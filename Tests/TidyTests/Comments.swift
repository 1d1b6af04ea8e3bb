/// Doc comments that are missing, and comments that should not be there.
enum Comments {
    /// - Parameter requirements: what protocols ask for, and document there.
    static func offences(
        _ file: SourceFile, requirements: Set<Requirement> = []
    ) -> [Offence] {
        leftovers(file) + (file.isTest ? [] : undocumented(file, requirements))
    }

    // Spelled apart so that this file does not offend.
    private static let markers: Set<String> = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]

    private static func leftovers(_ file: SourceFile) -> [Offence] {
        file.comments.compactMap { comment in
            let words = comment.text.split { !$0.isLetter }.map(String.init)
            if let marker = words.first(where: markers.contains) {
                return file.offence(
                    comment.line, "\(marker): do it, or write it where work is planned")
            }
            guard !comment.isDocumentation, looksLikeCode(comment.text) else { return nil }
            return file.offence(comment.line, "commented-out code; delete it, git remembers")
        }
    }

    /// A whole line that only Swift would say: a declaration, an opened or closed block, a call.
    static func looksLikeCode(_ comment: String) -> Bool {
        var tokens = Lexer(comment).tokens
        while let first = tokens.first,
            ["public", "private", "static", "mutating", "@inlinable"]
                .contains(first.text)
        { tokens.removeFirst() }
        guard let first = tokens.first, let last = tokens.last else { return false }
        if first.isSymbol("}") || last.isSymbol("{") { return true }
        guard first.kind == .word else { return false }
        let second = tokens.count > 1 ? tokens[1] : nil
        let third = tokens.count > 2 ? tokens[2] : nil
        switch first.text {
        case "let", "var":
            return second?.kind == .word
                && (third?.isSymbol("=") == true || third?.isSymbol(":") == true)
        case "func": return third?.isSymbol("(") == true
        case "import": return tokens.count == 2
        case "return", "try", "await": return isCall(tokens.dropFirst())
        default: return isCall(tokens[...])
        }
    }

    /// `name(…)`, `a.b.name(…)` and nothing else on the line.
    private static func isCall(_ tokens: ArraySlice<Token>) -> Bool {
        guard let last = tokens.last, last.isSymbol(")"),
            let open = tokens.firstIndex(where: { $0.isSymbol("(") }), tokens[open].touchesPrevious,
            open > tokens.startIndex
        else { return false }
        let path = tokens[tokens.startIndex..<open]
        guard path.first?.kind == .word,
            path.dropFirst().allSatisfy({
                $0.touchesPrevious && ($0.kind == .word || $0.text == ".")
            })
        else { return false }
        var depth = 0
        for index in open..<tokens.endIndex {
            if tokens[index].isSymbol("(") { depth += 1 }
            if tokens[index].isSymbol(")") { depth -= 1 }
            if depth == 0 { return index == tokens.endIndex - 1 }
        }
        return false
    }
}

// Missing doc comments
extension Comments {
    /// Names whose meaning the standard library fixes.
    private static let known: Set<String> = [
        "description", "debugDescription", "hash", "==", "<", "makeIterator", "next", "rawValue",
        "count", "isEmpty", "removeAll", "append", "insert", "remove", "contains",
        "startIndex", "endIndex", "id",
    ]
    private static let units: Set<String> = [
        "bytes", "milliseconds", "microseconds", "nanoseconds", "seconds", "count", "max", "min",
        "id", "port", "descriptor", "line", "column", "percent", "permille", "factor", "quorum",
    ]
    private static let numbers: Set<String> = [
        "Int", "Int8", "Int16", "Int32", "Int64", "UInt", "UInt8", "UInt16", "UInt32", "UInt64",
        "Double", "Float", "Deadline",
    ]

    private static func undocumented(
        _ file: SourceFile, _ requirements: Set<Requirement>
    ) -> [Offence] {
        var documented = Set(file.comments.filter(\.isDocumentation).map(\.line))
        // One comment may stand above a run of stored properties.
        for property in file.declarations where property.isStored {
            if documented.contains(property.firstLine - 1) { documented.insert(property.line) }
        }
        return file.declarations.compactMap { declaration in
            guard declaration.isExported, needsDocumentation(declaration),
                !requirements.contains(Requirement(declaration)),
                !documented.contains(declaration.firstLine - 1)
            else { return nil }
            return file.offence(
                declaration.line,
                "`\(declaration.name)` is public and has no doc comment; say what it is, with unit "
                    + "and range")
        }
    }

    private static func needsDocumentation(_ declaration: Declaration) -> Bool {
        if known.contains(declaration.name) { return false }
        switch declaration.kind {
        case .extension, .deinitialiser: return false
        case .initialiser: return declaration.lines > 3 && !isMemberwise(declaration)
        case .subscript: return !["key", "index", "position"].contains(declaration.labels.first)
        case .var where declaration.lastLine != nil: return declaration.lines > 5
        case .var, .let: return isBareNumber(declaration)
        default: return true
        }
    }

    /// One line per parameter and one for each bracket and signature: nothing but assignments.
    private static func isMemberwise(_ declaration: Declaration) -> Bool {
        declaration.lines <= 2 * declaration.labels.count + 4
    }

    /// A number whose name does not say its unit.
    private static func isBareNumber(_ declaration: Declaration) -> Bool {
        let type = declaration.signature.dropFirst().first ?? ""
        guard numbers.contains(type), let unit = Names.words(of: declaration.name).last else {
            return false
        }
        return !units.contains(unit)
    }
}

/// A function that a protocol asks for; types that have it need not say again what it is.
struct Requirement: Hashable {
    let name: String
    let labels: [String]

    init(_ declaration: Declaration) {
        name = declaration.name
        labels = declaration.labels
    }
}

extension SourceFile {
    /// The functions inside this file's protocols.
    var requirements: [Requirement] {
        let protocols = declarations.filter { $0.kind == .protocol }
        return declarations.filter { declaration in
            declaration.kind == .function
                && protocols.contains {
                    $0.line <= declaration.line && declaration.line <= $0.lastLine ?? 0
                }
        }.map(Requirement.init)
    }
}
