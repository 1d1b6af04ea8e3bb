/// Some of the replicas that one request went to, by their place in the request, as bits.
///
/// Invariant: every member is in 0..<64.
public struct ReplicaSet: Equatable, Sendable {
    public static let replicasMax = 64

    private var bits: UInt64

    /// All of 0..<count.
    ///
    /// - Parameter count: 0…64.
    public init(first count: Int) {
        precondition(0...ReplicaSet.replicasMax ~= count, "a request goes to at most 64 replicas")
        bits = count == 64 ? .max : 1 << UInt64(count) - 1
    }

    public var count: Int { bits.nonzeroBitCount }

    public func contains(_ replica: Int) -> Bool { bits & 1 << UInt64(replica) != 0 }

    public mutating func remove(_ replica: Int) { bits &= ~(1 << UInt64(replica)) }

    /// The members, ascending.
    public var members: [Int] { (0..<ReplicaSet.replicasMax).filter { contains($0) } }
}
