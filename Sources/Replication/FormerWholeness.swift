import AntiEntropy
import Ring

/// Which key ranges a node was whole in by the list of members before the present one.
///
/// While the list is open (`Generation`) no range is whole, so by the present list nobody could say
/// what was deleted. But who was whole by the former one, and has promised what was collected,
/// knows it as before: until the generation is closed it vouches for these ranges (`Node+CatchUp`),
/// whether it still replicates them or not, since it drops nothing meanwhile.
///
/// It is what the last marker of the journal says that was written while a generation was closed.
/// A range that turns out to be in doubt is taken out of it, and so is one that was empty and for
/// which this node has promised what others collected. What was closed since, and distrust, end all
/// of it.
struct FormerWholeness {
    /// By n.
    private var ranges = Array(repeating: RangeSet(), count: 65)

    /// None.
    init() {}

    init(_ marker: WholenessMarker) {
        if marker.isOver {
            for n in 2...64 { ranges[n] = RangeSet(marker.ranks, below: n) }
        }
        for part in marker.parts { ranges[Int(part.n)] = part.whole }
    }

    subscript(n: Int) -> RangeSet { ranges[n] }

    func contains(_ range: KeyRange, _ n: Int) -> Bool { ranges[n].contains(range.rawValue) }

    mutating func remove(_ range: UInt8, _ n: Int) { ranges[n].remove(range) }

    /// By n, ascending.
    var parts: [(n: UInt8, whole: RangeSet)] {
        (2...64).filter { !ranges[$0].isEmpty }.map { (n: UInt8($0), whole: ranges[$0]) }
    }
}

extension RangeSet {
    /// The ranges that a node replicates with a replication factor.
    ///
    /// - Parameter ranks: the node's place in the preference list of each range.
    init(_ ranks: [UInt8], below n: Int) {
        self.init()
        for (range, rank) in ranks.enumerated() where Int(rank) < n { insert(UInt8(range)) }
    }
}
