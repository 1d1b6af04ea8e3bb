import Base
import Causality
import Coding

// Lifetimes: a key has few, so they are built.
extension StateGraft {
    /// Joins the lifetimes, the last of the stores.
    ///
    /// - Returns: false for what is not known here: when the key ends in parts, or nothing is left
    ///   of the store.
    mutating func joinLifetimes(
        _ sides: (here: Bool, there: Bool), _ buffer: inout ByteBuffer
    ) throws(DecodeError) -> Bool {
        removedCount = 0
        var added: DotEntry<Lifetime>?
        if sides.there, try !readLifetimeChanges(&added) { return false }
        var seen = VersionVector()
        for index in 0..<context.count / 16 { seen.insert(StateGraft.dot(context, index)) }
        seen.insert(own)
        guard var entries = try sides.here ? keptLifetimes(seen) : [] else { return false }
        if let added {
            entries.insert(added, at: entries.firstIndex { own < $0.dot } ?? entries.count)
        }
        guard !entries.isEmpty else { return false }
        var encoder = DotEncoder(
            buffer: ByteBuffer(capacity: 256), identities: seen.entries, own: nil)
        encoder.append(count: 1)
        encoder.append(Bytes.unit)
        encoder.append(count: entries.count)
        for entry in entries {
            encoder.append(entry.dot)
            entry.payload.encode(into: &encoder)
        }
        buffer.append(encoder.buffer.bytes)
        // What nothing is left of does not end.
        guard isLive else { return true }
        guard let time = Lifetimes(entries).commonTime(seen) else { return false }
        expiry = time
        return true
    }

    /// Reads the state's lifetimes.
    ///
    /// - Parameter seen: of the new state, which names the same identities.
    /// - Returns: those that the delta has not removed; nil for what is not known here.
    private mutating func keptLifetimes(
        _ seen: VersionVector
    ) throws(DecodeError) -> [DotEntry<Lifetime>]? {
        var held = DotDecoder(state)
        held.identities = seen.entries
        guard try held.count() == 1, try held.reader.passBytes().isEmpty else { return nil }
        var entries: [DotEntry<Lifetime>] = []
        for _ in 0..<(try held.count()) {
            let dot = try held.dot()
            let entry = DotEntry(dot: dot, payload: try Lifetime(decoding: &held))
            if !isRemoved(dot) { entries.append(entry) }
        }
        state = held.reader
        return entries
    }

    /// - Parameter added: what the delta gives, if anything.
    /// - Returns: false for what is not known here.
    private mutating func readLifetimeChanges(
        _ added: inout DotEntry<Lifetime>?
    ) throws(DecodeError) -> Bool {
        var reader = delta
        let removals = try reader.count()
        guard removals <= 1 else { return false }
        if removals == 1 {
            guard try reader.passBytes().isEmpty, try readRemoved(&reader) else { return false }
        }
        let additions = try reader.count()
        guard additions <= 1, removals + additions > 0 else { return false }
        delta = reader
        guard additions == 1 else { return true }
        guard try reader.passBytes().isEmpty, try reader.integer() == UInt8(1),
            try reader.integer() == UInt8(0)
        else { return false }
        var decoder = DotDecoder(reader)
        decoder.own = own
        for index in 0..<identities.count / 8 {
            let identity = identities.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
            decoder.identities.append(
                Dot(identity: ReplicaIdentity(rawValue: identity), stamp: own.stamp))
        }
        let lifetime = try Lifetime(decoding: &decoder)
        delta = decoder.reader
        guard lifetime.allDots({ isNamed($0, among: decoder.identities) }) else { return false }
        added = DotEntry(dot: own, payload: lifetime)
        return true
    }

    /// Notes that a delta names the identity of a dot.
    ///
    /// - Returns: whether the state has seen the dot.
    private mutating func isNamed(_ dot: Dot, among named: [Dot]) -> Bool {
        if dot == own { return true }
        guard let index = named.firstIndex(where: { $0.identity == dot.identity }) else {
            return false
        }
        used |= 1 << UInt32(index)
        return isKnown(dot)
    }
}
