extension KeyspaceSettings {
    /// Reads `n=3 r=quorum w=quorum floor=r:1,w:quorum conflict=lww durability=interval(100) ttl=60`.
    ///
    /// - Throws: the first word that is none of these, with what would be right.
    public init(assignments: [String]) throws(SettingsError) {
        var members: [JSON.Member] = []
        for word in assignments {
            guard let equals = word.firstIndex(of: "="), equals != word.startIndex else {
                throw SettingsError(
                    line: 0, path: "", problem: "\"\(word)\" is no setting; for example n=3")
            }
            let name = String(word[..<equals])
            let value = String(word[word.index(after: equals)...])
            guard !members.contains(where: { $0.name == name }) else {
                throw SettingsError(line: 0, path: name, problem: "stands here twice")
            }
            members.append(JSON.Member(name, Int(value).map(JSON.integer) ?? .text(value)))
        }
        try self.init(JSON.Member("", .members(members)))
    }

    init(_ place: JSON.Member) throws(SettingsError) {
        self.init()
        let reader = try SettingsReader(place, known: KeyspaceSettings.names)
        replicationFactor = try reader.integer(
            "n", in: 1...KeyspaceSettings.replicationFactorMax, example: 3)
        readQuorum = try level(reader.member("r"))
        writeQuorum = try level(reader.member("w"))
        primaryReads = try level(reader.member("pr"))
        primaryWrites = try level(reader.member("pw"))
        durableWrites = try level(reader.member("dw"))
        try readFloor(reader.member("floor"))
        try readChoices(reader)
        ttlSeconds = try reader.integer("ttl", in: 0...3_153_600_000, example: 3600)
    }

    private mutating func readChoices(_ reader: SettingsReader) throws(SettingsError) {
        if let member = reader.member("conflict") {
            guard let choice = member.value.word.flatMap(Conflict.init(rawValue:)) else {
                throw member.expected("\"lww\" or \"siblings\"")
            }
            conflict = choice
        }
        if let member = reader.member("durability") {
            guard let choice = member.value.word.flatMap(Durability.init(_:)) else {
                throw member.expected("\"fsync\", \"interval(100)\" in milliseconds, or \"memory\"")
            }
            durability = choice
        }
    }

    private func level(_ member: JSON.Member?) throws(SettingsError) -> Level? {
        guard let member else { return nil }
        guard let level = member.value.word.flatMap(Level.init(_:)) else {
            throw member.expected("a number of replicas, \"one\", \"quorum\" or \"all\"")
        }
        if let factor = replicationFactor, level.replicas(of: factor) > factor {
            throw member.problem("asks for \(level) replicas, but n is \(factor)")
        }
        return level
    }

    /// A floor is `{r: 1, w: "quorum"}` in a file and `r:1,w:quorum` as one word.
    private mutating func readFloor(_ member: JSON.Member?) throws(SettingsError) {
        guard let member else { return }
        var floor = member
        if let word = member.value.word {
            floor = JSON.Member(member.name, .members(KeyspaceSettings.parts(of: word)), line: member.line)
        }
        let reader = try SettingsReader(floor, known: ["r", "w"])
        readFloor = try level(reader.member("r"))
        writeFloor = try level(reader.member("w"))
        guard readFloor != nil || writeFloor != nil else {
            throw member.expected("r, w or both, such as {r: 1, w: \"quorum\"}")
        }
        try check(readQuorum, isAtLeast: readFloor, "r", member)
        try check(writeQuorum, isAtLeast: writeFloor, "w", member)
    }

    private static func parts(of word: String) -> [JSON.Member] {
        word.split(separator: ",", omittingEmptySubsequences: false).map { part in
            let halves = part.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            return JSON.Member(String(halves[0]), .text(halves.count > 1 ? String(halves[1]) : ""))
        }
    }

    private func check(
        _ level: Level?, isAtLeast floor: Level?, _ name: String, _ member: JSON.Member
    ) throws(SettingsError) {
        let factor = replicationFactor ?? 3
        guard let level, let floor, level.replicas(of: factor) < floor.replicas(of: factor) else { return }
        throw member.problem("the default \(name) of \(level) lies below the floor of \(floor)")
    }
}

extension JSON {
    /// A text or a whole number as the word that stands for it on a command line.
    var word: String? {
        switch self {
        case .text(let text): text
        case .integer(let value): String(value)
        case .null, .bool, .number, .list, .members: nil
        }
    }
}
