/// How much of what another replica holds of a key range is certainly here as well: the leaves of
/// its hash tree that were seen to bring nothing new.
///
/// A leaf is covered once, at any moment of this node's life, everything that the other replica had
/// in it was here too. It stays covered: what is here only grows, and what the other replica gets
/// later is none of what this node ever lost. So the leaves may be covered one after the other,
/// each while it holds still for the time of one answer, and an end is reached under any load.
public struct Coverage: Sendable {
    /// Every leaf is covered.
    public private(set) var isComplete = false
    /// The other replica was whole itself when the first leaf was covered.
    public private(set) var isOfWhole = false
    /// Bits of the covered leaves; empty for none.
    private var leaves: [UInt32] = []

    public init() {}

    /// Takes notice of an answer before it is counted. With a replica that has become whole the
    /// coverage begins anew: what it lacked before must not count as lacking nothing.
    ///
    /// - Parameter isWhole: whether the replica was whole when it answered.
    /// - Returns: whether the answer counts; one from before the replica was whole comes too late.
    public mutating func counts(answerOfWhole isWhole: Bool) -> Bool {
        if isWhole, !isOfWhole {
            self = Coverage()
            isOfWhole = true
        }
        return isWhole == isOfWhole
    }

    /// Covers the whole tree: its root was the same here and there.
    public mutating func coverAll() {
        isComplete = true
        leaves = []
    }

    /// Covers some children of the tree's root or of one of its branches.
    ///
    /// - Parameters:
    ///   - children: a bit for each of 32 children.
    ///   - node: 0 for the root, whose children are branches; 1…32 for branches, whose are leaves.
    public mutating func cover(_ children: UInt32, of node: Int) {
        precondition(0...HashTree.fanOut ~= node, "a tree has a root and 32 branches")
        guard !isComplete, children != 0 else { return }
        if leaves.isEmpty { leaves = Array(repeating: 0, count: HashTree.fanOut) }
        if node > 0 {
            leaves[node - 1] |= children
        } else {
            for branch in 0..<HashTree.fanOut where children & 1 << UInt32(branch) != 0 {
                leaves[branch] = .max
            }
        }
        if leaves.allSatisfy({ $0 == .max }) { coverAll() }
    }

    /// The children of a node that are not covered, as `cover` counts them.
    public func open(of node: Int) -> UInt32 {
        guard !isComplete else { return 0 }
        guard !leaves.isEmpty else { return .max }
        guard node == 0 else { return ~leaves[node - 1] }
        return leaves.indices.reduce(0) { $0 | (leaves[$1] == .max ? 0 : 1 << UInt32($1)) }
    }
}
