import Base

/// What members say to each other; every message also announces its sender and carries news.
public struct MembershipMessage: Equatable, Sendable {
    /// The sender's own record: alive, or left on its way out.
    public let sender: MemberRecord
    public let content: Content
    /// News; what the receiver itself is accused of comes first.
    public let updates: [MemberUpdate]

    /// What the message is about.
    public enum Content: Equatable, Sendable {
        /// "Are you there?", meant for one life of the receiver.
        case ping(sequence: UInt32, target: ReplicaIdentity)
        /// "Probe that one for me."
        case pingRequest(sequence: UInt32, target: ReplicaIdentity)
        /// The target of that probe is there.
        case ack(sequence: UInt32)
        /// The target has not answered, but this node has.
        case nack(sequence: UInt32)
        /// The digest of the sender's records of nodes above `after`, up to `through`.
        case compare(after: UInt16, through: UInt16, digest: UInt64)
        /// The receiver's digest up to there is the sender's.
        case agreed(after: UInt16, through: UInt16)
        /// All records that the sender has in this page.
        case page(after: UInt16, through: UInt16, [MemberRecord])
        /// Records that the receiver lacks; no answer is expected.
        case records([MemberRecord])
    }

    /// - Parameter updates: at most 255, as are the records of a page.
    public init(sender: MemberRecord, content: Content, updates: [MemberUpdate] = []) {
        self.sender = sender
        self.content = content
        self.updates = updates
    }

    /// The same without what it says of nodes that do not belong here.
    public func restricted(to belongs: (NodeID) -> Bool) -> MembershipMessage {
        let content: Content =
            switch content {
            case .page(let after, let through, let records):
                .page(after: after, through: through, records.filter { belongs($0.node) })
            case .records(let records): .records(records.filter { belongs($0.node) })
            case .ping, .pingRequest, .ack, .nack, .compare, .agreed: content
            }
        return MembershipMessage(
            sender: sender, content: content, updates: updates.filter { belongs($0.record.node) })
    }
}
