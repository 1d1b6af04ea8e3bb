import Base
import Coding
import Membership
import RESP
import Ring

@testable import Causality
@testable import Replication

// A message of each kind, as the nodes' own encoders write it.
extension Hostility {
    mutating func message() -> [UInt8] {
        if !recorded.isEmpty, random.below(20) == 0 { return one(of: recorded) }
        return message(of: one(of: KnownKinds.messages))
    }

    /// - Returns: nothing of a kind that nobody has taught it yet.
    mutating func message(of kind: UInt8) -> [UInt8] {
        let number = number()
        func bytes(_ flag: UInt8 = 0, _ rest: [UInt8] = []) -> [UInt8] {
            HostileMessage.bytes(kind, flag: flag, number: number, rest)
        }
        let flag = UInt8(random.below(2))
        switch kind {
        case 1: return bytes(flag, record())
        case 2: return bytes(one(of: KnownKinds.statuses), little(stamp().rawValue))
        case 3: return bytes(flag, question(flag))
        case 4: return answer(number)
        case 5: return bytes(2 + flag, wishes() + command())
        case 6: return bytes(0, reply())
        case 7: return definitions(number)
        case 8: return bytes()
        case 9: return heartbeat(0)
        case 10: return survey(number)
        case 11: return bytes(flag, little(self.number()))
        case Node.deltaKind: return bytes(flag, delta())
        case Node.membershipKind: return membership()
        case Message.exchangeKind: return exchange()
        case Message.refillKind: return refill()
        case Message.hintKind: return bytes(flag, hint())
        case Message.handOffKind: return bytes(0, record())
        case Message.knownLifeKind:
            return HostileMessage.bytes(kind, number: identity().rawValue)
        case SessionMessage.kinds: return session(kind, number)
        case SessionMessage.writtenKind:
            return HostileMessage.bytes(kind, entries(context()))
        case PromiseMessage.kind: return promises()
        case GenerationMessage.kind:
            let flags = UInt8(random.below(8))
            return HostileMessage.bytes(kind, flag: flags, number: 1 + number % 4)
        case RequestMessage.kinds: return request(kind, number)
        default: return []
        }
    }

    /// - Parameter flag: 1 for the question for a state.
    private mutating func question(_ flag: UInt8) -> [UInt8] {
        let key = key()
        guard flag == 1 else { return key }
        return little(UInt16(key.count)) + key + entries(context())
    }

    func entries(_ context: VersionVector) -> [UInt8] {
        encoded { context.encodeEntries(into: &$0) }
    }

    private mutating func answer(_ number: UInt64) -> [UInt8] {
        let answers: [ReplicaStatus] = [.found, .absent, .covered, .contextTold, .refilling]
        let status = one(of: answers)
        let rest: [UInt8] =
            switch status {
            case .found: record()
            case .contextTold: entries(context())
            case .refilling: []
            default: little(stamp().rawValue)
            }
        return HostileMessage.bytes(4, flag: status.rawValue, number: number, rest)
    }

    mutating func wishes() -> [UInt8] {
        let levels: [Level?] = [nil, .count(1), .count(2), .count(3), .count(255), .quorum, .all]
        let defaults = ConsistencyOptions(
            r: one(of: levels), w: one(of: levels), pr: one(of: levels), pw: one(of: levels),
            dw: one(of: levels))
        let wishes = CommandWishes(
            timeoutMilliseconds: one(of: [0, 1, 60, .max - 100, .max]), end: stamp(),
            defaults: defaults)
        return encoded { wishes.encode(into: &$0) }
    }

    mutating func reply() -> [UInt8] { Array(one(of: Hostility.replies).utf8) }

    mutating func command() -> [UInt8] {
        let names = [
            "SET", "QDEL", "SADD", "SMEMBERS", "INCR", "GET", "QGET", "DEL", "PING", "X", "SPOP",
            "IDEMPOTENCY", "EXPIRE", "QBOUND", "HINCRBY", "LPUSH", "KEYSPACE", "CLUSTER", "MULTI",
            "SESSION", "DEBUG",
        ]
        var words = [Array(one(of: names).utf8)]
        for _ in 0..<random.below(5) { words.append(random.below(3) == 0 ? [] : key()) }
        var bytes = Array("*\(words.count)\r\n".utf8)
        for word in words { bytes += Array("$\(word.count)\r\n".utf8) + word + [13, 10] }
        return bytes
    }

    private mutating func hint() -> [UInt8] {
        let targets = (0..<one(of: [0, 1, 1, 2, 255])).map { _ in one(of: Hostility.nodes) }
        return [UInt8(targets.count)] + targets.flatMap { little($0) } + little(number())
            + record()
    }

    private mutating func survey(_ number: UInt64) -> [UInt8] {
        let flag = UInt8(random.below(3))
        let names = ["default", "s", "t", "", "no such", String(repeating: "n", count: 64)]
        return HostileMessage.bytes(
            10, flag: flag, number: number, flag == 2 ? [] : Array(one(of: names).utf8))
    }
}

// Sessions, and requests with an id.
extension Hostility {
    mutating func history(_ hashes: [UInt64], keysMax: Int = SessionHistory.keysMax)
        -> SessionHistory
    {
        var history = SessionHistory(keysMax: keysMax)
        history.order = stamp()
        history.floor = stamp()
        for hash in hashes + [number()] {
            var seen = context()
            if seen.isEmpty { seen.insert(dot()) }
            guard seen.entries.count < 100 else { continue }
            history.put(
                hash,
                .init(
                    seen: seen, floor: stamp(),
                    replaceable: random.below(2) == 0 ? seen : context(),
                    changes: random.below(2) == 0 ? context() : VersionVector()))
        }
        return history
    }

    private mutating func session(_ kind: UInt8, _ number: UInt64) -> [UInt8] {
        let flag = UInt8(random.below(2))
        switch kind {
        case SessionMessage.reportKind:
            return HostileMessage.bytes(
                kind, flag: flag, number: stamp().rawValue,
                little(self.number()) + little(self.number()) + little(self.number()))
        case SessionMessage.equalKind:
            let bits = (0..<4).flatMap { _ in little(self.number()) }
            return HostileMessage.bytes(kind, flag: one(of: [2, 3, 64]), number: number, bits)
        case SessionMessage.commandKind:
            let history = history([], keysMax: 1)
            let seen = encoded { history.encode(into: &$0) }
            return HostileMessage.bytes(
                kind, flag: 2 + flag, number: number,
                [UInt8(random.below(256))] + wishes() + little(UInt32(seen.count)) + seen
                    + command())
        case SessionMessage.replyKind:
            var news = SessionNews()
            news.seen = context()
            if flag == 1 {
                news.written = dot()
                if random.below(2) == 0 { news.expiryOf = dot() }
            }
            if !news.seen.isEmpty, random.below(2) == 0 { news.expirySeen = dot() }
            return HostileMessage.bytes(
                kind, flag: flag, number: number, encoded { news.encode(into: &$0) } + reply())
        default: return []
        }
    }

    mutating func claim() -> RequestLedger.Claim {
        RequestLedger.Claim(coordinator: identity(), number: number())
    }

    mutating func requestName() -> RequestName {
        let id = [UInt8](repeating: 0x69, count: one(of: [1, 1, 1, 64]))
        return key().withUnsafeBytes { key in
            id.withUnsafeBytes { RequestName(key: key, id: $0) }
        }
    }

    mutating func outcome() -> RequestLedger.Outcome {
        let replies = Hostility.replies.map { Array($0.utf8) }
            .filter { $0.withUnsafeBytes { $0.isOneReply(in: .resp2) } }
        return RequestLedger.Outcome(
            dot: random.below(3) == 0 ? nil : dot(), reply: one(of: replies),
            checksum: UInt32(truncatingIfNeeded: number()))
    }

    private mutating func page(from place: UInt64) -> RequestMessage.Page {
        let next = random.below(2) == 0 ? nil : place == .max ? nil : place + 1
        return .init(
            place: place, next: next,
            entries: (0..<random.below(4)).map { _ in
                let entry: RequestLedger.Entry =
                    random.below(2) == 0 ? .claimed(claim()) : .done(outcome())
                return .init(name: requestName(), entry: entry, age: self.number())
            })
    }

    private mutating func request(_ kind: UInt8, _ number: UInt64) -> [UInt8] {
        let message: RequestMessage
        switch kind {
        case 40:
            let over = random.below(2) == 0 ? nil : claim()
            message = .claim(number, .init(name: requestName(), claim: claim(), over: over))
        case 41:
            message = .claimed(number, one(of: [.granted(stamp()), .rival(claim()), .done, .full]))
        case 42: message = .inquire(number, requestName(), claim())
        case 43:
            let states = (0...UInt8.max).compactMap(RequestMessage.ClaimState.init)
            message = .inquired(number, one(of: states))
        case 44: message = .outcome(requestName(), outcome())
        case 45: message = .askIDs(number)
        case 46: message = .toldIDs(page(from: number))
        default: return []
        }
        return Array(encoded { _ = message.encode(into: &$0) }.dropFirst(Frame.headerBytes))
    }
}
