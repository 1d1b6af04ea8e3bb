import Causality
import Coding

/// What stands at a place of a list. The entry's dot is that of the insertion: whoever has removed
/// the element has removed it, with whatever value it was given meanwhile.
struct ListElement: DotPayload {
    private(set) var value: Bytes
    /// The latest write that replaced the value; nil for none.
    private(set) var rewritten: Dot?

    init(_ value: Bytes, rewritten: Dot? = nil) {
        self.value = value
        self.rewritten = rewritten
    }

    /// The newest value counts.
    mutating func join(_ other: ListElement) {
        switch (rewritten, other.rewritten) {
        case (let mine?, let theirs?) where mine != theirs: if mine < theirs { self = other }
        case (nil, _?): self = other
        case (_?, nil): break
        default: value = max(value, other.value)
        }
    }

    func allDots(_ isKnown: (Dot) -> Bool) -> Bool { rewritten.map(isKnown) ?? true }

    mutating func rename(_ name: (Dot) -> Dot) { rewritten = rewritten.map(name) }

    func encode(into encoder: inout DotEncoder) {
        encoder.append(varint: UInt64(value.count) << 1 | (rewritten == nil ? 0 : 1))
        encoder.buffer.append(value.array)
        if let rewritten { encoder.append(rewritten) }
    }

    init(decoding decoder: inout DotDecoder) throws(DecodeError) {
        let head: UInt64 = try decoder.varint()
        guard head >> 1 <= CRDTState.elementBytesMax else {
            throw .invalid("element is too large")
        }
        value = Bytes(Array(try decoder.reader.slice(Int(head >> 1))))
        rewritten = head & 1 == 0 ? nil : try decoder.dot()
    }
}
