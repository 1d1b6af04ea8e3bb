import Base

@testable import RESP
@testable import Replication

/// One form that requests of a command may have: what stands behind its name, and of a command with
/// subcommands one of these.
struct RequestForm {
    let name: CommandName
    let arguments: [CommandUsage.Argument]

    static func all(of name: CommandName) -> [RequestForm] {
        let arguments = CommandUsage(of: CommandTable.description(of: name)).arguments
        guard let first = arguments.first, first.type.description == "oneof" else {
            return [RequestForm(name: name, arguments: arguments)]
        }
        return first.parts.map {
            RequestForm(name: name, arguments: [$0] + arguments.dropFirst())
        }
    }

    private var text: String { CommandTable.description(of: name).text.description }

    var title: String {
        let first = arguments.first
        let token = first?.token ?? first?.parts.first?.token ?? ""
        return token.isEmpty || name == .set ? text : "\(text) \(token)"
    }

    /// A request with so many arguments: of the form as far as it goes.
    func words(_ count: Int, _ keyspace: String, _ random: inout PRNG) -> [[UInt8]] {
        var words = arguments.flatMap { this($0, keyspace, &random) }
        while words.count < count { words.append(Palette.any(keyspace, &random)) }
        return [Array(text.utf8)] + words.prefix(count)
    }

    /// A request that has all that it needs, and some of what it may have.
    func whole(_ keyspace: String, _ random: inout PRNG) -> [[UInt8]] {
        let chosen = arguments.filter { !$0.isOptional || random.below(4) == 0 }
        return [Array(text.utf8)] + chosen.flatMap { this($0, keyspace, &random, plain: true) }
    }

    private func this(
        _ argument: CommandUsage.Argument, _ keyspace: String, _ random: inout PRNG,
        plain: Bool = false
    ) -> [[UInt8]] {
        var words: [[UInt8]] = []
        for _ in 0..<(argument.isMultiple ? 1 + random.below(3) : 1) {
            if let token = argument.token, words.isEmpty || argument.parts.isEmpty {
                words.append(Array(token.utf8))
            }
            switch argument.type.description {
            case "pure-token": break
            case "oneof":
                let part = argument.parts[random.below(argument.parts.count)]
                words += this(part, keyspace, &random, plain: plain)
            case "block":
                for part in argument.parts where !part.isOptional || random.below(2) == 0 {
                    words += this(part, keyspace, &random, plain: plain)
                }
            default:
                words.append(
                    plain || random.below(4) > 0
                        ? Palette.fitting(argument.name, name, keyspace, &random)
                        : Palette.any(keyspace, &random))
            }
        }
        return words
    }
}

/// The way a request comes.
enum Way: CaseIterable {
    case plain, resp3, session, transaction, idempotent

    /// What is sent, one after the other.
    func requests(_ words: [[UInt8]], _ number: UInt32) -> [[[UInt8]]] {
        func line(_ text: String) -> [[UInt8]] { text.split(separator: " ").map { Array($0.utf8) } }
        switch self {
        case .plain: return [words]
        case .resp3: return [line("HELLO 3"), words]
        case .session: return [line("SESSION ON"), words, words]
        case .transaction: return [line("MULTI"), words, line("EXEC")]
        case .idempotent:
            let request = line("IDEMPOTENCY i\(number % 7)") + words
            return [request, request]
        }
    }
}

/// What a client may put behind a command's name.
private enum Palette {
    private static let texts = [
        "", "0", "1", "-1", "2", "3", "10", "100", "9223372036854775807",
        "-9223372036854775808", "18446744073709551615", "1e400", "-inf", "+inf", "nan", "0.1",
        "HELP", "GET", "SET", "LIST", "CREATE", "ALTER", "DROP", "INCR", "DECR", "RIGHTS",
        "GRANT", "NODE", "MIN", "ENABLE", "DISABLE", "NX", "XX", "GT", "LT", "CH", "EX", "PX",
        "EXAT", "PXAT", "KEEPTTL", "PERSIST", "MATCH", "COUNT", "TYPE", "LIMIT", "RANK",
        "MAXLEN", "WITHSCORES", "WITHVALUES", "BYSCORE", "BYLEX", "REV", "BEFORE", "AFTER", "R",
        "W", "PR", "PW", "DW", "TIMEOUT", "STALENESS", "CONTEXT", "ONE", "QUORUM", "ALL", "ON",
        "OFF", "LAST", "TOKEN", "USE", "RESET", "SETNAME", "GETNAME", "ID", "INFO", "AUTH",
        "default", "DOCS", "GETKEYS", "SLOTS", "SHARDS", "NODES", "KEYSLOT", "REFILL",
        "WITHOUT", "COUNTKEYSINSLOT", "GETKEYSINSLOT", "16384", "*", "[a", "(b", "-", "+", "n=2",
        "conflict=crdt", "everything", "FILTERBY", "PATTERN",
    ]
    private static let odd: [[UInt8]] = [
        [0], [13, 10], [0xFF, 0xFE, 0], Array(repeating: 120, count: 70_000),
        Array(repeating: 0x2A, count: 300), Array(repeating: 57, count: 40),
    ]
    private static let types = [
        "string", "count", "set", "hash", "zset", "list", "flag", "bound", "absent",
    ]

    static func any(_ keyspace: String, _ random: inout PRNG) -> [UInt8] {
        switch random.below(16) {
        case 0: odd[random.below(odd.count)]
        case 1...4: Array("\(keyspace):\(types[random.below(types.count)])".utf8)
        default: Array(texts[random.below(texts.count)].utf8)
        }
    }

    /// What an argument of this name may be.
    static func fitting(
        _ argument: String, _ command: CommandName, _ keyspace: String, _ random: inout PRNG
    ) -> [UInt8] {
        if ["key", "source", "destination"].contains(argument) {
            return Array("\(keyspace):\(type(of: command, &random))".utf8)
        }
        if let words = words[argument] { return Array(words[random.below(words.count)].utf8) }
        return Array(["a", "b", "f", "5", "1"][random.below(5)].utf8)
    }

    private static func type(of command: CommandName, _ random: inout PRNG) -> String {
        let fitting: String? =
            switch CommandTable.description(of: command).group {
            case .set: "set"
            case .hash: "hash"
            case .sortedSet: "zset"
            case .list: "list"
            case .string: random.below(2) == 0 ? "string" : "count"
            case .quorate where command == .qflag: "flag"
            case .quorate where command == .qbound: random.below(3) == 0 ? "absent" : "bound"
            case .connection, .server, .generic, .transactions, .cluster, .quorate: nil
            }
        return fitting ?? types[random.below(types.count)]
    }

    private static let words: [String: [String]] = [
        "level": ["ONE", "QUORUM", "ALL", "1", "2"], "time": ["1s", "100ms", "0"],
        "seconds": ["1", "100"], "milliseconds": ["1", "100"], "numkeys": ["1", "2"],
        "unix-time-seconds": ["1", "9999999999"], "unix-time-milliseconds": ["1", "9999999999999"],
        "count": ["1", "2", "-2", "10"], "offset": ["0", "1"], "start": ["0", "1", "-1"],
        "stop": ["0", "1", "-1"], "index": ["0", "1", "-1"], "cursor": ["0"], "limit": ["0", "1"],
        "rank": ["1", "-1"], "maxlen": ["0", "1"], "node": ["1", "2", "3"], "n": ["1", "5"],
        "bound": ["0", "1"], "protover": ["2", "3"], "slot": ["0", "16383"],
        "score": ["1", "-inf", "0.5"], "min": ["0", "-inf", "(1"], "max": ["5", "+inf", "(2"],
        "increment": ["1", "-1"], "setting": ["n=1", "ttl=100", "readrepair=0", "timeout=100"],
        "name": ["crdt", "siblings", "x", "y"], "guarantee": ["read-your-writes", "all"],
        "options": ["R", "1"], "command": ["GET", "SET"], "command-name": ["GET", "get", "x"],
        "section": ["memory", "everything"], "parameter": ["*", "maxmemory"],
        "type": ["string", "set"],
        "client-type": ["normal"], "client-id": ["1"], "pattern": ["*", "cr*"],
        "filter": ["PATTERN"],
        "mode": ["ON", "OFF"], "attribute": ["LIB-NAME", "LIB-VER"], "connection-name": ["n"],
        "clientname": ["n"], "username": ["default"], "permille": ["10"], "id": ["i"],
        "numreplicas": ["1"], "timeout": ["10"],
    ]
}
