/// The rooms of the house and who may enter which: targets, floors, imports.
struct Rooms {
    /// Targets by floor. Imports point downward; targets of one floor do not import each other.
    static let floors: [(floor: Int, targets: [String])] = [
        (-1, ["CLinux"]),
        (0, ["Base", "Coding", "Secrets"]),
        (1, ["Causality", "CRDT", "Ring", "RESP"]),
        (
            2,
            [
                "Quorum", "AntiEntropy", "Membership", "Raft", "Paxos", "PrimaryBackup",
                "Transactions", "Storage",
            ]
        ),
        (3, ["Replication"]),
        (4, ["Reactor", "Client", "Verification", "Prediction"]),
        (5, ["Server", "Simulator", "Lab", "Configuration"]),
        (6, ["quorate"]),
    ]

    /// The one import within a floor: a mergeable value is made of Causality's dots and contexts.
    static func isSteppingStone(_ name: String, for target: String) -> Bool {
        target == "CRDT" && name == "Causality"
    }

    static func floor(of target: String) -> Int? {
        floors.first { $0.targets.contains(target) }?.floor
    }

    /// The toolchain's modules and who may import them.
    static func mayImport(system module: String, in target: String) -> Bool {
        guard let floor = floor(of: target) else { return false }
        switch module {
        case "Foundation": return ["Lab", "Configuration", "quorate"].contains(target)
        case "Glibc": return floor <= 1 || floor >= 4
        case "Synchronization": return floor >= 4
        default: return false
        }
    }

    static let systemModules = ["Foundation", "Glibc", "Synchronization"]
}

/// The import table, held against the `import` lines.
extension Rooms {
    static func offences(_ file: SourceFile, manifest: Manifest) -> [Offence] {
        let imports = file.imports
        let listed = manifest.targets.first { $0.name == file.target }?.dependencies ?? []
        return imports.compactMap { name, line in
            if file.isTest {
                let isOwn = floor(of: name) != nil
                guard isOwn, !listed.contains(name) else { return nil }
                return file.offence(line, unlisted(name, by: file.target))
            }
            guard let message = objection(to: name, in: file.target, listed: listed) else {
                return nil
            }
            return file.offence(line, message)
        }
    }

    private static func objection(to name: String, in target: String, listed: [String]) -> String? {
        guard floor(of: target) != nil else { return nil }
        if systemModules.contains(name) {
            return mayImport(system: name, in: target)
                ? nil : "`\(target)` may not import \(name); let a room above it do this"
        }
        guard floor(of: name) != nil else {
            return "`\(name)` is no room of this house and none of \(systemModules); do without it"
        }
        if let message = descent(from: target, to: name) { return message }
        return listed.contains(name) ? nil : unlisted(name, by: target)
    }

    private static func unlisted(_ name: String, by target: String) -> String {
        "`\(target)` imports `\(name)` without listing it in Package.swift; add it there"
    }

    /// - Returns: why `target` may not depend on `name`.
    static func descent(from target: String, to name: String) -> String? {
        guard let from = floor(of: target), let to = floor(of: name), to >= from,
            !isSteppingStone(name, for: target)
        else { return nil }
        return "`\(target)` is on floor \(from) and may not import `\(name)` of floor \(to); "
            + "imports point downward: move what both need to a lower floor"
    }
}

/// The import table, held against Package.swift.
extension Rooms {
    static func offences(_ manifest: Manifest) -> [Offence] {
        manifest.targets.filter { !$0.isTest }.flatMap { target -> [Offence] in
            guard floor(of: target.name) != nil else {
                return [
                    manifest.offence(
                        target.line,
                        "`\(target.name)` has no floor; give it one in Tests/TidyTests/Rooms.swift")
                ]
            }
            return target.dependencies.compactMap { name in
                if floor(of: name) == nil {
                    return manifest.offence(
                        target.line, "`\(target.name)` depends on `\(name)`, which is no room")
                }
                return descent(from: target.name, to: name).map {
                    manifest.offence(target.line, $0)
                }
            }
        }
    }
}

extension SourceFile {
    /// Modules this file imports, with the line.
    var imports: [(name: String, line: Int)] {
        let kinds = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
        return tokens.indices.compactMap { index in
            guard tokens[index].isWord("import"), index + 1 < tokens.count else { return nil }
            let next = tokens[index + 1]
            let name =
                kinds.contains(next.text) && index + 2 < tokens.count ? tokens[index + 2] : next
            return name.kind == .word ? (name.text, tokens[index].line) : nil
        }
    }
}
