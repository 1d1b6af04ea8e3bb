import Base

/// A node that takes part in placement.
public struct Member: Equatable, Sendable {
    public let node: NodeID
    /// The node's share relative to the others': 1…65,535.
    public let weight: UInt16
    /// What fails together: replicas go to different zones first. Nodes without zones share one.
    public let zone: UInt16

    /// - Parameters:
    ///   - weight: at least 1.
    ///   - zone: any number; only equality counts.
    public init(_ node: NodeID, weight: UInt16 = 1, zone: UInt16 = 0) {
        precondition(weight > 0, "a weight is at least 1")
        self.node = node
        self.weight = weight
        self.zone = zone
    }
}
