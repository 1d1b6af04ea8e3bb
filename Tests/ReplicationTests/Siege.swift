import Base
import Causality
import Coding

@testable import Replication

/// One node with real requests under way, one member that sends it mutated messages, and one that
/// is linked but silent.
///
/// What an attacker says well-formed, under the number of a request that did go to it, is
/// believed: it is a member. So the rule for a false acknowledgement is: nothing that needs the
/// silent node succeeds, and a write that needs the attacker's copy succeeds only after the
/// attacker acknowledged just that write.
final class Siege {
    /// What makes a success of a request true.
    enum Condition {
        case never
        /// After an acknowledgement of one of these numbers.
        case replicated([UInt64])
        /// After a reply to this forwarded command.
        case forwarded(UInt64)
        case any
    }

    let node = NodeID(1)
    let attacker: NodeID
    let silent: NodeID
    let cluster: Cluster
    private var mutation: Mutation
    private var random: PRNG
    private var waiting: [(line: String, condition: Condition)?]
    /// Numbers that the attacker has acknowledged, and commands that it has answered.
    private var replicated: Set<UInt64> = []
    private var answered: Set<UInt64> = []
    private(set) var problems: [String] = []
    private(set) var acknowledged = 0
    private(set) var refused = 0
    private(set) var largestStep = 0
    private(set) var malformedJournal: String?

    static let memoryBytesMax = 4 << 20
    static let recordBytesMax = 64 << 10
    static let operationsMax = 64
    static let hintBytesMax = 1 << 20

    init(seed: UInt64, messages: [[UInt8]]) {
        attacker = NodeID(seed % 2 == 0 ? 2 : 3)
        silent = NodeID(seed % 2 == 0 ? 3 : 2)
        mutation = Mutation(seed: seed, messages: messages)
        random = PRNG(seed: seed &+ 1_000_000)
        cluster = Cluster(3) { configuration in
            configuration.memoryBytesMax = Siege.memoryBytesMax
            configuration.recordBytesMax = Siege.recordBytesMax
            configuration.operationsMax = Siege.operationsMax
            configuration.hintBytesMax = Siege.hintBytesMax
            var settings = KeyspaceSettings()
            settings.timeoutMilliseconds = 60
            configuration.keyspaces = [(Array("default".utf8), settings)]
        }
        _ = cluster.run(NodeID(1), "KEYSPACE CREATE s conflict=siblings timeout=60")
        _ = cluster.run(NodeID(1), "KEYSPACE CREATE one n=1 r=1 w=1 timeout=60")
        _ = cluster.run(NodeID(1), "KEYSPACE CREATE t conflict=crdt timeout=60")
        _ = cluster.run(NodeID(1), "KEYSPACE CREATE h n=2 sloppy=on timeout=60")
        cluster.cut = [[node, attacker], [node, silent], [attacker, node], [silent, node]]
        waiting = Array(repeating: nil, count: 12)
        for index in waiting.indices { cluster.open(node, connection(index)) }
        for index in 2..<4 {
            cluster.send(node, connection(index), Array("SESSION ON\r\n".utf8))
        }
    }

    private func connection(_ index: Int) -> ConnectionID { ConnectionID(UInt32(10 + index)) }

    func run(rounds: Int) {
        for round in 0..<rounds where problems.isEmpty {
            request(random.below(waiting.count))
            attack()
            collect()
            if round % 4 == 0 { passTime() }
            if round % 64 == 0 { check(recounting: round % 4_096 == 0) }
        }
        check(recounting: true)
    }

    // MARK: Clients

    private func request(_ index: Int) {
        guard waiting[index] == nil, random.chance(perMille: 400) else { return }
        let key = random.below(4)
        let lines = [
            "SET k\(key) v W 2", "SET k\(key) v W 3", "GET k\(key) R 3", "GET k\(key) R 2",
            "QDEL k\(key) W 2", "QSET s:\(key) v W 3", "QGET s:\(key) R 2", "EXPIRE k\(key) 100",
            "SET one:\(key) v", "DEL one:\(key)", "MGET k1 s:1", "SET k\(key) v W 2 DW 2",
            "TTL k\(key)", "PEXPIRETIME s:\(key)", "DEL one:1 one:2 one:\(key)",
            "IDEMPOTENCY i\(random.below(100)) SET k\(key) v", "SADD t:\(key) m W 1",
            "IDEMPOTENCY i\(random.below(100)) INCR t:n\(key)", "SMEMBERS t:\(key) R 2",
        ]
        let changes = [
            "KEYSPACE CREATE n\(key)", "KEYSPACE CREATE o\(key) n=2", "KEYSPACE DROP n\(key)",
            "FLUSHALL",
        ]
        // Changes of keyspaces take seconds: two connections are for them.
        let line =
            index < 2
            ? changes[random.below(changes.count)] : lines[random.below(lines.count)]
        let before = numbers(.write) + numbers(.forward)
        cluster.replies[node]?[connection(index)] = []
        cluster.send(node, connection(index), Array("\(line)\r\n".utf8))
        waiting[index] = (line, condition(of: line, since: before))
    }

    private func condition(of line: String, since before: [UInt64]) -> Condition {
        if let number = numbers(.forward).first(where: { !before.contains($0) }) {
            let target = cluster.with(node) { $0.forwards[OperationID(rawValue: number)]?.node }
            return target == silent ? .never : .forwarded(number)
        }
        if ["KEYSPACE", "FLUSHALL"].contains(where: { line.hasPrefix($0) })
            || [" W 3", " R 3"].contains(where: { line.contains($0) })
        {
            return .never
        }
        if line.contains(" W 2") {
            return .replicated(numbers(.write).filter { !before.contains($0) })
        }
        return .any
    }

    /// Takes the replies that have come and judges them.
    private func collect() {
        for index in waiting.indices {
            guard let request = waiting[index] else { continue }
            let reply = cluster.reply(node, connection(index))
            guard !reply.isEmpty else { continue }
            waiting[index] = nil
            if !isOneReply(cluster.replies[node]?[connection(index)] ?? []) {
                problems.append("\(request.line) was told \(reply)")
            }
            if reply.hasPrefix("-") {
                refused += 1
                continue
            }
            acknowledged += 1
            let isTrue =
                switch request.condition {
                case .never: false
                case .replicated(let numbers): numbers.contains { replicated.contains($0) }
                case .forwarded(let number): answered.contains(number)
                case .any: true
                }
            if !isTrue { problems.append("false: \(request.line) was told \(reply)") }
        }
    }

    /// Whether a reply is a whole one and nothing besides, by its own lengths.
    private func isOneReply(_ reply: [UInt8]) -> Bool {
        var rest = reply[...]
        var missing = 1
        while missing > 0 {
            guard let end = rest.firstIndex(of: 13), end + 1 < rest.endIndex, rest[end + 1] == 10,
                let type = rest.first
            else { return false }
            let count = Int(String(decoding: rest[(rest.startIndex + 1)..<end], as: UTF8.self))
            rest = rest[(end + 2)...]
            missing -= 1
            if type == UInt8(ascii: "*"), let count { missing += max(0, count) }
            if type == UInt8(ascii: "$"), let count, count >= 0 {
                guard rest.count >= count + 2 else { return false }
                rest = rest.dropFirst(count + 2)
            }
        }
        return rest.isEmpty
    }

    // MARK: The attacker

    private func attack() {
        mutation.wall = cluster.now(node).wallMilliseconds
        mutation.numbers = [.write, .read, .forward, .administration, .claim]
            .map { numbers($0) }
        let message = mutation.next()
        note(message)
        let before = cluster.counters(node)
        let writes = numbers(.write)
        cluster.deliver(message, from: attacker, to: node)
        follow(message, writes)
        let counted = cluster.counters(node).malformedMessages - before.malformedMessages
        if isMalformed(message), counted == 0 {
            problems.append("not counted as malformed: \(message)")
        }
        if cluster.with(node, { !$0.isReachable(attacker) }) {
            cluster.link(node, attacker)
            cluster.link(attacker, node)
        }
    }

    /// Malformed by the layout of messages alone.
    private func isMalformed(_ message: [UInt8]) -> Bool {
        guard message.count >= 10, KnownKinds.messages.contains(message[0]) else { return true }
        if message[0] == 9 { return isMalformedHeartbeat(message) }
        return [2, 11].contains(message[0]) && message.count != 18
            || [8, 18, 43].contains(message[0]) && message.count != 10
            || message[0] == SessionMessage.reportKind && message.count != 34
            || message[0] == SessionMessage.equalKind && message.count != 42
    }

    /// The sender's clocks are six times before the year 6429, and a flag; what follows of its
    /// definitions has two flags, and no more is settled than promised; room comes last.
    private func isMalformedHeartbeat(_ message: [UInt8]) -> Bool {
        guard message.count == 108, message[58] < 2, message[67] < 4 else { return true }
        let promised = message[68..<76].reversed()
        let settled = message[76..<84].reversed()
        if promised.lexicographicallyPrecedes(settled) { return true }
        return stride(from: 10, to: 58, by: 8).contains { start in
            message[start + 5] >= 0x80 || message[start + 6] > 0 || message[start + 7] > 0
        }
    }

    /// Remembers what the attacker has acknowledged, by a decoder of the test's own.
    private func note(_ message: [UInt8]) {
        guard message.count >= 10 else { return }
        let number = message[2..<10].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        if message[0] == 2, message.count == 18, [0, 1, 8].contains(message[1]) {
            replicated.insert(number)
        }
        if [6, SessionMessage.replyKind].contains(message[0]) { answered.insert(number) }
    }

    /// A write that was stamped anew goes on under another number.
    private func follow(_ message: [UInt8], _ before: [UInt64]) {
        guard message.count == 18, message[0] == 2, message[1] == 8 else { return }
        let now = numbers(.write)
        let new = now.filter { !before.contains($0) }
        let gone = before.filter { !now.contains($0) }
        guard let old = gone.first, !new.isEmpty else { return }
        replicated.remove(old)
        for index in waiting.indices {
            if let request = waiting[index], case .replicated(let numbers) = request.condition,
                numbers.contains(old)
            {
                waiting[index] = (request.line, .replicated(numbers + new))
            }
        }
    }

    private func numbers(_ kind: OperationKind) -> [UInt64] {
        cluster.with(node) { node in
            switch kind {
            case .write: node.writes.numbers
            case .read: node.reads.numbers
            case .forward: node.forwards.numbers
            case .administration: node.administrations.numbers
            case .gather: node.gathers.numbers
            case .claim: node.requestIDs.claims.numbers
            case .refill, .hint, .surplus, .definitions, .forgetting: []
            }
        }
    }

    // MARK: Limits

    private func passTime() {
        let milliseconds: UInt64 = random.chance(perMille: 5) ? 1_200 : 2
        cluster.time += milliseconds * 1_000_000
        for id in cluster.ids { cluster.wall[id, default: 0] += milliseconds }
        cluster.step(node, .deadline)
        cluster.settle()
        collect()
    }

    private func check(recounting: Bool) {
        cluster.with(node) { node in
            node.checkInvariants(recounting: recounting)
            if node.store.allocatedBytes > Siege.memoryBytesMax + 4 * Siege.recordBytesMax {
                problems.append("the store holds \(node.store.allocatedBytes) bytes")
            }
            let ends = [
                node.writes.indexEnd, node.reads.indexEnd, node.forwards.indexEnd,
                node.gathers.indexEnd,
            ]
            if ends.contains(where: { $0 > Siege.operationsMax }) {
                problems.append("operations beyond their limit: \(ends)")
            }
            if node.catalog.encodedBytes > Siege.recordBytesMax {
                problems.append("definitions take \(node.catalog.encodedBytes) bytes")
            }
            if node.hints.reduce(0, { $0 + $1.byteCount }) > Siege.hintBytesMax {
                problems.append("hints beyond their limit")
            }
            if node.fences.count > 64 { problems.append("\(node.fences.count) fences") }
            if node.sessions.count > 10 + waiting.count {
                problems.append("\(node.sessions.count) sessions")
            }
        }
        checkJournal()
        if cluster.closed[node]?.isEmpty == false { problems.append("a client was closed") }
    }

    /// What was persisted must be within the limits and readable again.
    private func checkJournal() {
        let journal = cluster.journals[node] ?? []
        cluster.journals[node] = []
        var copy = Node(
            cluster.with(node) { $0.configuration },
            identity: ReplicaIdentity(node: node, epoch: 1 << 40), secret: Cluster.secret,
            seed: 3, now: cluster.now(node))
        for payload in journal {
            if payload.count > Siege.recordBytesMax + 11 {
                problems.append("a journal payload has \(payload.count) bytes")
            }
            largestStep = max(largestStep, payload.count)
            payload.withUnsafeBytes { payload in
                do throws(DecodeError) { try copy.restore(payload) } catch {
                    malformedJournal = "\(error)"
                }
            }
        }
        copy.checkInvariants(recounting: true)
    }
}

extension Slab {
    /// The numbers of all operations under way.
    var numbers: [UInt64] {
        (0..<indexEnd).compactMap { id(at: $0)?.rawValue }
    }
}
