import Causality
import Coding

/// A part of a hash field.
enum FieldPart: CountedPart {
    /// What a write put there; the newest is what the field holds.
    case value(Bytes)
    /// What an identity has added since a stamp of its own.
    case total(Quantity, since: Stamp)

    mutating func join(_ other: FieldPart) {
        switch (self, other) {
        case (.value(let a), .value(let b)): self = .value(max(a, b))
        case (.total(let a, let since), .total(let b, let other)):
            self = (since, a) < (other, b) ? .total(b, since: other) : self
        case (.total, .value): self = other
        case (.value, .total): break
        }
    }

    var total: Quantity? {
        guard case .total(let quantity, _) = self else { return nil }
        return quantity
    }

    var since: Stamp? {
        guard case .total(_, let since) = self else { return nil }
        return since
    }

    func beyond(_ earlier: FieldPart) -> FieldPart {
        guard case .total(let total, let since) = self, let ended = earlier.total else {
            return self
        }
        return .total(total - ended, since: since)
    }

    func begun(by stamp: Stamp) -> FieldPart {
        guard case .total(let total, let since) = self else { return self }
        return .total(total, since: min(since, stamp))
    }

    func encode(into encoder: inout DotEncoder) {
        switch self {
        case .value(let bytes):
            encoder.buffer.append(0)
            encoder.append(bytes)
        case .total(let quantity, let since):
            encoder.buffer.append(1)
            encoder.append(since)
            quantity.encode(into: &encoder)
        }
    }

    init(decoding decoder: inout DotDecoder) throws(DecodeError) {
        switch try decoder.reader.integer(UInt8.self) {
        case 0: self = .value(try decoder.bytes())
        case 1:
            let since = try decoder.stamp()
            self = .total(try Quantity(decoding: &decoder), since: since)
        default: throw .invalid("unknown part of a field")
        }
    }
}
