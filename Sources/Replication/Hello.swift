import Base
import Coding

/// The first thing each way on a link: `"QRT1" | frame(protocol version (4) | cluster (8) |
/// identity (8) | recipient (2) | digest of the ring (8))`.
///
/// Another protocol version may greet in other words behind its number; nothing of them is read.
///
/// The four bytes in front let anything that is not a node (a browser, TLS, a Redis client) be told
/// from one before a length is believed.
public struct Hello: Equatable, Sendable {
    public static let magic: [UInt8] = [0x51, 0x52, 0x54, 0x31]
    /// What this build speaks.
    public static let protocolVersion: UInt32 = 5
    /// Bytes of the whole greeting.
    public static let encodedBytes = 4 + Frame.headerBytes + 30
    /// Bytes of a greeting of whatever version.
    private static let payloadBytesMax = 1_024

    /// What the sender speaks.
    public let protocolVersion: UInt32
    public let clusterID: UInt64
    public let identity: ReplicaIdentity
    /// The node that the sender believes it talks to.
    public let recipient: NodeID
    /// Of the ring that the sender places keys by; see `Ring.digest`.
    public let ringDigest: UInt64

    public init(
        clusterID: UInt64, identity: ReplicaIdentity, recipient: NodeID, ringDigest: UInt64
    ) {
        protocolVersion = Hello.protocolVersion
        self.clusterID = clusterID
        self.identity = identity
        self.recipient = recipient
        self.ringDigest = ringDigest
    }

    /// Appends the greeting, magic and frame included.
    public func encode(into buffer: inout ByteBuffer) {
        buffer.append(Hello.magic)
        let start = Frame.begin(&buffer)
        buffer.append(integer: protocolVersion)
        buffer.append(integer: clusterID)
        buffer.append(integer: identity.rawValue)
        buffer.append(integer: recipient.rawValue)
        buffer.append(integer: ringDigest)
        Frame.finish(&buffer, from: start)
    }

    /// Reads a greeting off the front of a link.
    ///
    /// - Returns: nil when more bytes must come first; all `encodedBytes` are used up otherwise.
    /// - Throws: `invalid` as soon as the bytes cannot be a greeting.
    public static func next(in stream: UnsafeRawBufferPointer) throws(DecodeError) -> Hello? {
        for (index, byte) in stream.prefix(4).enumerated() where byte != magic[index] {
            throw .invalid("not a Quorate link")
        }
        guard stream.count >= 4 else { return nil }
        let behind = UnsafeRawBufferPointer(rebasing: stream[4...])
        guard let frame = try Frame.next(in: behind, payloadMax: payloadBytesMax) else {
            return nil
        }
        return try Hello(decoding: frame.payload)
    }

    private init(decoding payload: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(payload)
        protocolVersion = try reader.integer()
        guard protocolVersion == Hello.protocolVersion else {
            (clusterID, identity) = (0, ReplicaIdentity(rawValue: 0))
            (recipient, ringDigest) = (NodeID(0), 0)
            return
        }
        clusterID = try reader.integer()
        identity = ReplicaIdentity(rawValue: try reader.integer())
        recipient = NodeID(try reader.integer())
        ringDigest = try reader.integer()
        try reader.end()
    }
}

/// Why a node does not talk to another.
public enum LinkRefusal: Error, Equatable, Sendable {
    case protocolVersion(theirs: UInt32)
    case otherCluster
    /// The greeting was meant for another node: an address is wrong.
    case otherRecipient(NodeID)
    /// It places keys otherwise: it was told other members, weights or zones.
    case otherRing(NodeID)
    case notAMember(NodeID)
    /// An operator took it out.
    case removed(NodeID)
    /// Another process greets under this node's own number.
    case ownNumber
    /// An epoch below one that was seen: an older process, or a disk restored from a backup.
    case staleIdentity(ReplicaIdentity, seen: ReplicaIdentity)
    /// A link to another living process with this number is up.
    case duplicate(ReplicaIdentity, linked: ReplicaIdentity)

    /// One line for the log.
    public var text: String {
        switch self {
        case .protocolVersion(let theirs):
            "it speaks protocol version \(theirs), this node \(Hello.protocolVersion)"
        case .otherCluster:
            "it belongs to another cluster; compare clusterID in both configurations"
        case .otherRecipient(let node):
            "it looks for \(node); a host or port in its configuration is wrong"
        case .otherRing(let node):
            "the member list of \(node) differs from this node's; "
                + "compare ids, weights and zones of the members in both configurations"
        case .notAMember(let node): "\(node) is not in this node's list of members"
        case .removed(let node):
            "\(node) was taken out by CLUSTER FORGET; CLUSTER READMIT lets it in again"
        case .ownNumber: "it greets under this node's own number"
        case .staleIdentity(let identity, let seen):
            "identity \(identity) is older than \(seen), seen before"
        case .duplicate(let identity, let linked):
            "\(linked) is alive under the same number, so \(identity) is a second process"
        }
    }
}
