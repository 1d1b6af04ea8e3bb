/// The targets that Package.swift names, with what each depends on.
struct Manifest {
    struct Target {
        let name: String
        let dependencies: [String]
        let isTest: Bool
        /// Counted from 1.
        let line: Int
    }

    let targets: [Target]

    init(_ text: String) {
        let tokens = Lexer(text).tokens
        targets = tokens.indices.compactMap { Self.target(tokens, at: $0) }
    }

    func offence(_ line: Int, _ message: String) -> Offence {
        Offence(path: "Package.swift", line: line, message: message)
    }

    /// `room("A", ["B"])`, `tests("A", ["B"])` and SwiftPM's own long forms.
    private static func target(_ tokens: [Token], at index: Int) -> Target? {
        let calls = [
            "room", "tests", "target", "executableTarget", "testTarget", "systemLibrary", "plugin",
            "macro", "binaryTarget",
        ]
        guard tokens[index].kind == .word, calls.contains(tokens[index].text),
            index + 2 < tokens.count, tokens[index + 1].isSymbol("(")
        else { return nil }
        var place = index + 2
        if tokens[place].isWord("name") { place += 2 }
        guard place < tokens.count, tokens[place].kind == .string else { return nil }
        let call = tokens[index].text
        let name = tokens[place].text + (call == "tests" ? "Tests" : "")
        return Target(
            name: name, dependencies: dependencies(tokens, after: place),
            isTest: call == "tests" || call == "testTarget", line: tokens[index].line)
    }

    /// The strings of the list that directly follows the name, with or without `dependencies:`.
    private static func dependencies(_ tokens: [Token], after place: Int) -> [String] {
        var index = place + 1
        guard index < tokens.count, tokens[index].isSymbol(",") else { return [] }
        index += 1
        if index < tokens.count, tokens[index].isWord("dependencies") { index += 2 }
        guard index < tokens.count, tokens[index].isSymbol("[") else { return [] }
        return tokens[index...].prefix { !$0.isSymbol("]") }.filter { $0.kind == .string }.map(
            \.text)
    }
}
