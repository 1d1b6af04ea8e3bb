/// How many replicas must answer, as a user says it: a name that follows the replication factor, or
/// a number.
public enum QuorumLevel: Equatable, Hashable, Sendable {
    case one
    /// More than half.
    case quorum
    case all
    case count(Int)

    /// The number of replicas that is meant.
    ///
    /// - Parameters:
    ///   - replicationFactor: replicas a key has, at least 1.
    ///   - floor: the least that may be asked for: at least 1 for R and W, 0 for PR, PW and DW
    ///     where the keyspace demands none.
    /// - Throws: `aboveReplicationFactor` or `belowFloor`; nothing is ever rounded into the range.
    public func resolve(replicationFactor: Int, floor: Int) throws(QuorumLevelError) -> Int {
        precondition(replicationFactor > 0, "a key has a replica")
        let count = switch self {
        case .one: 1
        case .quorum: replicationFactor / 2 + 1
        case .all: replicationFactor
        case .count(let count): count
        }
        guard count <= replicationFactor else {
            throw .aboveReplicationFactor(count, replicationFactor: replicationFactor)
        }
        guard count >= max(0, floor) else { throw .belowFloor(count, floor: floor) }
        return count
    }
}

/// Why a level cannot be honoured.
public enum QuorumLevelError: Error, Equatable, Sendable {
    /// More answers than the key has replicas.
    case aboveReplicationFactor(Int, replicationFactor: Int)
    /// Fewer answers than the keyspace insists on.
    case belowFloor(Int, floor: Int)
}
