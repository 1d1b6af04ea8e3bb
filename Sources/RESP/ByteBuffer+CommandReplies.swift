import Coding

// The answers of `COMMAND`, which is the same on every node and so is answered here.
extension ByteBuffer {
    /// Answers `COMMAND` and its subcommands.
    ///
    /// - Throws: what `checkSubcommand` throws, or `wrongArgumentCount` for `GETKEYS` of no
    ///   command; nothing has been written then.
    public mutating func writeCommandReply(
        _ arguments: borrowing Arguments, _ dialect: Dialect
    ) throws(CommandError) {
        guard arguments.count > 1 else { return writeAllCommands(dialect) }
        try arguments.checkSubcommand(of: .command)
        if arguments.matches(1, "COUNT") {
            writeInteger(CommandTable.listed.count)
        } else if arguments.matches(1, "LIST") {
            try writeNames(arguments)
        } else if arguments.matches(1, "INFO") {
            guard arguments.count > 2 else { return writeAllCommands(dialect) }
            writeArrayHeader(count: arguments.count - 2)
            for index in 2..<arguments.count { writeCommand(named: arguments[index], dialect) }
        } else if arguments.matches(1, "DOCS") {
            writeDocumentation(arguments, dialect)
        } else if arguments.matches(1, "GETKEYS") {
            try writeKeys(arguments)
        } else {
            throw .unknownSubcommand(.command)
        }
    }

    private mutating func writeAllCommands(_ dialect: Dialect) {
        writeArrayHeader(count: CommandTable.listed.count)
        for description in CommandTable.listed { writeCommand(description, dialect) }
    }

    /// `COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]`; there are neither
    /// modules nor categories.
    private mutating func writeNames(_ arguments: borrowing Arguments) throws(CommandError) {
        var names = CommandTable.listed.map(\.text)
        if arguments.count > 2 {
            guard arguments.count == 5, arguments.matches(2, "FILTERBY") else { throw .syntax }
            if arguments.matches(3, "PATTERN") {
                guard arguments[4].count <= Glob.patternBytesMax else { throw .patternTooLong }
                let glob = Glob(arguments[4])
                names.removeAll { name in
                    let bytes = UnsafeRawBufferPointer(
                        start: name.utf8Start, count: name.utf8CodeUnitCount)
                    return !glob.matches(bytes)
                }
            } else {
                guard arguments.matches(3, "MODULE") || arguments.matches(3, "ACLCAT") else {
                    throw .syntax
                }
                names = []
            }
        }
        writeArrayHeader(count: names.count)
        for name in names { writeBulk(name) }
    }

    private mutating func writeCommand(named name: UnsafeRawBufferPointer, _ dialect: Dialect) {
        guard let name = CommandName(name),
            !CommandTable.description(of: name).flags.contains(.refused)
        else { return writeNull(dialect) }
        writeCommand(CommandTable.description(of: name), dialect)
    }

    /// The ten fields that Redis 7 has, of which tips, key specifications and subcommands stay
    /// empty.
    private mutating func writeCommand(_ description: CommandDescription, _ dialect: Dialect) {
        writeArrayHeader(count: 10)
        writeBulk(description.text)
        writeInteger(description.arity)
        let flags = CommandFlags.names.filter { description.flags.contains($0.0) }
        writeSetHeader(count: flags.count, dialect)
        for flag in flags { writeSimple(flag.1) }
        writeInteger(description.keys.first)
        writeInteger(description.keys.last)
        writeInteger(description.keys.step)
        for _ in 0..<4 { writeSetHeader(count: 0, dialect) }
    }

    private mutating func writeDocumentation(
        _ arguments: borrowing Arguments, _ dialect: Dialect
    ) {
        var names: [CommandName] = []
        for index in 2..<max(arguments.count, 2) {
            if let name = CommandName(arguments[index]) { names.append(name) }
        }
        if arguments.count == 2 { names = CommandTable.listed.map(\.name) }
        names.removeAll { CommandTable.description(of: $0).flags.contains(.refused) }
        writeMapHeader(pairs: names.count, dialect)
        for name in names {
            let description = CommandTable.description(of: name)
            writeBulk(description.text)
            let usage = CommandUsage(of: description)
            writeMapHeader(pairs: usage.arguments.isEmpty ? 2 : 3, dialect)
            writeBulk("summary")
            writeBulk(description.summary)
            writeBulk("group")
            writeBulk(description.group.text)
            guard !usage.arguments.isEmpty else { continue }
            writeBulk("arguments")
            write(usage.arguments, dialect)
        }
    }

    private mutating func writeKeys(_ arguments: borrowing Arguments) throws(CommandError) {
        guard arguments.count > 2 else { throw .wrongArgumentCount(.command) }
        guard let name = CommandName(arguments[2]) else {
            return writeError("ERR Invalid command specified")
        }
        let description = CommandTable.description(of: name)
        let count = arguments.count - 2
        guard description.accepts(count: count) else {
            return writeError("ERR Invalid number of arguments specified for command")
        }
        guard description.keys != .none || description.flags.contains(.movableKeys) else {
            return writeError("ERR The command has no key arguments")
        }
        let indices = Array(description.keyIndices(in: arguments, from: 2))
        guard !indices.isEmpty else {
            return writeError("ERR Invalid arguments specified for command")
        }
        writeArrayHeader(count: indices.count)
        for index in indices { writeBulk(arguments[index + 2]) }
    }
}

extension CommandDescription.Group {
    fileprivate var text: StaticString {
        switch self {
        case .connection: "connection"
        case .server: "server"
        case .string: "string"
        case .set: "set"
        case .hash: "hash"
        case .sortedSet: "sorted-set"
        case .list: "list"
        case .generic: "generic"
        case .transactions: "transactions"
        case .cluster: "cluster"
        case .quorate: "quorate"
        }
    }
}
