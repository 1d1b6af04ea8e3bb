import Base
import Glibc
import Secrets

/// A cluster of real processes on loopback, whose state lives in one directory.
///
/// The directory holds `cluster.json` (nodes, ports, processes), `secret` (what its nodes prove to
/// each other, readable by its owner alone), `lock`, and for each node
/// `node-N.json5` (its configuration), `node-N.log` (what it printed) and `node-N/` (its data).
/// Stopping keeps the data; starting again uses it. Whoever works on a cluster holds its lock.
///
/// Reading order: this file, LocalCluster+Processes.swift (start, wait, stop),
/// LocalCluster+Status.swift.
public final class LocalCluster {
    /// What a new cluster is made of.
    public struct Plan {
        /// 1…64.
        public var nodes = 3
        /// The first client port, 1…55,000; nil for ports that the kernel picks.
        public var basePort: Int?
        /// True when `DEBUG CUT` may cut links.
        public var faults = false
        public var keyspaces = SortedMap<String, KeyspaceOverrides>()

        public init() {}
    }

    /// From the root: the configurations name data directories in it.
    public let directory: String
    public internal(set) var state: ClusterState
    /// The pipe that nodes hold as standard input; nil while they outlive this process.
    var tether: (read: Int32, write: Int32)?
    private let lock: Int32

    private init(directory: String, state: ClusterState, lock: Int32) {
        self.directory = directory
        self.state = state
        self.lock = lock
    }

    deinit {
        if let tether {
            close(tether.read)
            close(tether.write)
        }
        close(lock)
    }

    /// The directory that is meant when none is named: one per user, so that `status` and `down`
    /// find it from anywhere.
    public static var defaultDirectory: String {
        temporaryDirectory + "/quorate-cluster-\(getuid())"
    }

    /// Where temporary files go.
    public static var temporaryDirectory: String {
        guard let value = getenv("TMPDIR"), value.pointee != 0 else { return "/tmp" }
        let path = String(cString: value)
        return path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    }

    /// True when a cluster was made in the directory.
    ///
    /// - Throws: `badFile` when nobody can say, as with a directory of another user.
    public static func exists(in directory: String) throws(Failure) -> Bool {
        try Files.exists(directory + "/cluster.json")
    }

    /// Opens the cluster of a directory.
    ///
    /// - Throws: `unavailable` when none was made there; `badFile` when it or its state cannot be
    ///   read.
    public static func open(_ directory: String) throws(Failure) -> LocalCluster {
        let directory = try Files.absolute(directory)
        guard try exists(in: directory) else {
            throw Failure(
                .unavailable, "no cluster in \(directory)",
                hint: "start one with quorate cluster up")
        }
        let lock = try Files.lock(directory + "/lock")
        let text = try Files.read(directory + "/cluster.json")
        do {
            return LocalCluster(
                directory: directory, state: try ClusterState(parsing: text), lock: lock)
        } catch {
            close(lock)
            throw Failure(.badFile, "\(directory)/cluster.json: \(error)")
        }
    }

    /// Makes a new cluster's directory, picks its ports and writes the configurations; starts
    /// nothing.
    public static func create(_ directory: String, _ plan: Plan) throws(Failure) -> LocalCluster {
        let directory = try Files.absolute(directory)
        // First what fails most, so that nothing is left behind then.
        let ports = try LoopbackPorts.choose(nodes: plan.nodes, base: plan.basePort)
        try Files.makeDirectory(directory)
        let lock = try Files.lock(directory + "/lock")
        try refuseOthersFiles(in: directory, nodes: plan.nodes)
        let members = ports.enumerated().map { position, ports in
            NodeSettings.Member(
                id: NodeID(UInt16(position + 1)), host: "127.0.0.1",
                clientPort: ports.client, linkPort: ports.link)
        }
        let state = ClusterState(
            name: "local-\(getpid())-\(MonotonicClock.now)",
            nodes: zip(members, ports).map { member, ports in
                ClusterState.Node(
                    id: member.id,
                    client: NodeSettings.Endpoint(host: member.host, port: ports.client),
                    link: NodeSettings.Endpoint(host: member.host, port: ports.link),
                    metrics: NodeSettings.Endpoint(host: member.host, port: ports.metrics))
            })
        let cluster = LocalCluster(directory: directory, state: state, lock: lock)
        var generator = SystemRandomNumberGenerator()
        let secret = ClusterSecret(from: &generator)
        try Files.write(secret.text + "\n", to: cluster.secretPath)
        for member in members { try cluster.writeConfiguration(of: member.id, members, plan) }
        try cluster.save()
        return cluster
    }

    /// What has the name of a cluster's file and belongs to none is somebody's own.
    private static func refuseOthersFiles(in directory: String, nodes: Int) throws(Failure) {
        let names = (1...nodes).flatMap { ["node-\($0)", "node-\($0).json5"] }
        for name in ["secret"] + names where try Files.exists("\(directory)/\(name)") {
            throw Failure(
                .cannotCreate,
                "\(directory) has \(name) and no cluster.json: no cluster was made there",
                hint: "name another directory, or move \(name) away")
        }
    }

    private func writeConfiguration(
        of node: NodeID, _ members: [NodeSettings.Member], _ plan: Plan
    ) throws(Failure) {
        var configuration = NodeSettings(
            clusterName: state.name, node: node, members: members,
            dataDirectory: path(of: node, ""))
        configuration.secretFile = secretPath
        configuration.metrics = state.nodes[position(of: node)].metrics
        configuration.faults = plan.faults
        configuration.keyspaces = plan.keyspaces
        try Files.makeDirectory(path(of: node, ""))
        try Files.write(configuration.json.pretty, to: path(of: node, ".json5"))
    }

    /// Whether its nodes were configured to take `DEBUG CUT`.
    public func servesFaults() throws(Failure) -> Bool {
        guard let first = state.nodes.first else { return false }
        let path = path(of: first.id, ".json5")
        let text = try Files.read(path)
        do throws(SettingsError) { return try NodeSettings(parsing: text).faults } catch {
            throw Failure(.badFile, "\(path): \(error)")
        }
    }

    /// The path of a node's configuration (`.json5`), log (`.log`) or data directory (empty
    /// suffix).
    public func path(of node: NodeID, _ suffix: String) -> String {
        "\(directory)/node-\(node.rawValue)\(suffix)"
    }

    private var secretPath: String { directory + "/secret" }

    func save() throws(Failure) {
        try Files.write(state.json.pretty, to: directory + "/cluster.json")
    }

    func position(of node: NodeID) -> Int {
        guard let position = state.nodes.firstIndex(where: { $0.id == node }) else {
            preconditionFailure("a node belongs to its cluster")
        }
        return position
    }
}
