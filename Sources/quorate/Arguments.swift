import Lab

/// The words behind a command, sorted into operands and options.
///
/// `--name value` and `--name=value` are the same; `--` ends the options; an option stands once;
/// what is not known is refused with the nearest known name.
struct Arguments: Equatable {
    private(set) var operands: [String] = []
    private var options: [(name: String, value: String)] = []

    /// - Throws: `usage` for an unknown or repeated option, or a value too many or too few.
    init(_ words: [String], options known: [CommandLineOption]) throws(Failure) {
        var rest = words[...]
        while let word = rest.popFirst() {
            if word == "--" {
                operands += rest
                return
            }
            guard word.hasPrefix("-"), word != "-" else {
                operands.append(word)
                continue
            }
            try readOption(word == "-h" ? "--help" : word, &rest, known)
        }
    }

    private mutating func readOption(
        _ word: String, _ rest: inout ArraySlice<String>, _ known: [CommandLineOption]
    ) throws(Failure) {
        let halves = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let typed = String(halves[0])
        guard let option = known.first(where: { "--" + $0.name == typed }) else {
            throw Arguments.unknown(typed, known)
        }
        guard !has(option.name) else { throw Failure(.usage, "\(typed) stands here twice") }
        var value = halves.count > 1 ? String(halves[1]) : nil
        if option.value == nil, value != nil { throw Failure(.usage, "\(typed) takes no value") }
        if let name = option.value, value == nil {
            guard let next = rest.popFirst(), !next.hasPrefix("--") else {
                throw Failure(.usage, "\(typed) needs a value: \(typed) \(name)")
            }
            value = next
        }
        options.append((option.name, value ?? ""))
    }

    private static func unknown(_ typed: String, _ known: [CommandLineOption]) -> Failure {
        let names = known.map { "--" + $0.name }
        let guess = Suggestion.nearest(to: typed, among: names)
        return Failure(
            .usage, "unknown option \(typed)",
            hint: guess.map { "did you mean \($0)?" } ?? "known here: "
                + names.joined(separator: " "))
    }

    /// True when the option stands there.
    func has(_ name: String) -> Bool { options.contains { $0.name == name } }

    /// The option's value, or nil when it does not stand there.
    func value(_ name: String) -> String? { options.first { $0.name == name }?.value }

    /// The option's value as a whole number.
    func integer(_ name: String, in range: ClosedRange<Int>) throws(Failure) -> Int? {
        guard let text = value(name) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw Failure(
                .usage,
                "--\(name) takes a whole number from \(range.lowerBound) to \(range.upperBound), "
                    + "not \"\(text)\""
            )
        }
        return number
    }

    static func == (a: Arguments, b: Arguments) -> Bool {
        a.operands == b.operands && a.options.elementsEqual(b.options, by: ==)
    }
}
