import Base
import Causality

// Keys that are emptied as a whole, and keys that held plain values before they merged
extension CRDTState {
    /// Drops everything that was written up to a stamp, on every replica alike and without a dot:
    /// the keyspace was emptied then. The context stays.
    ///
    /// What an identity added to a counter after the stamp without knowing of it stays in full.
    ///
    /// - Complexity: O(entries).
    public mutating func truncate(through stamp: Stamp) {
        var gone = VersionVector()
        for dot in context.entries {
            gone.insert(Dot(identity: dot.identity, stamp: min(dot.stamp, stamp)))
        }
        contents.clear(TypeMask(bits: .max), seen: gone)
        contents.counter.truncate(through: stamp)
    }

    /// The state of a string that was written while its keyspace kept plain values.
    ///
    /// - Parameters:
    ///   - values: those that no later write had replaced, each under its dot, ascending by dot.
    ///   - expiry: when all of them have expired, wall-clock milliseconds since 1970; 0 for never.
    ///   - context: everything that was seen of the key, the values' dots among it.
    public init(
        plain values: [(dot: Dot, value: Bytes)], expiry: UInt64, context: VersionVector
    ) {
        self.context = context
        for (dot, value) in values {
            contents.registers.insert(.unit, DotEntry(dot: dot, payload: value))
        }
        guard expiry > 0, let newest = context.newest, let file = values.last?.dot else { return }
        let lifetime = Lifetime(
            order: newest, milliseconds: expiry, covered: context, balances: SortedMap())
        contents.expiry.insert(.unit, DotEntry(dot: file, payload: lifetime))
    }
}
