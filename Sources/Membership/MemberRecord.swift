import Base

/// One claim about a node: which life of it is meant, and what is believed of that.
///
/// Records of one node are totally ordered and everybody keeps the greatest, so members agree in
/// whatever order and however often they hear them. The order, most significant first:
/// 1. the admission: how often the operator let this number in again after a removal;
/// 2. removed above all else, so that no life of a removed node talks itself back in;
/// 3. the epoch: a later life above an earlier one, whatever their incarnations;
/// 4. left above what others believe of that life;
/// 5. the incarnation, which the member alone raises;
/// 6. dead above suspect above alive: an accusation stands until it is refuted.
///
/// Why admissions? Where "removed" is lifted by a mere "alive" of a higher epoch, a removed node
/// returns by restarting; where it is deleted, an old "alive" on its way brings the node back.
///
/// Source: SWIM (2002), §4.2; 1–4 are ours.
public struct MemberRecord: Equatable, Sendable {
    public let identity: ReplicaIdentity
    /// How often the node's number was admitted again: 0…65,535.
    public var admission: UInt16
    public var state: MemberState
    /// Raised by the member itself to refute an accusation.
    public var incarnation: UInt32

    public init(
        _ identity: ReplicaIdentity, _ state: MemberState = .alive, incarnation: UInt32 = 0,
        admission: UInt16 = 0
    ) {
        self.identity = identity
        self.state = state
        self.incarnation = incarnation
        self.admission = admission
    }

    /// Whose record it is.
    public var node: NodeID { identity.node }

    /// Whether this record replaces `other`, of the same node; no record replaces its equal.
    public func supersedes(_ other: MemberRecord) -> Bool { other.rank < rank }

    /// Whether a life that announces itself by `header` has been ended by this record.
    func rulesOut(_ header: MemberRecord) -> Bool {
        admission > header.admission || state == .removed || identity > header.identity
            || (identity == header.identity && state == .left && header.state != .left)
    }

    private var rank: (UInt16, UInt8, UInt64, UInt8, UInt32, UInt8) {
        (
            admission, state == .removed ? 1 : 0, identity.epoch, state == .left ? 1 : 0,
            incarnation, state.rawValue
        )
    }

    /// Equal records mix to equal numbers, on every machine.
    var mixed: UInt64 {
        let facts = UInt64(incarnation) << 32 | UInt64(admission) << 8 | UInt64(state.rawValue)
        return finalMix(finalMix(identity.rawValue) &+ facts)
    }
}

/// A record as it is gossiped.
public struct MemberUpdate: Equatable, Sendable {
    public let record: MemberRecord
    /// Of a suspect: whose probe failed. Nil when that is unknown: hearsay confirms nothing.
    public let accuser: ReplicaIdentity?

    public init(_ record: MemberRecord, accuser: ReplicaIdentity? = nil) {
        self.record = record
        self.accuser = accuser
    }
}
