import AntiEntropy
import Base
import Causality
import Coding
import Membership
import RESP
import Ring
import Secrets

/// One node of a cluster, as a value: what it remembers, whom it talks to, and what it is in the
/// middle of.
///
/// Everything that decides is here; sockets, clocks, files and threads are the driver's (`Server`,
/// `Simulator`). The driver calls `step` with each `NodeInput`, walks the `Effects` in order, and
/// calls again at `nextDeadline`.
///
/// A client's bytes become requests (`Node+Client`); a request becomes a read or a write of one key
/// each, coordinated by this node (`Node+Read`, `Node+Write`), or, when a write's key lives
/// elsewhere, a command forwarded to a replica (`Node+Forward`). Other nodes' requests are answered
/// in `Node+Replica`; what they missed comes in exchanges (`Node+Exchange`), or in hints where
/// fallbacks stood in (`Node+Sloppy`, `Node+Hints`, `Node+HandOff`). Keyspaces are defined in
/// `Node+Keyspaces`; those of typed values take the way of `Node+Typed`. What a session has seen or
/// a bound on staleness asks for holds a read back (`Node+Sessions`, `Node+HeldReads`,
/// `Node+Freshness`), slow replicas make it ask others (`Node+Hedging`). What was deleted is
/// forgotten in the end (`Node+Collection`). A node that lost its memory is refilled first
/// (`Node+Refill`), and who is alive is `Node+Membership`'s.
///
/// What the driver owes the node:
/// 1. `now` never runs backwards in its monotonic part;
/// 2. gated effects leave only when everything persisted before them is durable, in order;
/// 3. after a crash: a new `ReplicaIdentity`, made durable before the node is built, and `restore`
/// with every record of
///    the journal before the first step;
/// 4. a link is `linked` only after a `Handshake` that ended well on both sides, and whatever one
///    that did not end well has proved is `told`;
/// 5. after the replies of steps with one `now` have been written, `endTurn` if `hasEndings`;
/// 6. a `.deadline` that is due comes behind the messages that have arrived;
/// 7. `beginTurn` before it asks whether a turn is spent, if time has gone on since the last step;
/// 8. on `.beginLife` it ends this process in good order and starts the node anew, with an identity
///    above the epoch that is named.
///
/// Invariants (`checkInvariants`): every outstanding reply belongs to exactly one operation;
/// operations stay below their limits.
///
/// Reading order: `NodeInput`, `Effects`, `Node+Client`, `Node+Strings`, `Node+Write`, `Node+Read`,
/// `Node+Replica`.
public struct Node: ~Copyable {
    private let anchor = Anchor()
    let configuration: NodeConfiguration
    let ring: Ring
    /// This node's place in each range's preference list.
    let ranks: [UInt8]
    /// Who the node is in this life; the epoch rises when its clock was proved wrong.
    public internal(set) var identity: ReplicaIdentity
    /// Who it was when its process started.
    let firstIdentity: ReplicaIdentity
    var clock: ClusterClock
    /// What was stamped by a wrong clock is being brought to where it belongs; nil when nothing is.
    var correction: ClockCorrection?
    var random: PRNG

    var catalog: KeyspaceCatalog
    var store: RecordStore
    /// What the records amount to.
    var holdings = Holdings()
    /// What is left to be done with them.
    var background = BackgroundWork()
    /// When which replica was last found equal.
    var equalities = EqualityLedger()
    /// Which deletions all replicas know of.
    var collection = Collection()
    /// How far the names of dropped keyspaces are forgotten.
    var forgetting: Forgetting
    /// When what expires.
    var expiries = ExpiryQueue()
    /// This node cannot vouch for all that it ever acknowledged; see `Node+Refill`.
    public internal(set) var isRefilling: Bool
    var refill = Refill(since: Stamp(rawValue: 0))
    /// Which former lives of this node its disk knows of.
    var ownLives: OwnLives
    /// What the journal takes; the driver sets the allowance whenever it has given it something.
    public var disk = DiskIntake()
    /// Keyspaces that take no writes while their n is about to change.
    var fences: [Fence] = []

    /// By connection; closed ones have serial 0.
    var sessions: [Session] = []
    var openSessions = 0
    var nextSerial: UInt64 = 1
    let parser: RequestParser
    /// The request that is being executed.
    var request = Arguments()
    /// For whom it is executed.
    var client = ClientContext()

    var links: [Link]
    var membership: Membership
    /// Members as the journal has them.
    var keptMembers = MemberMemory()
    /// This process has had a link: its life is known to others.
    var wasLinked = false
    let keys: NodeKeys
    /// What this node keeps for others, by link.
    var hints: [HintQueue]
    /// What it no longer replicates.
    var surplus = SurplusHandOver()
    /// How far the list of members has come since it took the place of another one.
    var generation = Generation()
    /// What is known of the other nodes' writes, by the same index.
    var freshness: [LinkFreshness]
    var writes: Slab<WriteOperation>
    var reads: Slab<ReadOperation>
    /// Reads that will ask one more replica.
    var hedges = DeadlineQueue()
    /// Operations whose time will be over, and reads that will be looked at again.
    var deadlines = DeadlineQueue()
    /// Requests that go on over several steps.
    var work = Queue<OperationID>()
    /// How many links are behind.
    var busyLinks = 0
    /// Connections whose requests wait for them, with the connections' serials.
    var waitingForLinks: [(ConnectionID, UInt64)] = []
    var absences = WatchedAbsences()
    /// What everything takes in memory.
    var memory: MemoryAccount
    /// What requests may do in this turn.
    var turn = TurnBudget()
    /// When and how often they may, by keyspace as far as any read asked replicas.
    var hedging: [KeyspaceHedging] = []
    var gathers: Slab<GatherOperation>
    var forwards: Slab<ForwardOperation>
    var administrations: Slab<AdministrationOperation>
    /// What operators ordered, for the log.
    public internal(set) var orders = Orders()
    /// Requests that take effect once, however often they are sent.
    var requestIDs: RequestIDs

    /// When this step happens.
    var now: Instant
    var nextHeartbeat: Deadline = 0
    /// When to go on with what has expired; nil for the next heartbeat.
    var nextElapsed: Deadline?
    /// Where merged records are put together.
    var merged = ByteBuffer(capacity: 1_024)
    /// Where a state that leaves the node is encoded.
    var exported = ByteBuffer(capacity: 1_024)
    /// What the write under way made of too many concurrent values.
    var overflow = SiblingOverflow.none
    /// The session that came along with the command that is being executed for another node.
    var carried: CarriedSession?
    /// What the command wrote and read whose reply goes back to another node's session.
    var learned: SessionNews?
    /// What happened, by event; the driver exports it and tests assert on it.
    public internal(set) var counters = NodeCounters()
    /// The same by keyspace, with latencies.
    var ledger = OperationLedger(keyspacesMax: KeyspaceCatalog.indicesMax)
    /// What `INFO` counts from.
    var statistics: InfoStatistics
    /// How stale sampled reads were, by keyspace as far as there were any.
    var staleness: [StalenessFigures] = []

    /// - Parameters:
    ///   - identity: of this life, durable already.
    ///   - secret: the cluster's.
    ///   - seed: for sampling; not a secret.
    public init(
        _ configuration: NodeConfiguration, identity: ReplicaIdentity, secret: ClusterSecret,
        seed: UInt64, now: Instant
    ) {
        precondition(identity.node == configuration.node, "the identity is this node's")
        self.configuration = configuration
        (self.identity, firstIdentity) = (identity, identity)
        self.now = now
        random = PRNG(seed: seed)
        keys = NodeKeys(secret, cluster: configuration.clusterID)
        statistics = InfoStatistics(startedAt: now.monotonic)
        let ring = configuration.ring
        self.ring = ring
        ranks = KeyRange.all.map { UInt8(ring.position(of: configuration.node, in: $0) ?? 255) }
        clock = ClusterClock(configuration, now: now)
        catalog = KeyspaceCatalog(hashKey: keys.keyspaces)
        store = RecordStore(hashKey: keys.tables)
        parser = RequestParser(limits: configuration.requestLimits)
        links = configuration.members.map { Link(node: $0.member.node) }
        membership = Membership(
            identity: identity, configuration.membership, random: PRNG(seed: self.random.next()),
            now: now)
        for index in links.indices {
            links[index].exchangeBudget = configuration.exchangeBytesPerSecond
        }
        isRefilling = links.count > 1 && configuration.plantedBug != .emptiedAnswersAtOnce
        forgetting = Forgetting(links: links.count)
        (ownLives, hints) = (OwnLives(links: links.count), links.map { _ in HintQueue() })
        freshness = configuration.members.map { _ in LinkFreshness() }
        let limit = configuration.operationsMax
        writes = Slab(kind: .write, capacity: limit)
        reads = Slab(kind: .read, capacity: limit)
        gathers = Slab(kind: .gather, capacity: limit)
        forwards = Slab(kind: .forward, capacity: limit)
        administrations = Slab(kind: .administration, capacity: 1_024)
        memory = MemoryAccount(bytesMax: configuration.memoryBytesMax)
        requestIDs = RequestIDs(configuration)
        requestIDs.origin = now
        defineConfiguredKeyspaces()
    }

    /// Takes one input; everything it leads to is appended to `effects`.
    public mutating func step(
        _ input: NodeInput, now: Instant, into effects: inout Effects, owner: InputBuffer? = nil
    ) {
        self.now = clock.advance(to: now)
        effects.beginStep()
        countMemory()
        turn.begin(at: now.monotonic)
        if catalog.configured.isUnsaved { saveConfiguration(&effects) }
        if !generation.hasBegun || generation.isUnsaved { effects.inScope { saveGeneration(&$0) } }
        switch input {
        case .opened(let connection, let origin): opened(connection, from: origin)
        case .received(let connection, let bytes):
            request.owner = owner
            received(connection, bytes, &effects)
            request.owner = nil
        case .closed(let connection): closed(connection)
        case .linked(let node, let identity): linked(node, identity, &effects)
        case .unlinked(let node): unlinked(node, &effects)
        case .told(let node, let standing, let other):
            told(standing, of: other, by: node, &effects)
        case .message(let node, let payload):
            turn.spend(bytesTaken: payload.count)
            receive(payload, from: node, &effects)
        case .reached(let token): reached(OperationID(rawValue: token), &effects)
        case .disk(let room): take(room)
        case .stopping: stepMembership(.leave, &effects)
        case .drained(let connection): drained(connection, &effects)
        case .relieved(let node): linkIndex(of: node).map { relieve($0, &effects) }
        case .deadline:
            sendHedges(&effects)
            runWork(&effects)
        }
        passTime(&effects)
    }

    /// When `step(.deadline)` wants to be called at the latest.
    public var nextDeadline: Deadline? {
        if hasWork { return 0 }
        return min(
            nextHeartbeat, deadlines.first?.at ?? .max, membership.nextDeadline ?? .max,
            hedges.first?.at ?? .max, nextElapsed ?? .max, background.nextDeadline ?? .max)
    }

    /// Whether a `KEYSPACE` keeps this key on disk; `memory` keyspaces are left out of checkpoints.
    func isKeptOnDisk(_ record: Record) -> Bool {
        catalog.active[catalog.index(of: record.key)].durability != .memory
    }

    /// Whether a record still counts: it was not emptied away.
    public func counts(_ record: Record) -> Bool {
        record.written.stamp > catalog.active[catalog.index(of: record.key)].truncatedAt
    }
}

/// Another node (or this one, never up) and the link to it.
struct Link {
    let node: NodeID
    /// The living process at the other end; nil while the link is down.
    var identity: ReplicaIdentity?
    /// The highest identity ever admitted.
    var highest = ReplicaIdentity(rawValue: 0)
    /// It left a read waiting for so long that others were to be asked, and nothing came from it
    /// since the read began.
    var isSilent = false
    /// More waits for it than its connection takes.
    var isBusy = false
    /// Its reads that are answered when it takes more.
    var owed: [Node.OwedAnswer] = []
    /// What it was asked for and has not sent.
    var answers = AnswerWindow()
    /// When anything last came from it.
    var spokeAt: Deadline = 0
    /// When its last heartbeat came.
    var heardAt: Deadline = 0
    /// When the last heartbeat was sent that it says it has heard: what was sent before that has
    /// come there; 0 for none.
    var heardThereAt: Deadline = 0
    /// When a write last went on without it, as a stamp of this node.
    var wentWithoutAt = Stamp(rawValue: 0)
    /// It has been heard in this life, behind what it remembers of earlier lives of this node.
    var hasSpoken = false
    /// Its definitions were this node's when it was last heard.
    var agrees = false
    /// It has said what it promised.
    var hasPromised = false
    /// It may hold what was deleted: nothing is taken from it.
    var isBehind = false
    /// When the next exchange begins, and how long after it the one that follows.
    var exchangeAt: Deadline = 0
    var exchangePause: UInt64 = 0
    /// Until when something is known to have been missed over it, or likely.
    var missesUntil: Deadline = 0
    /// How many bytes of writes its disk takes, as it said last, and as it was told last of this
    /// node's.
    var room = Int.max
    var toldRoom = Int.max
    /// Whether exchanges get anywhere.
    var exchange = ExchangeGain()
    /// Bytes that exchanges may send now.
    var exchangeBudget = 0
    var fault: LinkFault?
    /// The replay of hints.
    var handOff = HandOff()

    init(node: NodeID) { self.node = node }

    var isUp: Bool { identity != nil }
    /// Its disk takes no writes.
    var isDiskFull: Bool { room == 0 }
}

/// For whom a command runs: what shapes its answer and its levels.
struct ClientContext {
    var dialect = Dialect.resp2
    /// The connection's levels, where `hasDefaults`.
    var defaults = ConsistencyOptions.none
    var hasDefaults = false
    var wantsReceipt = false
    /// What its session promises; empty without one.
    var guarantees: SessionGuarantees = []
    /// None of the above but the dialect.
    var isPlain = true
    /// False for a forwarded command, which is never forwarded again.
    var mayForward = true
    /// Levels and times are the keyspace's.
    var asksForNothing: Bool { !hasDefaults && timeoutMillisecondsMax == nil }
    /// What another node has left of the time for a command that it forwarded.
    var timeoutMillisecondsMax: UInt32?
    /// What the answer that is being told rests on, where a receipt is wanted.
    var evidence = ReadEvidence()
}
