import AntiEntropy
import Coding

/// What one node tells another of what it promised, of what was collected, and where it vouches for
/// what it holds (`Node+CatchUp`).
struct PromiseMessage {
    static let kind: UInt8 = 24

    struct Part {
        let n: Int
        var promised = RangeStamps()
        var known = RangeStamps()
        var revoked = RangeStamps()
        var whole = RangeSet()
    }

    /// The other one has not said its own.
    let asks: Bool
    /// By n, ascending.
    let parts: [Part]

    init(asks: Bool, parts: [Part]) {
        self.asks = asks
        self.parts = parts
    }

    init(_ kind: UInt8, _ flag: UInt8, _ reader: inout ByteReader) throws(DecodeError) {
        guard kind == PromiseMessage.kind else { throw .invalid("message kind is unknown") }
        guard flag < 2 else { throw .invalid("a promise has an unknown flag") }
        var parts: [Part] = []
        while reader.remaining > 0 {
            let n = try CollectionMarker.replicationFactor(&reader, after: parts.last?.n)
            var part = Part(n: n)
            part.promised = try RangeStamps(&reader)
            part.known = try RangeStamps(&reader)
            part.revoked = try RangeStamps(&reader)
            part.whole = try RangeSet(&reader)
            parts.append(part)
        }
        asks = flag == 1
        self.parts = parts
    }

    func encode(into buffer: inout ByteBuffer) {
        for part in parts {
            buffer.append(UInt8(part.n))
            part.promised.encode(into: &buffer)
            part.known.encode(into: &buffer)
            part.revoked.encode(into: &buffer)
            part.whole.encode(into: &buffer)
        }
    }
}
