import Base
import Coding

/// The first thing each way on a link: `"QRT1" | frame(protocol version (4) | cluster (8) |
/// identity (8) | recipient (2) | digest of the ring (8) | the sender's admission (2) | flags (1) |
/// the recipient's highest life (8) | its admission (2) | nonce (32))`. It proves nothing by
/// itself; see `Handshake`.
///
/// Another protocol version may greet in other words behind its number; nothing of them is read.
///
/// The four bytes in front let anything that is not a node (a browser, TLS, a Redis client) be told
/// from one before a length is believed.
public struct Hello: Equatable, Sendable {
    public static let magic: [UInt8] = [0x51, 0x52, 0x54, 0x31]
    /// What this build speaks.
    public static let protocolVersion: UInt32 = 19
    /// Bytes of the whole greeting.
    public static let encodedBytes = 4 + Frame.headerBytes + 75
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
    /// What the sender says of itself.
    public let sender: Standing
    /// What the sender knows of the recipient.
    public let standing: Standing
    /// Never used before.
    public let nonce: Nonce

    /// What a node of this build says first.
    public init(
        clusterID: UInt64, identity: ReplicaIdentity, recipient: NodeID, ringDigest: UInt64,
        _ sides: Sides = Sides()
    ) {
        protocolVersion = Hello.protocolVersion
        self.clusterID = clusterID
        self.identity = identity
        self.recipient = recipient
        self.ringDigest = ringDigest
        sender = Standing(
            highest: identity, admission: sides.sender.admission,
            isRemoved: sides.sender.isRemoved)
        standing = sides.recipient
        nonce = sides.nonce
    }

    /// How both nodes stand as the sender knows it, and its nonce.
    public struct Sides: Equatable, Sendable {
        public var sender = Standing()
        public var recipient = Standing()
        public var nonce = Nonce()

        public init() {}

        init(sender: Standing, recipient: Standing, nonce: Nonce) {
            self.sender = sender
            self.recipient = recipient
            self.nonce = nonce
        }
    }

    /// Appends the greeting, magic and frame included.
    public func encode(into buffer: inout ByteBuffer) {
        buffer.append(Hello.magic)
        let start = Frame.begin(&buffer)
        encodePayload(into: &buffer)
        Frame.finish(&buffer, from: start)
    }

    /// Appends what proofs are about.
    func encodePayload(into buffer: inout ByteBuffer) {
        buffer.append(integer: protocolVersion)
        buffer.append(integer: clusterID)
        buffer.append(integer: identity.rawValue)
        buffer.append(integer: recipient.rawValue)
        buffer.append(integer: ringDigest)
        buffer.append(integer: sender.admission)
        buffer.append(
            (sender.isRemoved ? 1 : 0) | (standing.isRemoved ? 2 : 0)
                | standing.presence.rawValue << 2)
        buffer.append(integer: standing.highest.rawValue)
        buffer.append(integer: standing.admission)
        for word in nonce.words { buffer.append(integer: word) }
    }

    /// Reads a greeting off the front of a link.
    ///
    /// - Returns: nil when more bytes must come first, and how many bytes it has otherwise.
    /// - Throws: `invalid` as soon as the bytes cannot be a greeting.
    public static func next(
        in stream: UnsafeRawBufferPointer
    ) throws(DecodeError) -> (hello: Hello, consumed: Int)? {
        for (index, byte) in stream.prefix(4).enumerated() where byte != magic[index] {
            throw .invalid("not a Quorate link")
        }
        guard stream.count >= 4 else { return nil }
        let behind = UnsafeRawBufferPointer(rebasing: stream[4...])
        guard let frame = try Frame.next(in: behind, payloadMax: payloadBytesMax) else {
            return nil
        }
        return (try Hello(decoding: frame.payload), 4 + frame.consumed)
    }

    private init(decoding payload: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(payload)
        protocolVersion = try reader.integer()
        guard protocolVersion == Hello.protocolVersion else {
            (clusterID, identity) = (0, ReplicaIdentity(rawValue: 0))
            (recipient, ringDigest) = (NodeID(0), 0)
            (sender, standing, nonce) = (Standing(), Standing(), Nonce())
            return
        }
        clusterID = try reader.integer()
        identity = ReplicaIdentity(rawValue: try reader.integer())
        recipient = NodeID(try reader.integer())
        ringDigest = try reader.integer()
        let admission: UInt16 = try reader.integer()
        let flags: UInt8 = try reader.integer()
        guard let presence = Standing.Presence(rawValue: flags >> 2) else {
            throw .invalid("greeting has unknown flags")
        }
        sender = Standing(highest: identity, admission: admission, isRemoved: flags & 1 == 1)
        let highest = ReplicaIdentity(rawValue: try reader.integer())
        standing = Standing(
            highest: highest, admission: try reader.integer(), isRemoved: flags & 2 == 2,
            presence: presence)
        nonce = Nonce(
            try reader.integer(), try reader.integer(), try reader.integer(),
            try reader.integer())
        try reader.end()
        guard highest.rawValue == 0 || highest.node == recipient,
            max(highest.epoch, identity.epoch) <= ReplicaIdentity.epochMax
        else { throw .invalid("greeting names a life that no node has") }
    }
}

/// How a node stands in the cluster, as one node knows it.
public struct Standing: Equatable, Sendable {
    /// The highest life that was ever admitted; 0 for none.
    public let highest: ReplicaIdentity
    /// How often it was admitted again after a removal.
    public let admission: UInt16
    /// An operator took it out.
    public let isRemoved: Bool
    /// Whether the highest life runs.
    public let presence: Presence

    /// Whether a node's life runs, as another node knows it.
    public enum Presence: UInt8, Sendable {
        /// Declared dead, or never heard of as a member since this node started.
        case absent = 0
        /// The members have not declared it dead.
        case reachable = 1
        /// It has a link to this node.
        case linked = 2
    }

    public init(
        highest: ReplicaIdentity = ReplicaIdentity(rawValue: 0), admission: UInt16 = 0,
        isRemoved: Bool = false, presence: Presence = .absent
    ) {
        self.highest = highest
        self.admission = admission
        self.isRemoved = isRemoved
        self.presence = presence
    }
}

/// 256 bits that are used once: what makes each handshake another one, so that no recorded one
/// proves anything.
public struct Nonce: Equatable, Sendable {
    let words: [UInt64]

    /// All zero: for nobody to prove anything by.
    public init() { words = [0, 0, 0, 0] }

    init(_ a: UInt64, _ b: UInt64, _ c: UInt64, _ d: UInt64) { words = [a, b, c, d] }

    /// - Parameter generator: the system's own, outside of tests and simulations.
    public init(from generator: inout some RandomNumberGenerator) {
        words = (0..<4).map { _ in generator.next() }
    }
}

/// Why a node does not talk to another.
public enum LinkRefusal: Error, Equatable, Sendable {
    case protocolVersion(theirs: UInt32)
    case otherCluster(theirs: UInt64, own: UInt64)
    /// The greeting was meant for another node: an address is wrong.
    case otherRecipient(NodeID)
    /// It places keys otherwise: it was told other members, weights or zones.
    case otherRing(NodeID)
    case notAMember(NodeID)
    /// It did not prove that it knows the cluster's secret, of which this node's has a fingerprint.
    case unproven(NodeID, own: UInt32)
    /// An operator took it out.
    case removed(NodeID)
    /// An operator took this node out, says the other one.
    case removedHere(by: NodeID)
    /// The other node knows a later life of this node.
    case outlived(seen: ReplicaIdentity, by: NodeID)
    /// This node was let in again after its removal: a new life is.
    case readmittedHere(by: NodeID)
    /// This node takes no part any more, whatever the other one knows.
    case ended
    /// The other side refused, for the reason of this number.
    case refusedThere(NodeID, reason: UInt8)
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
        case .otherCluster(let theirs, let own):
            "it belongs to another cluster (digest \(String(theirs, radix: 16)), this node's "
                + "\(String(own, radix: 16))); compare clusterID in both configurations"
        case .otherRecipient(let node):
            "it looks for \(node); a host or port in its configuration is wrong"
        case .otherRing(let node):
            "the member list of \(node) differs from this node's; "
                + "compare ids, weights and zones of the members in both configurations"
        case .notAMember(let node): "\(node) is not in this node's list of members"
        case .unproven(let node, let own):
            "whoever greets as \(node) did not prove to know this cluster's secret; give all "
                + "members the same secret or secretFile in their configurations (this node's "
                + "secret has the fingerprint \(String(own, radix: 16)))"
        case .removed(let node):
            "\(node) was taken out by CLUSTER FORGET; CLUSTER READMIT \(node.rawValue) lets it in "
                + "again"
        case .removedHere(let node):
            "\(node) says that this node was taken out by CLUSTER FORGET; it answers REMOVED until "
                + "CLUSTER READMIT, said to a member, lets it in again"
        case .outlived(let seen, let node):
            "\(node) knows \(seen), a later life of this node"
        case .readmittedHere(let node):
            "\(node) says that this node was let in again by CLUSTER READMIT"
        case .ended: "this node takes no part in the cluster any more"
        case .refusedThere(let node, let reason):
            "\(node) refused: \(LinkRefusal.reason(reason))"
        case .ownNumber: "it greets under this node's own number"
        case .staleIdentity(let identity, let seen):
            "identity \(identity) is older than \(seen), seen before; it is to begin a new life"
        case .duplicate(let identity, let linked):
            "\(linked) is alive under the same number, so \(identity) is a second process"
        }
    }

    /// What the other side is told, so that its log says it as well.
    var number: UInt8 {
        switch self {
        case .protocolVersion: 1
        case .otherCluster: 2
        case .otherRecipient: 3
        case .otherRing: 4
        case .notAMember: 5
        case .removed: 6
        case .ownNumber: 7
        case .staleIdentity: 8
        case .duplicate: 9
        case .ended: 10
        case .removedHere, .outlived, .readmittedHere: 11
        case .unproven: 12
        case .refusedThere: 13
        }
    }

    private static func reason(_ number: UInt8) -> String {
        switch number {
        case 2: "the clusterID is another"
        case 3: "it is another node; a host or port in this node's configuration is wrong"
        case 4: "its member list is another; compare ids, weights and zones"
        case 5: "this node is not in its list of members"
        case 6: "this node was taken out by CLUSTER FORGET; CLUSTER READMIT lets it in again"
        case 8: "it knows a later life of this node"
        case 9: "another process runs under this node's number"
        case 10: "it takes no part in the cluster any more"
        case 11: "it has just heard that a life of its own is over"
        case 12: "it did not take this node's proof of the cluster's secret"
        default: "for reason \(number)"
        }
    }
}
