/// Whether the exchanges with one node get anywhere: the next may follow at once while they do, and
/// what the other side refuses again and again must not keep both busy.
public struct ExchangeGain: Equatable, Sendable {
    /// Whether the exchange under way asked for records, or sent some.
    public var hasAsked = false
    public var hasSent = false
    /// The sum of what the other node holds, as it said last.
    public var there: UInt64 = 0
    private var thereBefore: UInt64 = 0
    private var hereBefore: UInt64 = 0

    public init() {}

    /// An exchange begins.
    ///
    /// - Parameter here: the sum of what this node holds.
    public mutating func begin(here: UInt64) {
        (hereBefore, thereBefore) = (here, there)
        (hasAsked, hasSent) = (false, false)
    }

    /// Whether what was asked for changed something here, or what was sent something there.
    public func isGaining(here: UInt64) -> Bool {
        hasAsked && here != hereBefore || hasSent && there != thereBefore
    }
}
