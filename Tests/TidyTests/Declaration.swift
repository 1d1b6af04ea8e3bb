/// A declaration as the rules see it.
struct Declaration {
    enum Kind: String {
        case function = "func"
        case initialiser = "init"
        case deinitialiser = "deinit"
        case `subscript`, `var`, `let`, `struct`, `class`, `enum`, `actor`, `extension`
        case `protocol`, `typealias`
    }

    let kind: Kind
    /// `write`, `==`, `init`, `Outer.Inner`.
    let name: String
    /// Modifiers and attributes in front, `public`, `static`, `@inlinable`, ….
    let modifiers: [String]
    /// Line of the first attribute or modifier, counted from 1.
    let firstLine: Int
    /// Line of the keyword.
    let line: Int
    /// Line of the brace that closes the body; nil without a body.
    let lastLine: Int?
    /// Argument labels (or names, where there is no label), for what has parameters.
    let labels: [String]
    /// Tokens between name and body, of properties: the type.
    let signature: [String]

    var isExported: Bool {
        modifiers.contains { $0 == "public" || $0 == "package" || $0 == "open" }
    }

    /// Lines from the keyword to the closing brace.
    var lines: Int { (lastLine ?? line) - line + 1 }

    var isType: Bool {
        switch kind {
        case .struct, .class, .enum, .actor, .protocol, .typealias: true
        default: false
        }
    }

    var isStored: Bool { (kind == .var || kind == .let) && lastLine == nil }

    /// Things with parameters and a body of statements.
    var isCallable: Bool {
        switch kind {
        case .function, .initialiser, .deinitialiser, .subscript: true
        default: false
        }
    }
}
