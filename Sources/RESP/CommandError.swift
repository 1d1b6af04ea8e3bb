import Coding

/// Why a command is refused; the connection goes on. Indices are those of the offending argument.
///
/// Source: Redis's wording, by which client libraries tell errors apart.
public enum CommandError: Error, Equatable, Sendable {
    case unknownCommand
    case wrongArgumentCount(CommandName)
    case unknownSubcommand(CommandName)
    case wrongSubcommandCount(CommandName)
    case syntax
    case notAnInteger
    /// Not positive, or too far away to be told.
    case invalidExpireTime(CommandName)
    case invalidCursor
    /// Not 0 to 16,383.
    case invalidSlot
    /// What follows R, W, PR, PW or DW is no level.
    case invalidLevel
    /// What follows TIMEOUT is not a number of milliseconds from 1 to 2³²−1.
    case invalidTimeout
    /// A command that reads is given W, PW or DW.
    case optionOfWrites
    /// A command that writes is given STALENESS.
    case optionOfReads
    /// What follows STALENESS is no time from 1 to 2³²−1 ms.
    case invalidStaleness
    /// `HELLO` asks for neither 2 nor 3.
    case unsupportedProtocol
    case protocolNotAnInteger
    case helloSyntax(Int)
    case invalidClientName
    case longClientName
    case unsupportedOption(Int)
    /// `EXPIRE` with NX beside XX, GT or LT.
    case absentBesideOthers
    /// `EXPIRE` with GT beside LT.
    case greaterBesideLess
    case patternTooLong
    /// A key is longer than a record can hold.
    case invalidKey
    /// A node with an empty disk has not heard which keyspaces there are.
    case unknownKeyspaces
    case value(ValueRefusal)
    case option(OptionRefusal)
}

extension ByteBuffer {
    /// Writes the error reply.
    ///
    /// - Parameter arguments: the request that it answers.
    public mutating func writeError(_ error: CommandError, for arguments: borrowing Arguments) {
        switch error {
        case .unknownCommand: writeUnknownCommand(arguments)
        case .wrongArgumentCount(.exec):
            writeError(
                "EXECABORT Transaction discarded because of: wrong number of arguments for '",
                .exec, "' command")
        case .wrongArgumentCount(.idempotency):
            writeError(
                "ERR wrong number of arguments for '", .idempotency,
                "' command: an id is followed by a command that changes one key")
        case .wrongArgumentCount(let name):
            writeError("ERR wrong number of arguments for '", name, "' command")
        case .unknownSubcommand(let name): writeUnknownSubcommand(name, arguments)
        case .wrongSubcommandCount(let name): writeWrongSubcommandCount(name, arguments)
        case .invalidExpireTime(let name):
            writeError("ERR invalid expire time in '", name, "' command")
        case .helloSyntax(let index):
            writeError("ERR Syntax error in HELLO option '", quoting: arguments[index], "'")
        case .unsupportedOption(let index):
            writeError("ERR Unsupported option ", quoting: arguments[index], "")
        case .value(let refusal): writeError(refusal.text)
        case .option(let refusal): writeError(refusal.text)
        case .syntax, .notAnInteger, .invalidCursor, .invalidSlot, .invalidLevel, .invalidTimeout,
            .invalidStaleness, .optionOfWrites, .optionOfReads, .unsupportedProtocol,
            .protocolNotAnInteger, .invalidClientName,
            .longClientName, .absentBesideOthers, .greaterBesideLess, .patternTooLong,
            .invalidKey, .unknownKeyspaces:
            writeError(error.text)
        }
    }

    private mutating func writeError(
        _ before: StaticString, _ name: CommandName, _ after: StaticString
    ) {
        append(UInt8(ascii: "-"))
        append(before)
        append(name.text)
        append(after)
        append("\r\n")
    }

    private mutating func writeUnknownCommand(_ arguments: borrowing Arguments) {
        append("-ERR unknown command '")
        appendPrintable(arguments[0], max: 128)
        append("', with args beginning with: ")
        let shown = count
        for index in 1..<max(arguments.count, 1) where count - shown < 128 {
            let room = 128 - (count - shown)
            append("'")
            appendPrintable(arguments[index], max: room)
            append("' ")
        }
        append("\r\n")
    }

    private mutating func writeUnknownSubcommand(
        _ name: CommandName, _ arguments: borrowing Arguments
    ) {
        append("-ERR unknown subcommand '")
        if arguments.count > 1 { appendPrintable(arguments[1], max: 128) }
        append("'. Try ")
        appendUpperCase(name)
        append(" HELP.")
        if CommandTable.description(of: name).group == .quorate {
            let names = Subcommand.all(of: name).map(\.name).joined(separator: ", ")
            append(text: " There are \(names).")
        }
        append("\r\n")
    }

    private mutating func writeWrongSubcommandCount(
        _ name: CommandName, _ arguments: borrowing Arguments
    ) {
        append("-ERR wrong number of arguments for '")
        append(name.text)
        append("|")
        let start = count
        if arguments.count > 1 { appendPrintable(arguments[1], max: 128) }
        for index in start..<count where 65...90 ~= mutableBytes[index] {
            mutableBytes[index] |= 0x20
        }
        append("' command\r\n")
    }

    private mutating func appendUpperCase(_ name: CommandName) {
        let start = count
        append(name.text)
        for index in start..<count { mutableBytes[index] &= 0xDF }
    }
}

extension CommandError {
    /// The whole message of an error that quotes nothing.
    fileprivate var text: StaticString {
        switch self {
        case .notAnInteger: "ERR value is not an integer or out of range"
        case .invalidCursor: "ERR invalid cursor"
        case .invalidSlot: "ERR Invalid slot"
        case .invalidLevel: "ERR consistency level is not ONE, QUORUM, ALL or 1 to 32 replicas"
        case .invalidTimeout: "ERR timeout must be 1 to 600000 ms"
        case .invalidStaleness: "ERR staleness is not a time such as 500ms or 2s"
        case .optionOfWrites:
            "ERR W, PW and DW are options of writes; reads take R, PR, TIMEOUT and STALENESS"
        case .optionOfReads:
            "ERR STALENESS is an option of reads; writes take R, PR, W, PW, DW and TIMEOUT"
        case .unsupportedProtocol: "NOPROTO unsupported protocol version"
        case .protocolNotAnInteger: "ERR Protocol version is not an integer or out of range"
        case .invalidClientName:
            "ERR Client names cannot contain spaces, newlines or special characters."
        case .longClientName: "ERR Client and library names have at most 256 bytes"
        case .absentBesideOthers:
            "ERR NX and XX, GT or LT options at the same time are not compatible"
        case .greaterBesideLess: "ERR GT and LT options at the same time are not compatible"
        case .patternTooLong: "ERR pattern is too long"
        case .invalidKey: "ERR key must have at most 65535 bytes"
        case .unknownKeyspaces:
            "UNAVAILABLE this node has an empty disk and has yet to hear which keyspaces there are"
        case .syntax, .unknownCommand, .wrongArgumentCount, .unknownSubcommand,
            .wrongSubcommandCount, .invalidExpireTime,
            .helloSyntax, .unsupportedOption, .value, .option:
            "ERR syntax error"
        }
    }
}
