import Base
import Causality
import Coding
import Ring
import Secrets

@testable import Replication

/// Nodes wired together without a network: messages arrive at once and in order, disks are instant
/// unless held.
final class Cluster {
    var time: UInt64 = 1_000_000_000
    var wall: [NodeID: UInt64] = [:]
    /// What every step takes until its replies are written.
    var turnNanoseconds: UInt64 = 0
    var endsTurns = true
    /// Directed pairs between which nothing passes, silently.
    var cut: Set<[NodeID]> = []
    /// Milliseconds that messages take between directed pairs.
    var slow: [[NodeID]: UInt64] = [:]
    private var delayed: [(due: UInt64, to: NodeID, from: NodeID, payload: [UInt8])] = []
    /// Kinds of messages that get lost.
    var lostKinds: Set<UInt8> = []
    /// Nodes whose disk does not finish syncs.
    var slowDisks: Set<NodeID> = []
    var journals: [NodeID: [[UInt8]]] = [:]
    var replies: [NodeID: [ConnectionID: [UInt8]]] = [:]
    var closed: [NodeID: Set<ConnectionID>] = [:]
    /// Whether clients take what they are sent.
    var drains = true
    /// Whether steps at one time are one turn, with one budget; otherwise each is one of its own.
    var sharesTurns = false
    /// Sizes of the pieces that replies came in, while this is not nil.
    var pieces: [Int]?
    /// Nodes that were told to begin another life, and above which epoch.
    var rebirths: [NodeID: UInt64] = [:]
    /// Every frame that was sent, while this is not nil.
    var frames: [[UInt8]]?
    /// Is told of every step.
    var afterStep: ((NodeID) -> Void)?
    private var seats: [NodeID: Seat] = [:]
    private var queue: [(to: NodeID, from: NodeID, payload: [UInt8])] = []
    private let configuration: (NodeID) -> NodeConfiguration
    let ids: [NodeID]

    final class Seat {
        var node: Node
        var effects = Effects()
        var held: [Effects.Entry] = []
        var heldBytes: [[UInt8]] = []

        init(_ node: consuming Node) { self.node = node }
    }

    init(_ count: Int, _ change: @escaping (inout NodeConfiguration) -> Void = { _ in }) {
        ids = (1...UInt16(count)).map { NodeID($0) }
        let members = ids.map {
            ClusterMember(
                member: Member($0), host: "127.0.0.1", clientPort: 7_000 + $0.rawValue,
                linkPort: 8_000 + $0.rawValue)
        }
        configuration = { id in
            var configuration = NodeConfiguration(node: id, clusterID: 7, members: members)
            change(&configuration)
            return configuration
        }
        for id in ids { start(id) }
        for a in ids { for b in ids where a != b { link(a, b) } }
        settle()
    }

    func start(_ id: NodeID, epoch: UInt64 = 1) {
        wall[id] = wall[id] ?? 1_700_000_000_000
        seats[id] = Seat(
            Node(
                configuration(id), identity: ReplicaIdentity(node: id, epoch: epoch),
                secret: Cluster.secret, seed: 1, now: now(id)))
    }

    /// The same for all clusters.
    static let secret: ClusterSecret = {
        var random = PRNG(seed: 7)
        return ClusterSecret(from: &random)
    }()

    func now(_ id: NodeID) -> Instant {
        Instant(monotonic: time, wallMilliseconds: wall[id] ?? 0)
    }

    func link(_ a: NodeID, _ b: NodeID) {
        guard let identity = seats[b]?.node.identity else { return }
        step(a, .linked(b, identity))
    }

    /// How a handshake between two nodes ended, on both sides.
    struct Greeting {
        var caller: HandshakeStep = .waits
        var called: HandshakeStep = .waits
        /// All that was said, in order.
        var said: [(byCaller: Bool, bytes: [UInt8])] = []

        var isLinked: Bool {
            if case .linked = caller, case .linked = called { return true }
            return false
        }
    }

    /// Runs the whole handshake of a link, and gives both nodes what comes of it.
    ///
    /// - Parameter tamper: may change what is on its way; the number counts from 0.
    @discardableResult func greet(
        _ caller: NodeID, _ called: NodeID, seed: UInt64 = 1,
        tamper: (Int, inout [UInt8]) -> Void = { _, _ in }
    ) -> Greeting {
        var random = PRNG(seed: seed)
        var greeting = Greeting()
        var said = ByteBuffer()
        var ends = [
            with(caller) { $0.greet(called, nonce: Nonce(from: &random), into: &said) },
            Handshake(nonce: Nonce(from: &random)),
        ]
        var turn = 0
        while said.count > 0 {
            var bytes = Array(said.bytes)
            tamper(turn, &bytes)
            greeting.said.append((turn % 2 == 0, bytes))
            said.removeAll()
            let side = (turn + 1) % 2
            let before = side == 0 ? greeting.caller : greeting.called
            // Who has refused has closed the connection.
            if case .refused = before { break }
            if case .malformed = before { break }
            let node = side == 0 ? caller : called
            let step = bytes.withUnsafeBytes { take($0, node, &ends[side], &said) }
            if side == 0 { greeting.caller = step } else { greeting.called = step }
            settle(step, ends[side], node)
            turn += 1
        }
        return greeting
    }

    private func take(
        _ bytes: UnsafeRawBufferPointer, _ node: NodeID, _ handshake: inout Handshake,
        _ said: inout ByteBuffer
    ) -> HandshakeStep {
        var offset = 0
        while true {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            let step = with(node) { $0.advance(&handshake, rest, into: &said) }
            switch step {
            case .goesOn(let consumed):
                offset += consumed
                if offset == bytes.count { return step }
            case .proven: return with(node) { $0.conclude(handshake, isTaken: false, into: &said) }
            case .waits, .linked, .refused, .malformed: return step
            }
        }
    }

    private func settle(_ outcome: HandshakeStep, _ handshake: Handshake, _ node: NodeID) {
        switch outcome {
        case .linked(let identity, _): step(node, .linked(identity.node, identity))
        case .refused(_, isProven: true):
            guard let hello = handshake.greeting else { return }
            step(
                node, .told(by: hello.identity.node, hello.standing, of: hello.sender))
        case .waits, .goesOn, .proven, .refused, .malformed: break
        }
    }

    func unlink(_ a: NodeID, _ b: NodeID) {
        step(a, .unlinked(b))
        step(b, .unlinked(a))
        settle()
    }

    /// Cuts nodes off from all others, silently, and heals every other cut.
    func isolate(_ nodes: NodeID...) {
        cut = []
        for node in nodes {
            for other in ids where other != node {
                cut.insert([node, other])
                cut.insert([other, node])
            }
        }
    }

    /// Ends a node's process and starts it again on what is left of its journal.
    ///
    /// - Parameter previous: the epochs of the starts on that disk, the latest first.
    func restart(
        _ id: NodeID, epoch: UInt64, on journal: [[UInt8]], after previous: UInt64...
    ) throws {
        for other in ids where other != id { step(other, .unlinked(id)) }
        start(id, epoch: epoch)
        with(id) { $0.resumes(after: previous) }
        replies[id] = nil
        journals[id] = journal
        for payload in journal {
            try payload.withUnsafeBytes { payload in
                guard let seat = seats[id] else { return }
                try seat.node.restore(payload)
            }
        }
        for other in ids where other != id {
            link(id, other)
            link(other, id)
        }
        settle()
    }

    /// Ends a node's process and starts it again on its whole journal, without any link.
    ///
    /// - Parameters:
    ///   - milliseconds: by which its wall clock is set ahead meanwhile.
    ///   - previous: the epochs of the starts on that disk, the latest first.
    func restartAlone(
        _ id: NodeID, epoch: UInt64, ahead milliseconds: UInt64 = 0, after previous: UInt64...
    ) throws {
        for other in ids where other != id { step(other, .unlinked(id)) }
        wall[id, default: 0] += milliseconds
        start(id, epoch: epoch)
        if !previous.isEmpty { with(id) { $0.resumes(after: previous) } }
        replies[id] = nil
        closed[id] = nil
        for payload in journals[id] ?? [] {
            try payload.withUnsafeBytes { payload in
                guard let seat = seats[id] else { return }
                try seat.node.restore(payload)
            }
        }
    }

    /// What a checkpoint of a node says, in pieces.
    func exported(_ id: NodeID) -> [[UInt8]] {
        var payloads: [[UInt8]] = []
        var cursor: UInt64?
        repeat {
            var piece = ByteBuffer(capacity: 4_096)
            with(id) {
                cursor = $0.exportState(from: cursor, bytesMax: 512, into: &piece)
            }
            var rest = Array(piece.bytes)[...]
            while rest.count >= 4 {
                let length = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
                payloads.append(Array(rest.dropFirst(4).prefix(length)))
                rest = rest.dropFirst(4 + length)
            }
        } while cursor != nil
        return payloads
    }

    /// Links a node with all others.
    func meet(_ id: NodeID) {
        for other in ids where other != id {
            link(id, other)
            link(other, id)
        }
        settle()
    }

    func counters(_ id: NodeID) -> NodeCounters { seats[id]?.node.counters ?? NodeCounters() }

    func with<R>(_ id: NodeID, _ body: (inout Node) throws -> R) rethrows -> R {
        guard let seat = seats[id] else { preconditionFailure("the node runs") }
        return try body(&seat.node)
    }

    /// Lets time pass on every node, some milliseconds at once.
    func pass(milliseconds: UInt64, by stride: UInt64 = 1) {
        for _ in 0..<milliseconds / stride {
            time += 1_000_000 * stride
            for id in ids {
                wall[id, default: 0] += stride
                step(id, .deadline)
            }
            settle()
        }
    }

    func step(_ id: NodeID, _ input: NodeInput) {
        guard let seat = seats[id] else { return }
        if !sharesTurns { seat.node.turn = TurnBudget() }
        seat.node.step(input, now: now(id), into: &seat.effects)
        interpret(id, seat)
    }

    private func interpret(_ id: NodeID, _ seat: Seat) {
        let entries = seat.effects.entries
        let bytes = entries.map { entry in
            switch entry.effect {
            case .reply(_, let range), .send(_, let range), .persist(let range),
                .append(let range):
                return Array(seat.effects.bytes[range])
            case .close, .more, .notify, .disconnect, .beginLife: return []
            }
        }
        seat.effects.removeAll()
        if endsTurns { seat.node.endTurn(at: time + turnNanoseconds) }
        for (entry, bytes) in zip(entries, bytes) {
            if entry.gated && slowDisks.contains(id) {
                seat.held.append(entry)
                seat.heldBytes.append(bytes)
            } else {
                perform(id, entry.effect, bytes)
            }
        }
        afterStep?(id)
    }

    /// Finishes the syncs that a slow disk held back.
    func finishSyncs(_ id: NodeID) {
        slowDisks.remove(id)
        guard let seat = seats[id] else { return }
        let work = zip(seat.held, seat.heldBytes).map { ($0.effect, $1) }
        seat.held = []
        seat.heldBytes = []
        for (effect, bytes) in work { perform(id, effect, bytes) }
        settle()
    }

    private func perform(_ id: NodeID, _ effect: Effect, _ bytes: [UInt8]) {
        switch effect {
        case .reply(let connection, _):
            pieces?.append(bytes.count)
            replies[id, default: [:]][connection, default: []] += bytes
        case .close(let connection): closed[id, default: []].insert(connection)
        case .more(let connection):
            if drains { step(id, .drained(connection)) }
        case .send(let to, _):
            frames?.append(bytes)
            let payload = Array(bytes.dropFirst(Frame.headerBytes))
            if let milliseconds = slow[[id, to]] {
                delayed.append((time + milliseconds * 1_000_000, to, id, payload))
            } else {
                queue.append((to, id, payload))
            }
        case .persist, .append: journals[id, default: []].append(bytes)
        case .notify(let token): step(id, .reached(token))
        case .disconnect(let node): unlink(id, node)
        case .beginLife(let epoch): rebirths[id] = epoch
        }
    }

    /// Delivers messages until none is on its way.
    func settle() {
        for message in delayed where message.due <= time {
            queue.append((message.to, message.from, message.payload))
        }
        delayed.removeAll { $0.due <= time }
        while goOn() || !queue.isEmpty {
            guard !queue.isEmpty else { continue }
            let message = queue.removeFirst()
            guard !cut.contains([message.from, message.to]),
                !lostKinds.contains(message.payload[0])
            else { continue }
            message.payload.withUnsafeBytes { step(message.to, .message(message.from, $0)) }
        }
    }

    /// Has every node go on with what takes several steps.
    ///
    /// - Returns: whether any did.
    private func goOn() -> Bool {
        var hasWorked = false
        for id in ids where seats[id]?.node.hasWork == true {
            step(id, .deadline)
            hasWorked = true
        }
        return hasWorked
    }

    /// Opens a connection, sends a command line as an inline request, and returns the reply.
    func run(_ id: NodeID, _ line: String) -> String {
        let connection = ConnectionID(0)
        if replies[id]?[connection] == nil { step(id, .opened(connection)) }
        replies[id, default: [:]][connection] = []
        Array((line + "\r\n").utf8).withUnsafeBytes { step(id, .received(connection, $0)) }
        settle()
        return String(decoding: replies[id]?[connection] ?? [], as: UTF8.self)
    }

    func open(_ id: NodeID, _ connection: ConnectionID) { step(id, .opened(connection)) }

    /// Sends raw bytes on a connection; returns what the node consumed.
    @discardableResult
    func send(_ id: NodeID, _ connection: ConnectionID, _ bytes: [UInt8]) -> Int {
        guard let seat = seats[id] else { return 0 }
        if !sharesTurns { seat.node.turn = TurnBudget() }
        bytes.withUnsafeBytes {
            seat.node.step(.received(connection, $0), now: now(id), into: &seat.effects)
        }
        let consumed = seat.effects.consumed
        interpret(id, seat)
        return consumed
    }

    func reply(_ id: NodeID, _ connection: ConnectionID = ConnectionID(0)) -> String {
        String(decoding: replies[id]?[connection] ?? [], as: UTF8.self)
    }
}
