import Coding

/// What may follow a command whose first argument says what it does: `KEYSPACE CREATE …`.
///
/// Made from the command's line of usage, so that what `COMMAND DOCS` and `HELP` tell is what is
/// accepted.
struct Subcommand {
    /// In capitals.
    let name: String
    /// As in the line of usage, without the command's own name.
    let usage: String
    /// Arguments with the command's and the subcommand's names.
    let counts: ClosedRange<Int>

    /// Those of a command, in the order of its line.
    static func all(of name: CommandName) -> [Subcommand] { table[Int(name.rawValue)] }

    private static let parents: [CommandName] = [
        .client, .cluster, .command, .config, .debug, .keyspace, .qbound, .receipt,
        .session,
    ]

    private static let table: [[Subcommand]] = CommandName.allCases.map { name in
        guard parents.contains(name), let line = CommandUsage.lines.first(where: { $0.0 == name })
        else { return [] }
        // Without the brackets around all of it.
        let words = line.1.description.split(separator: " ").dropFirst().dropLast()
        let takesOptions = CommandTable.description(of: name).consistency != nil
        return alternatives(words).map { Subcommand($0, takesOptions: takesOptions) }
    }

    private init(_ words: ArraySlice<Substring>, takesOptions: Bool) {
        name = words.first.map(String.init) ?? ""
        usage = words.joined(separator: " ")
        let counted = Subcommand.counts(words)
        let most = takesOptions ? nil : counted.most
        counts = counted.least + 1...(most.map { $0 + 1 } ?? .max)
    }

    /// What `|` separates, outside brackets.
    private static func alternatives(_ words: ArraySlice<Substring>) -> [ArraySlice<Substring>] {
        var found: [ArraySlice<Substring>] = []
        var (depth, start) = (0, words.startIndex)
        for (index, word) in zip(words.indices, words) {
            if ["[", "("].contains(word) { depth += 1 }
            if ["]", ")"].contains(word) { depth -= 1 }
            guard depth == 0, word == "|" else { continue }
            found.append(words[start..<index])
            start = index + 1
        }
        return found + [words[start...]]
    }

    /// How many arguments words stand for; without a most where some may be repeated.
    private static func counts(_ words: ArraySlice<Substring>) -> (least: Int, most: Int?) {
        var (least, most) = (0, Int?(0))
        var rest = words
        while let word = rest.popFirst() {
            switch word {
            case "...": most = nil
            case "[", "(":
                let inner = group(&rest)
                if word == "(" { least += inner.least }
                most = most.flatMap { sum in inner.most.map { sum + $0 } }
            default:
                least += 1
                most = most.map { $0 + 1 }
            }
        }
        return (least, most)
    }

    /// The same of what stands up to the bracket that closes.
    private static func group(_ rest: inout ArraySlice<Substring>) -> (least: Int, most: Int?) {
        var depth = 1
        let inside = rest.prefix { word in
            if ["[", "("].contains(word) { depth += 1 }
            if ["]", ")"].contains(word) { depth -= 1 }
            return depth > 0
        }
        rest = rest.dropFirst(inside.count + 1)
        let choices = alternatives(inside).map(counts)
        let isBounded = choices.allSatisfy { $0.most != nil }
        return (choices.map(\.least).min() ?? 0, isBounded ? choices.compactMap(\.most).max() : nil)
    }
}

extension Arguments {
    /// Holds the second argument to the subcommands of a command, and what follows to their counts.
    ///
    /// - Throws: `unknownSubcommand`, or `wrongSubcommandCount`.
    public func checkSubcommand(of name: CommandName) throws(CommandError) {
        let subcommands = Subcommand.all(of: name)
        guard count > 1, !subcommands.isEmpty else { return }
        for subcommand in subcommands where spells(1, subcommand.name) {
            guard subcommand.counts.contains(count) else { throw .wrongSubcommandCount(name) }
            return
        }
        throw .unknownSubcommand(name)
    }

    /// Whether an argument is a word in capitals, in any case.
    private func spells(_ index: Int, _ word: String) -> Bool {
        self[index].count == word.utf8.count
            && zip(self[index], word.utf8).allSatisfy { $0 == $1 || $0 &- 32 == $1 && $0 > 96 }
    }
}

extension ByteBuffer {
    /// Answers `HELP`: what the command is for, then each of its subcommands.
    public mutating func writeHelp(_ name: CommandName) {
        let description = CommandTable.description(of: name)
        let command = description.text.description.uppercased()
        let subcommands = Subcommand.all(of: name)
        let lines = CommandUsage.lines.first { $0.0 == name && subcommands.isEmpty }
        writeArrayHeader(count: 1 + subcommands.count + (lines == nil ? 0 : 1))
        writeSimple(description.summary)
        for subcommand in subcommands { writeBulk(text: "\(command) \(subcommand.usage)") }
        if let lines { writeBulk(text: "\(command) \(lines.1)") }
    }
}
