import Base
import Causality
import Coding

/// What one mutation of a key, or several in a row by one identity, did: small however large the
/// key.
///
/// A delta stands upon two things, and says so: that the receiver has everything which its identity
/// did to the key up to `after`, and that it has seen every dot that the delta removes or rests on.
/// A receiver that has not asks for the whole state (`ApplyResult.needsState`). So one number an
/// identity is enough as a context, and a delta that was lost is noticed by the next one and never
/// covered by it.
public struct Delta: Equatable, Sendable {
    /// Who did it.
    public let identity: ReplicaIdentity
    /// The identity's last stamp for this key before; zero when there was none.
    public let after: Stamp
    /// The identity's stamp of the last mutation in here.
    public private(set) var through: Stamp
    /// The types that were emptied of everything in `clearedContext`, before the changes.
    var clears = TypeMask.none
    var clearedContext = VersionVector()
    /// What the receiver must have seen besides.
    var grounds = VersionVector()
    @Boxed var changes: Changes

    init(dot: Dot, after: Stamp, changes: Changes = Changes()) {
        identity = dot.identity
        through = dot.stamp
        self.after = after
        _changes = Boxed(wrappedValue: changes)
    }

    /// The newest dot in here; what a receiver's clock has to observe first.
    public var dot: Dot { Dot(identity: identity, stamp: through) }

    var isEmpty: Bool { clears.isEmpty && changes.isEmpty }

    /// Whether it empties the key, or what it held of some type.
    public var empties: Bool { !clears.isEmpty }

    /// Elements of collections that it removes, and those that it adds: what applying it takes.
    public var elementCount: Int { changes.elementCount }

    /// Whether it only takes away.
    public var isRemoval: Bool { changes.addNothing }

    /// Whether nothing goes from a state by it.
    public var onlyAdds: Bool { clears.isEmpty && changes.removeNothing }

    /// By how many bytes it can enlarge an encoded state, at most: a dot of its own, which it
    /// writes as one byte, takes nine in a state.
    ///
    /// - Parameters:
    ///   - bytes: of its encoding.
    ///   - identities: how many the state names by then.
    /// - Complexity: O(delta).
    public func growth(bytes: Int, identities: Int) -> Int {
        // From here on an identity takes more than one byte, also that of another's dot.
        guard identities < 126 else { return 5 * bytes + 24 }
        let first = after.rawValue == 0 ? 16 : 0
        if isRemoval, changes.hash.ended.added.isEmpty, changes.sortedSet.ended.added.isEmpty {
            return first + 8
        }
        let own = dot
        var count = 0
        _ = changes.allDots { other in
            if other == own { count += 1 }
            return true
        }
        return first + 8 + max(0, bytes - Delta.headBytes) + 8 * count
    }

    /// What stands before the changes, at least.
    private static let headBytes = 24

    /// Goes on with the identity's next delta of the same key, so that both travel as one.
    ///
    /// - Returns: false, and nothing is done, when `next` does not follow this one, or when both
    ///   empty types, but not the same ones.
    public mutating func append(_ next: Delta) -> Bool {
        guard next.identity == identity, next.after <= through, after <= next.after,
            through < next.through,
            clears.isEmpty || next.clears.isEmpty || clears == next.clears
        else { return false }
        changes.append(next.changes, clears: next.clears, seen: next.clearedContext)
        clears.formUnion(next.clears)
        clearedContext.join(next.clearedContext)
        grounds.join(next.grounds)
        through = next.through
        return true
    }

    /// Whether a receiver with this context has what the delta stands upon.
    func isGrounded(on context: VersionVector) -> Bool {
        guard after <= context.stamp(of: identity) else { return false }
        func isKnown(_ dot: Dot) -> Bool {
            dot.identity == identity ? dot.stamp <= through : context.contains(dot)
        }
        return clearedContext.entries.allSatisfy(isKnown) && grounds.entries.allSatisfy(isKnown)
            && changes.allDots(isKnown)
    }
}

/// What became of a delta.
public enum ApplyResult: Equatable, Sendable {
    case applied
    /// The state had all of it.
    case alreadyKnown
    /// The state lacks something that the delta stands upon; nothing was changed. Join the whole
    /// state of a replica that has it.
    case needsState
    /// The state would name more identities than its limit; nothing was changed.
    case tooMany
}

// Layout: identity (8), after (8), through (8), count of other identities (varint) and those (8
// each), types cleared (1) and, if any, the context cleared; the grounds; then the changes by
// store.
extension Delta {
    /// Appends the delta's bytes; equal deltas have equal bytes.
    public func encode(into buffer: inout ByteBuffer) {
        buffer.append(integer: identity.rawValue)
        buffer.append(integer: after.rawValue)
        buffer.append(integer: through.rawValue)
        let named = identities
        var encoder = DotEncoder(
            buffer: buffer, identities: named.map { Dot(identity: $0, stamp: through) }, own: dot)
        encoder.append(count: named.count)
        for identity in named { encoder.append(identity) }
        encoder.buffer.append(clears.bits)
        if !clears.isEmpty { encoder.append(clearedContext) }
        encoder.append(grounds)
        changes.encode(into: &encoder)
        buffer = encoder.buffer
    }

    /// The identities of the dots in the changes, but for the delta's own dot; ascending.
    private var identities: [ReplicaIdentity] {
        var named: [ReplicaIdentity] = []
        let own = dot
        _ = changes.allDots { other in
            if other != own, named.last != other.identity { named.append(other.identity) }
            return true
        }
        if named.count < 2 { return named }
        named.sort()
        var distinct: [ReplicaIdentity] = []
        for identity in named where identity != distinct.last { distinct.append(identity) }
        return distinct
    }

    /// The newest dot of an encoded delta; nil where there is none.
    @inlinable public static func dot(encoded bytes: UnsafeRawBufferPointer) -> Dot? {
        guard bytes.count >= 24 else { return nil }
        return Dot(
            identity: ReplicaIdentity(rawValue: bytes.loadUnaligned(as: UInt64.self)),
            stamp: Stamp(rawValue: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self)))
    }

    /// - Throws: `truncated` or `invalid` for anything but one whole delta.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(DecodeError) {
        var decoder = DotDecoder(ByteReader(bytes))
        let identity = try decoder.identity()
        let after = try decoder.stamp()
        let dot = Dot(identity: identity, stamp: try decoder.stamp())
        guard after < dot.stamp else { throw .invalid("delta ends before it begins") }
        decoder.own = dot
        for _ in 0..<(try decoder.count(bytesMin: 8)) {
            let identity = try decoder.identity()
            if let last = decoder.identities.last, identity <= last.identity {
                throw .invalid("identities are out of order")
            }
            decoder.identities.append(Dot(identity: identity, stamp: dot.stamp))
        }
        let clears = TypeMask(bits: try decoder.reader.integer())
        let clearedContext = clears.isEmpty ? VersionVector() : try decoder.vector()
        let grounds = try decoder.vector()
        let changes = try Changes(decoding: &decoder)
        try decoder.reader.end()
        // Made whole at once: a box that is filled twice leaves the first filling behind.
        self.init(dot: dot, after: after, changes: changes)
        self.clears = clears
        self.clearedContext = clearedContext
        self.grounds = grounds
        guard !isEmpty else { throw .invalid("delta does nothing") }
        guard identities == decoder.identities.map(\.identity) else {
            throw .invalid("identities are not used")
        }
    }
}
