/// Which of the four guarantees a session asks for.
///
/// Source: Terry et al. (1994), §3.
public struct SessionGuarantees: OptionSet, Sendable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// A read reflects the session's own acknowledged writes.
    public static let readYourWrites = SessionGuarantees(rawValue: 1)
    /// A read reflects what earlier reads of the session did.
    public static let monotonicReads = SessionGuarantees(rawValue: 2)
    /// A write is ordered after the session's earlier writes.
    public static let monotonicWrites = SessionGuarantees(rawValue: 4)
    /// A write is ordered after what the session has read.
    public static let writesFollowReads = SessionGuarantees(rawValue: 8)
    public static let all: SessionGuarantees = [
        .readYourWrites, .monotonicReads, .monotonicWrites, .writesFollowReads,
    ]
}
