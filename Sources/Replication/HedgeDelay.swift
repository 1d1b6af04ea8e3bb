import Coding

/// How long a read waits for the replicas that it asked before it asks one more.
///
/// Source: Dean & Barroso, "The Tail at Scale" (2013), hedged requests.
public enum HedgeDelay: Equatable, Sendable {
    /// It does not; only a replica that has fallen silent is replaced.
    case off
    /// As long as this share of answers takes, 1…999 of a thousand.
    case percentile(perMille: UInt16)
    /// 0…600,000.
    case fixed(milliseconds: UInt32)

    static let millisecondsMax: UInt32 = 600_000

    /// 0 off, up to 999 a percentile, from 1,000 on milliseconds: ascending by what is asked less.
    var code: UInt32 {
        switch self {
        case .off: 0
        case .percentile(let perMille): UInt32(perMille)
        case .fixed(let milliseconds): 1_000 + milliseconds
        }
    }

    init(code: UInt32) throws(DecodeError) {
        switch code {
        case 0: self = .off
        case 1..<1_000: self = .percentile(perMille: UInt16(code))
        case 1_000...1_000 + HedgeDelay.millisecondsMax: self = .fixed(milliseconds: code - 1_000)
        default: throw .invalid("hedge delay is unknown")
        }
    }

    /// `off`, `p99`, `p99.9` or `20ms`.
    init?(text: String) {
        if text == "off" {
            self = .off
        } else if text.hasSuffix("ms") {
            guard let milliseconds = UInt32(text.dropLast(2)),
                milliseconds <= HedgeDelay.millisecondsMax
            else { return nil }
            self = .fixed(milliseconds: milliseconds)
        } else {
            let parts = text.dropFirst().split(
                separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
            guard text.first == "p", let whole = parts.first.flatMap({ UInt16($0) }), whole < 100,
                let tenths = parts.count == 1 ? 0 : UInt16(parts[1]), tenths < 10,
                whole + tenths > 0
            else { return nil }
            self = .percentile(perMille: whole * 10 + tenths)
        }
    }

    var text: String {
        switch self {
        case .off: "off"
        case .fixed(let milliseconds): "\(milliseconds)ms"
        case .percentile(let perMille):
            perMille % 10 == 0 ? "p\(perMille / 10)" : "p\(perMille / 10).\(perMille % 10)"
        }
    }
}
