import Causality
import Coding

/// A part of a member's score.
enum ScorePart: CountedPart {
    /// What ZADD gave; the newest is the base.
    case base(Double)
    /// What an identity's finite ZINCRBYs have added since a stamp of its own.
    case total(Sum, since: Stamp)
    /// A ZINCRBY by infinity: there or not, whatever else was added.
    case infinite(Double)

    /// A sum of doubles as Redis has it, and what its roundings have lost: so that the difference
    /// of two balances is what was added between them.
    struct Sum: Equatable, Sendable {
        var value = 0.0
        var lost = 0.0

        /// Source: Knuth, TAOCP vol. 2, §4.2.2, theorem B.
        mutating func add(_ amount: Double) {
            let sum = value + amount
            let part = sum - value
            lost += (value - (sum - part)) + (amount - part)
            value = sum == 0 ? 0 : sum
            if !lost.isFinite || lost == 0 { lost = 0 }
        }
    }

    mutating func join(_ other: ScorePart) {
        if order < other.order { self = other }
    }

    /// Decides between two payloads under one dot, which only a broken disk or node makes.
    private var order: (Int, UInt64, Double, Double) {
        switch self {
        case .base(let value): (2, 0, value, 0)
        case .infinite(let value): (1, 0, value, 0)
        case .total(let sum, let since): (0, since.rawValue, sum.value, sum.lost)
        }
    }

    var since: Stamp? {
        guard case .total(_, let since) = self else { return nil }
        return since
    }

    func beyond(_ earlier: ScorePart) -> ScorePart {
        guard case .total(let sum, let since) = self, case .total(let ended, _) = earlier else {
            return self
        }
        var rest = Sum()
        rest.add(sum.value)
        rest.add(-ended.value)
        let value = rest.value + (rest.lost + (sum.lost - ended.lost))
        return .total(Sum(value: value == 0 ? 0 : value), since: since)
    }

    func begun(by stamp: Stamp) -> ScorePart {
        guard case .total(let sum, let since) = self else { return self }
        return .total(sum, since: min(since, stamp))
    }

    func encode(into encoder: inout DotEncoder) {
        switch self {
        case .base(let value): append(0, value, &encoder)
        case .infinite(let value): encoder.buffer.append(value < 0 ? 4 : 3)
        case .total(let sum, let since):
            append(sum.lost == 0 ? 1 : 2, sum.value, &encoder)
            if sum.lost != 0 { encoder.buffer.append(integer: sum.lost.bitPattern) }
            encoder.append(since)
        }
    }

    private func append(_ kind: UInt8, _ value: Double, _ encoder: inout DotEncoder) {
        encoder.buffer.append(kind)
        encoder.buffer.append(integer: value.bitPattern)
    }

    init(decoding decoder: inout DotDecoder) throws(DecodeError) {
        let kind = try decoder.reader.integer(UInt8.self)
        switch kind {
        case 0: self = .base(try decoder.double())
        case 1, 2:
            let value = try decoder.double()
            let lost = kind == 1 ? 0 : try decoder.double()
            guard value.isFinite, lost.isFinite, kind == 1 || lost != 0 else {
                throw .invalid("a running total is finite")
            }
            self = .total(Sum(value: value, lost: lost), since: try decoder.stamp())
        case 3: self = .infinite(.infinity)
        case 4: self = .infinite(-.infinity)
        default: throw .invalid("unknown part of a score")
        }
    }
}

extension DotDecoder {
    fileprivate mutating func double() throws(DecodeError) -> Double {
        let value = Double(bitPattern: try reader.integer())
        guard !value.isNaN, value != 0 || value.sign == .plus else {
            throw .invalid("a score is a number, and not minus zero")
        }
        return value
    }
}
