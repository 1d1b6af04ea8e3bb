import AntiEntropy
import Coding

/// What one node tells another of what it promised and of what was collected.
struct PromiseMessage {
    static let kind: UInt8 = 24

    struct Part {
        let n: Int
        let promised: RangeStamps
        let known: RangeStamps
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
            let promised = try RangeStamps(&reader)
            parts.append(Part(n: n, promised: promised, known: try RangeStamps(&reader)))
        }
        asks = flag == 1
        self.parts = parts
    }

    func encode(into buffer: inout ByteBuffer) {
        for part in parts {
            buffer.append(UInt8(part.n))
            part.promised.encode(into: &buffer)
            part.known.encode(into: &buffer)
        }
    }
}
