import Lab
import Replication

/// `quorate keyspace create|list|alter|drop`: one request to one node.
enum KeyspaceCommand {
    /// - Parameter verb: `CREATE` or `ALTER`.
    static func define(_ verb: String, _ arguments: Arguments) throws(Failure) {
        let name = try name(arguments)
        let settings: KeyspaceOverrides
        do {
            settings = try KeyspaceOverrides(assignments: Array(arguments.operands.dropFirst()))
        } catch {
            throw Failure(
                .usage, "\(error)", hint: "quorate keyspace \(verb.lowercased()) --help lists them")
        }
        if verb == "ALTER", settings.words.isEmpty {
            throw Failure(
                .usage, "nothing to change", hint: "for example quorate keyspace alter \(name) r=1")
        }
        let connection = try ClientConnection(try address(arguments))
        if let objection = try objection(to: settings, verb, name, connection) {
            throw Failure(
                .usage, objection, hint: "quorate keyspace \(verb.lowercased()) --help lists them")
        }
        let words = settings.words.map { "\($0.name)=\($0.value)" }
        try ask(["KEYSPACE", verb, name] + words, on: connection, arguments)
    }

    /// What settings contradict, each other or what the keyspace has: known before anything is
    /// asked for.
    private static func objection(
        to overrides: KeyspaceOverrides, _ verb: String, _ name: String,
        _ connection: ClientConnection
    ) throws(Failure) -> String? {
        let members = try field("links", of: ["INFO", "replication"], connection).map { $0 + 1 }
        if let n = overrides.replicationFactor, let members, n > members {
            return "n=\(n) exceeds the cluster's \(members) nodes"
        }
        guard verb == "ALTER" else {
            // What is not said follows the number of members, up to 3.
            return KeyspaceSettings.objection(to: overrides, members: members ?? 3)
        }
        guard case .done(let reply) = Outcome(try connection.ask(["KEYSPACE", "GET", name])) else {
            return nil
        }
        var settings = KeyspaceSettings()
        for field in fields(of: reply) where KeyspaceSettings.fieldNames.contains(field.name) {
            _ = settings.set("\(field.name)=\(field.value)")
        }
        for word in overrides.words {
            if let problem = settings.set("\(word.name)=\(word.value)") { return problem }
        }
        return settings.objection
    }

    /// A number in an answer of lines `name:value`.
    private static func field(
        _ name: String, of words: [String], _ connection: ClientConnection
    ) throws(Failure) -> Int? {
        guard case .done(let reply) = Outcome(try connection.ask(words)), let text = reply.text
        else {
            return nil
        }
        let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix(name + ":") }
        return line.flatMap { Int($0.dropFirst(name.count + 1)) }
    }

    static func list(_ arguments: Arguments) throws(Failure) {
        try arguments.expectOperands(0)
        try ask(["KEYSPACE", "LIST"], arguments)
    }

    static func drop(_ arguments: Arguments) throws(Failure) {
        let name = try name(arguments)
        try arguments.expectOperands(1)
        try ask(["KEYSPACE", "DROP", name], arguments)
    }

    private static func name(_ arguments: Arguments) throws(Failure) -> String {
        guard let name = arguments.operands.first else {
            throw Failure(.usage, "the keyspace's name is missing")
        }
        guard KeyspaceOverrides.isName(name) else {
            throw Failure(
                .usage, "\"\(name)\" is no keyspace name",
                hint: "1 to 64 of a-z, A-Z, 0-9, '_', '-' and '.'")
        }
        return name
    }

    private static func ask(_ words: [String], _ arguments: Arguments) throws(Failure) {
        try ask(words, on: try ClientConnection(try address(arguments)), arguments)
    }

    private static func ask(
        _ words: [String], on connection: ClientConnection, _ arguments: Arguments
    ) throws(Failure) {
        switch Outcome(try connection.ask(words)) {
        case .done(let reply):
            if arguments.has("json") {
                Terminal.result(json(of: reply).line)
            } else {
                for line in lines(of: reply) { Terminal.result(line) }
            }
        case .refused(let problem):
            throw Failure(
                problem.hasPrefix("UNAVAILABLE") ? .unavailable : .failed, sentence(problem))
        case .unknown(let problem): throw Failure(.unknown, problem)
        }
    }

    /// An error without the code `ERR`, which says nothing; other codes do.
    static func sentence(_ problem: String) -> String {
        problem.hasPrefix("ERR ") ? String(problem.dropFirst(4)) : problem
    }

    /// The node that was named, or a living one of the local cluster.
    private static func address(_ arguments: Arguments) throws(Failure) -> NodeSettings.Endpoint {
        if let text = arguments.value("address") {
            guard let address = NodeSettings.Endpoint(text) else {
                throw Failure(
                    .usage, "--address takes HOST:PORT, not \"\(text)\"",
                    hint: "for example --address 127.0.0.1:7001")
            }
            return address
        }
        let directory = ClusterCommand.directory(arguments)
        guard try LocalCluster.exists(in: directory) else {
            throw Failure(
                .usage, "--address HOST:PORT is missing",
                hint: "and no local cluster is in \(directory)")
        }
        let nodes = try LocalCluster.open(directory).state.nodes
        guard let node = nodes.first(where: { $0.process?.condition == .alive }) else {
            throw Failure(.unavailable, "no node of the cluster in \(directory) is running")
        }
        return node.client
    }

    /// An answer for people: each keyspace's name and then its settings as the command line takes
    /// them.
    static func lines(of reply: Reply) -> [String] {
        guard case .array(let items) = reply else { return [reply.text ?? reply.json.line] }
        return items.map { item in
            let fields = fields(of: item)
            let settings = fields.dropFirst().map { "\($0.name)=\($0.value)" }
            return ([fields.first?.value ?? "-"] + settings).joined(separator: " ")
        }
    }

    /// An answer for machines: a list of objects.
    static func json(of reply: Reply) -> JSON {
        guard case .array(let items) = reply else { return reply.json }
        return .list(
            items.map { item in
                .members(
                    fields(of: item).map { field in
                        JSON.Member(
                            field.name, Int(field.value).map(JSON.integer) ?? .text(field.value))
                    })
            })
    }

    /// A map is a flat list of names and values in version 2 of the protocol.
    private static func fields(of item: Reply) -> [(name: String, value: String)] {
        guard case .array(let words) = item else { return [] }
        return stride(from: 0, to: words.count - 1, by: 2).map { index in
            (words[index].text ?? "", words[index + 1].text ?? "")
        }
    }
}
