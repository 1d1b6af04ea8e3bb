/// Calls that a deterministic floor must not make, and leftovers that no source keeps.
enum Bans {
    /// Floors 0–3 decide; the floors above interpret.
    static let highestPureFloor = 3

    static func offences(_ file: SourceFile) -> [Offence] {
        if file.isTest { return sleeps(file) }
        var offences = leftovers(file)
        if let floor = Rooms.floor(of: file.target), floor <= highestPureFloor {
            offences += impurities(file)
            if file.target != "Storage" { offences += countersRead(file) }
            offences += liftedGates(file)
            if file.path != "Sources/Base/Table.swift" { offences += hashContainers(file) }
        }
        return offences
    }

    private static func sleeps(_ file: SourceFile) -> [Offence] {
        file.calls(of: ["sleep", "usleep", "nanosleep"]).map {
            file.offence($0.line, "a test that sleeps is slow or flaky; wait for the event itself")
        }
    }
}

// Counters
extension Bans {
    /// A counter says what happened; what is decided by is state with a name of its own. All of
    /// them together (`counters.named`) are exported.
    private static func countersRead(_ file: SourceFile) -> [Offence] {
        let tokens = file.tokens
        return tokens.indices.compactMap { index in
            guard tokens[index].isWord("counters"), index + 2 < tokens.count,
                tokens[index + 1].isSymbol("."), tokens[index + 2].kind == .word,
                tokens[index + 2].text != "named"
            else { return nil }
            let next = index + 3 < tokens.count ? tokens[index + 3].text : ""
            guard !["+=", "-=", "&+="].contains(next) else { return nil }
            return file.offence(
                tokens[index].line,
                "`counters.\(tokens[index + 2].text)` is read; decide by state, and only count here"
            )
        }
    }

    /// What is gated ends with a step, and within one with a scope.
    private static func liftedGates(_ file: SourceFile) -> [Offence] {
        guard file.path != "Sources/Replication/Node.swift" else { return [] }
        return file.calls(of: ["beginStep"]).map {
            file.offence($0.line, "`beginStep` within a step lifts its gate; use a scope")
        }
    }
}

// Clocks, randomness, threads
extension Bans {
    private static let clock = "time comes in as `now`; a clock here breaks replay"
    private static let chance = "draw from the `PRNG` that was passed in"
    private static let thread = "one owner thread, no concurrency below floor 4"
    private static let words: [String: String] = [
        "clock_gettime": clock, "gettimeofday": clock, "ContinuousClock": clock,
        "SuspendingClock": clock, "SystemRandomNumberGenerator": chance, "arc4random": chance,
        "getrandom": chance, "hashValue": "hash values differ in each process; use `keyHash`",
        "Thread": thread, "DispatchQueue": thread, "DispatchTime": clock, "Mutex": thread,
        "Atomic": thread, "pthread_create": thread, "await": thread,
    ]
    private static let calledWords: [String: String] = [
        "Date": clock, "Hasher": "hash values differ in each process; use `keyHash`",
        "Task": thread, "print": "no output below floor 4; count it or put it into an effect",
        "time": clock, "rand": chance,
    ]
    private static let drawn = ["random", "shuffled", "shuffle", "randomElement"]

    private static func impurities(_ file: SourceFile) -> [Offence] {
        let tokens = file.tokens
        return tokens.indices.compactMap { index in
            let token = tokens[index]
            guard token.kind == .word else { return nil }
            if let reason = words[token.text] {
                return file.offence(token.line, "`\(token.text)` on this floor: \(reason)")
            }
            if let reason = calledWords[token.text], isUse(tokens, index) {
                return file.offence(token.line, "`\(token.text)` on this floor: \(reason)")
            }
            if drawn.contains(token.text), isDrawnWithoutGenerator(tokens, index) {
                return file.offence(
                    token.line, "`.\(token.text)` without `using:`: \(chance)")
            }
            return nil
        }
    }

    /// `Date(`, `Task {`, `Task.`, but not `func time(` or `x.time(`.
    private static func isUse(_ tokens: [Token], _ index: Int) -> Bool {
        guard index + 1 < tokens.count else { return false }
        if index > 0, tokens[index - 1].isSymbol(".") || tokens[index - 1].isWord("func") {
            return false
        }
        let next = tokens[index + 1]
        if next.isSymbol("(") { return next.touchesPrevious }
        return tokens[index].text == "Task" && (next.isSymbol("{") || next.isSymbol("."))
    }

    private static func isDrawnWithoutGenerator(_ tokens: [Token], _ index: Int) -> Bool {
        guard index > 0, tokens[index - 1].isSymbol("."), index + 1 < tokens.count,
            tokens[index + 1].isSymbol("(")
        else { return false }
        var depth = 0
        for token in tokens[(index + 1)...] {
            if token.isSymbol("(") { depth += 1 }
            if token.isSymbol(")") { depth -= 1 }
            if token.isWord("using") { return false }
            if depth == 0 { return true }
        }
        return true
    }
}

// Containers that iterate in no order
extension Bans {
    private static func hashContainers(_ file: SourceFile) -> [Offence] {
        let advice =
            "iterates in a different order in each process; look up in a `Table`, iterate a "
            + "`SortedMap` or a sorted array"
        let tokens = file.tokens
        return tokens.indices.compactMap { index in
            let token = tokens[index]
            if token.isWord("Dictionary") {
                return file.offence(token.line, "a `Dictionary` \(advice)")
            }
            if token.isWord("Set"), index + 1 < tokens.count, tokens[index + 1].touchesPrevious,
                tokens[index + 1].text.first == "<" || tokens[index + 1].text == "("
            {
                return file.offence(token.line, "a `Set` \(advice)")
            }
            if token.isSymbol("["), isDictionary(tokens, index) {
                return file.offence(token.line, "a dictionary `[… : …]` \(advice)")
            }
            return nil
        }
    }

    /// A bracket that is no subscript and has a colon of its own.
    private static func isDictionary(_ tokens: [Token], _ open: Int) -> Bool {
        if open > 0, tokens[open].touchesPrevious {
            let before = tokens[open - 1]
            let isValue = before.kind == .word || before.isSymbol(")") || before.isSymbol("]")
            if isValue || before.text.hasSuffix("?") { return false }
        }
        var depth = 0
        for token in tokens[open...] where token.kind == .symbol {
            switch token.text {
            case "[", "(", "{": depth += 1
            case "]", ")", "}": depth -= 1
            case ":" where depth == 1: return true
            case "?" where depth == 1 && !token.touchesPrevious: return false
            default: break
            }
            if depth == 0 { return false }
        }
        return false
    }
}

// What no source keeps
extension Bans {
    private static func leftovers(_ file: SourceFile) -> [Offence] {
        let tokens = file.tokens
        return tokens.indices.compactMap { index in
            let token = tokens[index]
            if token.isWord("fatalError") {
                return file.offence(
                    token.line,
                    "`fatalError`: state the broken rule with `precondition` or throw")
            }
            guard token.isSymbol("!"), token.touchesPrevious, index > 0 else { return nil }
            let before = tokens[index - 1]
            if before.isWord("try") { return file.offence(token.line, "`try!`: handle the error") }
            if before.isWord("as") { return file.offence(token.line, "`as!`: use `as?` or a type") }
            guard before.kind == .word || before.isSymbol(")") || before.isSymbol("]") else {
                return nil
            }
            return file.offence(
                token.line, "force unwrap of `\(before.text)`; use `guard let` and say what then")
        }
    }
}

extension SourceFile {
    /// Tokens of these names that are called.
    func calls(of names: [String]) -> [Token] {
        tokens.indices.filter { index in
            names.contains(tokens[index].text) && tokens[index].kind == .word
                && index + 1 < tokens.count && tokens[index + 1].isSymbol("(")
                && !(index > 0 && tokens[index - 1].isWord("func"))
        }.map { tokens[$0] }
    }
}
