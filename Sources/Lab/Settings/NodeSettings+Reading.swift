import Base
import Secrets

extension NodeSettings {
    private static let portRange = 1...65_535
    private static let names = [
        "clusterID", "node", "secret", "secretFile", "client", "link", "metrics", "dataDirectory",
        "recovery", "faults", "members", "limits", "keyspaces",
    ]

    /// Reads a configuration file's text.
    ///
    /// - Parameter objection: what a node has against a keyspace, given the number of members; nil
    ///   when nothing.
    /// - Throws: the first setting that is unknown, of another type, out of range or against
    ///   another one, with its line, its full path and what would be right.
    public init(
        parsing text: String, objection: (KeyspaceOverrides, Int) -> String? = { _, _ in nil }
    ) throws(SettingsError) {
        let root: JSON
        do {
            root = try JSON(parsing: text)
        } catch {
            throw SettingsError(line: error.line, path: "", problem: error.problem)
        }
        let reader = try SettingsReader(JSON.Member("", root), known: NodeSettings.names)
        _ = try reader.required("clusterID", example: "clusterID: \"orders-test\"")
        let place = try reader.required("node", example: "node: 1")
        _ = try reader.required("dataDirectory", example: "dataDirectory: \"/var/lib/quorate/1\"")
        let list = try reader.required(
            "members",
            example: "members: [{id: 1, host: \"127.0.0.1\", clientPort: 7001, linkPort: 17001}]")
        let members = try Member.list(list)
        let number = try reader.integer("node", in: 1...65_535, example: 1) ?? 0
        let node = NodeID(UInt16(truncatingIfNeeded: number))
        guard members.contains(where: { $0.id == node }) else {
            throw place.problem("is \(number), which is the id of no member")
        }
        self.init(
            clusterName: try reader.text("clusterID", example: "orders-test") ?? "", node: node,
            members: members,
            dataDirectory: try reader.text("dataDirectory", example: "/tmp/1") ?? "")
        client = try NodeSettings.endpoint(reader.member("client"), default: client)
        try readSecret(reader)
        link = try NodeSettings.endpoint(reader.member("link"), default: link)
        metrics = try NodeSettings.metrics(reader.member("metrics"))
        try readRecovery(reader.member("recovery"))
        faults = try reader.bool("faults") ?? false
        limits = try Limits(reader.member("limits"))
        try readKeyspaces(reader.member("keyspaces"), objection)
        try checkPorts(reader)
    }

    /// Two listeners of one node on one port would wait for each other.
    private func checkPorts(_ reader: SettingsReader) throws(SettingsError) {
        var listeners = [("client", client), ("link", link)]
        if let metrics, metrics.port > 0 { listeners.append(("metrics", metrics)) }
        for (position, later) in listeners.enumerated() {
            for earlier in listeners[..<position] where earlier.1.overlaps(later.1) {
                let place = reader.member(later.0) ?? reader.member(earlier.0)
                throw SettingsError(
                    line: place?.line ?? 0, path: "\(later.0).port",
                    problem: "is \(later.1.port), where this node already listens for "
                        + "\(earlier.0 == "client" ? "clients" : "other nodes"); choose another")
            }
        }
    }

    private static func endpoint(
        _ place: JSON.Member?, default own: Endpoint
    ) throws(SettingsError) -> Endpoint {
        guard let place else { return own }
        return try endpoint(SettingsReader(place, known: ["host", "port"]), default: own)
    }

    private static func endpoint(
        _ reader: SettingsReader, default own: Endpoint
    ) throws(SettingsError) -> Endpoint {
        Endpoint(
            host: try reader.text("host", example: "127.0.0.1") ?? own.host,
            port: try reader.integer("port", in: portRange, example: 7001) ?? own.port)
    }

    /// No error repeats what stands there.
    private mutating func readSecret(_ reader: SettingsReader) throws(SettingsError) {
        secretFile = try reader.text("secretFile", example: "/etc/quorate/secret")
        if let place = reader.member("secret") {
            guard case .text(let text) = place.value else {
                throw place.problem("expected hexadecimal digits or base64 in quotes")
            }
            guard secretFile == nil else {
                throw place.problem("stands beside secretFile; one of the two is enough")
            }
            do throws(ClusterSecret.TextError) { secret = try ClusterSecret(text: text) } catch {
                throw place.problem(error.text)
            }
        }
        guard secret == nil, secretFile == nil, members.count > 1 else { return }
        throw SettingsError(
            line: reader.line, path: "secret",
            problem: "is missing, and so is secretFile: members prove to each other that they know "
                + "it. Make one with: openssl rand -hex 32, and give it to all of them")
    }

    private static func metrics(_ place: JSON.Member?) throws(SettingsError) -> Endpoint? {
        guard let place else { return nil }
        let reader = try SettingsReader(place, known: ["host", "port"])
        _ = try reader.required("port", example: "port: 9101, or 0 for a free one")
        return Endpoint(
            host: try reader.text("host", example: "127.0.0.1") ?? "127.0.0.1",
            port: try reader.integer("port", in: 0...65_535, example: 9101) ?? 0)
    }

    private mutating func readRecovery(_ place: JSON.Member?) throws(SettingsError) {
        guard let place else { return }
        guard let choice = place.value.word.flatMap(Recovery.init(rawValue:)) else {
            throw place.expected("\"refuse\" or \"quarantine\"")
        }
        recovery = choice
    }

    private mutating func readKeyspaces(
        _ place: JSON.Member?, _ objection: (KeyspaceOverrides, Int) -> String?
    ) throws(SettingsError) {
        guard let place else { return }
        guard case .members(let entries) = place.value else {
            throw place.expected("names with their settings, such as {orders: {n: 3}}")
        }
        guard entries.count <= NodeSettings.keyspacesMax else {
            throw place.problem(
                "defines \(entries.count) keyspaces, and there are at most "
                    + "\(NodeSettings.keyspacesMax)")
        }
        for entry in entries {
            let member = JSON.Member("keyspaces.\(entry.name)", entry.value, line: entry.line)
            guard KeyspaceOverrides.isName(entry.name) else {
                throw member.problem(
                    "a keyspace's name is 1 to 64 of a-z, A-Z, 0-9, '_', '-' and '.'")
            }
            let settings = try KeyspaceOverrides(member)
            if let factor = settings.replicationFactor, factor > members.count {
                throw JSON.Member(member.name + ".n", .null, line: entry.line)
                    .problem("is \(factor), but there are only \(members.count) members")
            }
            if let problem = objection(settings, members.count) { throw member.problem(problem) }
            keyspaces[entry.name] = settings
        }
    }
}

extension NodeSettings.Member {
    private static let names = ["id", "host", "clientPort", "linkPort", "weight", "zone"]

    static func list(_ place: JSON.Member) throws(SettingsError) -> [NodeSettings.Member] {
        guard case .list(let values) = place.value, !values.isEmpty else {
            throw place.expected("a list of at least one member")
        }
        guard values.count <= NodeSettings.membersMax else {
            throw place.problem(
                "lists \(values.count) members, and a cluster has at most "
                    + "\(NodeSettings.membersMax)")
        }
        var members: [NodeSettings.Member] = []
        for (position, value) in values.enumerated() {
            let entry = JSON.Member(
                "members[\(position)]", value, line: value.firstLine ?? place.line)
            let member = try NodeSettings.Member(entry)
            try member.check(against: members, entry)
            members.append(member)
        }
        return members.sorted { $0.id < $1.id }
    }

    private init(_ place: JSON.Member) throws(SettingsError) {
        let reader = try SettingsReader(place, known: NodeSettings.Member.names)
        for (name, example) in zip(
            NodeSettings.Member.names.prefix(4), ["1", "\"127.0.0.1\"", "7001", "17001"])
        {
            _ = try reader.required(name, example: "\(name): \(example)")
        }
        let id = try reader.integer("id", in: 1...65_535, example: 1) ?? 0
        self.init(
            id: NodeID(UInt16(truncatingIfNeeded: id)),
            host: try reader.text("host", example: "127.0.0.1") ?? "",
            clientPort: try reader.integer("clientPort", in: 1...65_535, example: 7001) ?? 0,
            linkPort: try reader.integer("linkPort", in: 1...65_535, example: 17_001) ?? 0)
        weight = try reader.integer("weight", in: 1...1000, example: 100) ?? weight
        zone = try reader.text("zone", example: "eu-1") ?? zone
        guard clientPort != linkPort else {
            throw place.problem("clientPort and linkPort are both \(clientPort)")
        }
    }

    private func check(
        against others: [NodeSettings.Member], _ place: JSON.Member
    ) throws(SettingsError) {
        for other in others {
            guard other.id != id else { throw place.problem("id \(id.rawValue) stands here twice") }
            let ports = [other.clientPort, other.linkPort]
            guard other.host == host else { continue }
            for port in [clientPort, linkPort] where ports.contains(port) {
                throw place.problem("port \(port) of \(host) already belongs to \(other.id)")
            }
        }
    }
}

extension NodeSettings.Limits {
    private static let names = [
        "clients", "requestBytes", "memoryBytes", "replyBacklogBytes", "linkBacklogBytes",
        "hintBytes", "hintMinutes",
    ]

    init(_ place: JSON.Member?) throws(SettingsError) {
        self.init()
        guard let place else { return }
        let reader = try SettingsReader(place, known: NodeSettings.Limits.names)
        let bytes = 65_536...1 << 40
        // The longest message, a record of 9 MiB, and some that follow it.
        let backlog = 16 << 20...1 << 40
        clients = try reader.integer("clients", in: 1...1_000_000, example: clients) ?? clients
        requestBytes =
            try reader.integer(
                "requestBytes", in: 1024...512 << 20, example: requestBytes) ?? requestBytes
        memoryBytes =
            try reader.integer(
                "memoryBytes", in: bytes, example: memoryBytes) ?? memoryBytes
        replyBacklogBytes =
            try reader.integer(
                "replyBacklogBytes", in: bytes, example: replyBacklogBytes) ?? replyBacklogBytes
        linkBacklogBytes =
            try reader.integer(
                "linkBacklogBytes", in: backlog, example: linkBacklogBytes) ?? linkBacklogBytes
        hintBytes = try reader.integer("hintBytes", in: bytes, example: hintBytes) ?? hintBytes
        hintMinutes =
            try reader.integer(
                "hintMinutes", in: 1...10_080, example: hintMinutes) ?? hintMinutes
    }
}

extension JSON {
    /// The line on which the first member of this value stands, if it is a set of members.
    fileprivate var firstLine: Int? {
        guard case .members(let members) = self else { return nil }
        return members.first?.line
    }
}
