/// What a configuration file or a command line says about one keyspace; nil where it leaves the
/// node's default.
///
/// The same names stand in the file (`orders: {n: 3, r: "quorum"}`) and on the command line (`n=3
/// r=quorum`).
public struct KeyspaceOverrides: Equatable, Sendable {
    /// How concurrent writes meet.
    public enum Conflict: String, Equatable, Sendable, CaseIterable {
        /// The newest hybrid-logical-clock stamp wins.
        case lww
        /// All concurrent values are kept and returned.
        case siblings
        /// Typed values merge.
        case crdt
    }

    /// What becomes of a write that would leave more concurrent values than allowed.
    public enum Overflow: String, Equatable, Sendable, CaseIterable {
        /// It is refused.
        case refuse
        /// The oldest values are dropped.
        case lww
        /// Lists of strings become their union.
        case union
        /// Whole numbers become the largest.
        case max
    }

    /// When a write may be acknowledged.
    public enum Durability: Equatable, Sendable, CustomStringConvertible {
        case fsync
        case interval(milliseconds: Int)
        case memory

        /// Reads `fsync`, `memory` or `interval(MS)` with 1…60,000 milliseconds; nil for anything
        /// else.
        public init?(_ text: String) {
            switch text {
            case "fsync": self = .fsync
            case "memory": self = .memory
            default:
                guard text.hasPrefix("interval("), text.hasSuffix(")"),
                    let milliseconds = Int(text.dropFirst(9).dropLast()),
                    (1...60_000).contains(milliseconds)
                else { return nil }
                self = .interval(milliseconds: milliseconds)
            }
        }

        public var description: String {
            switch self {
            case .fsync: "fsync"
            case .interval(let milliseconds): "interval(\(milliseconds))"
            case .memory: "memory"
            }
        }
    }

    /// How long a read waits before it asks one more replica.
    public enum Hedge: Equatable, Sendable, CustomStringConvertible {
        case off
        /// 1…999 of a thousand answers.
        case percentile(perMille: Int)
        case fixed(milliseconds: Int)

        /// Reads `off`, `p99`, `p99.9` or `20ms`, up to 600,000; nil for anything else.
        public init?(_ text: String) {
            if text == "off" {
                self = .off
            } else if text.hasSuffix("ms") {
                guard let milliseconds = Int(text.dropLast(2)), 0...600_000 ~= milliseconds else {
                    return nil
                }
                self = .fixed(milliseconds: milliseconds)
            } else {
                guard text.hasPrefix("p"), let share = Double(text.dropFirst()), share < 100,
                    share * 10 >= 1, share * 10 == (share * 10).rounded()
                else { return nil }
                self = .percentile(perMille: Int(share * 10))
            }
        }

        public var description: String {
            switch self {
            case .off: "off"
            case .percentile(let perMille):
                perMille % 10 == 0 ? "p\(perMille / 10)" : "p\(perMille / 10).\(perMille % 10)"
            case .fixed(let milliseconds): "\(milliseconds)ms"
            }
        }
    }

    /// What no request may go below.
    public enum Floor: Equatable, Sendable, CustomStringConvertible {
        case none
        /// So many replicas for every read and every write.
        case level(ReplicaLevel)
        /// The keyspace's own r and w, which must overlap.
        case strong

        /// Reads `none`, `strong` or a level; nil for anything else.
        public init?(_ text: String) {
            switch text {
            case "none": self = .none
            case "strong": self = .strong
            default:
                guard let level = ReplicaLevel(text), 1...32 ~= level.replicas(of: 1) else {
                    return nil
                }
                self = .level(level)
            }
        }

        public var description: String {
            switch self {
            case .none: "none"
            case .level(let level): level.description
            case .strong: "strong"
            }
        }
    }

    /// A whole number that a keyspace may be given, with the range that a node accepts.
    struct Bound {
        let name: String
        let range: ClosedRange<Int>
        let example: Int
    }

    static let replicationFactorRange = 1...32
    static let levelNames = ["r", "w", "pr", "pw", "dw"]
    static let bounds = [
        Bound(name: "timeout", range: 1...600_000, example: 1000),
        Bound(name: "keybytes", range: 1...65_535, example: 4096),
        Bound(name: "valuebytes", range: 1...8 << 20, example: 1 << 20),
        Bound(name: "siblings", range: 1...1000, example: 100),
        Bound(name: "readrepair", range: 0...1000, example: 100),
    ]
    static let names =
        ["n"] + levelNames + [
            "floor", "conflict", "durability", "sloppy", "overflow", "hedge", "ttl",
        ]
        + bounds.map(\.name)

    public var replicationFactor: Int?
    public var readQuorum: ReplicaLevel?
    public var writeQuorum: ReplicaLevel?
    public var primaryReads: ReplicaLevel?
    public var primaryWrites: ReplicaLevel?
    public var durableWrites: ReplicaLevel?
    public var floor: Floor?
    public var conflict: Conflict?
    public var durability: Durability?
    /// Whether fallbacks stand in for replicas that are away.
    public var isSloppy: Bool?
    public var overflow: Overflow?
    public var hedge: Hedge?
    /// Milliseconds after which what is written without its own expiry goes away; 0 for never.
    public var ttlMilliseconds: Int?
    /// Milliseconds that a request may take.
    public var timeoutMilliseconds: Int?
    public var keyBytesMax: Int?
    public var valueBytesMax: Int?
    /// Concurrent values of one key before `overflow` sets in.
    public var siblingsMax: Int?
    /// Reads out of a thousand that compare all replicas in the background.
    public var readRepairPerMille: Int?

    public init() {}

    /// True for names that can stand before the `:` of a key: 1 to 64 of a-z, A-Z, 0-9, `_`, `-`
    /// and `.`.
    public static func isName(_ name: String) -> Bool {
        (1...64).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                (48...57).contains(byte) || (97...122).contains(byte | 32)
                    || "_-.".utf8.contains(byte)
            }
    }

    /// True when what is set here says R + W > N: every read then meets the last acknowledged
    /// write.
    public var quorumsOverlap: Bool {
        guard let n = replicationFactor, let readQuorum, let writeQuorum else { return false }
        return readQuorum.replicas(of: n) + writeQuorum.replicas(of: n) > n
    }

    /// The settings as `name` and `value` words in a fixed order, only those that are set: the
    /// operands of a command.
    public var words: [(name: String, value: String)] {
        var words: [(name: String, value: String)] = []
        if let replicationFactor { words.append(("n", String(replicationFactor))) }
        for (name, level) in zip(
            KeyspaceOverrides.levelNames,
            [readQuorum, writeQuorum, primaryReads, primaryWrites, durableWrites])
        {
            if let level { words.append((name, level.description)) }
        }
        if let floor { words.append(("floor", floor.description)) }
        if let conflict { words.append(("conflict", conflict.rawValue)) }
        if let durability { words.append(("durability", durability.description)) }
        if let isSloppy { words.append(("sloppy", isSloppy ? "on" : "off")) }
        if let overflow { words.append(("overflow", overflow.rawValue)) }
        if let hedge { words.append(("hedge", hedge.description)) }
        if let ttlMilliseconds { words.append(("ttl", String(ttlMilliseconds))) }
        for (bound, value) in zip(KeyspaceOverrides.bounds, boundValues) {
            if let value { words.append((bound.name, String(value))) }
        }
        return words
    }

    /// In the order of `bounds`.
    private var boundValues: [Int?] {
        [timeoutMilliseconds, keyBytesMax, valueBytesMax, siblingsMax, readRepairPerMille]
    }

    /// The settings as a configuration file holds them.
    public var json: JSON {
        .members(
            words.map { word in
                JSON.Member(word.name, Int(word.value).map(JSON.integer) ?? .text(word.value))
            })
    }
}
