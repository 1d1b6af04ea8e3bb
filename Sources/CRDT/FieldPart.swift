import Coding

/// A part of a hash field.
enum FieldPart: DotPayload {
    /// What a write put there; the newest is what the field holds.
    case value(Bytes)
    /// What an identity has added since it last saw the field overwritten or removed.
    case total(Quantity)

    mutating func join(_ other: FieldPart) {
        switch (self, other) {
        case (.value(let a), .value(let b)): self = .value(max(a, b))
        case (.total(let a), .total(let b)): self = .total(max(a, b))
        case (.total, .value): self = other
        case (.value, .total): break
        }
    }

    func encode(into encoder: inout DotEncoder) {
        switch self {
        case .value(let bytes):
            encoder.buffer.append(0)
            encoder.append(bytes)
        case .total(let quantity):
            encoder.buffer.append(1)
            quantity.encode(into: &encoder)
        }
    }

    init(decoding decoder: inout DotDecoder) throws(DecodeError) {
        switch try decoder.reader.integer(UInt8.self) {
        case 0: self = .value(try decoder.bytes())
        case 1: self = .total(try Quantity(decoding: &decoder))
        default: throw .invalid("unknown part of a field")
        }
    }

    var total: Quantity? {
        guard case .total(let quantity) = self else { return nil }
        return quantity
    }
}
