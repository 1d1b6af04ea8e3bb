import Coding

/// The arguments of a command as `COMMAND DOCS` describes them, from a line of usage.
struct CommandUsage {
    /// One argument, or several that belong together.
    struct Argument {
        var name: String
        /// Redis's word for what it is.
        var type: StaticString
        var token: String?
        var isOptional = false
        var isMultiple = false
        var parts: [Argument] = []
    }

    private(set) var arguments: [Argument] = []

    /// The consistency options that the command takes stand at the end.
    init(of description: CommandDescription) {
        var line = CommandUsage.lines.first { $0.0 == description.name }?.1.description ?? ""
        switch description.consistency {
        case .read:
            line += CommandUsage.readOptions
            if !description.isTyped { line += CommandUsage.stalenessOption }
        case .write: line += CommandUsage.writeOptions
        case .connection, nil: break
        }
        self.init(line)
    }

    /// Words in lower case are arguments, those in capitals tokens; `[…]` may be left out, `(…)`
    /// holds together, `|` separates alternatives, and `...` repeats what stands before it.
    init(_ line: String) {
        var words = line.split(separator: " ")[...]
        while !words.isEmpty {
            arguments += CommandUsage.sequence(&words)
            words = words.dropFirst()
        }
    }

    private static let readOptions =
        " [ R level ] [ PR level ] [ TIMEOUT milliseconds ]"
    private static let stalenessOption = " [ STALENESS time ]"
    private static let writeOptions =
        " [ R level ] [ PR level ] [ W level ] [ PW level ] [ DW level ] [ TIMEOUT milliseconds ]"

    /// Up to a closing bracket or a `|`, which stays.
    private static func sequence(_ words: inout ArraySlice<Substring>) -> [Argument] {
        var found: [Argument] = []
        while let word = words.first, !["]", ")", "|"].contains(word) {
            words = words.dropFirst()
            switch word {
            case "...": if !found.isEmpty { found[found.count - 1].isMultiple = true }
            case "[", "(": found.append(group(&words, isOptional: word == "["))
            default: found += plain(word, &words)
            }
        }
        return found
    }

    private static func plain(
        _ word: Substring, _ words: inout ArraySlice<Substring>
    ) -> [Argument] {
        guard word.first?.isUppercase == true else {
            return [Argument(name: String(word), type: type(of: word))]
        }
        guard let value = words.first, value.first?.isLowercase == true else {
            return [Argument(name: word.lowercased(), type: "pure-token", token: String(word))]
        }
        words = words.dropFirst()
        return [Argument(name: String(value), type: type(of: value), token: String(word))]
    }

    /// What a bracket that was just read opens.
    private static func group(
        _ words: inout ArraySlice<Substring>, isOptional: Bool
    ) -> Argument {
        var choices: [Argument] = []
        while true {
            let parts = sequence(&words)
            if parts.count == 1 {
                choices += parts
            } else {
                let name = parts.first?.name ?? "options"
                choices.append(Argument(name: name, type: "block", parts: parts))
            }
            let end = words.popFirst()
            if end != "|" { break }
        }
        var whole = choices[0]
        if choices.count > 1 {
            whole = Argument(name: choices[0].name, type: "oneof", parts: choices)
        }
        whole.isOptional = isOptional
        return whole
    }

    private static func type(of name: Substring) -> StaticString {
        switch name {
        case "key", "source", "destination": "key"
        case "pattern": "pattern"
        case "score", "min-score", "max-score": "double"
        case "unix-time-seconds", "unix-time-milliseconds": "unix-time"
        case "count", "seconds", "milliseconds", "offset", "start", "stop", "index", "cursor",
            "numkeys", "limit", "rank", "maxlen", "node", "n", "bound", "protover", "slot":
            "integer"
        default: "string"
        }
    }
}

extension ByteBuffer {
    mutating func write(_ arguments: [CommandUsage.Argument], _ dialect: Dialect) {
        writeArrayHeader(count: arguments.count)
        for argument in arguments {
            let flags: [StaticString] =
                (argument.isOptional ? ["optional"] : [])
                + (argument.isMultiple ? ["multiple"] : [])
            let isKey = argument.type.description == "key"
            let pairs =
                2 + (isKey ? 1 : 0) + (argument.token == nil ? 0 : 1)
                + (flags.isEmpty ? 0 : 1) + (argument.parts.isEmpty ? 0 : 1)
            writeMapHeader(pairs: pairs, dialect)
            writeBulk("name")
            writeBulk(text: argument.name)
            writeBulk("type")
            writeBulk(argument.type)
            if isKey {
                writeBulk("key_spec_index")
                writeInteger(0)
            }
            if let token = argument.token {
                writeBulk("token")
                writeBulk(text: token)
            }
            if !flags.isEmpty {
                writeBulk("flags")
                writeArrayHeader(count: flags.count)
                for flag in flags { writeSimple(flag) }
            }
            guard !argument.parts.isEmpty else { continue }
            writeBulk("arguments")
            write(argument.parts, dialect)
        }
    }
}
