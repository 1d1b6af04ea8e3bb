/// What a configuration file or a command line says about one keyspace; nil where it leaves the node's default.
///
/// The same names stand in the file (`orders: {n: 3, r: "quorum"}`) and on the command line (`n=3 r=quorum`).
public struct KeyspaceSettings: Equatable, Sendable {
    /// How concurrent writes meet.
    public enum Conflict: String, Equatable, Sendable, CaseIterable {
        /// The newest hybrid-logical-clock stamp wins.
        case lww
        /// All concurrent values are kept and returned.
        case siblings
    }

    /// When a write may be acknowledged.
    public enum Durability: Equatable, Sendable, CustomStringConvertible {
        case fsync
        case interval(milliseconds: Int)
        case memory

        /// Reads `fsync`, `memory` or `interval(MS)` with 1…60,000 milliseconds; nil for anything else.
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

    public static let replicationFactorMax = 15
    static let levelNames = ["r", "w", "pr", "pw", "dw"]
    static let names = ["n"] + levelNames + ["floor", "conflict", "durability", "ttl"]

    public var replicationFactor: Int?
    public var readQuorum: Level?
    public var writeQuorum: Level?
    public var primaryReads: Level?
    public var primaryWrites: Level?
    public var durableWrites: Level?
    /// No request may read from fewer replicas than this.
    public var readFloor: Level?
    /// No request may write to fewer replicas than this.
    public var writeFloor: Level?
    public var conflict: Conflict?
    public var durability: Durability?
    /// Seconds after which what is written without its own expiry goes away; 0 for never.
    public var ttlSeconds: Int?

    public init() {}

    /// True for names that can stand before the `:` of a key: 1 to 64 of a–z, A–Z, 0–9, `_`, `-` and `.`.
    public static func isName(_ name: String) -> Bool {
        (1...64).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                (48...57).contains(byte) || (97...122).contains(byte | 32) || "_-.".utf8.contains(byte)
            }
    }

    /// The settings as `name` and `value` words in a fixed order, only those that are set: the operands of a command.
    public var words: [(name: String, value: String)] {
        var words: [(name: String, value: String)] = []
        if let replicationFactor { words.append(("n", String(replicationFactor))) }
        for (name, level) in zip(
            KeyspaceSettings.levelNames,
            [readQuorum, writeQuorum, primaryReads, primaryWrites, durableWrites]) {
            if let level { words.append((name, level.description)) }
        }
        if let floor = floorText { words.append(("floor", floor)) }
        if let conflict { words.append(("conflict", conflict.rawValue)) }
        if let durability { words.append(("durability", durability.description)) }
        if let ttlSeconds { words.append(("ttl", String(ttlSeconds))) }
        return words
    }

    /// `r:1,w:quorum`, or nil without a floor.
    var floorText: String? {
        let parts = [readFloor.map { "r:\($0)" }, writeFloor.map { "w:\($0)" }].compactMap(\.self)
        return parts.isEmpty ? nil : parts.joined(separator: ",")
    }

    /// The settings as a configuration file holds them.
    public var json: JSON {
        .members(words.map { word in
            JSON.Member(word.name, Int(word.value).map(JSON.integer) ?? .text(word.value))
        })
    }
}
