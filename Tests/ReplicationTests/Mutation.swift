import Base
import Causality
import Coding
import Testing

@testable import Replication

/// Changes to messages: some as damage makes them, some as a hostile node would think of them.
struct Mutation {
    var random: PRNG
    /// Real messages, by kind.
    let originals: [[[UInt8]]]
    /// Numbers of operations under way at the node that is attacked: writes, reads, forwarded
    /// commands, administrations, claims of request ids.
    var numbers: [[UInt64]] = []
    /// The attacked node's wall clock, milliseconds since 1970.
    var wall: UInt64 = 0

    /// A command that may still be executed when it is sent again much later.
    private static func lasting(_ message: [UInt8]) -> [UInt8] {
        let ends: [UInt8: Int] = [5: 14, SessionMessage.commandKind: 15]
        guard let place = ends[message[0]] else { return message }
        var message = message
        message.replaceSubrange(place..<place + 8, with: [UInt8](repeating: 0xFF, count: 8))
        return message
    }

    init(seed: UInt64, messages: [[UInt8]]) {
        random = PRNG(seed: seed)
        let lasting = messages.map { Mutation.lasting($0) }
        originals = (0...UInt8.max).map { kind in lasting.filter { $0[0] == kind } }
            .filter { !$0.isEmpty }
    }

    /// Kinds that answer what is under way; more of them meet something.
    private static let answers: Set<UInt8> = [2, 4, 6, 8, 11, 23, 41, 43]

    mutating func original() -> [UInt8] {
        var kind = originals[random.below(originals.count)]
        if random.below(3) == 0 {
            let answers = originals.filter { Mutation.answers.contains($0[0][0]) }
            if !answers.isEmpty { kind = answers[random.below(answers.count)] }
        }
        return kind[random.below(kind.count)]
    }

    /// The next message: most stay well-formed, so that they come past the decoder.
    mutating func next() -> [UInt8] {
        var message = original()
        if random.chance(perMille: 850) { aim(&message) }
        if random.chance(perMille: 60) { damage(&message) }
        return message
    }

    /// Edits fields, so that the message meets what is under way or lies at a limit.
    private mutating func aim(_ message: inout [UInt8]) {
        if let found = number(for: message[0]) {
            var number = found
            switch random.below(12) {
            case 0: number ^= UInt64(random.below(16)) << 28
            case 1: number &+= 1 << 32
            case 2: number &+= 1
            default: break
            }
            put(number, at: 2, in: &message)
        }
        if random.chance(perMille: 40) { message[1] = UInt8(random.below(10)) }
        if message[0] == 2, random.chance(perMille: 600) {
            message[1] = [0, 1, 8][random.below(3)]
        }
        switch message[0] {
        case 1, 4, 17: aimRecord(&message, at: 10)
        case Message.hintKind: aimHint(&message)
        case Node.deltaKind: aimDelta(&message)
        case RequestMessage.kinds: aimRequest(&message)
        case 2 where random.chance(perMille: 500): put(stamp(), at: 10, in: &message)
        case 9, SessionMessage.reportKind: put(stamp(), at: 2, in: &message)
        case 7 where random.chance(perMille: 100): replaceDefinitions(&message)
        case 6, 11: if random.chance(perMille: 100) { replaceRest(&message) }
        default: break
        }
    }

    /// The number of an operation that waits for such a message, or sometimes of another.
    private mutating func number(for kind: UInt8) -> UInt64? {
        let fitting: Int? =
            switch kind {
            case 2: 0
            case 4: 1
            case 6, SessionMessage.replyKind: 2
            case 8, 11: 3
            case 41, 43: 4
            default: nil
            }
        guard random.chance(perMille: fitting == nil ? 200 : 900) else { return nil }
        let isFitting = random.chance(perMille: 900)
        let all = isFitting ? fitting.map { numbers[$0] } ?? [] : numbers.flatMap { $0 }
        return all.isEmpty ? nil : all[random.below(all.count)]
    }

    /// - Parameter start: where the record begins, behind what else the message says.
    private mutating func aimRecord(_ message: inout [UInt8], at start: Int) {
        guard message.count >= start + 32 else { return }
        if random.chance(perMille: 700) { put(stamp(), at: start + 16, in: &message) }
        if random.chance(perMille: 300) { put(identity(), at: start + 8, in: &message) }
        if random.chance(perMille: 80) { put(extreme(), at: start + 24, in: &message) }
        if random.chance(perMille: 20), message[start + 4] == 0 {
            message += [UInt8](repeating: 7, count: 1 << (10 + random.below(8)))
            put(UInt32(message.count - start), at: start, in: &message)
        }
        if random.chance(perMille: 20) { message[start + 4] = UInt8(random.below(5)) }
        guard message.count > start + 33, random.chance(perMille: 100) else { return }
        message[start + 33] = UInt8(random.below(256))
    }

    /// Count of targets (1), targets (2 each), since (8), record.
    private mutating func aimHint(_ message: inout [UInt8]) {
        guard message.count > 10 else { return }
        let since = 11 + 2 * Int(message[10])
        if random.chance(perMille: 300) { put(UInt16(random.below(5)), at: 11, in: &message) }
        if random.chance(perMille: 300) { put(extreme(), at: since, in: &message) }
        aimRecord(&message, at: since + 8)
    }

    /// Bytes of the key (2), key, identity (8), after (8), through (8).
    private mutating func aimDelta(_ message: inout [UInt8]) {
        guard message.count > 36 else { return }
        let start = 12 + Int(message[10]) + Int(message[11]) << 8
        if random.chance(perMille: 500) { put(stamp(), at: start + 16, in: &message) }
        if random.chance(perMille: 200) { put(identity(), at: start, in: &message) }
        if random.chance(perMille: 100) { put(extreme(), at: start + 8, in: &message) }
    }

    /// Bytes of the name (4), the name; then a claim, or how the request ended, with its dot.
    private mutating func aimRequest(_ message: inout [UInt8]) {
        guard [40, 42, 44].contains(message[0]), message.count > 30 else { return }
        let start = 14 + Int(message[10])
        if random.chance(perMille: 500) { put(identity(), at: start, in: &message) }
        if random.chance(perMille: 300) {
            put(message[0] == 44 ? stamp() : extreme(), at: start + 8, in: &message)
        }
    }

    private mutating func replaceRest(_ message: inout [UInt8]) {
        let rests = [
            "+OK\r\n", ":1\r\n", "", "+OK\r\n+OK\r\n", ":9223372036854775807\r\n", "$1\r\nv\r\n",
            "-UNKNOWN x\r\n", "$-1\r\n", "_\r\n", "*1\r\n+OK\r\n",
        ]
        let text = rests[random.below(rests.count)]
        message = Array(message[..<10]) + (message[0] == 6 ? Array(text.utf8) : bytes(extreme()))
    }

    /// Definitions that are well-formed and of a stranger's choice.
    private mutating func replaceDefinitions(_ message: inout [UInt8]) {
        let list = (0...random.below(3)).map { _ in
            var settings = KeyspaceSettings()
            settings.replicationFactor = 1 + random.below(8)
            settings.writeQuorum = [.one, .quorum, .all, .count(2), .count(9)][random.below(5)]
            settings.readQuorum = [.one, .quorum, .all, .count(2)][random.below(4)]
            settings.ttlMilliseconds = extreme()
            settings.durability = [.memory, .fsync, .interval(milliseconds: 9)][random.below(3)]
            settings.siblingsMax = UInt32(random.below(5))
            settings.timeoutMilliseconds = 60
            settings.isSloppy = random.below(2) == 0
            settings.truncatedAt = Stamp(rawValue: stamp())
            let change = KeyspaceChange(dropped: random.below(4) == 0, settings: settings)
            let dot = Dot(
                identity: ReplicaIdentity(rawValue: identity()), stamp: Stamp(rawValue: stamp()))
            let name = ["default", "one", "s", "n1", "x\(random.below(2_000))"][random.below(5)]
            return HostileMessage.definition(name, SiblingSet(dot: dot, value: change.encoded()))
        }
        message = HostileMessage.definitions(list, number: UInt64(random.below(2)))
    }

    /// A stamp around the bound of what a clock accepts, or anything.
    private mutating func stamp() -> UInt64 {
        let milliseconds: UInt64
        switch random.below(8) {
        case 0: milliseconds = wall + 499
        case 1: milliseconds = wall + 501
        case 2: milliseconds = wall + 3_600_000
        case 3: milliseconds = 0
        case 4: return extreme()
        default: milliseconds = wall + UInt64(random.below(20)) - 10
        }
        return milliseconds << 16 | UInt64(random.below(4))
    }

    private mutating func identity() -> UInt64 {
        UInt64(random.below(5)) << 48 | UInt64(random.below(4))
    }

    private mutating func extreme() -> UInt64 {
        let values: [UInt64] = [0, 1, .max, .max - 1, 1 << 63, 1 << 63 - 1, 1 << 48, 1 << 32, 255]
        return values[random.below(values.count)]
    }

    /// What a wire or a disk does.
    mutating func damage(_ bytes: inout [UInt8]) {
        for _ in 0...random.below(3) where !bytes.isEmpty {
            let place = random.below(bytes.count)
            switch random.below(8) {
            case 0: bytes[place] ^= 1 << UInt8(random.below(8))
            case 1: bytes[place] = UInt8(random.below(256))
            case 2: bytes.removeLast(random.below(bytes.count - place) + 1)
            case 3: bytes.insert(UInt8(random.below(256)), at: place)
            case 4: bytes.remove(at: place)
            case 5:
                let other = original()
                bytes = Array(bytes[..<place]) + other[random.below(other.count)...]
            case 6: put(UInt32(truncatingIfNeeded: extreme()), at: place, in: &bytes)
            default:
                let end = min(bytes.count, place + random.below(16))
                for offset in place..<end { bytes[offset] = 0 }
            }
        }
    }

    private func bytes(_ value: UInt64) -> [UInt8] { HostileMessage.little(value) }

    private func put<Integer: FixedWidthInteger>(
        _ value: Integer, at place: Int, in bytes: inout [UInt8]
    ) {
        for (offset, byte) in HostileMessage.little(value).enumerated()
        where place + offset < bytes.count { bytes[place + offset] = byte }
    }
}

extension Cluster {
    /// A request that is sent again while its outcome has reached nobody, and others.
    private static func recordRequestIDs(_ cluster: Cluster) {
        for index in 0..<3 {
            for id in cluster.ids { _ = cluster.run(id, "IDEMPOTENCY i\(index) INCR t:n") }
            _ = cluster.run(cluster.ids[index], "IDEMPOTENCY i\(index) SET k\(index) v")
        }
        // A coordinator that asks what became of another's claim needs a crash in between.
        let (a, b) = (NodeID(1), NodeID(2))
        let name = Array("t:n".utf8).withUnsafeBytes { key in
            ([0x69, 0x30] as [UInt8]).withUnsafeBytes { RequestName(key: key, id: $0) }
        }
        let claim = RequestLedger.Claim(
            coordinator: ReplicaIdentity(node: a, epoch: 1), number: 1)
        var buffer = ByteBuffer(capacity: 128)
        let frame = RequestMessage.inquire(1, name, claim).encode(into: &buffer)
        let bytes = Array(buffer.bytes[frame])
        cluster.frames?.append(bytes)
        cluster.deliver(Array(bytes.dropFirst(Frame.headerBytes)), from: b, to: a)
    }

    /// What three nodes wrote to their journals over the same life.
    static func recordedJournal() -> [[UInt8]] { recorded.journal }

    /// The frames of a cluster's ordinary and not so ordinary life, with every kind of message.
    static func recordedFrames() -> [[UInt8]] { recorded.frames }

    private static let recorded: (frames: [[UInt8]], journal: [[UInt8]]) = {
        let cluster = recordedLife()
        return (cluster.frames ?? [], cluster.ids.flatMap { cluster.journals[$0] ?? [] })
    }()

    private static func recordedLife() -> Cluster {
        let (a, b, c) = (NodeID(1), NodeID(2), NodeID(3))
        let cluster = Cluster(3) { configuration in
            var settings = KeyspaceSettings()
            settings.timeoutMilliseconds = 60
            configuration.keyspaces = [(Array("default".utf8), settings)]
        }
        cluster.frames = []
        let long = String(repeating: "z", count: 300)
        for line in [
            "KEYSPACE CREATE s conflict=siblings timeout=60",
            "KEYSPACE CREATE one n=1 r=1 w=1 timeout=60",
            "KEYSPACE CREATE m durability=memory ttl=9000", "KEYSPACE ALTER m r=1",
            "KEYSPACE CREATE t conflict=crdt timeout=60",
            "KEYSPACE CREATE h n=2 r=1 w=1 sloppy=on timeout=60",
        ] { _ = cluster.run(a, line) }
        for index in 0..<4 {
            for (node, line) in [
                (a, "SET k\(index) v\(index) W ALL"), (b, "SET k\(index) other DW 2"),
                (c, "GET k\(index) R ALL"), (b, "EXPIRE k\(index) 100"), (a, "DEL k\(index)"),
                (a, "QSET s:\(index) x"), (b, "QSET s:\(index) y"), (c, "QGET s:\(index) R ALL"),
                (c, "QDEL s:\(index)"), (a, "SET one:\(index) v"), (b, "APPEND one:\(index) w"),
                (c, "DEL one:\(index)"), (b, "SET m:\(index) \(long)"),
                (a, "SADD t:\(index) a b"), (b, "INCR t:n"), (c, "SREM t:\(index) a"),
                (a, "SMEMBERS t:\(index) R ALL"), (b, "SADD t:big\(index) \(long)\(index)"),
            ] { _ = cluster.run(node, line) }
        }
        cluster.unlink(a, c)
        cluster.unlink(b, c)
        for index in 0..<9 { _ = cluster.run(index % 2 == 0 ? a : b, "SET h:\(index) v") }
        for node in [a, b] {
            cluster.link(node, c)
            cluster.link(c, node)
        }
        cluster.pass(milliseconds: 500)
        for node in [a, b, c] {
            _ = cluster.run(node, "SESSION ON")
            for index in 0..<4 { _ = cluster.run(node, "SET one:\(index) in-session") }
            _ = cluster.run(node, "SESSION OFF")
        }
        cluster.wall[a, default: 0] += 400
        cluster.cut = [[a, b]]
        _ = cluster.run(a, "SET k9 first")
        _ = cluster.run(b, "SET k9 second")
        cluster.cut = [[a, b], [b, a], [a, c], [c, a]]
        for index in 0..<4 { _ = cluster.run(index < 2 ? a : b, "SET cold\(index) v") }
        cluster.cut = []
        recordRequestIDs(cluster)
        _ = cluster.run(c, "KEYSPACE DROP m")
        cluster.pass(milliseconds: 9_000)
        do {
            try cluster.restart(c, epoch: 2, on: [])
            try cluster.restart(b, epoch: 2, on: cluster.journals[b] ?? [])
        } catch { Issue.record(error) }
        _ = cluster.run(a, "SET late v")
        cluster.pass(milliseconds: 1_000)
        _ = cluster.run(c, "FLUSHALL")
        return cluster
    }
}
