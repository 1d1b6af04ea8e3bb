/// How many replicas must answer, as a user says it: a name that follows the replication factor, or
/// a number.
@frozen
public enum QuorumLevel: Equatable, Hashable, Sendable {
    case one
    /// More than half.
    case quorum
    case all
    case count(Int)

    /// The number of replicas that is meant. A number is taken as it is: whoever asks for more than
    /// there are, or for less than a keyspace insists on, is refused, and nothing is rounded.
    ///
    /// - Parameter replicationFactor: replicas a key has, at least 1.
    @inlinable public func count(of replicationFactor: Int) -> Int {
        switch self {
        case .one: 1
        case .quorum: replicationFactor / 2 + 1
        case .all: replicationFactor
        case .count(let count): count
        }
    }
}
