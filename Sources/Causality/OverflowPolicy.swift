/// What happens when a write would leave more concurrent values of a key than its keyspace allows.
///
/// Whoever names the write decides, once, and the outcome travels as a set of siblings like any
/// other; so all replicas agree without knowing the rule. Merging two sets at a replica never
/// decides anything: there a key may have more values than allowed, for each side of a partition
/// may have filled up by itself, until it is next written.
public enum OverflowPolicy: UInt8, CaseIterable, Sendable {
    /// The write is refused. One that leaves no more values than there were is always taken, so a
    /// client that read the key can bring it down again.
    case refuse = 0
    /// The oldest values by stamp are dropped.
    case lww = 1
    /// All values become one, the sorted union of what they list (`StringList`); refused unless
    /// each is a list.
    case union = 2
    /// All values become one, the largest; refused unless each is a whole number.
    case max = 3
}
