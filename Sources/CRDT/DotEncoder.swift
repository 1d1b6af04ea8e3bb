import Base
import Causality
import Coding

/// Writes states and deltas: counts and lengths as varints, dots as an index into a table of
/// identities and a stamp.
struct DotEncoder: ~Copyable {
    var buffer: ByteBuffer
    /// Ascending by identity: of every dot that is written; the stamps do not matter.
    let identities: [Dot]
    /// The dot that takes one byte: the delta's own.
    let own: Dot?
    /// What the list positions before say, which the next ones refer to.
    var paths = PositionTable()

    init(buffer: consuming ByteBuffer, identities: [Dot], own: Dot?) {
        self.buffer = buffer
        self.identities = identities
        self.own = own
    }

    /// Seven bits a byte, the lowest first; the top bit says that more follow.
    mutating func append<Integer: FixedWidthInteger & UnsignedInteger>(varint value: Integer) {
        var rest = value
        while rest >= 128 {
            buffer.append(UInt8(truncatingIfNeeded: rest) | 128)
            rest >>= 7
        }
        buffer.append(UInt8(truncatingIfNeeded: rest))
    }

    /// Small magnitudes of either sign take few bytes.
    mutating func append(signed value: Int128) {
        append(varint: UInt128(bitPattern: value << 1 ^ value >> 127))
    }

    mutating func append(count: Int) {
        // Most are small: one byte without a loop.
        if count < 128 { return buffer.append(UInt8(truncatingIfNeeded: count)) }
        append(varint: UInt64(count))
    }

    mutating func append(_ bytes: Bytes) {
        append(count: bytes.count)
        buffer.append(bytes.array)
    }

    mutating func append(_ stamp: Stamp) { buffer.append(integer: stamp.rawValue) }

    mutating func append(_ identity: ReplicaIdentity) { buffer.append(integer: identity.rawValue) }

    mutating func append(_ dot: Dot) {
        if dot == own { return buffer.append(0) }
        guard let index = identities.firstIndex(ofAscending: dot.identity, \.identity) else {
            preconditionFailure("the table of identities is complete")
        }
        append(count: index + 1)
        append(dot.stamp)
    }

    mutating func append(_ vector: VersionVector) {
        append(count: vector.entries.count)
        for dot in vector.entries {
            append(dot.identity)
            append(dot.stamp)
        }
    }

    mutating func append<Key, Payload>(_ store: DotMap<Key, Payload>) {
        append(count: store.count)
        for (key, entries) in store.map {
            key.encode(into: &self)
            append(count: entries.count)
            for entry in entries {
                append(entry.dot)
                entry.payload.encode(into: &self)
            }
        }
    }

    mutating func append<Key, Payload>(_ changes: DotMapChanges<Key, Payload>) {
        append(changes.removed)
        append(changes.added)
    }
}
