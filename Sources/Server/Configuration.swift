import Base
import Reactor
import Replication
import Secrets
import Storage

extension Server {
    /// Everything a server is told at its start. The host names that it listens at are resolved
    /// once, then; those of other members at each call.
    public struct Configuration: Sendable {
        /// What the node itself is told: who it is, the members, keyspaces, request limits.
        public var node: NodeConfiguration
        /// Where clients connect: a numeric address or a host name, and a port; 0 lets the kernel
        /// pick.
        public var clientHost: String
        public var clientPort: UInt16
        /// Where other nodes connect: this member's own address unless told otherwise.
        public var linkHost: String
        public var linkPort: UInt16
        /// What the members of the cluster know and nobody else; nil only for a cluster of one,
        /// which makes one and keeps it beside its data.
        public var secret: ClusterSecret?
        /// Where `/metrics` is served over HTTP; 0 lets the kernel pick a port, nil serves none.
        public var metricsHost = "127.0.0.1"
        public var metricsPort: UInt16?
        /// Where journal, checkpoints and identity live; made if absent.
        public var dataDirectory: String
        /// What to do about damaged files: refuse to start, or leave out what is damaged.
        public var recovery = RecoveryPolicy.refuse
        /// Whether the member list may be another than at the last start; else that is an error.
        public var takesOtherMembers = false
        /// Whether the member list may leave out all replicas that a key range had.
        public var losesMembers = false
        public var limits = Limits()
        /// How the hosts of other members are looked up.
        public var lookup = Resolver.systemLookup
        /// The life's epoch is above this one; see `Ending.reborn`.
        public var epochAbove: UInt64 = 0

        /// Listens where the members' list says that this node is.
        public init(node: NodeConfiguration, dataDirectory: String) {
            self.node = node
            self.dataDirectory = dataDirectory
            let own = node.members.first { $0.member.node == node.node }
            clientHost = own?.host ?? "127.0.0.1"
            clientPort = own?.clientPort ?? 0
            linkHost = own?.host ?? "127.0.0.1"
            linkPort = own?.linkPort ?? 0
        }
    }

    /// What a start does when a file is not what was written.
    public enum RecoveryPolicy: Sendable {
        /// Do not start; the error names file and place.
        case refuse
        /// Put the damaged stretch aside and start without it: other replicas repair what was lost.
        case quarantine
    }

    /// What the server lets in and keeps at most. Bytes unless a name says otherwise.
    public struct Limits: Equatable, Sendable {
        /// Client connections at one time.
        public var clientsMax = 10_000
        /// Replies that wait for one client: a client's requests wait from half of it on, earlier
        /// where much waits for others, and one whose replies exceed it all the same is
        /// disconnected. For all together a quarter of the memory may wait.
        public var clientOutputBytesMax = 64 << 20
        /// How long a request may take to arrive, and a second more for each 64 KiB.
        public var requestMilliseconds: UInt64 = 30_000
        /// How long a client may stay silent, although asked, or take none of its replies.
        public var clientSilenceMilliseconds: UInt32 = 60_000
        /// Connections of other nodes without a completed handshake, at one time.
        public var strangersMax = 64
        /// Of these, those of one address that is no member's.
        public var strangersPerSourceMax = 8
        /// Until when a handshake must be complete.
        public var handshakeMilliseconds: UInt64 = 2_000
        /// Connections of those who ask for metrics, at one time; one more ends the oldest.
        public var scrapesMax = 16
        /// How long such a connection may last, from its first byte to its last.
        public var scrapeMilliseconds: UInt64 = 10_000
        /// One message between nodes.
        public var framePayloadBytesMax = 64 << 20
        /// Messages that wait for one node, at most an eighth of the memory; more is not sent.
        public var linkOutputBytesMax = 256 << 20
        /// How long the path to a node may stay silent before its link is given up.
        public var linkSilenceMilliseconds: UInt32 = 8_000
        /// Records and effects that wait for the disk; beyond it the server waits with them.
        public var diskBacklogBytesMax = 128 << 20
        /// Journal bytes after which a checkpoint is written and the segments before it go.
        public var checkpointAfterBytes = 256 << 20
        /// How long requests under way may take to finish when the server is told to stop.
        public var stopMilliseconds: UInt64 = 5_000
        /// How long a start waits for a lock and for ports that a killed process still holds.
        public var predecessorMilliseconds: UInt64 = 5_000
        /// Sizes of the journal's files.
        public var journal = JournalLimits()

        public init() {}
    }
}
