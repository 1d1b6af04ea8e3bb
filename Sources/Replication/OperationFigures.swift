/// What became of the operations of one kind in one keyspace since the node started.
///
/// `ok` is not stored: an operation that did what was asked is one that has a latency.
public struct OperationFigures: Equatable, Sendable {
    /// How long those took that did what was asked.
    public internal(set) var latency = LatencyHistogram()
    /// The others, by `OperationOutcome`.
    var failures = Array(repeating: 0, count: OperationOutcome.allCases.count)

    public func count(_ outcome: OperationOutcome) -> Int {
        outcome == .ok ? latency.count : failures[outcome.rawValue]
    }

    /// All that ended.
    public var count: Int { latency.count + failures.reduce(0, +) }
}

/// What kind of work an operation is.
public enum OperationClass: Int, CaseIterable, Sendable {
    /// A read that this node coordinated.
    case read
    /// A write that this node coordinated, for its own client or for another node's.
    case write
    /// A write that another node coordinated for this one's client; there it is a `write` too.
    case forward
}

/// How an operation ended, seen from its quorum.
public enum OperationOutcome: Int, CaseIterable, Sendable {
    /// As many replicas as it took answered or acknowledged.
    case ok
    /// Too few replicas could be reached or answered in time; nothing was changed.
    case unavailable
    /// Too few acknowledgements in time; the write may or may not take effect.
    case unknown
    /// Too much under way; nothing was changed.
    case overloaded
    /// For another reason that the reply tells: siblings, clocks, a full disk or memory.
    case refused
}
