import Base

/// What `cluster.json` remembers about a local cluster: enough to find its nodes again, and to
/// recognise strangers.
public struct ClusterState: Equatable, Sendable {
    /// One node and the process that last ran it.
    public struct Node: Equatable, Sendable {
        public let id: NodeID
        public let client: NodeSettings.Endpoint
        public let link: NodeSettings.Endpoint
        /// Where it serves `/metrics`; nil in clusters that were made without.
        public var metrics: NodeSettings.Endpoint?
        /// Nil before it was first started and after it was stopped.
        public var process: NodeProcess?
    }

    public let name: String
    /// Ascending by identifier.
    public var nodes: [Node]

    var json: JSON {
        ["cluster": .text(name), "nodes": .list(nodes.map(\.json))]
    }

    init(name: String, nodes: [Node]) {
        self.name = name
        self.nodes = nodes
    }

    /// - Throws: `SettingsError` naming what is missing or of another type.
    init(parsing text: String) throws(SettingsError) {
        let root: JSON
        do {
            root = try JSON(parsing: text)
        } catch {
            throw SettingsError(line: error.line, path: "", problem: error.problem)
        }
        let reader = try SettingsReader(JSON.Member("", root), known: ["cluster", "nodes"])
        name = try reader.text("cluster", example: "local") ?? "local"
        let place = try reader.required("nodes", example: "nodes: []")
        guard case .list(let values) = place.value else { throw place.expected("a list") }
        nodes = []
        for (position, value) in values.enumerated() {
            nodes.append(try Node(JSON.Member("nodes[\(position)]", value, line: place.line)))
        }
    }
}

extension ClusterState.Node {
    private static let names = [
        "id", "host", "clientPort", "linkPort", "metricsPort", "pid", "startTicks", "executable",
    ]

    var json: JSON {
        var members = [
            JSON.Member("id", .integer(Int(id.rawValue))),
            JSON.Member("host", .text(client.host)),
            JSON.Member("clientPort", .integer(client.port)),
            JSON.Member("linkPort", .integer(link.port)),
        ]
        if let metrics { members.append(JSON.Member("metricsPort", .integer(metrics.port))) }
        if let process {
            members.append(JSON.Member("pid", .integer(Int(process.number))))
            members.append(JSON.Member("startTicks", .integer(process.startTicks)))
            members.append(JSON.Member("executable", .text(process.executable)))
        }
        return .members(members)
    }

    fileprivate init(_ place: JSON.Member) throws(SettingsError) {
        let reader = try SettingsReader(place, known: ClusterState.Node.names)
        for name in ["id", "host", "clientPort", "linkPort"] {
            _ = try reader.required(name, example: "what quorate cluster up wrote")
        }
        let host = try reader.text("host", example: "127.0.0.1") ?? ""
        let ports = 1...65_535
        id = NodeID(
            UInt16(truncatingIfNeeded: try reader.integer("id", in: ports, example: 1) ?? 1))
        client = NodeSettings.Endpoint(
            host: host, port: try reader.integer("clientPort", in: ports, example: 7001) ?? 0)
        link = NodeSettings.Endpoint(
            host: host, port: try reader.integer("linkPort", in: ports, example: 17_001) ?? 0)
        metrics = try reader.integer("metricsPort", in: ports, example: 9101).map {
            NodeSettings.Endpoint(host: host, port: $0)
        }
        let range = 1...Int(Int32.max)
        if let number = try reader.integer("pid", in: range, example: 4711),
            let ticks = try reader.integer("startTicks", in: 0...Int.max, example: 100),
            let executable = try reader.text("executable", example: "/usr/bin/quorate")
        {
            process = NodeProcess(number: Int32(number), startTicks: ticks, executable: executable)
        }
    }
}
