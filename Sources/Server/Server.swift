import Base
import Coding
import Reactor
import Replication

/// The production interpreter of `Node`: one thread, one turn after the other, over real sockets
/// and files.
///
/// A turn (`runTurn`) waits until a socket is ready or a deadline has come, steps the node with
/// every input, and then walks the node's effects once, in order:
///
/// - Each ready socket is read once, into one buffer that all share; only the tail of an incomplete
///   request is copied. Clients: `Server+Clients.swift`; other nodes: `Server+Links.swift` and
///   `Server+Handshake.swift`; who asks for metrics: `Server+Scrapes.swift`.
/// - Replies leave straight from where the node wrote them, messages in one write per link
///   (`Server+Effects.swift`); what the kernel does not take waits in an `OutputQueue`.
/// - Records go to the journal, whose jobs run on the disk thread, one at a time: while one sync
///   runs the next batch gathers. Gated effects wait in the `HoldQueue` until the journal's durable
///   position has reached the position at which they were walked (`Server+Journal.swift`).
///
/// A connection that ends is only marked; its index is freed and the node is told at the start of
/// the next turn (`settle`), so that within one turn an index means one connection.
///
/// What it does not do: decide anything. Whoever may join, what a request means and how much of it
/// is accepted is the node's business.
///
/// Promises:
/// - **Order**: replies to one connection leave in the order of their effects, also when only some
///   wait for the disk. Messages to one node may overtake gated ones of earlier steps.
/// - **Durability**: nothing gated leaves before its sync; after a failed sync nothing leaves at
///   all.
/// - **Bounds**: everything that grows has a limit in `Limits`.
///
/// Everything that a thread owns is inside this one value, and nothing is global: several shards a
/// process are several of these on several threads. It is a non-copyable struct in a local of the
/// run loop, not a class: mutation through a class would check exclusivity at run time.
public struct Server: ~Copyable {
    let configuration: Configuration
    let log: Log
    var node: Node
    var effects = Effects()
    var now: Instant
    var notes = LogNotes()
    /// When it began, milliseconds since 1970.
    var troubleNotes = TroubleNotes()
    let startedAt: UInt64
    var random: PRNG

    let poller: Poller
    let signals: Signals?
    let stopHandle: StopHandle
    let readBuffer: UnsafeMutableRawBufferPointer

    let clientListener: Listener
    var clients = Slab<ClientConnection>()
    var dirtyClients: [Int] = []
    /// What waits for clients, and of them.
    var buffers = ClientBuffers()
    /// When the first of the requests that are arriving has taken too long.
    var tendRequestsAt: Deadline = .max
    let linkListener: Listener
    var links = Slab<Link>()
    var dirtyLinks: [Int] = []
    /// Ascending by node.
    var neighbours: [Neighbour]
    let resolver: Resolver
    /// The earliest moment at which a link needs care; see `tendLinks`.
    var tendLinksAt: Deadline = 0
    var generation: UInt64 = 0

    /// Where metrics are scraped: one listener, or none when they are not served.
    let scrapeListeners: Slab<Listener>
    var scrapes = Slab<ScrapeConnection>()
    /// When the first of their connections has lasted too long.
    var tendScrapesAt: Deadline = .max

    /// When freed memory goes back to the kernel.
    var heap = HeapRelease()
    var lane: JournalLane
    var holds = HoldQueue()
    var diskRoom = DiskRoom.free
    var diskLog = RateLimit(eventsMax: 1, windowNanoseconds: 10_000_000_000)
    var checkpoint = CheckpointFeed()
    /// What the start found on the disk.
    let recovery: RecoveryFigures

    /// Whether the next wait is worth a rest before it; see `foundTrickle`.
    var isTrickle = false
    /// What the next turn starts with.
    var settlements: [Settlement] = []
    /// Whose input goes on in a later turn.
    var line = Queue<Waiter>()
    var acceptsAgainAt: Deadline?
    var stopsBy: Deadline?
    /// The stop under way ends in another life, above this epoch.
    var rebirthAbove: UInt64?
    var ending: Ending?
    var orderLog = RateLimit(eventsMax: 1_000, windowNanoseconds: 10_000_000_000)
    var strangerLog = RateLimit(eventsMax: 5, windowNanoseconds: 10_000_000_000)
    /// Named by event, for metrics.
    public internal(set) var counters = Counters()

    /// Takes the data directory, recovers what is in it, and listens; `run` serves.
    ///
    /// - Parameters:
    ///   - signals: SIGTERM and SIGINT stop the run when given; made before any other thread
    ///     starts.
    ///   - seed: for back-off and checksums; a different one each start.
    /// - Throws: `ServerError`, whose text is for the operator.
    public init(
        _ configuration: Configuration, signals: Signals? = nil,
        seed: UInt64 = .random(in: .min ... .max), log: Log = Log()
    ) throws(ServerError) {
        var wait = PredecessorWait(
            milliseconds: configuration.limits.predecessorMilliseconds, log: log)
        let disk = try Server.disk(at: configuration.dataDirectory, &wait)
        try self.init(configuration, on: disk, signals: signals, seed: seed, log: log)
    }

    /// The same on any disk.
    init(
        _ configuration: Configuration, on disk: some Disk & Sendable, signals: Signals? = nil,
        seed: UInt64, log: Log
    ) throws(ServerError) {
        var random = PRNG(seed: seed)
        let now = SystemClock.now()
        let recovered = try Server.recover(
            configuration, on: disk, Beginning(now: now, above: configuration.epochAbove),
            &random, log)
        var wait = PredecessorWait(
            milliseconds: configuration.limits.predecessorMilliseconds, log: log)
        var bounded = configuration
        bounded.limits.clientsMax = try Server.clientsMax(configuration, log)
        let opened = try Server.open(bounded, recovered, signals, &wait)
        self.init(bounded, opened, signals, (random, now), log)
        resumeAccepting()
        log.info(
            "\(node.identity.node) serves clients on \(clientAddress), nodes on \(linkAddress)"
                + (metricsAddress.map { ", metrics on \($0)" } ?? "")
                + ", identity \(node.identity)")
        tellShorterLists()
    }

    private init(
        _ configuration: Configuration, _ opened: consuming Opened, _ signals: Signals?,
        _ start: (random: PRNG, now: Instant), _ log: Log
    ) {
        self.configuration = configuration
        self.log = log
        self.signals = signals
        random = start.random
        now = start.now
        startedAt = start.now.wallMilliseconds
        node = opened.recovered.node
        lane = opened.recovered.lane
        poller = opened.network.poller
        stopHandle = opened.network.stopHandle
        clientListener = opened.network.clientListener
        linkListener = opened.network.linkListener
        scrapeListeners = opened.network.scrapeListeners
        recovery = opened.recovered.figures
        neighbours = opened.network.neighbours
        resolver = opened.network.resolver
        readBuffer = .allocate(byteCount: 64 << 10, alignment: 4096)
    }

    deinit { readBuffer.deallocate() }
}

extension Server {
    /// How `run` ended.
    public enum Ending: Equatable, Sendable {
        /// It was told to stop; everything acknowledged or merely written is durable.
        case stopped
        /// The node has to begin another life, with an epoch above this one: everything is durable,
        /// and a server with this as its `epochAbove` goes on where this one ended.
        case reborn(above: UInt64)
        /// It cannot go on; nothing that waited for the disk was acknowledged.
        case failed(ServerError)

        /// 0, or what `ServerError.exitStatus` says.
        public var exitStatus: Int32 {
            switch self {
            case .stopped, .reborn: 0
            case .failed(let error): error.exitStatus
            }
        }
    }

    /// What a turn leaves to the start of the next.
    enum Settlement {
        case clientGone(Int)
        case linkGone(Int)
        case scrapeGone(Int)
        case reached(UInt64)
        /// `diskRoom` has changed.
        case diskRoom
        /// A stalled connection got a reply.
        case replied(Int, generation: UInt64)
        /// A connection that the node has more for took what it was sent.
        case more(Int, generation: UInt64)
        /// A node whose link was behind took most of what waited for it.
        case relieved(NodeID)

        var isOfLink: Bool {
            if case .linkGone = self { true } else { false }
        }

        /// Whether it can wait for another turn when this one has done enough.
        var mayWait: Bool {
            switch self {
            case .replied, .more: true
            case .clientGone, .linkGone, .scrapeGone, .reached, .diskRoom, .relieved: false
            }
        }
    }

    /// What the poller's tokens mean: the kind above, an index below.
    enum TokenKind: UInt64 {
        case client, link, scrape, clientListener, linkListener, scrapeListener
        case disk, lookup, signals, stop

        func token(_ index: Int = 0) -> UInt64 { rawValue << 32 | UInt64(index) }
    }

    /// Where clients connect, with the port that the kernel picked.
    public var clientAddress: SocketAddress { clientListener.address }
    /// Where other nodes connect.
    public var linkAddress: SocketAddress { linkListener.address }
    /// Where metrics are scraped; nil when they are not served.
    public var metricsAddress: SocketAddress? {
        scrapeListeners.count > 0 ? scrapeListeners[0].address : nil
    }
    /// Stops `run` from any thread.
    public var stop: StopHandle { stopHandle }
}
