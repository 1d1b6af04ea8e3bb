import Coding
import Testing

@testable import RESP

/// `COMMAND DOCS`: the arguments from which `redis-cli` makes its hints.
@Suite("Arguments of commands")
struct UsageTests {
    /// Written back as a line, the way `redis-cli` shows it.
    private func hint(_ argument: CommandUsage.Argument) -> String {
        var text = argument.token.map { [$0] } ?? []
        switch argument.type.description {
        case "oneof": text.append(argument.parts.map(hint).joined(separator: "|"))
        case "block": text.append(argument.parts.map(hint).joined(separator: " "))
        case "pure-token": break
        default: text.append(argument.name)
        }
        var hint = text.joined(separator: " ")
        if argument.isMultiple { hint += " [\(hint) ...]" }
        return argument.isOptional ? "[\(hint)]" : hint
    }

    private func hints(_ line: String) -> String {
        CommandUsage(line).arguments.map(hint).joined(separator: " ")
    }

    @Test("a line of usage becomes arguments, tokens, alternatives and blocks")
    func lines() {
        #expect(
            hints("key value [ NX | XX ] [ GET ] [ EX seconds | KEEPTTL ]")
                == "key value [NX|XX] [GET] [EX seconds|KEEPTTL]")
        #expect(hints("key ( field value ) ...") == "key field value [field value ...]")
        #expect(hints("key [ LIMIT ( offset count ) ]") == "key [LIMIT offset count]")
        #expect(
            hints("( LIST | CREATE name [ setting ... ] )")
                == "LIST|CREATE name [setting [setting ...]]")
        for line in ["", "(", "[", "]", ") x", "| a", "...", "[ ... ]", "( | )"] {
            _ = CommandUsage(line)
        }
    }

    @Test("every command with arguments has its usage, with as many as its arity asks for")
    func complete() {
        let typed: [CommandDescription.Group] = [.set, .hash, .sortedSet, .list]
        for description in CommandTable.ordered {
            let usage = CommandUsage(of: description)
            let options =
                switch description.consistency {
                case .read: typed.contains(description.group) ? 3 : 4
                case .write: 6
                case .connection, nil: 0
                }
            let plain = usage.arguments.dropLast(options)
            guard abs(description.arity) > 1 else { continue }
            #expect(!plain.isEmpty, "\(description.text)")
            let required = plain.reduce(0) { $0 + ($1.isOptional ? 0 : least($1)) }
            #expect(
                required + 1 == abs(description.arity) || description.arity < 0 && required > 0
                    || [CommandName.auth, .hello].contains(description.name), "\(description.text)")
        }
    }

    private func least(_ argument: CommandUsage.Argument) -> Int {
        let own = argument.token == nil ? 0 : 1
        switch argument.type.description {
        case "oneof": return own + (argument.parts.map { $0.isOptional ? 0 : least($0) }.min() ?? 0)
        case "block":
            return own + argument.parts.reduce(0) { $0 + ($1.isOptional ? 0 : least($1)) }
        case "pure-token": return own
        default: return own + 1
        }
    }
}
