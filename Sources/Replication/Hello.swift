import Base
import Coding

/// The first frame each way on a peer link; nothing else is read before it was accepted.
public struct Hello: Equatable, Sendable {
    /// "QRT" and the protocol version.
    public static let protocolVersion: UInt32 = 1

    public var clusterID: UInt64
    public var identity: ReplicaIdentity
    /// The node that the sender believes it talks to.
    public var recipient: NodeID

    public init(clusterID: UInt64, identity: ReplicaIdentity, recipient: NodeID) {
        self.clusterID = clusterID
        self.identity = identity
        self.recipient = recipient
    }
}
