import Lab

/// `quorate keyspace create|list|alter|drop`: one request to one node.
enum KeyspaceCommand {
    /// - Parameter verb: `CREATE` or `ALTER`.
    static func define(_ verb: String, _ arguments: Arguments) throws(Failure) {
        let name = try name(arguments)
        let settings: KeyspaceOverrides
        do {
            settings = try KeyspaceOverrides(assignments: Array(arguments.operands.dropFirst()))
        } catch {
            throw Failure(.usage, "\(error)", hint: "quorate keyspace \(verb.lowercased()) --help lists them")
        }
        if verb == "ALTER", settings.words.isEmpty {
            throw Failure(.usage, "nothing to change", hint: "for example quorate keyspace alter \(name) r=1")
        }
        try ask(["KEYSPACE", verb, name] + settings.words.map { "\($0.name)=\($0.value)" }, arguments)
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
        let connection = try ClientConnection(try address(arguments))
        switch Outcome(try connection.ask(words)) {
        case .done(let reply):
            if arguments.has("json") {
                Terminal.result(reply.json.line)
            } else {
                for line in lines(of: reply) { Terminal.result(line) }
            }
        case .refused(let problem):
            throw Failure(problem.hasPrefix("UNAVAILABLE") ? .unavailable : .failed, problem)
        case .unknown(let problem): throw Failure(.unknown, problem)
        }
    }

    /// The node that was named, or a living one of the local cluster.
    private static func address(_ arguments: Arguments) throws(Failure) -> NodeSettings.Endpoint {
        if let text = arguments.value("address") {
            guard let address = NodeSettings.Endpoint(text) else {
                throw Failure(.usage, "\"\(text)\" is no address", hint: "for example --address 127.0.0.1:7001")
            }
            return address
        }
        let directory = ClusterCommand.directory(arguments)
        guard LocalCluster.exists(in: directory) else {
            throw Failure(.usage, "--address HOST:PORT is missing", hint: "and no local cluster is in \(directory)")
        }
        let nodes = try LocalCluster.open(directory).state.nodes
        guard let node = nodes.first(where: { $0.process?.condition == .alive }) else {
            throw Failure(.unavailable, "no node of the cluster in \(directory) is running")
        }
        return node.client
    }

    /// An answer for people: nested lists become lines of words.
    static func lines(of reply: Reply) -> [String] {
        guard case .array(let items) = reply else { return [word(reply)] }
        return items.map { item in
            guard case .array(let words) = item else { return word(item) }
            return words.map(word).joined(separator: " ")
        }
    }

    private static func word(_ reply: Reply) -> String {
        switch reply {
        case .simple, .bulk: reply.text ?? "-"
        case .integer(let value): String(value)
        case .error(let text): text
        case .array(let items): items.map(word).joined(separator: " ")
        }
    }
}
