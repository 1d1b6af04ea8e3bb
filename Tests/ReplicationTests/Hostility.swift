import AntiEntropy
import Base
import Coding
import Membership
import Ring

@testable import Causality
@testable import Replication

/// Draws what a member that has gone bad could say, or a client hand in: well-formed, and at or
/// beyond every limit.
struct Hostility {
    var random: PRNG
    /// Wall-clock milliseconds since 1970 of the node under attack.
    var wall: UInt64
    /// Numbers of operations that are under way there.
    var numbers: [UInt64] = [0]
    /// Well-formed messages that other nodes sent.
    let recorded: [[UInt8]]

    private static let nodes: [UInt16] = [1, 2, 3, 4, 65_535]
    static let replies: [String] = [
        "+OK\r\n", "-ERR no\r\n", ":0\r\n", ":1\r\n", ":-9223372036854775808\r\n",
        ":9223372036854775807\r\n", "*-1\r\n", "*0\r\n", "*1\r\n*-1\r\n", "$-1\r\n", "$0\r\n\r\n",
        "$9223372036854775807\r\nx\r\n", "*9223372036854775807\r\n", "*2\r\n$1\r\nb\r\n$1\r\na\r\n",
        "*2\r\n$1\r\na\r\n$1\r\nb\r\n", "~1\r\n$1\r\na\r\n", "%1\r\n+a\r\n+b\r\n", "_\r\n",
        "#t\r\n",
        "%4611686018427387904\r\n", "*1\r\n:9223372036854775808\r\n", ",nan\r\n", "",
        "*3\r\n$1\r\na\r\n$-1\r\n:1\r\n", "-\r\n", "+\r\n",
    ]

    mutating func number() -> UInt64 {
        let edges: [UInt64] = [
            0, 1, 2, 255, 65_535, UInt64(UInt32.max), 1 << 32, UInt64(Int64.max),
            UInt64(Int64.max) + 1, .max - 1, .max,
        ]
        switch random.below(3) {
        case 0: return edges[random.below(edges.count)]
        case 1: return numbers[random.below(numbers.count)]
        default: return random.next()
        }
    }

    mutating func stamp() -> Stamp {
        let ahead: [UInt64] = [0, 1, 400, 499, 500, 501, 3_600_000]
        switch random.below(5) {
        case 0: return Stamp(rawValue: number())
        case 1: return Stamp(milliseconds: wall - min(wall, 1 << random.next() % 30))
        default:
            return Stamp(
                milliseconds: wall + ahead[random.below(ahead.count)],
                logical: random.below(2) == 0 ? .max : UInt16(random.below(9)))
        }
    }

    mutating func identity() -> ReplicaIdentity {
        let node = NodeID(Hostility.nodes[random.below(Hostility.nodes.count)])
        let epochs: [UInt64] = [
            0, 1, 2, 1_024, wall, ReplicaIdentity.epochMax, 1 << 48 - 1,
            UInt64(random.below(5_000)),
        ]
        return ReplicaIdentity(node: node, epoch: epochs[random.below(epochs.count)])
    }

    mutating func dot() -> Dot { Dot(identity: identity(), stamp: stamp()) }

    mutating func context() -> VersionVector {
        var context = VersionVector()
        let counts = [0, 1, 2, 3, 9, VersionVector.entriesMax - 1, VersionVector.entriesMax]
        let count = counts[random.chance(perMille: 960) ? random.below(5) : random.below(7)]
        let stamp = stamp()
        for index in 0..<max(0, count - 3) {
            context.entries.append(
                Dot(
                    identity: ReplicaIdentity(rawValue: UInt64(index + 1) << 20), stamp: stamp))
        }
        for _ in 0..<min(3, count) { context.insert(dot()) }
        while context.entries.count > count { context.entries.removeLast() }
        return context
    }

    mutating func siblingSet() -> SiblingSet {
        var set = SiblingSet()
        set.context = context()
        if set.context.isEmpty { set.context.insert(dot()) }
        for dot in set.context.entries.shuffled(using: &random).prefix(random.below(5)) {
            set.siblings.append(
                Sibling(
                    dot: dot, expiry: expiry(), value: [UInt8](repeating: 7, count: random.below(3))
                ))
        }
        set.siblings.sort { $0.dot < $1.dot }
        return set
    }

    private mutating func expiry() -> UInt64 {
        [0, 1, wall, wall + 1, Record.expiryMax][random.below(5)]
    }

    func key(_ number: Int) -> [UInt8] {
        let names = ["k", "s:1", "one:1", "t:1", "h:1", "k2", "s:2", "t:2"]
        return Array(names[number % names.count].utf8)
    }

    mutating func key() -> [UInt8] { key(random.below(8)) }

    mutating func record() -> [UInt8] {
        var buffer = ByteBuffer()
        let (key, set) = (key(), siblingSet())
        let range = key.withUnsafeBytes { set.encodeRecord(key: $0, into: &buffer) }
        return Array(buffer.bytes[range.lowerBound..<range.upperBound])
    }
}

// Messages
extension Hostility {
    mutating func message() -> [UInt8] {
        let (flag, number) = (UInt8(random.below(2)), number())
        func bytes(_ kind: UInt8, _ flag: UInt8 = 0, _ rest: [UInt8] = []) -> [UInt8] {
            HostileMessage.bytes(kind, flag: flag, number: number, rest)
        }
        switch random.below(20) {
        case 0, 1: return bytes(1, flag, record())
        case 2:
            let statuses: [UInt8] = [0, 1, 2, 3, 4, 5, 8, 10, 13, 14]
            return bytes(
                2, statuses[random.below(statuses.count)],
                HostileMessage.little(stamp().rawValue))
        case 3: return bytes(3, 0, key())
        case 4: return flag == 0 ? bytes(4, 6, record()) : bytes(4, 7, little(stamp().rawValue))
        case 5: return bytes(5, 2 + flag, HostileMessage.little(UInt32.max) + command())
        case 6: return bytes(6, 0, reply())
        case 7: return definitions()
        case 8: return bytes(9, 0, little(self.number()))
        case 9: return bytes(flag == 0 ? 8 : 11, flag, flag == 0 ? [] : little(self.number()))
        case 10: return membership()
        case 11: return exchange()
        case 12: return refill()
        case 13:
            return bytes(
                16, flag, little(UInt16(1 + random.below(4))) + little(self.number()) + record())
        case 14: return bytes(17, 0, record())
        case 15:
            return HostileMessage.bytes(18, number: identity().rawValue)
        case 16: return session(number)
        case 17: return promises()
        case 18: return heartbeat()
        default: return recorded[random.below(recorded.count)]
        }
    }

    private func little<Integer: FixedWidthInteger>(_ value: Integer) -> [UInt8] {
        HostileMessage.little(value)
    }

    private mutating func reply() -> [UInt8] {
        Array(Hostility.replies[random.below(Hostility.replies.count)].utf8)
    }

    mutating func command() -> [UInt8] {
        let names = ["SET", "QDEL", "SADD", "SMEMBERS", "INCR", "GET", "QGET", "DEL", "PING", "X"]
        var words = [Array(names[random.below(names.count)].utf8)]
        for _ in 0..<random.below(5) { words.append(random.below(3) == 0 ? [] : key()) }
        var bytes = Array("*\(words.count)\r\n".utf8)
        for word in words { bytes += Array("$\(word.count)\r\n".utf8) + word + [13, 10] }
        return bytes
    }

    private mutating func heartbeat() -> [UInt8] {
        let milliseconds = stamp().milliseconds
        var clocks = (0..<6).flatMap { _ in little(milliseconds) }
        clocks.append(UInt8(random.below(2)))
        var word = (0..<4).map { _ in stamp().rawValue }
        if random.below(4) > 0 { word[1] = min(word[0], word[1]) }
        let names = word.flatMap { little($0) }
        return HostileMessage.bytes(
            9, number: stamp().rawValue,
            clocks + little(self.number()) + [UInt8(random.below(5))] + names
                + little(self.number()))
    }

    private mutating func definitions() -> [UInt8] {
        var settings = KeyspaceSettings()
        settings.replicationFactor = [1, 2, 3, 4, 64][random.below(5)]
        settings.truncatedAt = stamp()
        settings.conflict = [.lww, .siblings, .crdt][random.below(3)]
        if settings.replicationFactor == 1 {
            (settings.readQuorum, settings.writeQuorum) = (.one, .one)
        }
        var set = siblingSet()
        let change = KeyspaceChange(dropped: random.below(9) == 0, settings: settings).encoded()
        set.siblings = set.siblings.map { Sibling(dot: $0.dot, expiry: 0, value: change) }
        let names = ["default", "s", "x\(random.below(4))"]
        return HostileMessage.definitions(
            [HostileMessage.definition(names[random.below(names.count)], set)], number: number())
    }

    private mutating func memberRecord() -> MemberRecord {
        let states: [MemberState] = [.alive, .suspect, .dead, .left, .removed]
        var identity = identity()
        // A node that is removed, or superseded, is out by right.
        if identity.node == NodeID(1), !random.chance(perMille: 20) {
            identity = ReplicaIdentity(node: NodeID(3), epoch: identity.epoch)
        }
        return MemberRecord(
            identity, states[random.below(5)], incarnation: [0, 1, .max][random.below(3)],
            admission: [0, 1, .max][random.below(3)])
    }

    private mutating func membership() -> [UInt8] {
        let sender = MemberRecord(
            ReplicaIdentity(node: NodeID(2), epoch: 1 + UInt64(random.below(2))),
            incarnation: [0, .max][random.below(2)])
        let counts = [0, 1, 200, 255]
        let records = (0..<counts[random.below(4)]).map { index in
            random.below(2) == 0
                ? memberRecord()
                : MemberRecord(
                    ReplicaIdentity(node: NodeID(UInt16(10 + index)), epoch: 9), .removed)
        }
        let (after, through) = (
            UInt16(random.below(4)), UInt16([0, 1, 3, 65_535][random.below(4)])
        )
        let content: MembershipMessage.Content
        switch random.below(6) {
        case 0: content = .ping(sequence: .max, target: identity())
        case 1: content = .pingRequest(sequence: .max, target: identity())
        case 2: content = .ack(sequence: UInt32(random.below(9)))
        case 3: content = .compare(after: after, through: through, digest: number())
        case 4: content = .page(after: after, through: through, records)
        default: content = .records(records)
        }
        let updates = (0..<[0, 1, 255][random.below(3)]).map { _ in
            MemberUpdate(memberRecord(), accuser: identity())
        }
        var buffer = ByteBuffer()
        MembershipMessage(sender: sender, content: content, updates: updates).encode(into: &buffer)
        return HostileMessage.bytes(Node.membershipKind, Array(buffer.bytes))
    }

    /// Two hundred records of nodes that are in no configuration.
    mutating func membershipOfStrangers() -> [UInt8] {
        let records = (0..<200).map { _ in
            MemberRecord(
                ReplicaIdentity(node: NodeID(UInt16(4 + random.below(60_000))), epoch: 9), .removed)
        }
        var buffer = ByteBuffer()
        MembershipMessage(
            sender: MemberRecord(ReplicaIdentity(node: NodeID(2), epoch: 1)),
            content: .records(records)
        ).encode(into: &buffer)
        return HostileMessage.bytes(Node.membershipKind, Array(buffer.bytes))
    }

    private mutating func exchange() -> [UInt8] {
        let (range, leaf) = (UInt8(random.below(256)), UInt16(random.below(1_024)))
        let sums = (0..<32).map { _ in number() }
        let message: ExchangeMessage
        switch random.below(5) {
        case 0:
            let roots = (0..<256).map {
                ExchangeMessage.RangeRoot(range: UInt8($0), root: number())
            }
            message = .roots(Array(roots.prefix(1 + random.below(256))))
        case 1: message = .branches(range, sums)
        case 2: message = .leaves(range, branch: UInt8(random.below(32)), sums)
        case 3: message = .wanted(range, leaf: leaf, hashes(leaf))
        default:
            message = .keys(range, leaf: leaf, states(leaf))
        }
        var buffer = ByteBuffer()
        message.encode(into: &buffer)
        var rest = Array(buffer.bytes)
        var moment: UInt64 = 0
        if case .roots = message {
            rest += little(number())
            moment = stamp().rawValue
        }
        return HostileMessage.bytes(
            Message.exchangeKind, flag: UInt8([2, 3, 64][random.below(3)]), number: moment, rest)
    }

    private mutating func hashes(_ leaf: UInt16) -> [UInt64] {
        let range = HashTree.hashes(of: Int(leaf))
        return [range.lowerBound, range.upperBound]
    }

    private mutating func states(_ leaf: UInt16) -> [KeyState] {
        hashes(leaf).map {
            KeyState(hash: $0, digest: number(), stamp: number(), merges: random.below(2) == 0)
        }
    }

    private mutating func refill() -> [UInt8] {
        let (range, leaf) = (UInt8(random.below(256)), UInt16(random.below(1_024)))
        let node = UInt8(random.below(33))
        let message: RefillMessage
        switch random.below(5) {
        case 0: message = .same(moment: number(), equal: .all, whole: .all)
        case 1: message = .sums(range, node: node, (0..<32).map { _ in number() })
        case 2: message = .differing(range, node: node, isWhole: true, .max)
        case 3: message = .states(range, leaf: leaf, states(leaf))
        default:
            let record = record()
            message = .lacked(
                range, leaf: leaf, isWhole: true, isAll: true, little(UInt32(record.count)) + record
            )
        }
        var buffer = ByteBuffer()
        message.encode(into: &buffer)
        return HostileMessage.bytes(
            Message.refillKind, flag: UInt8([2, 3, 64][random.below(3)]), number: number(),
            Array(buffer.bytes))
    }

    mutating func history(_ hashes: [UInt64]) -> SessionHistory {
        var history = SessionHistory(keysMax: SessionHistory.keysMax)
        history.order = stamp()
        history.floor = stamp()
        for hash in hashes + [number()] {
            var seen = context()
            if seen.isEmpty { seen.insert(dot()) }
            guard seen.entries.count < 100 else { continue }
            history.put(
                hash, .init(seen: seen, floor: stamp(), isWhole: random.below(2) == 0))
        }
        return history
    }

    private mutating func session(_ number: UInt64) -> [UInt8] {
        if random.below(2) == 0 {
            return HostileMessage.bytes(
                SessionMessage.reportKind, flag: UInt8(random.below(2)), number: stamp().rawValue,
                little(self.number()) + little(self.number()) + little(self.number()))
        }
        var buffer = ByteBuffer()
        history([]).encode(into: &buffer)
        let bytes = Array(buffer.bytes)
        return HostileMessage.bytes(
            SessionMessage.commandKind, flag: UInt8(2 + random.below(2)), number: number,
            [UInt8(random.below(256))] + little(UInt32(bytes.count)) + bytes + command())
    }

    private mutating func promises() -> [UInt8] {
        var (promised, known) = (RangeStamps(), RangeStamps())
        for range in 0..<256 {
            promised.raise(UInt8(range), to: random.below(2) == 0 ? number() : stamp().rawValue)
            known.raise(UInt8(range), to: stamp().rawValue)
        }
        let message = PromiseMessage(
            asks: random.below(2) == 0,
            parts: [.init(n: [2, 3, 64][random.below(3)], promised: promised, known: known)])
        var buffer = ByteBuffer()
        message.encode(into: &buffer)
        return HostileMessage.bytes(
            PromiseMessage.kind, flag: message.asks ? 1 : 0, Array(buffer.bytes))
    }
}
