import Base
import Membership
import RESP
import Ring

/// A node of the cluster as all members know it.
public struct ClusterMember: Equatable, Sendable {
    public let member: Member
    /// Where clients reach it.
    public let host: String
    public let clientPort: UInt16
    /// Where other nodes reach it.
    public let linkPort: UInt16

    public init(member: Member, host: String, clientPort: UInt16, linkPort: UInt16) {
        self.member = member
        self.host = host
        self.clientPort = clientPort
        self.linkPort = linkPort
    }
}

/// What a node is told once, at its start.
public struct NodeConfiguration: Sendable {
    public let node: NodeID
    public let clusterID: UInt64
    /// All members, this node among them; 1…64, the same on every node.
    public let members: [ClusterMember]
    /// Keyspaces to define unless `KEYSPACE` commands have; `default` is always there.
    public var keyspaces: [(name: [UInt8], settings: KeyspaceSettings)] = []
    /// Settings that the file leaves to their defaults, by keyspace.
    public var defaulted: [(keyspace: [UInt8], settings: [String])] = []
    /// The list of members is not that of the last start.
    public var takesOtherMembers = false
    public var requestLimits = RequestLimits(
        bulkBytesMax: 64 << 20, argumentsMax: 1 << 20, requestBytesMax: 128 << 20)
    /// Bytes that one key's record may have: what the journal takes and a frame carries.
    public var recordBytesMax = 9 << 20 - 64
    /// Bytes that tables and records may take before writes are refused.
    public var memoryBytesMax = 8 << 30
    /// Operations of one kind under way before requests are refused.
    public var operationsMax = 65_536
    /// Milliseconds that a stamp may be ahead of this node's wall clock.
    public var clockDriftMax: UInt64 = 500
    /// Keys that a client's session remembers one by one, 1…1,024; of all others it remembers how
    /// late they may have been touched.
    public var sessionKeysMax = 256
    /// What exchanges may send over each link.
    public var exchangeBytesPerSecond = 8 << 20
    /// How nodes watch each other.
    public var membership = MembershipConfiguration()
    /// Bytes that hints for all other nodes may take together; one more is refused.
    public var hintBytesMax = 256 << 20
    /// Milliseconds after which a hint is given up. A tombstone has to stay longer than this after
    /// every replica is known to have it: a hint may bring back what it deleted until then.
    public var hintMillisecondsMax: UInt64 = 3 * 3_600_000
    /// Milliseconds after which a deletion that all replicas know of may be forgotten: longer than
    /// a request takes, on clocks that differ by the bound. Where fallbacks take writes, the age of
    /// hints comes to it.
    public var collectionGraceMilliseconds: UInt64 = 10_000
    /// Milliseconds between two looks at what can be forgotten.
    public var collectionMilliseconds: UInt64 = 10_000
    /// What replayed hints may take of each link.
    public var hintBytesPerSecond = 8 << 20
    /// Names of keyspaces that may be remembered, those of dropped ones included, until no more are
    /// made.
    public var keyspaceNamesMax = 4_096
    /// Bytes that the ids and outcomes of requests may take; a request with one more id is refused.
    public var requestIDBytesMax = 64 << 20
    /// How much of what is proportional to the records one turn does besides its requests, in units
    /// of `WorkBudget`: a record that is looked at is 8, a slot of a table 1.
    public var workUnitsMax = 16_384
    /// Whether `FAULT` is honoured: for experiments only.
    public var faults = false

    /// A defect to plant: the simulator's own test, never set otherwise.
    public var plantedBug: PlantedBug?

    /// Defects that measure how much the simulator finds; each is looked for in a rare branch only.
    public enum PlantedBug: Sendable {
        /// Read repair writes what it read under a stamp of its own.
        case repairWithFreshStamp
        /// A merge of concurrent values keeps what was stored.
        case mergeKeepsStored
        /// A write of unknown outcome is reported as one that did not happen.
        case unknownToldAsFailed
        /// A replica's answer that cannot be believed counts as "there is nothing".
        case refusalCountsAsAnswer
        /// Who empties a keyspace heeds no clock but its own.
        case emptiedByOwnClock
        /// What a wrong clock stamped is stamped anew once that clock is right, as of then.
        case restampedWins
        /// An exchange lists no tombstones.
        case exchangeSkipsTombstones
        /// An exchange asks for nothing.
        case exchangeAsksNothing
        /// A node that returns without its memory answers reads at once.
        case emptiedAnswersAtOnce
        /// A node that was being refilled when it died takes itself for whole when it returns.
        case refillForgotten
        /// A node that is being refilled asks one other replica only.
        case refillFromOne
        /// Tombstones are collected without waiting for replicas that are away.
        case collectedUnheard
        /// Tombstones are collected while hints may still bring back what they deleted.
        case collectedBeforeHints
        /// A restart forgets what was collected.
        case collectionForgotten
        /// A node with an old disk keeps what was deleted meanwhile.
        case behindKeepsAll
        /// Where no replica knows what was deleted meanwhile, all drop whatever is that old.
        case behindDropsUnvouched
        /// What was written to after a deletion had been forgotten keeps what it had before.
        case behindJudgesWhole
        /// A list of members is closed without waiting for any of them.
        case closedUnheard
        /// Names of dropped keyspaces are forgotten without waiting for nodes that are away, and
        /// these are not held up when they are back.
        case namesForgottenUnheard
        /// What a node took of a keyspace before it heard that this was dropped stays.
        case dropSparesUnheard
        /// Contexts are compacted although some replica may still hold what they removed.
        case compactedUnsettled
        /// A hint is forgotten when it is sent.
        case hintForgottenWhenSent
        /// Hints go to whoever comes after their node, and who gets one asks nothing.
        case hintForAnyone
        /// A fallback mints without what it minted under the same name before.
        case standInWithoutHistory
        /// What a session's table had no room for is not required.
        case sessionForgetsEvicted
        /// A read that several replicas answered is not held against its session.
        case uncoveredReadAnswers
        /// Reports of what was sent count on a link that was down before, whatever was missed.
        case closedAcrossBrokenLink
        /// A delta that stands upon what is not here is acknowledged and left out.
        case groundlessAcknowledged
        /// A command that removes what it sees does so without hearing other replicas.
        case removesUnheard
        /// A replica acknowledges deltas that its journal does not have.
        case deltasNotKept
        /// Whoever reads a state is told that it has seen everything.
        case coveredBlindly
        /// What was written before a keyspace was emptied stays in states that are newer.
        case statesNotTruncated
        /// Replicas forget which requests with an id they heard of.
        case requestIDForgotten
        /// A removal does not say which running totals it has seen.
        case incrementsComeBack
        /// A keyspace that leaves memory is on disk, as is told, before its records are written.
        case memoryLeftUnwritten
        /// Of too many concurrent values only the newest stays, where some more may.
        case overflowKeepsNewest
        case expiryCarriesValue
        /// A change of several keys checks nothing before, and tells the first failure as if it
        /// were that of all.
        case partialChange
        /// Clients are told of nodes that are down.
        case topologyStale
        /// A node that is told in a handshake that it was taken out does not heed it.
        case forgottenUnaware
    }

    public init(node: NodeID, clusterID: UInt64, members: [ClusterMember]) {
        precondition(1...64 ~= members.count, "a cluster has 1 to 64 members")
        precondition(members.contains { $0.member.node == node }, "the node is a member")
        self.node = node
        self.clusterID = clusterID
        self.members = members.sorted { $0.member.node < $1.member.node }
    }

    var ring: Ring { Ring(members: members.map(\.member), epoch: 1) }

    /// Differs for lists that place keys differently.
    public var memberDigest: UInt64 { ring.digest }
}
