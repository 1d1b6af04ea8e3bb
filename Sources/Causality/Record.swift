import Base
import Coding

/// The state of one key as bytes: the same run of bytes in the table, in the journal and on the
/// wire, encoded once.
///
/// Layout, little-endian, 32 bytes before the key:
///
///     0  length    u32   header, key and body
///     4  flags     u8    1 tombstone, 2 sibling set, 3 sibling set without siblings,
///                        4 mergeable state, 5 mergeable state of which nothing is live,
///                        16 plain with a layer, 17 tombstone with a layer
///     5  zero      u8
///     6  keyBytes  u16
///     8  identity  u64   the dot's replica identity
///     16 stamp     u64   the dot's hybrid logical clock stamp
///     24 expiry    u64   wall-clock milliseconds since 1970, 0 for never
///     32 key, then body
///
/// A plain record holds one version: its body is the value, or empty for a tombstone, and its
/// causal context is its own dot. Where EXPIRE or PERSIST gave the value another expiry, or one to
/// a value that this one won over, a layer stands before the body: the dot of the write (16), and
/// of what gave its expiry (16). The header's dot is then the newest of all that the record has
/// seen. A sibling set's body is what `SiblingSet` encodes; its dot is the newest that the set has
/// seen, its expiry is when its last sibling expires. A tombstone with an expiry is what is left of
/// a value whose expiry has elapsed; one of a deletion has none. A mergeable state's body is what
/// the `CRDT` target encodes, which this one does not look into; its dot is the newest of its
/// context.
///
/// Each state of a key has one record: equal states are equal bytes.
///
/// A `Record` is a view: it owns nothing, and the bytes must outlive it. `init(validating:)` is the
/// only door for bytes from outside; behind it every accessor is in bounds.
public struct Record {
    public static let headerBytes = 32
    /// Of the layer: the dots of the write and of its expiry.
    public static let layerBytes = 32
    public static let keyBytesMax = 65_535
    /// The latest expiry, so that it can be told as a signed number.
    public static let expiryMax = UInt64(Int64.max)

    public let base: UnsafeRawPointer

    /// Trusts that a record was encoded or validated at this address.
    @inlinable public init(at base: UnsafeRawPointer) { self.base = base }

    /// - Throws: `truncated` or `invalid` unless the bytes are exactly the one record of a state.
    public init(validating bytes: UnsafeRawBufferPointer) throws(DecodeError) {
        guard bytes.count >= Record.headerBytes, let base = bytes.baseAddress else {
            throw .truncated
        }
        self.base = base
        guard length == bytes.count else { throw .invalid("record length differs from its frame") }
        guard flags < 6 || flags == 16 || flags == 17,
            base.load(fromByteOffset: 5, as: UInt8.self) == 0
        else {
            throw .invalid("record has unknown flags")
        }
        guard bodyBytes >= 0 else { throw .invalid("record key does not fit") }
        guard expiry <= Record.expiryMax else { throw .invalid("record expires too late") }
        if isSiblingSet {
            try checkSiblings(SiblingSet(encoded: body))
        } else if isMergeable {
            guard bodyBytes > 0 else { throw .invalid("mergeable record has no state") }
            guard !isTombstone || expiry == 0 else { throw .invalid("tombstone expires") }
        } else {
            guard !isTombstone || bodyBytes == 0 else {
                throw .invalid("tombstone carries a value")
            }
            if isLayered { try checkLayer() }
        }
    }

    private func checkLayer() throws(DecodeError) {
        guard written < dot, written <= expiryDot, expiryDot <= dot else {
            throw .invalid("the dots of a layer are out of order")
        }
        guard !isTombstone || expiry > 0 || written == expiryDot else {
            throw .invalid("a deletion was given an expiry")
        }
    }

    private func checkSiblings(_ set: SiblingSet) throws(DecodeError) {
        guard set.recordKind.rawValue == flags else {
            throw .invalid("sibling set has another record kind")
        }
        guard set.newest == dot, set.expiry == expiry else {
            throw .invalid("record header differs from its sibling set")
        }
    }

    @inlinable public var length: Int { Int(base.loadUnaligned(as: UInt32.self)) }
    @inlinable public var keyBytes: Int {
        Int(base.loadUnaligned(fromByteOffset: 6, as: UInt16.self))
    }
    @inlinable var flags: UInt8 { base.load(fromByteOffset: 4, as: UInt8.self) }
    @inlinable public var isTombstone: Bool { flags & 1 != 0 }
    @inlinable public var isSiblingSet: Bool { flags & 2 != 0 }
    /// A plain record in which more was seen than its one write.
    @inlinable public var isLayered: Bool { flags & 16 != 0 }
    /// The body is a mergeable state, encoded or `isExpanded`.
    @inlinable public var isMergeable: Bool { flags & 4 != 0 }
    /// The record only says where the state is kept decoded: in a table, never on disk or wire.
    @inlinable public var isExpanded: Bool { flags & 8 != 0 }
    /// The write that the record stands for, or the newest that its sibling set has seen.
    @inlinable public var dot: Dot {
        Dot(
            identity: ReplicaIdentity(
                rawValue: base.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
            stamp: Stamp(rawValue: base.loadUnaligned(fromByteOffset: 16, as: UInt64.self)))
    }
    /// The newest write or deletion in the record: its `dot`, but for changes of an expiry.
    @inlinable public var written: Dot { flags & 18 == 0 ? dot : writtenInBody }
    @usableFromInline var writtenInBody: Dot {
        if isLayered { return layer(0) }
        guard expiryChanges > 0 else { return dot }
        return SiblingSet(valid: self).context.newest ?? dot
    }
    /// What gave a plain record's value its expiry: its own write, or a later change.
    public var expiryDot: Dot { isLayered ? layer(16) : dot }
    private func layer(_ offset: Int) -> Dot {
        let start = base + (Record.headerBytes + keyBytes + offset)
        let identity = start.loadUnaligned(as: UInt64.self)
        let stamp = start.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        return Dot(
            identity: ReplicaIdentity(rawValue: identity), stamp: Stamp(rawValue: stamp))
    }
    /// The version that a plain record holds; nil for a deletion.
    public var sibling: Sibling? {
        let isSpent = isTombstone && expiry > 0
        if isTombstone && !isSpent { return nil }
        return Sibling(
            dot: written, expiry: expiry, expiryDot: expiryDot, isSpent: isSpent, value: Array(body)
        )
    }
    /// Wall-clock milliseconds since 1970, 0 for never.
    @inlinable public var expiry: UInt64 { base.loadUnaligned(fromByteOffset: 24, as: UInt64.self) }
    @inlinable public var bodyBytes: Int { length - bodyOffset }
    @inlinable var bodyOffset: Int {
        Record.headerBytes + keyBytes + Int((flags & 16) &<< 1)
    }
    /// How many identities a sibling set's record has in its context.
    public var identityCount: Int { Int(body.loadUnaligned(as: UInt32.self)) }
    /// How many values a sibling set's record holds.
    public var siblingCount: Int { Int(body.loadUnaligned(fromByteOffset: 4, as: UInt32.self)) }
    /// How many changes of an expiry a sibling set's record has seen beside its context.
    public var expiryChanges: Int { Int(body.loadUnaligned(fromByteOffset: 8, as: UInt32.self)) }
    @inlinable public var bytes: UnsafeRawBufferPointer { .init(start: base, count: length) }
    @inlinable public var key: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + Record.headerBytes, count: keyBytes)
    }
    @inlinable public var body: UnsafeRawBufferPointer {
        let offset = bodyOffset
        return UnsafeRawBufferPointer(start: base + offset, count: length - offset)
    }
}

extension Record {
    /// How many bytes a record of this key and body takes.
    @inlinable public static func length(keyBytes: Int, bodyBytes: Int) -> Int {
        headerBytes + keyBytes + bodyBytes
    }

    /// Writes a record at `target`, which has `length(keyBytes:bodyBytes:)` bytes.
    ///
    /// - Parameters:
    ///   - key: 0…65,535 bytes.
    ///   - expiry: wall-clock milliseconds since 1970, 0 for never.
    @inlinable public static func write(
        to target: UnsafeMutableRawPointer, kind: RecordKind, dot: Dot, expiry: UInt64,
        key: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer
    ) {
        precondition(key.count <= keyBytesMax, "a key has at most 65,535 bytes")
        let length = length(keyBytes: key.count, bodyBytes: body.count)
        target.storeBytes(of: UInt32(length), as: UInt32.self)
        let second = UInt32(kind.rawValue) | UInt32(key.count) << 16
        target.storeBytes(of: second, toByteOffset: 4, as: UInt32.self)
        target.storeBytes(of: dot.identity.rawValue, toByteOffset: 8, as: UInt64.self)
        target.storeBytes(of: dot.stamp.rawValue, toByteOffset: 16, as: UInt64.self)
        target.storeBytes(of: expiry, toByteOffset: 24, as: UInt64.self)
        if let source = key.baseAddress {
            (target + headerBytes).copyMemory(from: source, byteCount: key.count)
        }
        if let source = body.baseAddress {
            (target + headerBytes + key.count).copyMemory(from: source, byteCount: body.count)
        }
    }

    /// Gives an encoded plain record another dot.
    ///
    /// - Parameter bytes: a whole record that stands for one write.
    public static func stamp(_ bytes: UnsafeMutableRawBufferPointer, _ dot: Dot) {
        precondition(bytes.count >= headerBytes, "a record has a header")
        bytes.storeBytes(of: dot.identity.rawValue, toByteOffset: 8, as: UInt64.self)
        bytes.storeBytes(of: dot.stamp.rawValue, toByteOffset: 16, as: UInt64.self)
    }
}

/// What a record's body is.
public enum RecordKind: UInt8, Sendable {
    case value = 0
    case tombstone = 1
    case siblings = 2
    /// A sibling set without siblings: a delete that saw more than its own dot.
    case siblingTombstone = 3
    case mergeable = 4
    /// A mergeable state of which nothing is live.
    case mergeableTombstone = 5
    /// Where a mergeable state is kept decoded; only ever in a table.
    case expanded = 12
    /// A value whose expiry was given by another write, or won over one.
    case layeredValue = 16
    case layeredTombstone = 17
}
