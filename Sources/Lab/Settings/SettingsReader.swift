/// Why a settings file cannot be used: where, which setting, and what would be right.
public struct SettingsError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The line in the file, from 1; 0 when the settings came from no file.
    public let line: Int
    /// The full path of the setting, such as `keyspaces.orders.n`; empty for the whole file.
    public let path: String
    /// What is wrong and what would be right.
    public let problem: String

    public init(line: Int, path: String, problem: String) {
        self.line = line
        self.path = path
        self.problem = problem
    }

    public var description: String {
        let place = line > 0 ? "line \(line): " : ""
        return place + (path.isEmpty ? problem : "\(path): \(problem)")
    }
}

/// Reads one set of members key by key; what it does not know is an error, so a misspelled setting
/// never means its default.
struct SettingsReader {
    let path: String
    let line: Int
    let members: [JSON.Member]
    /// What stands between a name and its value.
    private let separator: String

    /// - Parameters:
    ///   - place: the member that holds the set; its name is the full path so far.
    ///   - known: every name that may stand here.
    ///   - separator: `=` on a command line.
    init(
        _ place: JSON.Member, known: [String], separator: String = ": "
    ) throws(SettingsError) {
        self.separator = separator
        guard case .members(let members) = place.value else {
            throw SettingsError(
                line: place.line, path: place.name,
                problem: "expected { … } and found \(place.value.kind)")
        }
        self.path = place.name
        self.line = place.line
        self.members = members
        for member in members where !known.contains(member.name) {
            throw SettingsReader.unknown(member, at: self.path(member.name), known)
        }
    }

    private static func unknown(
        _ member: JSON.Member, at path: String, _ known: [String]
    ) -> SettingsError {
        let guess = Suggestion.nearest(to: member.name, among: known)
        let advice =
            guess.map { "did you mean \($0)?" } ?? "known here: " + known.joined(separator: ", ")
        return SettingsError(line: member.line, path: path, problem: "unknown setting; \(advice)")
    }

    /// The full path of a setting of this set.
    func path(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    /// The member of that name, under its full path.
    func member(_ name: String) -> JSON.Member? {
        members.first { $0.name == name }.map { JSON.Member(path(name), $0.value, line: $0.line) }
    }

    func required(_ name: String, example: String) throws(SettingsError) -> JSON.Member {
        guard let member = member(name) else {
            throw SettingsError(
                line: line, path: path(name), problem: "is missing; for example \(example)")
        }
        return member
    }

    func text(_ name: String, example: String) throws(SettingsError) -> String? {
        guard let member = member(name) else { return nil }
        guard case .text(let text) = member.value, !text.isEmpty else {
            throw member.expected("text in quotes, such as \(name): \"\(example)\"")
        }
        guard !text.utf8.contains(0) else { throw member.problem("contains a zero character") }
        return text
    }

    func bool(_ name: String) throws(SettingsError) -> Bool? {
        guard let member = member(name) else { return nil }
        guard case .bool(let value) = member.value else { throw member.expected("true or false") }
        return value
    }

    func integer(
        _ name: String, in range: ClosedRange<Int>, example: Int
    ) throws(SettingsError) -> Int? {
        guard let member = member(name) else { return nil }
        guard case .integer(let value) = member.value, range.contains(value) else {
            throw member.expected(
                "a whole number from \(range.lowerBound) to \(range.upperBound), "
                    + "such as \(name)\(separator)\(example)"
            )
        }
        return value
    }
}

extension JSON {
    /// What this value is, for a message to a person.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .text(let value): value.isEmpty ? "an empty text" : "the text \"\(value.prefix(40))\""
        case .list(let values): values.isEmpty ? "an empty list" : "a list"
        case .members: "a set of members"
        }
    }
}

extension JSON.Member {
    /// The error for a member whose value does not fit.
    func expected(_ what: String) -> SettingsError {
        SettingsError(line: line, path: name, problem: "expected \(what), and found \(value.kind)")
    }

    func problem(_ text: String) -> SettingsError {
        SettingsError(line: line, path: name, problem: text)
    }
}
