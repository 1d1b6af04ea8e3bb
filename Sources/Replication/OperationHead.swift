import Base
import Causality
import Coding
import Quorum
import RESP
import Ring

/// What every operation under way knows.
struct OperationHead {
    let target: ReplyTarget
    let client: ClientContext
    let deadline: Deadline
    /// The clock reading of the step that read the request, nanoseconds.
    let begunAt: UInt64
}

/// A write that this node coordinates: the local replica has it, the others were asked.
struct WriteOperation {
    let head: OperationHead
    let keyspace: Int
    let range: KeyRange
    let dot: Dot
    /// What a client is told when the quorums are reached.
    let success: WriteReply
    var tally: WriteTally
    /// Replicas of the key; who stands behind them in the preference list is a fallback.
    let primaries: Int
    /// The record, to be stamped anew when a replica already has a later one; empty where that is
    /// not wanted.
    var record: [UInt8] = []
    var stampings = 1
    /// The key, where replicas were sent a delta and may ask for the state.
    var typedKey: [UInt8]?
    /// Of its key, and whether it replaced all that this replica held: what a session remembers.
    var hash: UInt64 = 0
    var replaces = true
    /// Of a change of an expiry, the write whose expiry it is; nil for a write of its own.
    var written: Dot?
    /// What it made of concurrent values beyond the keyspace's limits.
    var overflow = SiblingOverflow.none
    /// What the answer to a session reflects, in a crdt keyspace; elsewhere what a change was of
    /// that leaves no value of its own. Empty for others.
    var context = VersionVector()
}

/// The answer to a write that succeeded.
enum WriteReply {
    case ok
    case integer(Int)
    case bulk([UInt8])
    case null
    /// A whole reply in RESP.
    case encoded([UInt8])
}

/// A read that this node coordinates.
struct ReadOperation {
    let head: OperationHead
    let key: [UInt8]
    let keyspace: Int
    let range: KeyRange
    let purpose: ReadPurpose
    /// All replicas are to answer in the end, to repair what differs and to know how stale the
    /// client's answer was.
    let comparesAll: Bool
    /// What is stamped later was written beside the read.
    let begun: Stamp
    /// How many drops of keyspaces this node had heard of when it began.
    let dropsHeard: UInt64
    /// Of how many answers the client was told the sum; nil before, and where nothing is compared.
    var toldAnswers: Int?
    /// When it is looked at again, if it has not been answered.
    var retryAt: Deadline
    var tally: ReadTally
    /// Replicas of the key; who stands behind them in the preference list is a fallback.
    let primaries: Int
    /// Replicas that were asked and have neither answered nor been lost.
    var asked: UInt64 = 0
    /// Replicas that were ever asked.
    var everAsked: UInt64 = 0
    /// Replicas that were asked at the beginning and have not answered.
    var firstAsked: UInt64 = 0
    /// The replica that was asked because the first were slow.
    var hedged: UInt64 = 0
    /// What each replica's answer will have, roughly.
    var expectedBytes = 0
    /// Of a part of a request: what all answers may take, where that is much.
    var reservedBytes = 0
    /// The answers' records, one behind the other.
    var bytes: [UInt8] = []
    /// Who answered, by place in the preference list, and where its record stands; nil for nothing.
    var answers: [(replica: Int, record: Range<Int>?)] = []
    /// A replica that answered had lost what was written up to then with its keyspace.
    var emptiedAt = Stamp(rawValue: 0)
    /// Of a crdt keyspace: what each of `answers` has, in the same order.
    var typed: TypedAnswers?
    /// What the session has to find in the answer.
    var required = SessionRequirement.none
    /// How many nanoseconds old the answer may be; nil for what the quorum gives.
    var stalenessMax: UInt64?
    /// The quorum has answered, and the client cannot be told yet.
    var isHeldBack = false
    /// How often everybody was asked anew.
    var retries = 0
}

/// What a read is for: how its result is told, or what is written because of it.
enum ReadPurpose {
    case get
    case exists
    case strlen
    case type
    case timeToLive(TimeToLive)
    /// All siblings with their causal context.
    case siblings
    /// Give the value another expiry.
    case expire(ExpireOptions, WriteLevels)
    case persist(WriteLevels)
    /// At this time, 0 for never; and tell the value.
    case getExpire(UInt64, WriteLevels)
    /// A value that is there cannot be given the time, for this reason; one that is not need not.
    case getWithoutExpiry(CommandError, WriteLevels)
    /// A command on the key's state, once that is as new as what R replicas have.
    case typed(TypedCommand)
    /// Read for a background comparison only.
    case compare

    /// Whether no client waits for it.
    var isComparison: Bool {
        if case .compare = self { true } else { false }
    }
}

/// In which form the rest of a value's life is told.
enum TimeToLive { case seconds, milliseconds, atSeconds, atMilliseconds }

/// A write's quorums as numbers.
struct WriteLevels {
    let writeQuorum: Int
    let primaryWriteQuorum: Int
    let durableWriteQuorum: Int
    let timeoutMilliseconds: UInt32
}

/// A read's quorums as numbers.
struct ReadLevels {
    let readQuorum: Int
    let primaryReadQuorum: Int
    let timeoutMilliseconds: UInt32
    /// How old what is read may be; then R and PR are not what decides.
    var stalenessMilliseconds: UInt32?

    /// The arithmetic of one read.
    func tally(of replicaCount: Int) -> ReadTally {
        ReadTally(
            replicaCount: replicaCount, readQuorum: readQuorum,
            primaryReadQuorum: primaryReadQuorum)
    }
}

/// A command that another node executes for this one's client.
struct ForwardOperation {
    let head: OperationHead
    let keyspace: Int
    /// Who was asked last.
    var node: NodeID
    let address: RecordStore.Address
    /// Whether it replaces all that the other node holds: what a session remembers beside its key.
    let replaces: Bool
    /// Up to there it may be stamped.
    let end: Stamp
    /// In RESP, where any replica may answer in the place of another: a read. Empty for a write,
    /// which one may have executed.
    let query: [UInt8]
    /// What the command answers.
    let answer: ReplyShape
    /// Who was asked, as bits by link.
    var asked: UInt64
    /// Of a query: what its reply is taken for.
    var expectedBytes = 0

    var isWrite: Bool { query.isEmpty }
    var hash: UInt64 { address.hash }
}

/// A change of keyspaces, waiting for other nodes.
struct AdministrationOperation {
    enum Stage {
        /// Until every asked node has learned the definitions; the change may turn out to have met
        /// another one made elsewhere at the same time.
        case spreading(SpreadChange?)
        /// Until every other node has said how many keys it holds; then the change is made.
        case surveying(KeyspaceChangeRequest)
        /// Until every other node has told the latest stamp that it knows of; then keyspaces are
        /// emptied.
        case timing(Emptying)
    }

    let head: OperationHead
    var stage: Stage
    /// Nodes, by index among the members, that have not answered.
    var waiting: UInt64
    var keys = 0
}

/// A change that is only made while a keyspace is empty everywhere.
struct KeyspaceChangeRequest {
    let name: [UInt8]
    let settings: KeyspaceSettings
    /// Whether the keyspace was there when the change was asked for.
    let exists: Bool
}

/// A change of one keyspace that other nodes are learning.
struct SpreadChange {
    let name: [UInt8]
    let isDrop: Bool
}

/// What a read found, as a client may see it.
struct KeyView {
    /// Live values only.
    let siblings: [Sibling]
    let context: CausalContext
}

// What operations take in memory.
extension WriteOperation: SlabElement {
    var heldBytes: Int {
        let reply =
            switch success {
            case .bulk(let bytes), .encoded(let bytes): bytes.count
            case .ok, .integer, .null: 0
            }
        return record.count + (typedKey?.count ?? 0) + reply + context.entries.count * 16
    }
}

extension ReadOperation: SlabElement {
    var heldBytes: Int { key.count + bytes.count + answers.count * 32 + purpose.heldBytes }
}

extension ReadPurpose {
    fileprivate var heldBytes: Int {
        if case .typed(let command) = self { command.request.count } else { 0 }
    }
}

extension ForwardOperation: SlabElement {
    var heldBytes: Int { query.count }
}

extension AdministrationOperation: SlabElement {
    var keyspace: Int { 0 }
    var heldBytes: Int { 0 }
}
