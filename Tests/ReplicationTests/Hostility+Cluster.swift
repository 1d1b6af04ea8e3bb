import AntiEntropy
import Base
import Coding
import Membership
import Ring

@testable import Causality
@testable import Replication

// What nodes tell each other of the cluster and of what they hold.
extension Hostility {
    mutating func marker() -> ForgettingMarker {
        var promised = stamp().rawValue
        var forgotten = stamp().rawValue
        if promised < forgotten, random.below(8) > 0 { swap(&promised, &forgotten) }
        var catalog = KeyspaceCatalog.Forgotten()
        catalog.known = stamp().rawValue
        catalog.emptiedAt = stamp()
        return ForgettingMarker(promised: promised, forgotten: forgotten, catalog)
    }

    mutating func heartbeat(_ flag: UInt8) -> [UInt8] {
        let now = stamp().milliseconds
        let reading = ClockReading(
            wall: now, time: one(of: [now, number()]), reach: one(of: [now, number()]),
            isProven: random.below(2) == 0,
            timing: .init(sentAt: number(), echo: number(), held: number()))
        let names = Message.Names(
            digest: number(), isDurable: random.below(2) == 0, hasCaughtUp: random.below(2) == 0,
            marker())
        let room = number()
        return HostileMessage.bytes(
            9, flag: flag, number: stamp().rawValue,
            encoded {
                reading.encode(into: &$0)
                names.encode(into: &$0)
                $0.append(integer: room)
            })
    }

    /// One keyspace's changes.
    mutating func definition() -> [UInt8] {
        var settings = KeyspaceSettings()
        settings.replicationFactor = one(of: [1, 2, 3, 4, 64])
        settings.truncatedAt = stamp()
        settings.conflict = one(of: [.lww, .siblings, .crdt])
        if settings.replicationFactor == 1 {
            (settings.readQuorum, settings.writeQuorum) = (.one, .one)
        }
        var set = siblingSet()
        let name = one(of: ["default", "s", "t", "x\(random.below(4))"])
        var isDropped = random.below(9) == 0
        if fitsKeyspaces, (name == "t") != (settings.conflict == .crdt) || name == "t" {
            (settings.conflict, isDropped) = (name == "t" ? .crdt : .siblings, false)
        }
        let change = KeyspaceChange(dropped: isDropped, settings: settings).encoded()
        set.siblings = set.siblings.map { Sibling(dot: $0.dot, expiry: 0, value: change) }
        return HostileMessage.definition(name, set)
    }

    mutating func definitions(_ number: UInt64) -> [UInt8] {
        let list = (0..<one(of: [0, 1, 1, 2])).map { _ in definition() }
        let isAll = random.below(4) == 0
        let word = marker()
        return HostileMessage.bytes(
            7, flag: isAll ? 1 : 0, number: number,
            (isAll ? encoded { word.encode(into: &$0) } : [])
                + little(UInt16(list.count)) + list.flatMap { $0 })
    }

    mutating func memberRecord() -> MemberRecord {
        let states: [MemberState] = [.alive, .suspect, .dead, .left, .removed]
        var identity = identity()
        if identity.epoch > ReplicaIdentity.epochMax, !random.chance(perMille: 5) {
            identity = ReplicaIdentity(node: identity.node, epoch: ReplicaIdentity.epochMax)
        }
        // A node that is removed, or superseded, is out by right.
        if identity.node == NodeID(1), !random.chance(perMille: 20) {
            identity = ReplicaIdentity(node: NodeID(3), epoch: identity.epoch)
        }
        return MemberRecord(
            identity, one(of: states), incarnation: one(of: [0, 1, .max]),
            admission: one(of: [0, 1, .max]))
    }

    mutating func memberRecords() -> [MemberRecord] {
        (0..<one(of: [0, 1, 200, 255])).map { index in
            random.below(2) == 0
                ? memberRecord()
                : MemberRecord(
                    ReplicaIdentity(node: NodeID(UInt16(10 + index)), epoch: 9), .removed)
        }
    }

    mutating func membershipMessage() -> MembershipMessage {
        let sender = MemberRecord(
            ReplicaIdentity(node: NodeID(2), epoch: 1 + UInt64(random.below(2))),
            incarnation: one(of: [0, .max]))
        let (after, through) = (UInt16(random.below(4)), one(of: [0, 1, 3, .max] as [UInt16]))
        let content: MembershipMessage.Content
        switch random.below(8) {
        case 0: content = .ping(sequence: .max, target: identity())
        case 1: content = .pingRequest(sequence: .max, target: identity())
        case 2: content = .ack(sequence: UInt32(random.below(9)))
        case 3: content = .nack(sequence: UInt32(random.below(9)))
        case 4: content = .compare(after: after, through: through, digest: number())
        case 5: content = .agreed(after: after, through: through)
        case 6: content = .page(after: after, through: through, memberRecords())
        default: content = .records(memberRecords())
        }
        let updates = (0..<one(of: [0, 1, 255])).map { _ in
            MemberUpdate(memberRecord(), accuser: identity())
        }
        return MembershipMessage(sender: sender, content: content, updates: updates)
    }

    mutating func membership() -> [UInt8] {
        let message = membershipMessage()
        return HostileMessage.bytes(
            Node.membershipKind, encoded { message.encode(into: &$0) })
    }

    /// Two hundred records of nodes that are in no configuration.
    mutating func membershipOfStrangers() -> [UInt8] {
        let records = (0..<200).map { _ in
            MemberRecord(
                ReplicaIdentity(node: NodeID(UInt16(4 + random.below(60_000))), epoch: 9), .removed)
        }
        let message = MembershipMessage(
            sender: MemberRecord(ReplicaIdentity(node: NodeID(2), epoch: 1)),
            content: .records(records))
        return HostileMessage.bytes(Node.membershipKind, encoded { message.encode(into: &$0) })
    }
}

// Exchanges, refills and promises.
extension Hostility {
    private mutating func roots() -> [ExchangeMessage.RangeRoot] {
        let roots = (0..<256).map {
            ExchangeMessage.RangeRoot(range: UInt8($0), root: number())
        }
        return Array(roots.prefix(1 + random.below(256)))
    }

    private mutating func sums() -> [UInt64] { (0..<32).map { _ in number() } }

    mutating func exchange() -> [UInt8] {
        let (range, leaf) = (UInt8(random.below(256)), UInt16(random.below(1_024)))
        let message: ExchangeMessage
        switch random.below(6) {
        case 0: message = .roots(roots())
        case 1: message = .branches(range, sums())
        case 2: message = .leaves(range, branch: UInt8(random.below(32)), sums())
        case 3: message = .wanted(range, leaf: leaf, hashes(leaf))
        case 4: message = .held(number())
        default: message = .keys(range, leaf: leaf, states(leaf))
        }
        var rest = encoded { message.encode(into: &$0) }
        var moment: UInt64 = 0
        if case .roots = message {
            rest += little(number())
            moment = stamp().rawValue
        }
        return HostileMessage.bytes(
            Message.exchangeKind, flag: one(of: [2, 3, 64]), number: moment, rest)
    }

    private func hashes(_ leaf: UInt16) -> [UInt64] {
        let range = HashTree.hashes(of: Int(leaf))
        return [range.lowerBound, range.upperBound]
    }

    private mutating func states(_ leaf: UInt16) -> [KeyState] {
        hashes(leaf).map {
            KeyState(hash: $0, digest: number(), stamp: number(), merges: random.below(2) == 0)
        }
    }

    mutating func refill() -> [UInt8] {
        let (range, leaf) = (UInt8(random.below(256)), UInt16(random.below(1_024)))
        let node = UInt8(random.below(33))
        let message: RefillMessage
        switch random.below(6) {
        case 0: message = .same(moment: number(), equal: .all, whole: .all)
        case 1: message = .sums(range, node: node, sums())
        case 2: message = .differing(range, node: node, isWhole: true, .max)
        case 3:
            message = .states(
                range, leaf: leaf, isInDoubt: random.below(2) == 0, states(leaf))
        case 4: message = .inquiry(moment: number(), roots())
        default:
            let record = record()
            message = .lacked(
                range, leaf: leaf,
                .init(
                    isWhole: true, isAll: true, refuted: random.below(2) == 0 ? [] : hashes(leaf),
                    records: little(UInt32(record.count)) + record))
        }
        return HostileMessage.bytes(
            Message.refillKind, flag: one(of: [2, 3, 64]), number: number(),
            encoded { message.encode(into: &$0) })
    }

    mutating func rangeStamps() -> RangeStamps {
        var stamps = RangeStamps()
        for range in UInt8.min...UInt8.max {
            stamps.raise(range, to: random.below(2) == 0 ? number() : stamp().rawValue)
        }
        return stamps
    }

    mutating func promises() -> [UInt8] {
        let message = PromiseMessage(
            asks: random.below(2) == 0,
            parts: [
                .init(
                    n: one(of: [2, 3, 64]), promised: rangeStamps(), known: rangeStamps(),
                    revoked: rangeStamps(), whole: random.below(2) == 0 ? .all : RangeSet())
            ])
        return HostileMessage.bytes(
            PromiseMessage.kind, flag: message.asks ? 1 : 0, encoded { message.encode(into: &$0) })
    }
}
