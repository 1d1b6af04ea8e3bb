/// Words that say nothing, and words that the field has a better one for.
enum Names {
    static let empty: Set<String> = [
        "manager", "helper", "helpers", "util", "utils", "utility", "utilities", "common", "misc",
        "impl", "implementation", "wrapper", "factory", "provider", "service", "processor",
    ]
    static let emptySuffixes: Set<String> = ["data", "info", "object"]

    static func offences(_ file: SourceFile) -> [Offence] {
        types(file) + ruled(file) + fileName(file)
    }

    private static func types(_ file: SourceFile) -> [Offence] {
        var names = file.declarations.filter(\.isType).map { ($0.name, $0.line) }
        names.append((file.name, 1))
        return names.compactMap { name, line in
            let parts = words(of: name)
            let found =
                parts.first { empty.contains($0) }
                ?? parts.last.flatMap { emptySuffixes.contains($0) && parts.count > 1 ? $0 : nil }
            guard let word = found else { return nil }
            return file.offence(
                line, "`\(name)`: \"\(word)\" says nothing; name what it is or does")
        }
    }

    /// `peer` anywhere in a declared name, `version` alone.
    private static func ruled(_ file: SourceFile) -> [Offence] {
        file.declarations.flatMap { declaration in
            (declaration.labels + [declaration.name]).compactMap { name in
                let parts = words(of: name)
                if parts.contains("peer") || parts.contains("peers") {
                    return file.offence(
                        declaration.line, "`\(name)`: a \"peer\" is a node, replica or link here")
                }
                if parts == ["version"], file.target != "quorate", !file.isTest {
                    return file.offence(
                        declaration.line, "bare `version`: say the version of what")
                }
                return nil
            }
        }
    }

    // Not types: the top level, and the one file for all that is Linux's own (DESIGN.md §3).
    private static let files = ["main", "Linux"]

    /// `Type.swift`, `Type+Aspect.swift`, or the free function that the file is about;
    /// `Identity.swift` may hold several types that end in that word.
    private static func fileName(_ file: SourceFile) -> [Offence] {
        guard !file.isTest, !files.contains(file.name), !file.declarations.isEmpty else {
            return []
        }
        guard let type = file.name.split(separator: "+").first?.lowercased() else { return [] }
        let isDeclared = file.declarations.contains { declaration in
            switch declaration.kind {
            case .extension, .struct, .class, .enum, .actor, .protocol, .typealias, .function:
                declaration.name.split(separator: ".").contains { $0.lowercased().hasSuffix(type) }
            default: false
            }
        }
        guard !isDeclared else { return [] }
        return [
            file.offence(
                1,
                "no type `\(file.name)` in here; name the file after its type, `Type.swift` "
                    + "or `Type+Aspect.swift`")
        ]
    }

    /// `HTTPDataSource` → http, data, source.
    static func words(of name: String) -> [String] {
        var words: [String] = []
        var word = ""
        let characters = Array(name)
        for (index, character) in characters.enumerated() {
            let next = index + 1 < characters.count ? characters[index + 1] : nil
            let before = index > 0 ? characters[index - 1] : nil
            let starts =
                character.isUppercase
                && (before?.isLowercase == true || (next?.isLowercase == true && !word.isEmpty))
            if starts || !character.isLetter {
                if !word.isEmpty { words.append(word.lowercased()) }
                word = ""
            }
            if character.isLetter { word.append(character) }
        }
        if !word.isEmpty { words.append(word.lowercased()) }
        return words
    }
}
