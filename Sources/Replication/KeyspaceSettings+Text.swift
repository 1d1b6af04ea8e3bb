import Base
import Causality
import Quorum

// Settings as operators spell them: `n=3 r=quorum durability=interval(100)`.
extension KeyspaceSettings {
    /// Every setting that `set` understands.
    public static let fieldNames = [
        "n", "r", "w", "pr", "pw", "dw", "floor", "conflict", "durability", "ttl", "timeout",
        "keybytes", "valuebytes", "siblings", "readrepair",
        "sloppy", "overflow", "hedge",
    ]

    /// Each setting with its value, in the order of `fieldNames`.
    public var fields: [(name: String, value: String)] {
        [
            ("n", "\(replicationFactor)"), ("r", readQuorum.text), ("w", writeQuorum.text),
            ("pr", primaryReadQuorum.text), ("pw", primaryWriteQuorum.text),
            ("dw", durableWriteQuorum.text), ("floor", floor.text),
            ("conflict", "\(conflict)"),
            ("durability", durability.text), ("ttl", "\(ttlMilliseconds)"),
            ("timeout", "\(timeoutMilliseconds)"), ("keybytes", "\(keyBytesMax)"),
            ("valuebytes", "\(valueBytesMax)"), ("siblings", "\(siblingsMax)"),
            ("readrepair", "\(readRepairPerMille)"), ("sloppy", isSloppy ? "on" : "off"),
            ("overflow", "\(overflow)"),
            ("hedge", hedge.text),
        ]
    }

    /// Applies one `field=value`.
    ///
    /// - Returns: what is wrong with it; nil when it was applied. Whether settings fit each other
    ///   is `objection`'s.
    public mutating func set(_ assignment: String) -> String? {
        guard let equals = assignment.firstIndex(of: "=") else {
            return "'\(assignment)' is not field=value, as in n=3"
        }
        let field = assignment[..<equals].lowercased()
        let value = assignment[assignment.index(after: equals)...].lowercased()
        let isKnown: Bool
        switch field {
        case "n", "r", "w", "pr", "pw", "dw": isKnown = setQuorum(field, value)
        case "floor": isKnown = setFloor(value)
        case "conflict": isKnown = setConflict(value)
        case "durability": isKnown = setDurability(value)
        case "sloppy": isKnown = setSloppy(value)
        case "overflow": isKnown = setOverflow(value)
        case "hedge": isKnown = setHedge(value)
        case "ttl", "timeout", "keybytes", "valuebytes", "siblings", "readrepair":
            isKnown = setNumber(field, value)
        default:
            let known = Self.fieldNames.joined(separator: ", ")
            return "unknown setting '\(field)'; there are \(known)"
        }
        return isKnown ? nil : "\(field)=\(value) is not understood; \(Self.hint(field))"
    }

    private static func hint(_ field: String) -> String {
        switch field {
        case "n": "n is a number from 1 to 32"
        case "r", "w", "pr", "pw", "dw": "a level is one, quorum, all or a number from 0 to 32"
        case "floor": "floor is none, strong, one, quorum, all or a number from 1 to 32"
        case "conflict": "conflict is lww, siblings or crdt"
        case "durability":
            "durability is fsync, memory or interval(1) to interval(60000), milliseconds"
        case "sloppy": "sloppy is on or off"
        case "overflow": "overflow is refuse, lww, union or max"
        case "hedge":
            "hedge is off, a percentile from p0.1 to p99.9, or a delay from 0ms to 600000ms"
        case "ttl", "timeout": "\(field) is a number of milliseconds"
        default: "\(field) is a number"
        }
    }

    private mutating func setQuorum(_ field: String, _ value: String) -> Bool {
        if field == "n" {
            guard let n = Int(value), 1...32 ~= n else { return false }
            replicationFactor = n
            return true
        }
        guard let level = QuorumLevel(text: value) else { return false }
        switch field {
        case "r": readQuorum = level
        case "w": writeQuorum = level
        case "pr": primaryReadQuorum = level
        case "pw": primaryWriteQuorum = level
        default: durableWriteQuorum = level
        }
        return true
    }

    private mutating func setFloor(_ value: String) -> Bool {
        switch value {
        case "none": floor = .none
        case "strong": floor = .strong
        default:
            guard let level = QuorumLevel(text: value) else { return false }
            floor = .level(level)
        }
        return true
    }

    private mutating func setConflict(_ value: String) -> Bool {
        switch value {
        case "lww": conflict = .lww
        case "siblings": conflict = .siblings
        case "crdt": conflict = .crdt
        default: return false
        }
        return true
    }

    private mutating func setDurability(_ value: String) -> Bool {
        switch value {
        case "fsync": durability = .fsync
        case "memory": durability = .memory
        default:
            guard value.hasPrefix("interval("), value.hasSuffix(")"),
                let milliseconds = UInt32(value.dropFirst(9).dropLast())
            else { return false }
            durability = .interval(milliseconds: milliseconds)
        }
        return true
    }

    private mutating func setSloppy(_ value: String) -> Bool {
        guard value == "on" || value == "off" else { return false }
        isSloppy = value == "on"
        return true
    }

    private mutating func setOverflow(_ value: String) -> Bool {
        guard let policy = OverflowPolicy.allCases.first(where: { "\($0)" == value }) else {
            return false
        }
        overflow = policy
        return true
    }

    private mutating func setHedge(_ value: String) -> Bool {
        guard let delay = HedgeDelay(text: value) else { return false }
        hedge = delay
        return true
    }

    private mutating func setNumber(_ field: String, _ value: String) -> Bool {
        // What is beyond a limit is said by `objection`.
        guard let number = UInt64(value) else { return false }
        switch field {
        case "ttl": ttlMilliseconds = number
        case "timeout": timeoutMilliseconds = UInt32(clamping: number)
        case "keybytes": keyBytesMax = UInt32(clamping: number)
        case "valuebytes": valueBytesMax = UInt32(clamping: number)
        case "siblings": siblingsMax = UInt32(clamping: number)
        default: readRepairPerMille = UInt32(clamping: number)
        }
        return true
    }
}

extension QuorumLevel {
    /// `one`, `quorum`, `all` or a number from 0 to 32.
    init?(text: String) {
        switch text {
        case "one": self = .count(1)
        case "quorum": self = .quorum
        case "all": self = .all
        default:
            guard let count = Int(text), 0...32 ~= count else { return nil }
            self = .count(count)
        }
    }
}

extension ConsistencyFloor {
    var text: String {
        switch self {
        case .none: "none"
        case .level(let level): level.text
        case .strong: "strong"
        }
    }
}

extension Durability {
    var text: String {
        switch self {
        case .memory: "memory"
        case .interval(let milliseconds): "interval(\(milliseconds))"
        case .fsync: "fsync"
        }
    }
}
