import Base

/// Which nodes keep which keys: for each key range a preference list of all nodes.
///
/// The first n of a list are the range's primaries where n is a keyspace's replication factor; the
/// others are the fallbacks, in the order in which they stand in for a primary that is away. A list
/// is a pure function of the members, so nodes with one ring agree without a word.
///
/// Placement spreads a range over the zones first: every zone with nodes left gets its next replica
/// before any zone gets one more. Within that, `Rendezvous` orders the nodes. Adding a member
/// changes at most one of a range's primaries, to the new member; removing one changes only the
/// ranges that it held.
///
/// The ring does not know who is alive (`Membership`), how many replicas a keyspace has, or which
/// keys exist. Reading order: `Slot`, `KeyRange`, `Member`, `Rendezvous`, this.
///
/// Invariant: each list holds every member's node exactly once.
public struct Ring: Equatable, Sendable {
    /// Ascending by node.
    public let members: [Member]
    /// Rises with each change of the members.
    public let epoch: UInt64
    /// All ranges' preference lists, one behind the other.
    private let lists: [NodeID]

    /// - Parameters:
    ///   - members: at least one, each node once, in any order.
    ///   - epoch: the number of this set of members.
    /// - Complexity: O(ranges · members · log members).
    public init(members: [Member], epoch: UInt64) {
        precondition(!members.isEmpty, "a ring has a member")
        self.members = members.sorted { $0.node < $1.node }
        for (a, b) in zip(self.members, self.members.dropFirst()) {
            precondition(a.node < b.node, "a node is a member once")
        }
        self.epoch = epoch
        let sorted = self.members
        lists = KeyRange.all.flatMap { Ring.preferenceList(of: $0, members: sorted) }
    }

    /// Every node, the one that should hold the range first.
    public func preferenceList(of range: KeyRange) -> ArraySlice<NodeID> {
        let start = Int(range.rawValue) * members.count
        return lists[start..<start + members.count]
    }

    /// The nodes that hold the range with the given number of replicas, or all if there are fewer.
    public func primaries(of range: KeyRange, replicationFactor: Int) -> ArraySlice<NodeID> {
        preferenceList(of: range).prefix(replicationFactor)
    }

    /// Equal for equal members (node, weight, zone) and epochs, and for others practically never:
    /// two nodes with one digest place keys alike.
    ///
    /// - Complexity: O(members).
    public var digest: UInt64 {
        members.reduce(finalMix(epoch &+ 0x9E37_79B9_7F4A_7C15)) { digest, member in
            let share = UInt64(member.weight) << 16 | UInt64(member.zone)
            return finalMix(digest &+ (UInt64(member.node.rawValue) << 32 | share) &+ 1)
        }
    }

    /// A node's place in a range's preference list, 0 first; nil when it is no member.
    ///
    /// - Complexity: O(members).
    public func position(of node: NodeID, in range: KeyRange) -> Int? {
        // By hand, because all ranges are asked for at each heartbeat.
        let (start, count) = (Int(range.rawValue) * members.count, members.count)
        var place = 0
        while place < count {
            if lists[start + place].rawValue == node.rawValue { return place }
            place += 1
        }
        return nil
    }

    private static func preferenceList(of range: KeyRange, members: [Member]) -> [NodeID] {
        let ordered = members.map { (time: Rendezvous($0, range), zone: $0.zone) }
            .sorted { $0.time < $1.time }
        var usedInZone = SortedMap<UInt16, Int>()
        let ranked = ordered.map { candidate in
            let used = usedInZone[candidate.zone] ?? 0
            usedInZone[candidate.zone] = used + 1
            return (used: used, time: candidate.time)
        }
        return ranked.sorted { ($0.used, $0.time) < ($1.used, $1.time) }.map(\.time.node)
    }
}
