import Base

/// Whom to probe next: everybody once a round, in an order that is drawn anew for each.
///
/// A member is therefore probed by each other at least once in two rounds, which bounds the time to
/// detection; a newcomer gets a random place in the round that runs.
///
/// Source: SWIM (2002), §4.3.
struct ProbeOrder {
    private(set) var nodes: [NodeID] = []
    private var next = 0

    mutating func insert(_ node: NodeID, _ random: inout PRNG) {
        guard !nodes.contains(node) else { return }
        nodes.insert(node, at: next + random.below(nodes.count - next + 1))
    }

    /// - Parameters:
    ///   - round: who takes part in the next round; asked when this one is over.
    ///   - isEligible: false skips a node.
    /// - Returns: nil when nobody is eligible.
    /// - Complexity: O(1) on average, O(members) at the end of a round.
    mutating func pick(
        round: () -> [NodeID], isEligible: (NodeID) -> Bool, _ random: inout PRNG
    ) -> NodeID? {
        for _ in 0..<2 {
            while next < nodes.count {
                next += 1
                if isEligible(nodes[next - 1]) { return nodes[next - 1] }
            }
            nodes = round()
            nodes.shuffle(using: &random)
            next = 0
        }
        return nil
    }

    /// Up to `countMax` eligible nodes, from a random place on.
    func sample(
        _ countMax: Int, isEligible: (NodeID) -> Bool, _ random: inout PRNG
    ) -> [NodeID] {
        guard !nodes.isEmpty else { return [] }
        var sample: [NodeID] = []
        let begin = random.below(nodes.count)
        for offset in 0..<nodes.count where sample.count < countMax {
            let node = nodes[(begin + offset) % nodes.count]
            if isEligible(node) { sample.append(node) }
        }
        return sample
    }
}
