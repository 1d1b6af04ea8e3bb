import Base

/// When reads of one keyspace hedge, and how often they still may.
///
/// The delay is the smallest of the replicas' own percentiles, not the percentile of all answers
/// together: with one replica of two slow, half of all answers are, and no read would hedge before
/// it had waited as long as the slow one takes. What one more replica takes is what waiting has to
/// be worth.
struct KeyspaceHedging {
    /// While nothing is known.
    private static let firstDelay = UInt64.nanoseconds(milliseconds: 20)
    /// Below it the turns of two loops are most of an answer's time; above it a replica that has
    /// said nothing is replaced anyway.
    private static let delays =
        UInt64.nanoseconds(milliseconds: 1)...UInt64.nanoseconds(milliseconds: 250)
    /// How many answers of a replica lie between two looks at its percentile.
    private static let stride = 64

    var budget = HedgeBudget()
    /// By link.
    private(set) var times: [AnswerTimes]
    /// What was last looked up, while it holds.
    private var latest: (perMille: UInt16, delay: UInt64)?

    init(links: Int) { times = Array(repeating: AnswerTimes(), count: links) }

    /// A replica that was asked with a read's beginning has answered, before or after others did in
    /// its place.
    mutating func record(_ nanoseconds: UInt64, link: Int) {
        times[link].record(nanoseconds)
        if times[link].fillingCount % KeyspaceHedging.stride == 0 { latest = nil }
    }

    /// What was known of a node is not of its next life.
    mutating func forget(link: Int) {
        times[link] = AnswerTimes()
        latest = nil
    }

    /// Nanoseconds.
    mutating func delay(percentile perMille: UInt16) -> UInt64 {
        if let latest, latest.perMille == perMille { return latest.delay }
        let delay = smallest(perMille)
        latest = (perMille, delay)
        return delay
    }

    /// The same, looked up anew.
    func smallest(_ perMille: UInt16) -> UInt64 {
        let known = times.compactMap { $0.percentile(perMille: Int(perMille)) }.min()
        guard let known else { return KeyspaceHedging.firstDelay }
        let bounds = KeyspaceHedging.delays
        return min(max(known, bounds.lowerBound), bounds.upperBound)
    }
}

/// Bounds what hedging adds to the load: a share of the reads that asked replicas, and a burst.
///
/// Without it a replica's stall makes every read a read of two, which is when the others have the
/// least to spare. A burst is what is under way when a replica stalls: reads that begin later ask
/// who is not silent.
///
/// Invariant: `0 ≤ tokens ≤ burst · 1,000`, so hedges ≤ burst + share · reads.
struct HedgeBudget {
    /// Extra requests for a thousand reads.
    static let sharePerMille = 50
    /// Extra requests that may have been saved up.
    static let burst = 50

    /// Thousandths of a request.
    private var tokens = burst * 1_000

    /// A read asks replicas.
    mutating func earn() {
        tokens = min(tokens + HedgeBudget.sharePerMille, HedgeBudget.burst * 1_000)
    }

    /// - Returns: whether one more request may be sent.
    mutating func spend() -> Bool {
        guard tokens >= 1_000 else { return false }
        tokens -= 1_000
        return true
    }
}
