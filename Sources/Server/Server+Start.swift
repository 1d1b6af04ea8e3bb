import Base
import Coding
import RESP
import Reactor
import Replication
import Secrets
import Storage

extension Server {
    /// Listens, for a node that has recovered.
    static func open(
        _ configuration: Configuration, _ recovered: consuming Recovered, _ signals: Signals?,
        _ wait: inout PredecessorWait
    ) throws(ServerError) -> Opened {
        let network = try listen(configuration, &wait)
        do throws(SocketError) {
            try network.watch(recovered.lane.wakeupDescriptor, .disk)
            try network.watch(network.resolver.wakeupDescriptor, .lookup)
            try network.watch(network.stopHandle.wakeup.descriptor, .stop)
            if let signals {
                try network.poller.add(
                    signals.descriptor, token: TokenKind.signals.token(), .readable)
            }
        } catch { throw .network(error) }
        // Prepares the first segment, so that the first write finds room.
        do throws(DiskError) { while try recovered.lane.waitForJob() {} } catch {
            throw .storage(error)
        }
        return Opened(recovered: recovered, network: network)
    }

    struct Opened: ~Copyable {
        let recovered: Recovered
        let network: Network
    }

    // MARK: Memory and disk

    struct Recovered: ~Copyable {
        var node: Node
        var lane: JournalLane
        let figures: RecoveryFigures
    }

    /// When a life begins, and above which epoch.
    struct Beginning {
        let now: Instant
        let above: UInt64
    }

    /// Takes a new identity, and gives the node back what it knew.
    static func recover(
        _ configuration: Configuration, on disk: some Disk & Sendable, _ beginning: Beginning,
        _ random: inout PRNG, _ log: Log
    ) throws(ServerError) -> Recovered {
        let now = beginning.now
        let identity: ReplicaIdentity
        let before: IdentityFile?
        do throws(IdentityError) {
            before = try IdentityFile.read(from: disk)
            if before == nil { try needRoomToBegin(configuration, on: disk) }
            identity = try IdentityFile.claim(
                on: disk, for: configuration.owner, wallMilliseconds: now.wallMilliseconds,
                above: beginning.above, takesOtherMembers: configuration.takesOtherMembers)
        } catch { throw ServerError(error) }
        var node = Node(
            configuration.nodeWithinJournal, identity: identity,
            secret: try secret(configuration, on: disk), seed: random.next(), now: now)
        if let before { node.resumes(after: before.starts) }
        let begin = SystemClock.monotonic()
        let report = try replay(disk, configuration.recovery, into: &node)
        if !configuration.losesMembers, let leftOut = node.leftOutRanges() {
            throw .configuration("\(leftOut)")
        }
        let obstacles = node.takeUpConfiguration()
        guard obstacles.isEmpty else {
            throw .configuration(obstacles.map { "\($0)" }.joined(separator: "; "))
        }
        let figures = RecoveryFigures(
            report: report, nanoseconds: SystemClock.monotonic() - begin)
        log.recovered(report, nanoseconds: figures.nanoseconds)
        var journal = Journal(
            resuming: report, limits: configuration.limits.journal, salt: random.next())
        journal.checkpointBytesExpected = node.checkpointBytesExpected
        do throws(SocketError) {
            return Recovered(
                node: node, lane: try JournalLane(journal, on: disk), figures: figures)
        } catch { throw .network(error) }
    }

    /// What an empty data directory needs: room for the first segment, a checkpoint of it, and what
    /// is held back for deletions, all as small as they can be.
    static let beginningBytesMin = 4 << 20

    private static func needRoomToBegin(
        _ configuration: Configuration, on disk: some Disk
    ) throws(IdentityError) {
        let available: Int
        do throws(DiskError) { available = try disk.availableBytes() } catch { throw .disk(error) }
        guard available < beginningBytesMin else { return }
        throw .disk(
            .unusable(
                "the volume of \(configuration.dataDirectory) has \(available) bytes left, and a "
                    + "new node needs at least \(beginningBytesMin) (4 MiB) to begin; free some, "
                    + "or name a directory on a larger volume"))
    }

    private static func secret(
        _ configuration: Configuration, on disk: some Disk
    ) throws(ServerError) -> ClusterSecret {
        if let secret = configuration.secret { return secret }
        guard configuration.node.members.count == 1 else {
            throw .configuration(
                "the members of a cluster prove to each other that they know its secret, and there "
                    + "is none; give all of them the same secret or secretFile, made with: openssl "
                    + "rand -hex 32")
        }
        var generator = SystemRandomNumberGenerator()
        do throws(DiskError) { return try SecretFile.claim(on: disk, from: &generator) } catch {
            throw .storage(error)
        }
    }

    private static func replay(
        _ disk: some Disk, _ policy: RecoveryPolicy, into node: inout Node
    ) throws(ServerError) -> RecoveryReport {
        let report: RecoveryReport
        do throws(RecoveryError) {
            report = try Recovery.run(
                on: disk, policy: policy == .refuse ? .refuse : .quarantine,
                distrust: { node.distrustMemory() },
                deliver: { (payload) throws(DecodeError) in try node.restore(payload) })
        } catch { throw ServerError(error) }
        return report
    }

    /// What the start found on the disk, and how long it took.
    struct RecoveryFigures {
        let report: RecoveryReport
        let nanoseconds: UInt64
    }

    // MARK: Network

    struct Network: ~Copyable {
        let poller: Poller
        let clientListener: Listener
        let linkListener: Listener
        let scrapeListeners: Slab<Listener>
        let neighbours: [Neighbour]
        let resolver: Resolver
        let stopHandle: StopHandle

        func watch(_ wakeup: Int32, _ kind: TokenKind) throws(SocketError) {
            try poller.add(wakeup, token: kind.token(), [.readable, .oncePerSignal])
        }
    }

    private static func listen(
        _ configuration: Configuration, _ wait: inout PredecessorWait
    ) throws(ServerError) -> Network {
        let addresses = try addresses(configuration)
        do throws(SocketError) {
            var scrapeListeners = Slab<Listener>()
            if let metrics = addresses.metrics {
                _ = scrapeListeners.insert(try listener(for: "metrics", on: metrics, &wait))
            }
            return Network(
                poller: try Poller(),
                clientListener: try listener(for: "clients", on: addresses.client, &wait),
                linkListener: try listener(for: "nodes", on: addresses.link, &wait),
                scrapeListeners: scrapeListeners, neighbours: neighbours(configuration.node),
                resolver: try Resolver(configuration.lookup), stopHandle: try StopHandle())
        } catch { throw .network(error) }
    }

    /// Where it listens, no two of which are in each other's way.
    private static func addresses(
        _ configuration: Configuration
    ) throws(ServerError) -> (client: SocketAddress, link: SocketAddress, metrics: SocketAddress?) {
        let client: SocketAddress
        let link: SocketAddress
        var metrics: SocketAddress?
        do throws(SocketError) {
            client = try SocketAddress(
                host: configuration.clientHost, port: configuration.clientPort)
            link = try SocketAddress(host: configuration.linkHost, port: configuration.linkPort)
            if let port = configuration.metricsPort {
                metrics = try SocketAddress(host: configuration.metricsHost, port: port)
            }
        } catch { throw .network(error) }
        if client.overlaps(link) {
            throw .configuration("clients and other nodes would both connect to \(link)")
        }
        if let metrics, metrics.overlaps(client) || metrics.overlaps(link) {
            throw .configuration(
                "metrics would be served on \(metrics), where clients or other nodes connect")
        }
        return (client, link, metrics)
    }

    /// Every other member, ascending by node; their hosts are looked up when they are called.
    private static func neighbours(_ configuration: NodeConfiguration) -> [Neighbour] {
        var neighbours: [Neighbour] = []
        for member in configuration.members where member.member.node != configuration.node {
            let node = member.member.node
            neighbours.append(
                Neighbour(
                    node: node, host: member.host, port: member.linkPort,
                    isCalled: configuration.node > node))
        }
        return neighbours.sorted { $0.node < $1.node }
    }

    /// How many clients may be let in, so that no journal file and no link ever lacks a descriptor.
    static func clientsMax(
        _ configuration: Configuration, _ log: Log
    ) throws(ServerError) -> Int {
        let limits = configuration.limits
        // Files, listeners, wakeups, standard streams, lookups of names; then room to refuse one.
        let reserved =
            FileDisk.descriptorsMax + 64 + configuration.node.members.count
            + limits.strangersMax + limits.scrapesMax
        let limit = Int(clamping: raiseDescriptorLimit(to: UInt64(limits.clientsMax + reserved)))
        guard limit > reserved else {
            throw .configuration(
                "this process may open \(limit) files and connections, and needs \(reserved) for "
                    + "its journal and the other nodes before it lets in a client; raise the limit "
                    + "(ulimit -n, LimitNOFILE=) to \(limits.clientsMax + reserved)")
        }
        guard limit < limits.clientsMax + reserved else { return limits.clientsMax }
        log.warning(
            "this process may open \(limit) files and connections, of which \(reserved) are kept "
                + "for its journal and the other nodes: it lets in \(limit - reserved) clients "
                + "instead of \(limits.clientsMax). ulimit -n or LimitNOFILE= raise the limit")
        return limit - reserved
    }
}

extension Log {
    /// What the start found on the disk.
    func recovered(_ report: RecoveryReport, nanoseconds: UInt64) {
        let records = report.checkpointRecords + report.journalRecords
        let microseconds = max(1, nanoseconds / 1_000)
        info(
            "recovered \(records) records from \(report.bytesRead) bytes "
                + "in \(microseconds / 1_000) ms, \(UInt64(report.bytesRead) / microseconds) MB/s")
        if report.droppedBytes > 0 {
            info("dropped a torn tail of \(report.droppedBytes) bytes, never acknowledged")
        }
        for damage in report.quarantined { warning("left out damaged \(damage)") }
    }
}

extension Server.Configuration {
    fileprivate var owner: IdentityFile.Owner {
        IdentityFile.Owner(
            node: node.node, clusterID: node.clusterID,
            memberDigest: node.memberDigest)
    }

    /// What the node is told, with records no longer than the journal takes beside their kind.
    var nodeWithinJournal: NodeConfiguration {
        var bounded = node
        bounded.takesOtherMembers = takesOtherMembers
        bounded.recordBytesMax = min(node.recordBytesMax, limits.journal.recordBytesMax - 1)
        return bounded
    }
}

extension ServerError {
    init(_ error: IdentityError) {
        switch error {
        case .disk(let error): self = .storage(error)
        case .damaged(let name):
            self = .corruption(
                "the file \(name) is not what was written, so a number could be used twice; "
                    + "\(ServerError.renewal)")
        case .otherFormat(let name, let format):
            self = .corruption(
                "another version of this program wrote the file \(name) (format \(format)), so the "
                    + "data is left as it is; start the version that wrote it, or name another "
                    + "dataDirectory")
        case .missing(let name):
            self = .corruption(
                "there are records, but no file \(name) that says whose they are; "
                    + "put it back from a backup, or \(ServerError.renewal)")
        case .outOfEpochs:
            self = .configuration("the wall clock shows a year after 10,000; set it right")
        case .otherMembers:
            self = .configuration(
                "the configuration lists other members (ids, weights or zones) than at the last "
                    + "start on this dataDirectory, and nodes with different lists can answer "
                    + "apart. Stop all nodes, give the same new list to each, and start each once "
                    + "with --members-changed")
        case .otherNode(let stored, let claimed):
            self = .configuration(
                "the data belongs to \(stored), not to \(claimed): give \(claimed) its own "
                    + "dataDirectory (an empty one is refilled by the others), or start \(stored) "
                    + "on this one")
        case .otherCluster(let stored, let claimed):
            self = .configuration(
                "the data was written under another clusterID than this one (their fingerprints "
                    + "are \(ServerError.hexadecimal(stored)) and "
                    + "\(ServerError.hexadecimal(claimed))); give back the "
                    + "clusterID that it was written under, or name another dataDirectory")
        }
    }

    init(_ error: RecoveryError) {
        switch error {
        case .disk(let error): self = .storage(error)
        case .damaged(let damage) where damage.finding.isOtherVersion:
            self = .corruption(
                "\(damage); the data is left as it is. Start the version that wrote it, or name "
                    + "another dataDirectory")
        case .damaged(let damage):
            self = .corruption(
                "\(damage). Acknowledged writes may be lost here. Put the file back as it was, or "
                    + "set recovery: \"quarantine\" in the configuration to start without what is "
                    + "damaged; the other replicas repair it, and nothing does without them")
        }
    }

    private static func hexadecimal(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    private static let renewal =
        "put the directory aside and start with an empty one, which the other replicas fill again; "
        + "what only this node had is lost then"
}
