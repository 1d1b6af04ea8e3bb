/// How far this node trusts its own senses: 0 is healthy, each point makes its probes slower and
/// more patient.
///
/// Whoever misses others' answers may be slow itself: such a node must not be quick to accuse.
///
/// Source: Lifeguard (2017), §IV-A, the local health multiplier; scored as in
/// `hashicorp/memberlist`: where others were asked, only a missing nack counts, for a nack proves
/// that this node hears.
struct LocalHealth {
    let scoreMax: Int
    private(set) var score = 0

    init(scoreMax: Int) { self.scoreMax = scoreMax }

    mutating func worsen(by points: Int = 1) { score = min(scoreMax, score + points) }
    mutating func improve() { score = max(0, score - 1) }

    /// A time of a healthy node, as this one takes it.
    func stretched(_ nanoseconds: UInt64) -> UInt64 { nanoseconds * UInt64(score + 1) }
}
