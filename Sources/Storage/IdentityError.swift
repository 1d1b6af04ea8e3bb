import Base

/// Why a data directory was not given to this node.
public enum IdentityError: Error, Equatable, Sendable {
    case disk(DiskError)
    /// The file that names the owner fails its checksum.
    case damaged(String)
    /// The file that names the owner has a format number that this program does not read.
    case otherFormat(String, UInt32)
    /// There are records, but the file that names their owner is gone: an epoch could be used
    /// twice.
    case missing(String)
    /// The directory belongs to another node.
    case otherNode(stored: NodeID, claimed: NodeID)
    /// The clock shows the year 10,000 or later, or once did.
    case outOfEpochs
    /// The directory belongs to another cluster.
    case otherCluster(stored: UInt64, claimed: UInt64)
    /// The member list is another than at the last start, and nobody said that it may be.
    case otherMembers
}
