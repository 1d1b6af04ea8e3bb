import AntiEntropy
import Coding

/// A journal's payload: what was promised and collected, for some n and ranges. Later ones add to
/// earlier ones.
struct CollectionMarker {
    struct Part {
        let n: Int
        var hintedUntil: UInt64 = 0
        var promised = RangeStamps()
        var collected = RangeStamps()
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
            parts.append(part)
        }
    }

    /// An n, 2…64; of several each is larger than the one before.
    static func replicationFactor(
        _ reader: inout ByteReader, after last: Int? = nil
    ) throws(DecodeError) -> Int {
        let n = Int(try reader.integer(UInt8.self))
        guard (last ?? 1) + 1...64 ~= n else { throw .invalid("a collection has no such n") }
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
        }
    }
}
