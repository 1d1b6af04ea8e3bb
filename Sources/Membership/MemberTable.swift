import Base

/// All that is known of every node, sorted by its number; nobody is ever forgotten.
///
/// Invariants: `members` is strictly ascending by node; `positions[n]` is one more than the index
/// of node n, or 0; `reachableCount` counts the members whose state is reachable.
struct MemberTable {
    private(set) var members: [KnownMember] = []
    private var positions: [UInt16] = []
    private(set) var reachableCount = 0

    var count: Int { members.count }

    /// - Complexity: O(1).
    func index(of node: NodeID) -> Int? {
        let number = Int(node.rawValue)
        guard number < positions.count, positions[number] > 0 else { return nil }
        return Int(positions[number]) - 1
    }

    func record(of node: NodeID) -> MemberRecord? { index(of: node).map { members[$0].record } }

    /// Replaces the node's record, or adds one.
    ///
    /// - Returns: whether the identity or its state is another one than before.
    /// - Complexity: O(1); for a new node O(members).
    mutating func put(_ record: MemberRecord, now: Deadline) -> Bool {
        guard let index = index(of: record.node) else {
            insert(KnownMember(record: record, since: now, rival: nil))
            return true
        }
        let before = members[index].record
        let isChanged = before.identity != record.identity || before.state != record.state
        members[index].record = record
        if isChanged { members[index].since = now }
        if before.identity != record.identity { members[index].rival = nil }
        reachableCount += (record.state.isReachable ? 1 : 0) - (before.state.isReachable ? 1 : 0)
        return isChanged
    }

    mutating func setRival(_ identity: ReplicaIdentity, at index: Int) {
        members[index].rival = identity
    }

    private mutating func insert(_ member: KnownMember) {
        let number = Int(member.record.node.rawValue)
        let index = firstIndex(after: member.record.node.rawValue)
        members.insert(member, at: index)
        if number >= positions.count {
            positions += repeatElement(0, count: number + 1 - positions.count)
        }
        for moved in index..<members.count {
            positions[Int(members[moved].record.node.rawValue)] = UInt16(moved + 1)
        }
        reachableCount += member.record.state.isReachable ? 1 : 0
    }

    /// The index of the first member whose number is above `number`.
    private func firstIndex(after number: UInt16) -> Int {
        var low = 0
        var high = members.count
        while low < high {
            let middle = (low + high) / 2
            if members[middle].record.node.rawValue <= number {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    func checkInvariants() {
        for (index, member) in members.enumerated() {
            precondition(self.index(of: member.record.node) == index, "positions lead to members")
            precondition(
                index == 0 || members[index - 1].record.node < member.record.node,
                "members ascend")
        }
        precondition(positions.count { $0 > 0 } == members.count, "no position without a member")
        precondition(
            reachableCount == members.count { $0.record.state.isReachable }, "who is in reach")
    }
}

// Pages: runs of members in order of their numbers, for comparison with another node.
extension MemberTable {
    /// The largest number a node can have: a page through it is the last one.
    static let last = UInt16.max

    /// Indices of the members in a page, at most `countMax` of them, and where the page ends.
    func page(
        after: UInt16, through: UInt16 = last, countMax: Int
    ) -> (indices: Range<Int>, through: UInt16) {
        let begin = firstIndex(after: after)
        let end = max(begin, firstIndex(after: through))
        guard end - begin > countMax else { return (begin..<end, through) }
        let cut = begin + countMax
        return (begin..<cut, members[cut - 1].record.node.rawValue)
    }

    /// Equal for equal records.
    func digest(_ indices: Range<Int>) -> UInt64 {
        members[indices].reduce(UInt64(indices.count)) { $0 ^ $1.record.mixed }
    }

    func records(_ indices: Range<Int>) -> [MemberRecord] { members[indices].map(\.record) }
}
