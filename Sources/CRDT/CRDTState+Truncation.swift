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
        contents.truncate(gone)
        contents.counter.truncate(through: stamp)
    }

    /// A value of a string that was written while its keyspace kept plain values.
    public struct PlainValue {
        let dot: Dot
        let value: Bytes
        let lifetime: Inheritance?

        /// - Parameters:
        ///   - expiry: wall-clock milliseconds since 1970, 0 for never.
        ///   - expiryDot: who gave it.
        public init(dot: Dot, value: Bytes, expiry: UInt64, expiryDot: Dot) {
            self.dot = dot
            self.value = value
            let isLasting = expiry == 0 && expiryDot == dot
            lifetime =
                isLasting ? nil : Inheritance(order: expiryDot, milliseconds: expiry)
        }
    }

    /// The state of such a string.
    ///
    /// - Parameters:
    ///   - values: those that no later write had replaced, ascending by dot.
    ///   - context: everything that was seen of the key, the values' dots among it.
    public init(plain values: [PlainValue], context: VersionVector) {
        self.context = context
        for value in values {
            let dot = value.dot
            contents.registers.insert(.unit, DotEntry(dot: dot, payload: value.value))
            guard let given = value.lifetime else { continue }
            let before = Stamp(rawValue: max(dot.stamp.rawValue, 1) - 1)
            let lifetime = Lifetime(given, to: dot, after: before)
            contents.expiry.insert(.unit, DotEntry(dot: dot, payload: lifetime))
        }
    }
}
