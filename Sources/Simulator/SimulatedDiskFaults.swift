/// What a simulated disk does wrong, by rate; all zero for a good disk. Rates are per thousand
/// calls.
public struct SimulatedDiskFaults: Equatable, Sendable {
    /// EIO from `sync`: the bytes' fate is unknown, and no later sync writes them.
    public var syncFailurePerMille = 0
    /// EIO from `write`: some of the bytes may have been taken.
    public var writeFailurePerMille = 0
    /// EIO from `read`.
    public var readFailurePerMille = 0
    /// Room for all files together in bytes; nil for no end.
    public var capacityBytes: Int?

    public init() {}
}
