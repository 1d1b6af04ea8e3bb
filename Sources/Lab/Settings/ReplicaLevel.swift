/// How many replicas have to answer: a number, or a word that follows the replication factor.
public enum ReplicaLevel: Equatable, Sendable, CustomStringConvertible {
    case count(Int)
    /// More than half of the replicas.
    case quorum
    /// Every replica.
    case all

    /// Reads `2`, `one`, `quorum` or `all`, in any case; nil for anything else.
    public init?(_ text: String) {
        switch text.lowercased() {
        case "one": self = .count(1)
        case "quorum": self = .quorum
        case "all": self = .all
        default:
            guard let count = Int(text), count >= 0 else { return nil }
            self = .count(count)
        }
    }

    /// How many replicas that is, of `replicationFactor`.
    public func replicas(of replicationFactor: Int) -> Int {
        switch self {
        case .count(let count): count
        case .quorum: replicationFactor / 2 + 1
        case .all: replicationFactor
        }
    }

    public var description: String {
        switch self {
        case .count(let count): String(count)
        case .quorum: "quorum"
        case .all: "all"
        }
    }

    var json: JSON {
        if case .count(let count) = self { .integer(count) } else { .text(description) }
    }
}
