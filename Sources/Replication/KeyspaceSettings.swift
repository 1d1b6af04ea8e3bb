import Base
import Causality
import Coding
import Quorum

/// When a write of a keyspace counts as stored on a node.
public enum Durability: Equatable, Sendable {
    /// Never on disk: a restart forgets.
    case memory
    /// In the journal at once, synced within so many milliseconds (1…60,000); a crash may forget
    /// that much.
    case interval(milliseconds: UInt32)
    /// Synced before it is acknowledged.
    case fsync

    /// Ascending by what survives.
    var rank: UInt64 {
        switch self {
        case .memory: 0
        case .interval(let milliseconds): 1 + UInt64(60_000 - min(60_000, milliseconds))
        case .fsync: 70_000
        }
    }
}

/// What no request of a keyspace may go below.
public enum ConsistencyFloor: Equatable, Sendable {
    case none
    /// At least this many replicas for every read and every write.
    case level(QuorumLevel)
    /// The keyspace's own R and W, which must overlap (R + W > N): a request may ask for more,
    /// never for less.
    case strong
}

/// What a keyspace promises, and within which bounds: the settings that an operator chooses.
public struct KeyspaceSettings: Equatable, Sendable {
    /// N, 1…32.
    public var replicationFactor = 3
    /// R: answers that a read waits for.
    public var readQuorum = QuorumLevel.quorum
    /// W: acknowledgements that a write waits for.
    public var writeQuorum = QuorumLevel.quorum
    /// PR: how many of R must be primaries; 0 for any.
    public var primaryReadQuorum = QuorumLevel.count(0)
    /// PW: how many of W must be primaries; 0 for any.
    public var primaryWriteQuorum = QuorumLevel.count(0)
    /// DW: how many of W must have it on disk; 0 for what `durability` says.
    public var durableWriteQuorum = QuorumLevel.count(0)
    public var floor = ConsistencyFloor.none
    public var conflict = ConflictPolicy.lww
    public var durability = Durability.fsync
    /// Milliseconds after which a value without an expiry of its own expires; 0 for never.
    public var ttlMilliseconds: UInt64 = 0
    /// Milliseconds that a request may take, 1…600,000.
    public var timeoutMilliseconds: UInt32 = 1_000
    /// Bytes of a key, 1…65,535.
    public var keyBytesMax: UInt32 = 4_096
    /// Bytes of a value, at most 8 MiB.
    public var valueBytesMax: UInt32 = 8 << 20
    /// Concurrent values of one key before `overflow` sets in, 1…1,000.
    public var siblingsMax: UInt32 = 100
    /// What becomes of a write that would leave more of them.
    public var overflow = OverflowPolicy.refuse
    /// Reads out of a thousand that compare all replicas in the background, once they have been
    /// answered: how stale the answer was is counted. What any read finds to differ, sampled or
    /// not, is repaired behind its answer; 0 switches both off, and exchanges heal alone.
    public var readRepairPerMille: UInt32 = 100
    /// After how long a read asks one more replica than its quorum needs. The 99th percentile makes
    /// about one request of a hundred an extra one while all is well, a fifth of what the budget
    /// allows (`HedgeBudget`); a 95th would use all of it up and leave nothing for a stall.
    public var hedge = HedgeDelay.percentile(perMille: 990)
    /// Whether fallbacks stand in for replicas that are away: their acknowledgements count for W,
    /// their answers for R, and never for PW and PR.
    public var isSloppy = false
    /// What was written up to this stamp is gone: the keyspace was emptied then.
    public var truncatedAt = Stamp(rawValue: 0)

    static let ttlMax: UInt64 = 1 << 47

    public init() {}

    /// Why these settings cannot be honoured; nil when they can.
    public var objection: String? {
        guard 1...32 ~= replicationFactor else { return "n must be 1 to 32" }
        let levels = [
            ("r", readQuorum, 1), ("w", writeQuorum, 1), ("pr", primaryReadQuorum, 0),
            ("pw", primaryWriteQuorum, 0), ("dw", durableWriteQuorum, 0),
        ]
        for (name, level, least) in levels where !(least...replicationFactor ~= count(level)) {
            return "\(name)=\(level.text) is outside \(least)..n; n is \(replicationFactor)"
        }
        if case .level(let level) = floor {
            guard 1...replicationFactor ~= count(level) else {
                return "floor is none, strong or 1 to n; n is \(replicationFactor)"
            }
            guard count(readQuorum) >= count(level), count(writeQuorum) >= count(level) else {
                return "r=\(readQuorum.text) or w=\(writeQuorum.text) is below floor=\(level.text)"
            }
        }
        if floor == .strong, count(readQuorum) + count(writeQuorum) <= replicationFactor {
            return "floor=strong needs r+w>n; "
                + "\(count(readQuorum))+\(count(writeQuorum)) is not above \(replicationFactor)"
        }
        if floor == .strong, conflict == .lww, count(writeQuorum) * 2 <= replicationFactor {
            return "floor=strong with conflict=lww needs 2w>n, so that of two writes in sequence "
                + "the second wins; w=\(count(writeQuorum)), n=\(replicationFactor)"
        }
        if let objection = conflictObjection { return objection }
        if durability == .memory, count(durableWriteQuorum) > 0 {
            return "dw needs durability=fsync or interval"
        }
        return limitsObjection
    }

    private var conflictObjection: String? {
        if conflict == .crdt, ttlMilliseconds > 0 {
            return "ttl is not for conflict=crdt; EXPIRE a key when it was written"
        }
        if conflict == .crdt, isSloppy {
            return "sloppy=on is not for conflict=crdt; r=1 w=1 keeps every replica available"
        }
        if overflow != .refuse, conflict != .siblings {
            return "overflow=\(overflow) is for conflict=siblings; say overflow=refuse"
        }
        if isSloppy, floor == .strong {
            return "sloppy=on lets fallbacks stand in for replicas, which floor=strong rules out"
        }
        if isSloppy, replicationFactor == 1 {
            return "sloppy=on needs n above 1: one replica is the order of its key's writes"
        }
        return nil
    }

    private var limitsObjection: String? {
        if case .interval(let milliseconds) = durability, !(1...60_000 ~= milliseconds) {
            return "durability=\(durability.text): interval must be 1 to 60000 ms"
        }
        guard ttlMilliseconds <= KeyspaceSettings.ttlMax else {
            return "ttl must be 0 to \(KeyspaceSettings.ttlMax) ms"
        }
        guard 1...600_000 ~= timeoutMilliseconds else { return "timeout must be 1 to 600000 ms" }
        guard 1...65_535 ~= keyBytesMax else { return "keybytes must be 1 to 65535" }
        guard 1...(8 << 20) ~= valueBytesMax else { return "valuebytes must be 1 to 8388608" }
        guard 1...1_000 ~= siblingsMax else { return "siblings must be 1 to 1000" }
        guard readRepairPerMille <= 1_000 else { return "readrepair must be 0 to 1000 per mille" }
        return nil
    }

    /// A level as a number of replicas of this keyspace.
    @inline(__always) func count(_ level: QuorumLevel) -> Int { level.count(of: replicationFactor) }

    /// Two definitions that were made without knowledge of each other meet at the safer of each
    /// setting.
    ///
    /// Commutative, associative and idempotent, so every node that knows both arrives at the same
    /// keyspace.
    func saferOf(_ other: KeyspaceSettings) -> KeyspaceSettings {
        var safer = self
        safer.replicationFactor = max(replicationFactor, other.replicationFactor)
        safer.readQuorum = readQuorum.strongerOf(other.readQuorum)
        safer.writeQuorum = writeQuorum.strongerOf(other.writeQuorum)
        safer.primaryReadQuorum = primaryReadQuorum.strongerOf(other.primaryReadQuorum)
        safer.primaryWriteQuorum = primaryWriteQuorum.strongerOf(other.primaryWriteQuorum)
        safer.durableWriteQuorum = durableWriteQuorum.strongerOf(other.durableWriteQuorum)
        safer.floor = floor.strongerOf(other.floor)
        if conflict.rawValue < other.conflict.rawValue { safer.conflict = other.conflict }
        if other.durability.rank > durability.rank { safer.durability = other.durability }
        let ttls = [ttlMilliseconds, other.ttlMilliseconds]
        safer.ttlMilliseconds = ttls.contains(0) ? 0 : max(ttls[0], ttls[1])
        safer.timeoutMilliseconds = max(timeoutMilliseconds, other.timeoutMilliseconds)
        safer.keyBytesMax = max(keyBytesMax, other.keyBytesMax)
        safer.valueBytesMax = max(valueBytesMax, other.valueBytesMax)
        safer.siblingsMax = max(siblingsMax, other.siblingsMax)
        if overflow != other.overflow { safer.overflow = .refuse }
        safer.readRepairPerMille = max(readRepairPerMille, other.readRepairPerMille)
        if hedge.code < other.hedge.code { safer.hedge = other.hedge }
        safer.isSloppy = isSloppy && other.isSloppy
        safer.truncatedAt = max(truncatedAt, other.truncatedAt)
        return safer
    }

    /// Raises R and W to the floor, where levels that were chosen for a smaller N are below it.
    mutating func keepFloor() {
        if case .level(let level) = floor {
            readQuorum = readQuorum.strongerOf(level)
            writeQuorum = writeQuorum.strongerOf(level)
        }
        if objection != nil { writeQuorum = .all }
    }
}

extension ConsistencyFloor {
    /// `strong` is above every level: it holds requests to R and W, which are at least the level.
    func strongerOf(_ other: ConsistencyFloor) -> ConsistencyFloor {
        switch (self, other) {
        case (.none, let floor), (let floor, .none): floor
        case (.strong, _), (_, .strong): .strong
        case (.level(let a), .level(let b)): .level(a.strongerOf(b))
        }
    }

    /// One byte: 0 none, a level's code, or 253 for strong.
    var code: UInt8 {
        switch self {
        case .none: 0
        case .level(let level): level.code
        case .strong: 253
        }
    }

    init(code: UInt8) throws(DecodeError) {
        switch code {
        case 0: self = .none
        case 253: self = .strong
        default: self = .level(try QuorumLevel(code: code))
        }
    }
}

extension QuorumLevel {
    /// One byte: the count, 254 for quorum, 255 for all.
    var code: UInt8 {
        switch self {
        case .one: 1
        case .count(let count): UInt8(truncatingIfNeeded: count)
        case .quorum: 254
        case .all: 255
        }
    }

    init(code: UInt8) throws(DecodeError) {
        switch code {
        case 0...250: self = .count(Int(code))
        case 254: self = .quorum
        case 255: self = .all
        default: throw .invalid("quorum level is unknown")
        }
    }

    /// The weakest level that is at least as strong as both for every N.
    func strongerOf(_ other: QuorumLevel) -> QuorumLevel {
        let (weaker, stronger) = code < other.code ? (self, other) : (other, self)
        return stronger == .quorum && 2...250 ~= weaker.code ? .all : stronger
    }

    var text: String {
        switch self {
        case .one: "1"
        case .count(let count): "\(count)"
        case .quorum: "quorum"
        case .all: "all"
        }
    }
}
