import Base
import Secrets

/// What `quorate serve` is told in its configuration file, checked: a node either starts with all
/// of it or not at all.
///
/// The file is JSON5, for example:
///
///     {
///       clusterID: "orders-test",
///       node: 1,
///       secretFile: "/etc/quorate/secret",
///       dataDirectory: "/var/lib/quorate/1",
///       members: [
///         {id: 1, host: "127.0.0.1", clientPort: 7001, linkPort: 17001},
///         {id: 2, host: "127.0.0.1", clientPort: 7002, linkPort: 17002},
///       ],
///       keyspaces: {orders: {n: 2, r: 1, w: "all", durability: "fsync"}},
///     }
///
/// Reading order: this file, NodeSettings+Reading.swift (keys, ranges, rules),
/// NodeSettings+JSON.swift.
public struct NodeSettings: Equatable, Sendable {
    /// A host with a port: where to listen or to connect.
    public struct Endpoint: Equatable, Sendable {
        /// An IPv4 or IPv6 address or a name that the system resolves.
        public var host: String
        /// 1…65,535.
        public var port: Int

        public init(host: String, port: Int) {
            self.host = host
            self.port = port
        }

        /// Whether nobody can listen on both, as far as their texts tell.
        func overlaps(_ other: Endpoint) -> Bool {
            let everywhere = ["0.0.0.0", "::", "::0"]
            return port == other.port
                && (host == other.host || everywhere.contains(host)
                    || everywhere.contains(other.host))
        }
    }

    /// One node of the cluster, as the others know it.
    public struct Member: Equatable, Sendable {
        public var id: NodeID
        public var host: String
        public var clientPort: Int
        public var linkPort: Int
        /// The share of key ranges relative to other members, 1…1,000.
        public var weight = 1
        /// The failure domain; replicas spread over zones first. Empty when there is only one.
        public var zone = ""

        public init(id: NodeID, host: String, clientPort: Int, linkPort: Int) {
            self.id = id
            self.host = host
            self.clientPort = clientPort
            self.linkPort = linkPort
        }
    }

    /// What the node refuses beyond.
    public struct Limits: Equatable, Sendable {
        /// Client connections at a time.
        public var clients = 10_000
        /// Bytes of one request.
        public var requestBytes = 64 << 20
        /// Bytes of keys and values in memory.
        public var memoryBytes = 8 << 30
        /// Bytes of replies that wait for one client to read them.
        public var replyBacklogBytes = 64 << 20
        /// Bytes of messages that wait for one link.
        public var linkBacklogBytes = 64 << 20
        /// Bytes of records kept for nodes that are away.
        public var hintBytes = 256 << 20
        /// Minutes after which such a record is given up.
        public var hintMinutes = 180

        public init() {}
    }

    /// What a start does about damaged files.
    public enum Recovery: String, Equatable, Sendable, CaseIterable {
        /// Do not start.
        case refuse
        /// Put what is damaged aside and start without it; other replicas repair what was lost.
        case quarantine
    }

    /// Members of a cluster at most.
    public static let membersMax = 64
    /// Keyspaces of a file at most, `default` among them.
    public static let keyspacesMax = 1_023

    /// The name that keeps clusters apart; nodes of another one are refused.
    public var clusterName: String
    public var node: NodeID
    /// Where clients are listened for; the member's own address unless the file says otherwise.
    public var client: Endpoint
    /// Where other nodes are listened for.
    public var link: Endpoint
    /// Where `/metrics` is served over HTTP, port 0 for one that the kernel picks; nil serves none.
    public var metrics: Endpoint?
    /// What the members of the cluster know and nobody else; nil when a file holds it, or when the
    /// only member makes its own.
    public var secret: ClusterSecret?
    /// The file that holds the secret.
    public var secretFile: String?
    public var dataDirectory: String
    public var recovery = Recovery.refuse
    /// True when clients may cut links with `DEBUG CUT`: never in production.
    public var faults = false
    /// All nodes, this one among them, ascending by identifier.
    public var members: [Member]
    public var limits = Limits()
    public var keyspaces = SortedMap<String, KeyspaceOverrides>()

    /// - Parameters:
    ///   - members: ascending by identifier.
    ///   - node: one of the members.
    public init(clusterName: String, node: NodeID, members: [Member], dataDirectory: String) {
        guard let own = members.first(where: { $0.id == node }) else {
            preconditionFailure("a node is one of its cluster's members")
        }
        self.clusterName = clusterName
        self.node = node
        self.members = members
        self.dataDirectory = dataDirectory
        client = Endpoint(host: own.host, port: own.clientPort)
        link = Endpoint(host: own.host, port: own.linkPort)
    }

    /// The cluster's name as the number that handshakes compare.
    ///
    /// Source: Fowler, Noll, Vo: FNV-1a, 64 bits, then a finaliser; fixed for ever, since nodes of
    /// different builds compare it. It keeps clusters apart that touch by mistake; what keeps
    /// strangers out is the secret.
    public var clusterID: UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in clusterName.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return finalMix(hash)
    }
}
