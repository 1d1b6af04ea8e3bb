import Base
import Causality
import Coding
import Glibc

/// Reads an encoded state, or the encoded delta that begins one, without building either.
///
/// A recovery finds most keys for the first time and keeps them encoded: to build a state, join it
/// with nothing and encode it again costs many times what a look at each byte does. Everything is
/// checked that building it would check. What is known here is what most keys have: a string, a
/// counter, a flag, a set, a hash, a sorted set or a list that ends as a whole, or does not end,
/// and remembers nothing that ended. For all else, and for malformed bytes, the answer is nil: then
/// the state is built.
struct StateScan {
    /// The stores that are known here, in the mask: the lowest, and the lifetimes.
    static let knownStores: UInt16 = 127 | lifetimesBit
    static let lifetimesBit: UInt16 = 256

    var decoder: DotDecoder
    /// Of a state: identity (8) and stamp (8) of each entry of its context; of a delta nothing.
    private let context: UnsafeRawBufferPointer
    /// A delta's only dot; nil for a state.
    let own: Dot?
    /// When the whole key ends: wall-clock milliseconds since 1970; 0 for never.
    var expiry: UInt64 = 0
    /// Up to where a delta's changes have been copied.
    private var copied = 0
    private var isLive = false
    /// Of what was passed over.
    private var oldest = Stamp(rawValue: .max)

    // MARK: States

    /// - Parameter truncatedAt: nothing in the state is of this stamp or older.
    static func scan(
        state bytes: UnsafeRawBufferPointer, after truncatedAt: Stamp
    ) throws(DecodeError) -> CRDTState.Scanned? {
        var decoder = DotDecoder(ByteReader(bytes))
        guard try decoder.reader.integer(UInt8.self) == CRDTState.format else { return nil }
        let count = try decoder.count(bytesMin: 16)
        guard 1...CRDTState.identitiesMax ~= count else { return nil }
        let context = try decoder.reader.slice(count * 16)
        var scan = StateScan(decoder: decoder, context: context, own: nil)
        guard let newest = scan.newestOfContext else { return nil }
        var unused = ByteBuffer(capacity: 1)
        guard try scan.passStores(&unused), scan.oldest > truncatedAt else { return nil }
        return CRDTState.Scanned(newest: newest, expiry: scan.expiry)
    }

    /// Nil when the context is not one.
    private var newestOfContext: Dot? {
        var newest = contextDot(0)
        guard newest.stamp.rawValue > 0 else { return nil }
        var last = newest
        for index in 1..<max(1, context.count / 16) {
            let dot = contextDot(index)
            guard last.identity < dot.identity, dot.stamp.rawValue > 0 else { return nil }
            newest = max(newest, dot)
            last = dot
        }
        return newest
    }

    var wholeContext: VersionVector {
        var whole = VersionVector()
        for index in 0..<context.count / 16 { whole.insert(contextDot(index)) }
        return whole
    }

    private func contextDot(_ index: Int) -> Dot {
        Dot(
            identity: ReplicaIdentity(
                rawValue: context.loadUnaligned(fromByteOffset: index * 16, as: UInt64.self)),
            stamp: Stamp(
                rawValue: context.loadUnaligned(fromByteOffset: index * 16 + 8, as: UInt64.self)))
    }

    // MARK: Deltas

    /// Appends the state that a delta makes of nothing.
    static func transcribe(
        delta bytes: UnsafeRawBufferPointer, into buffer: inout ByteBuffer
    ) throws(DecodeError) -> CRDTState.Scanned? {
        var decoder = DotDecoder(ByteReader(bytes))
        let identity = try decoder.identity()
        let after = try decoder.stamp()
        let dot = Dot(identity: identity, stamp: try decoder.stamp())
        // No other identities, no types cleared, no grounds.
        guard after.rawValue == 0, dot.stamp.rawValue > 0, try decoder.reader.integer() == UInt8(0),
            try decoder.reader.integer() == UInt8(0), try decoder.reader.integer() == UInt8(0)
        else { return nil }
        buffer.append(CRDTState.format)
        buffer.append(1)
        buffer.append(integer: identity.rawValue)
        buffer.append(integer: dot.stamp.rawValue)
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        var scan = StateScan(decoder: decoder, context: empty, own: dot)
        scan.copied = decoder.reader.offset
        guard try scan.passStores(&buffer) else { return nil }
        scan.copy(upTo: bytes.count, &buffer)
        return CRDTState.Scanned(newest: dot, expiry: scan.expiry)
    }

    private init(decoder: DotDecoder, context: UnsafeRawBufferPointer, own: Dot?) {
        self.decoder = decoder
        self.context = context
        self.own = own
    }

    private mutating func copy(upTo end: Int, _ buffer: inout ByteBuffer) {
        buffer.append(UnsafeRawBufferPointer(rebasing: decoder.reader.bytes[copied..<end]))
        copied = end
    }

    // MARK: Stores

    /// - Returns: false when there is anything that is not known here.
    private mutating func passStores(_ buffer: inout ByteBuffer) throws(DecodeError) -> Bool {
        let mask: UInt16 = try decoder.varint()
        guard mask & ~StateScan.knownStores == 0 else { return false }
        if mask & 1 != 0, try !pass(Bytes.self, &buffer) { return false }
        if mask & 2 != 0, try !passAccounts(&buffer) { return false }
        if mask & 4 != 0, try !pass(Presence.self, &buffer) { return false }
        if mask & 8 != 0, try !pass(Presence.self, &buffer) { return false }
        if mask & 16 != 0, try !pass(FieldPart.self, &buffer) { return false }
        if mask & 32 != 0, try !pass(ScorePart.self, &buffer) { return false }
        if mask & 64 != 0, try !passList(&buffer) { return false }
        if mask & StateScan.lifetimesBit != 0, try !passLifetimes(&buffer) { return false }
        return isLive && decoder.reader.remaining == 0
    }

    private mutating func pass<Payload: ScannedPayload>(
        _ type: Payload.Type, _ buffer: inout ByteBuffer
    ) throws(DecodeError) -> Bool {
        guard try passRemoved(&buffer) else { return false }
        let count = try decoder.count()
        var last: UnsafeRawBufferPointer?
        for _ in 0..<count {
            let key = try decoder.reader.passBytes()
            if let last, !StateScan.precedes(last, key) { return false }
            last = key
            var before: Dot?
            let entries = try decoder.count()
            guard entries > 0 else { return false }
            for _ in 0..<entries {
                guard let dot = try passDot(&buffer),
                    try Payload.pass(&decoder.reader, under: dot)
                else {
                    return false
                }
                if let before, dot <= before { return false }
                before = dot
            }
        }
        isLive = isLive || count > 0
        return count > 0
    }

    /// Nothing is removed from what was not there, so of a delta none of it is copied.
    mutating func passRemoved(_ buffer: inout ByteBuffer) throws(DecodeError) -> Bool {
        guard own != nil else { return true }
        copy(upTo: decoder.reader.offset, &buffer)
        guard try decoder.count() == 0 else { return false }
        copied = decoder.reader.offset
        return true
    }

    /// Positions refer to those before them in the same way in a delta as in a state.
    private mutating func passList(_ buffer: inout ByteBuffer) throws(DecodeError) -> Bool {
        guard try passRemoved(&buffer) else { return false }
        let count = try decoder.count()
        var last: Position?
        for _ in 0..<count {
            let position = try Position(decoding: &decoder)
            if let last, position <= last { return false }
            last = position
            var before: Dot?
            let entries = try decoder.count()
            guard entries > 0 else { return false }
            for _ in 0..<entries {
                guard let dot = try passDot(&buffer) else { return false }
                if let before, dot <= before { return false }
                before = dot
                guard try passElement(&buffer) else { return false }
            }
        }
        isLive = isLive || count > 0
        return count > 0
    }

    /// A value, and the write that replaced an earlier one, if any.
    private mutating func passElement(_ buffer: inout ByteBuffer) throws(DecodeError) -> Bool {
        let head: UInt64 = try decoder.varint()
        guard head >> 1 <= CRDTState.elementBytesMax else { return false }
        _ = try decoder.reader.slice(Int(head >> 1))
        guard head & 1 != 0 else { return true }
        return try passDot(&buffer) != nil
    }

    private mutating func passAccounts(_ buffer: inout ByteBuffer) throws(DecodeError) -> Bool {
        let count = try decoder.count()
        var last: ReplicaIdentity?
        for _ in 0..<count {
            guard let dot = try passDot(&buffer) else { return false }
            if let last, dot.identity <= last { return false }
            last = dot.identity
            _ = try decoder.signed()
            let age: UInt64 = try decoder.varint()
            let reset = try decoder.signed()
            guard age <= dot.stamp.rawValue, age > 0 || own == nil,
                age < dot.stamp.rawValue || reset == 0
            else { return false }
            isLive = isLive || age > 0
        }
        return count > 0
    }

    /// A dot that the context has seen; a delta's is written out as a state's.
    mutating func passDot(_ buffer: inout ByteBuffer) throws(DecodeError) -> Dot? {
        if let own {
            copy(upTo: decoder.reader.offset, &buffer)
            guard try decoder.reader.integer() == UInt8(0) else { return nil }
            copied = decoder.reader.offset
            buffer.append(1)
            buffer.append(integer: own.stamp.rawValue)
            return own
        }
        let place: UInt64 = try decoder.varint()
        guard place > 0, place <= UInt64(context.count / 16) else { return nil }
        let seen = contextDot(Int(place - 1))
        let stamp = try decoder.stamp()
        oldest = min(oldest, stamp)
        return stamp <= seen.stamp ? Dot(identity: seen.identity, stamp: stamp) : nil
    }

    static func precedes(
        _ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer
    ) -> Bool {
        let shared = min(a.count, b.count)
        guard shared > 0, let x = a.baseAddress, let y = b.baseAddress else {
            return a.count < b.count
        }
        let order = memcmp(x, y, shared)
        return order == 0 ? a.count < b.count : order < 0
    }
}

/// A payload that can be read over.
protocol ScannedPayload {
    /// - Returns: false when the state has to be built to know what it means.
    static func pass(_ reader: inout ByteReader, under dot: Dot) throws(DecodeError) -> Bool
}

extension Presence: ScannedPayload {
    static func pass(_ reader: inout ByteReader, under dot: Dot) throws(DecodeError) -> Bool {
        true
    }
}

extension Bytes: ScannedPayload {
    static func pass(_ reader: inout ByteReader, under dot: Dot) throws(DecodeError) -> Bool {
        _ = try reader.passBytes()
        return true
    }
}

extension FieldPart: ScannedPayload {
    static func pass(_ reader: inout ByteReader, under dot: Dot) throws(DecodeError) -> Bool {
        switch try reader.integer(UInt8.self) {
        case 0:
            _ = try reader.passBytes()
            return true
        case 1:
            let since = try reader.stamp()
            _ = try reader.signed()
            return since <= dot.stamp
        default: return false
        }
    }
}

extension ScorePart: ScannedPayload {
    static func pass(_ reader: inout ByteReader, under dot: Dot) throws(DecodeError) -> Bool {
        var decoder = DotDecoder(reader)
        let part = try ScorePart(decoding: &decoder)
        reader = decoder.reader
        return part.mayStand(under: dot)
    }
}

extension CRDTState {
    /// What is known of an encoded state that is live.
    public struct Scanned: Equatable, Sendable {
        /// The newest dot of its context.
        public let newest: Dot
        /// When it ends as a whole: wall-clock milliseconds since 1970; 0 for never.
        public let expiry: UInt64
    }

    /// Reads over an encoded state that is live and ends as a whole or does not end, and all of
    /// which was written after a stamp.
    ///
    /// - Returns: nil where that is not known without building it, and for malformed bytes.
    /// - Complexity: O(bytes).
    public static func scan(
        _ bytes: UnsafeRawBufferPointer, after truncatedAt: Stamp = Stamp(rawValue: 0)
    ) -> Scanned? {
        do throws(DecodeError) {
            return try StateScan.scan(state: bytes, after: truncatedAt)
        } catch { return nil }
    }

    /// Appends the state that an encoded delta makes of nothing, where that is live and ends as a
    /// whole or does not end.
    ///
    /// - Returns: nil where that is not known without building it, and for malformed bytes; what
    ///   was appended means nothing then.
    /// - Complexity: O(bytes).
    public static func transcribe(
        _ delta: UnsafeRawBufferPointer, into buffer: inout ByteBuffer
    ) -> Scanned? {
        do throws(DecodeError) {
            return try StateScan.transcribe(delta: delta, into: &buffer)
        } catch { return nil }
    }
}
