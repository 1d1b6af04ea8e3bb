extension KeyspaceOverrides {
    /// Reads `n=3 r=quorum w=quorum floor=strong conflict=lww durability=interval(100) ttl=60`.
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
                throw SettingsError(line: 0, path: word, problem: "\(name) stands here twice")
            }
            members.append(JSON.Member(name, Int(value).map(JSON.integer) ?? .text(value)))
        }
        do throws(SettingsError) {
            try self.init(JSON.Member("", .members(members)), separator: "=")
        } catch {
            // As it was typed.
            let word = assignments.first { $0.hasPrefix(error.path + "=") }
            throw SettingsError(line: 0, path: word ?? error.path, problem: error.problem)
        }
    }

    init(_ place: JSON.Member, separator: String = ": ") throws(SettingsError) {
        self.init()
        let reader = try SettingsReader(
            place, known: KeyspaceOverrides.names, separator: separator)
        replicationFactor = try reader.integer(
            "n", in: KeyspaceOverrides.replicationFactorRange, example: 3)
        readQuorum = try level(reader.member("r"), least: 1)
        writeQuorum = try level(reader.member("w"), least: 1)
        primaryReads = try level(reader.member("pr"))
        primaryWrites = try level(reader.member("pw"))
        durableWrites = try level(reader.member("dw"))
        try readChoices(reader)
        ttlMilliseconds = try reader.integer("ttl", in: 0...1 << 47, example: 60_000)
        timeoutMilliseconds = try bound(0, reader)
        keyBytesMax = try bound(1, reader)
        valueBytesMax = try bound(2, reader)
        siblingsMax = try bound(3, reader)
        readRepairPerMille = try bound(4, reader)
        try checkOverlap(reader)
    }

    private func bound(_ index: Int, _ reader: SettingsReader) throws(SettingsError) -> Int? {
        let bound = KeyspaceOverrides.bounds[index]
        return try reader.integer(bound.name, in: bound.range, example: bound.example)
    }

    private mutating func readChoices(_ reader: SettingsReader) throws(SettingsError) {
        floor = try choice(
            reader.member("floor"),
            "\"none\", \"strong\", a number of replicas from 1 to 32, \"one\", \"quorum\" or "
                + "\"all\"",
            Floor.init(_:))
        conflict = try choice(
            reader.member("conflict"), "\"lww\", \"siblings\" or \"crdt\"",
            Conflict.init(rawValue:))
        durability = try choice(
            reader.member("durability"),
            "\"fsync\", \"memory\", or \"interval(100)\" with 1 to 60000 milliseconds",
            Durability.init(_:))
        isSloppy = try choice(reader.member("sloppy"), "\"on\" or \"off\"") {
            $0 == "on" ? true : $0 == "off" ? false : nil
        }
        overflow = try choice(
            reader.member("overflow"), "\"refuse\", \"lww\", \"union\" or \"max\"",
            Overflow.init(rawValue:))
        hedge = try choice(
            reader.member("hedge"),
            "\"off\", a percentile from \"p0.1\" to \"p99.9\", or a delay from \"0ms\" to "
                + "\"600000ms\"",
            Hedge.init(_:))
    }

    /// A setting that is one word; nil when the file does not have it.
    private func choice<Value>(
        _ member: JSON.Member?, _ expected: String, _ read: (String) -> Value?
    ) throws(SettingsError) -> Value? {
        guard let member else { return nil }
        guard let value = member.value.word.flatMap(read) else { throw member.expected(expected) }
        return value
    }

    private func level(
        _ member: JSON.Member?, least: Int = 0
    ) throws(SettingsError) -> ReplicaLevel? {
        guard let member else { return nil }
        let range = least...KeyspaceOverrides.replicationFactorRange.upperBound
        guard let level = member.value.word.flatMap(ReplicaLevel.init(_:)),
            range.contains(level.replicas(of: 1))
        else {
            throw member.expected(
                "a number of replicas from \(range.lowerBound) to \(range.upperBound), \"one\", "
                    + "\"quorum\" or \"all\"")
        }
        if let factor = replicationFactor, level.replicas(of: factor) > factor {
            throw member.problem("asks for \(level) replicas, but n is \(factor)")
        }
        return level
    }

    /// A floor that the keyspace's own r and w do not keep is a contradiction; what is not said
    /// here is left to the node.
    private func checkOverlap(_ reader: SettingsReader) throws(SettingsError) {
        guard let floor, let member = reader.member("floor"), let factor = replicationFactor,
            let read = readQuorum, let write = writeQuorum
        else { return }
        let counts = (read.replicas(of: factor), write.replicas(of: factor))
        switch floor {
        case .none: return
        case .level(let level):
            guard min(counts.0, counts.1) < level.replicas(of: factor) else { return }
            throw member.problem("r=\(read) or w=\(write) lies below the floor of \(level)")
        case .strong:
            guard counts.0 + counts.1 <= factor else { return }
            throw member.problem(
                "strong needs r + w above n, and \(counts.0) + \(counts.1) is not above \(factor)")
        }
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
