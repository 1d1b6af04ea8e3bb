import AntiEntropy
import Causality
import Coding

/// A journal's payload: what was promised, collected and revoked, for some n and ranges. Later ones
/// add to earlier ones.
struct CollectionMarker {
    struct Part {
        let n: Int
        var hintedUntil: UInt64 = 0
        var promised = RangeStamps()
        var collected = RangeStamps()
        var revoked = RangeStamps()
    }

    var parts: [Part] = []

    init() {}

    init(_ reader: inout ByteReader) throws(DecodeError) {
        while reader.remaining > 0 {
            let n = try CollectionMarker.replicationFactor(&reader, after: parts.last?.n)
            var part = Part(n: n)
            part.hintedUntil = try reader.integer()
            part.promised = try RangeStamps(&reader)
            part.collected = try RangeStamps(&reader)
            part.revoked = try RangeStamps(&reader)
            // Whatever is written from then on is stamped later, which must leave room for it.
            let latest = Stamp(
                rawValue: max(
                    part.promised.latest, part.collected.latest, part.revoked.latest))
            guard latest.next.isShownByClocks else {
                throw .invalid("a promise lies beyond the year 6429")
            }
            parts.append(part)
        }
    }

    /// An n, 2…64; of several each is larger than the one before.
    static func replicationFactor(
        _ reader: inout ByteReader, after last: Int? = nil
    ) throws(DecodeError) -> Int {
        let n = Int(try reader.integer(UInt8.self))
        guard n > last ?? 1, n <= 64 else { throw .invalid("a collection has no such n") }
        return n
    }

    /// Appends the journal's payload.
    func encode(into buffer: inout ByteBuffer) {
        buffer.append(JournalKind.collection.rawValue)
        for part in parts {
            buffer.append(UInt8(part.n))
            buffer.append(integer: part.hintedUntil)
            part.promised.encode(into: &buffer)
            part.collected.encode(into: &buffer)
            part.revoked.encode(into: &buffer)
        }
    }
}
