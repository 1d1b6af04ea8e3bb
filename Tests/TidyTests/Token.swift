/// A piece of Swift that is not a comment.
struct Token: Equatable {
    enum Kind { case word, number, string, symbol }

    let kind: Kind
    /// The characters; of a string literal, what stands between its quotes.
    let text: String
    /// Counted from 1.
    let line: Int
    /// Nothing, not even a space, between this token and the one before.
    let touchesPrevious: Bool
    let isFirstOnLine: Bool

    func isWord(_ word: String) -> Bool { kind == .word && text == word }
    func isSymbol(_ symbol: String) -> Bool { kind == .symbol && text == symbol }
}

/// One comment, or one line of a comment that has several.
struct Comment: Equatable {
    /// Without the slashes or the star.
    let text: String
    /// Counted from 1.
    let line: Int
    /// `///` or `/** … */`.
    let isDocumentation: Bool
}
