/// What one node holds of one key range, as sums that two nodes can compare top down.
///
/// Which of a range's keys differ on two replicas? Each key has a hash, the same on every node, and
/// each of its states a digest. A leaf is the sum of the digests of the keys whose hashes begin
/// with its ten bits, a branch the sum of its 32 leaves, the root the sum of all. Sums need no
/// order and no second look: a write adds the difference of two digests in three places, so the
/// tree is never behind and never rebuilt. Equal sums mean equal states but for 1 in 2⁶⁴.
///
/// Two replicas find the keys that differ in three questions, whatever the number of keys: the
/// roots, the branches of a root that differs, the leaves of a branch that differs; then they list
/// what a leaf that differs holds (`ExchangeMessage`).
///
/// What it does not do: hold keys. The driver's table is ordered by the same hash, so a leaf's keys
/// stand together there.
///
/// Invariant: root = Σ branches, branch = Σ its leaves (modulo 2⁶⁴).
///
/// Source: Merkle trees as Dynamo uses them (DeCandia et al. 2007, §4.7); sums in place of hashes
/// of hashes after Bellare and Micciancio's incremental hashing (1997), which protects against
/// faults, not against a member that lies.
public struct HashTree: Equatable, Sendable {
    /// Children of the root, and of a branch.
    public static let fanOut = 32
    /// Leaves of one tree.
    public static let leafCount = fanOut * fanOut

    /// The root, then the branches, then the leaves; empty as long as nothing was ever added.
    private var sums: [UInt64] = []

    public init() {}

    /// The leaf in which a key's hash lies: 0…1,023.
    public static func leaf(of hash: UInt64) -> Int { Int(hash >> 54) }

    /// The hashes that lie in a leaf.
    public static func hashes(of leaf: Int) -> ClosedRange<UInt64> {
        let first = UInt64(leaf) << 54
        return first...(first | (1 << 54 - 1))
    }

    /// One key's state gave way to another.
    ///
    /// - Parameters:
    ///   - before: the old state's digest, 0 for none.
    ///   - after: the new state's digest, 0 for none.
    public mutating func change(_ hash: UInt64, from before: UInt64, to after: UInt64) {
        if sums.isEmpty {
            sums = Array(repeating: 0, count: 1 + HashTree.fanOut + HashTree.leafCount)
        }
        let difference = after &- before
        let leaf = HashTree.leaf(of: hash)
        sums[0] &+= difference
        sums[1 + leaf / HashTree.fanOut] &+= difference
        sums[1 + HashTree.fanOut + leaf] &+= difference
    }

    /// The sum of everything.
    public var root: UInt64 { sums.isEmpty ? 0 : sums[0] }

    /// The root's children: 32 sums.
    public var branches: ArraySlice<UInt64> { sums(from: 1) }

    /// A branch's children: 32 sums.
    ///
    /// - Parameter branch: 0…31.
    public func leaves(of branch: Int) -> ArraySlice<UInt64> {
        precondition(0..<HashTree.fanOut ~= branch, "a tree has 32 branches")
        return sums(from: 1 + HashTree.fanOut * (1 + branch))
    }

    private func sums(from first: Int) -> ArraySlice<UInt64> {
        guard !sums.isEmpty else { return HashTree.nothing[...] }
        return sums[first..<first + HashTree.fanOut]
    }

    private static let nothing: [UInt64] = Array(repeating: 0, count: fanOut)

    /// Traps unless the type's invariant holds.
    public func checkInvariants() {
        precondition(branches.reduce(0, &+) == root, "the root is the sum of its branches")
        for (branch, sum) in branches.enumerated() {
            precondition(
                leaves(of: branch).reduce(0, &+) == sum, "a branch is the sum of its leaves")
        }
    }
}
