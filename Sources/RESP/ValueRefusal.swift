/// Why a value, or a number for it, does not fit a typed command; Redis's words.
public enum ValueRefusal: Equatable, Sendable {
    /// The key holds another type than the command is for.
    case wrongType
    /// The same, of a bounded counter, which no command of Redis is for.
    case boundedCounter
    case noSuchKey
    case indexOutOfRange
    case notAFloat
    case hashValueNotAnInteger
    case hashValueNotAFloat
    /// A counter would leave the range of `Int64`.
    case overflow
    /// The amount of `DECRBY` has no negation.
    case decrementOverflow
    /// `INCRBYFLOAT` by, or to, what is no finite number.
    case incrementNotFinite
    /// `HINCRBYFLOAT` by, or to, what is no finite number.
    case notFinite
    case scoreNotANumber
    case outOfRange
    case countOutOfRange
    case notPositive

    var text: StaticString {
        switch self {
        case .wrongType: "WRONGTYPE Operation against a key holding the wrong kind of value"
        case .boundedCounter:
            """
            WRONGTYPE Operation against a key holding the wrong kind of value: it is a bounded \
            counter, which QBOUND GET reads
            """
        case .noSuchKey: "ERR no such key"
        case .indexOutOfRange: "ERR index out of range"
        case .notAFloat: "ERR value is not a valid float"
        case .hashValueNotAnInteger: "ERR hash value is not an integer"
        case .hashValueNotAFloat: "ERR hash value is not a float"
        case .overflow: "ERR increment or decrement would overflow"
        case .decrementOverflow: "ERR decrement would overflow"
        case .incrementNotFinite: "ERR increment would produce NaN or Infinity"
        case .notFinite: "ERR value is NaN or Infinity"
        case .scoreNotANumber: "ERR resulting score is not a number (NaN)"
        case .outOfRange: "ERR value is out of range"
        case .countOutOfRange:
            """
            ERR value is out of range, value must between -9223372036854775807 and \
            9223372036854775807
            """
        case .notPositive: "ERR value is out of range, must be positive"
        }
    }
}
