import Base
import Causality
import Coding

/// Does to an encoded state what an encoded delta did elsewhere, without building either.
///
/// A recovery finds more deltas than keys: to build a state, apply one change and encode it again
/// costs many times what it takes to copy the bytes before and behind the change. What is known
/// here is what most deltas are: of an identity that the state names, without anything emptied, to
/// a string, a counter, a flag, a set, a hash, a sorted set or a list that ends as a whole, or does
/// not end, and remembers nothing that ended. For all else, and for malformed bytes, nothing is
/// done: then both are built.
///
/// The state is one that was validated; of the delta everything is checked that decoding it would
/// check.
struct StateGraft {
    /// What is more is built: identities of a state or a delta, and dots that go from one key.
    private static let identitiesMax = 16
    static let removedMax = 4

    /// The place of a key's entries in an encoded store.
    struct Cursor {
        var reader: ByteReader
        /// Keys behind this one.
        var left: Int
        var key: UnsafeRawBufferPointer?
        /// Where the key's bytes begin.
        var start = 0

        init(_ reader: ByteReader) { (self.reader, left) = (reader, 0) }

        mutating func advance() throws(DecodeError) {
            guard left > 0 else {
                key = nil
                return
            }
            left -= 1
            start = reader.offset
            let next = try reader.passBytes()
            if let key, !StateScan.precedes(key, next) { throw .invalid("keys are out of order") }
            key = next
        }

        func isAt(_ least: UnsafeRawBufferPointer) -> Bool {
            guard let key else { return false }
            return key.baseAddress == least.baseAddress
                || !StateScan.precedes(least, key) && !StateScan.precedes(key, least)
        }
    }

    /// Where a store is joined: at the state's entries, and at what the delta removed and added.
    struct Cursors {
        var held: Cursor
        var gone: Cursor
        var new: Cursor

        /// The least key at which any is.
        var next: UnsafeRawBufferPointer? {
            Cursors.earlier(Cursors.earlier(held.key, gone.key), new.key)
        }

        private static func earlier(
            _ a: UnsafeRawBufferPointer?, _ b: UnsafeRawBufferPointer?
        ) -> UnsafeRawBufferPointer? {
            guard let a else { return b }
            guard let b else { return a }
            return StateScan.precedes(b, a) ? b : a
        }
    }

    var state: ByteReader
    var delta: ByteReader
    /// Of the state: identity (8) and stamp (8) of each entry.
    let context: UnsafeRawBufferPointer
    /// Of the delta: those that it names (8 each), and which of them were used.
    let identities: UnsafeRawBufferPointer
    var used: UInt32 = 0
    let own: Dot
    /// Where the delta's identity stands in the context, from 1.
    let place: UInt8
    var isLive = false
    /// When the whole key ends: wall-clock milliseconds since 1970; 0 for never.
    var expiry: UInt64 = 0
    var removed = InlineArray<4, Dot>(
        repeating: Dot(identity: ReplicaIdentity(rawValue: 0), stamp: Stamp(rawValue: 0)))
    var removedCount = 0

    /// Appends the state that a delta makes of another.
    static func graft(
        delta: UnsafeRawBufferPointer, onto state: UnsafeRawBufferPointer,
        into buffer: inout ByteBuffer
    ) throws(DecodeError) -> CRDTState.Grafted {
        var changes = ByteReader(delta)
        let identity = ReplicaIdentity(rawValue: try changes.integer())
        let after = try changes.stamp()
        let own = Dot(identity: identity, stamp: try changes.stamp())
        let named = try changes.count(bytesMin: 8)
        guard after < own.stamp, named <= identitiesMax else { return .unknown }
        let identities = try changes.slice(named * 8)
        // No types cleared.
        guard try changes.integer() == UInt8(0) else { return .unknown }
        let grounds = try changes.slice(try changes.count(bytesMin: 16) * 16)

        var held = ByteReader(state)
        guard try held.integer(UInt8.self) == CRDTState.format else { return .unknown }
        let count = try held.count(bytesMin: 16)
        guard count <= identitiesMax else { return .unknown }
        let contextAt = held.offset
        let context = try held.slice(count * 16)
        guard let index = (0..<count).first(where: { dot(context, $0).identity == identity }) else {
            return .unknown
        }
        let known = dot(context, index).stamp
        if own.stamp <= known { return .alreadyKnown }
        guard after <= known else { return .unknown }
        var graft = StateGraft(
            state: held, delta: changes, context: context, identities: identities, own: own,
            place: UInt8(index + 1))
        guard graft.isGrounded(on: grounds) else { return .unknown }
        let start = buffer.count
        buffer.append(UnsafeRawBufferPointer(rebasing: state[..<held.offset]))
        buffer.store(own.stamp.rawValue, at: start + contextAt + index * 16 + 8)
        guard try graft.joinStores(&buffer) else { return .unknown }
        let others = (0..<count).lazy.filter { $0 != index }.map { dot(context, $0) }
        return .state(
            newest: max(own, others.max() ?? own), isLive: graft.isLive, expiry: graft.expiry)
    }

    /// Whether the state has seen what the delta rests upon.
    private func isGrounded(on grounds: UnsafeRawBufferPointer) -> Bool {
        var last: ReplicaIdentity?
        for index in 0..<grounds.count / 16 {
            let dot = StateGraft.dot(grounds, index)
            if let last, dot.identity <= last { return false }
            guard dot.stamp.rawValue > 0, isKnown(dot) else { return false }
            last = dot.identity
        }
        return true
    }

    static func dot(_ context: UnsafeRawBufferPointer, _ index: Int) -> Dot {
        Dot(
            identity: ReplicaIdentity(
                rawValue: context.loadUnaligned(fromByteOffset: index * 16, as: UInt64.self)),
            stamp: Stamp(
                rawValue: context.loadUnaligned(fromByteOffset: index * 16 + 8, as: UInt64.self)))
    }

    // MARK: Stores

    /// - Returns: false when there is anything that is not known here.
    mutating func joinStores(_ buffer: inout ByteBuffer) throws(DecodeError) -> Bool {
        let here: UInt16 = try state.varint()
        let there: UInt16 = try delta.varint()
        guard (here | there) & ~StateScan.knownStores == 0, there != 0 else { return false }
        let maskAt = buffer.count
        buffer.append(0)
        let expires = (here | there) & StateScan.lifetimesBit != 0
        if expires { buffer.append(UInt8(StateScan.lifetimesBit >> 7)) }
        var mask: UInt8 = 0
        for bit in UInt8(0)..<7 where (here | there) >> UInt16(bit) & 1 != 0 {
            let sides = (here >> UInt16(bit) & 1 != 0, there >> UInt16(bit) & 1 != 0)
            let isLeft: Bool?
            switch bit {
            case 0: isLeft = try join(Bytes.self, sides, &buffer)
            case 1: isLeft = try joinAccounts(sides, &buffer)
            case 2, 3: isLeft = try join(Presence.self, sides, &buffer)
            case 4: isLeft = try join(FieldPart.self, sides, &buffer)
            case 5: isLeft = try join(ScorePart.self, sides, &buffer)
            default: isLeft = try joinList(sides, &buffer)
            }
            guard let isLeft else { return false }
            if isLeft { mask |= 1 << bit }
        }
        if expires {
            let bit = StateScan.lifetimesBit
            guard try joinLifetimes((here & bit != 0, there & bit != 0), &buffer) else {
                return false
            }
            mask |= 128
        }
        buffer.store(mask, at: maskAt)
        return state.remaining == 0 && delta.remaining == 0
            && used == 1 << UInt32(identities.count / 8) - 1
    }

    /// - Returns: whether anything is left of the store; nil for what is not known here.
    mutating func join<Payload: ScannedPayload>(
        _ type: Payload.Type, _ sides: (here: Bool, there: Bool), _ buffer: inout ByteBuffer
    ) throws(DecodeError) -> Bool? {
        let countAt = buffer.count
        buffer.append(0)
        var cursors = Cursors(held: Cursor(state), gone: Cursor(delta), new: Cursor(delta))
        if sides.here { cursors.held.left = try cursors.held.reader.count() }
        if sides.there, try !findChanges(&cursors) { return nil }
        try cursors.held.advance()
        try cursors.gone.advance()
        try cursors.new.advance()
        var keys = 0
        while let key = cursors.next {
            guard let isLeft = try joinKey(type, key, &cursors, &buffer) else { return nil }
            if isLeft { keys += 1 }
        }
        if sides.here { state = cursors.held.reader }
        if sides.there { delta = cursors.new.reader }
        guard keys < 128 else { return nil }
        buffer.store(UInt8(keys), at: countAt)
        if keys == 0 { buffer.truncate(to: countAt) }
        isLive = isLive || keys > 0
        return keys > 0
    }

    /// - Returns: whether anything is left of the key; nil for what is not known here.
    mutating func joinKey<Payload: ScannedPayload>(
        _ type: Payload.Type, _ key: UnsafeRawBufferPointer, _ cursors: inout Cursors,
        _ buffer: inout ByteBuffer
    ) throws(DecodeError) -> Bool? {
        let isHeld = cursors.held.isAt(key)
        let isGone = cursors.gone.isAt(key)
        let isNew = cursors.new.isAt(key)
        removedCount = 0
        if isGone, try !readRemoved(&cursors.gone.reader) { return nil }
        var added: UnsafeRawBufferPointer?
        if isNew {
            added = try readAdded(type, &cursors.new.reader)
            guard added != nil else { return nil }
        }
        let keyAt = buffer.count
        var entries = 0
        if isHeld {
            guard let kept = try keep(type, of: &cursors.held, isGone, &added, &buffer) else {
                return nil
            }
            entries = kept
        } else if isNew {
            append(key: key, &buffer)
            buffer.append(0)
        }
        if let added {
            append(added, &buffer)
            entries += 1
        }
        guard entries < 128 else { return nil }
        if entries == 0 {
            buffer.truncate(to: keyAt)
        } else if isGone || isNew {
            buffer.store(UInt8(entries), at: keyAt + StateGraft.length(of: key))
        }
        if isHeld { try cursors.held.advance() }
        if isGone { try cursors.gone.advance() }
        if isNew { try cursors.new.advance() }
        return entries > 0
    }
}

extension CRDTState {
    /// What `graft` made of a state and a delta.
    public enum Grafted: Equatable, Sendable {
        /// The new state was appended: its newest dot, and when it ends as a whole, in wall-clock
        /// milliseconds since 1970, 0 for never.
        case state(newest: Dot, isLive: Bool, expiry: UInt64)
        /// The state had all of the delta.
        case alreadyKnown
        /// Both have to be built; what was appended means nothing.
        case unknown
    }

    /// Appends the state that an encoded delta makes of an encoded one, where that is known without
    /// building either.
    ///
    /// - Parameter state: valid.
    /// - Complexity: O(bytes).
    public static func graft(
        delta: UnsafeRawBufferPointer, onto state: UnsafeRawBufferPointer,
        into buffer: inout ByteBuffer
    ) -> Grafted {
        do throws(DecodeError) {
            return try StateGraft.graft(delta: delta, onto: state, into: &buffer)
        } catch { return .unknown }
    }
}
