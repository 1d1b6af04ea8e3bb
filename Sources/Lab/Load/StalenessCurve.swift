/// What probes saw: how often a read that began so long after an acknowledgement did not see the
/// acknowledged write.
///
/// Source: Bailis et al., "Probabilistically Bounded Staleness" (VLDB 2012): t-visibility and
/// k-staleness, measured.
public struct StalenessCurve: Equatable, Sendable {
    /// The moments after the acknowledgement at which probes read, in microseconds, ascending.
    public static let grid: [UInt64] = [
        0, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    ]

    private var trials = [Int](repeating: 0, count: grid.count)
    private var stale = [Int](repeating: 0, count: grid.count)
    /// The longest time after an acknowledgement at which a read was stale, in nanoseconds.
    public private(set) var lastStaleDelay: UInt64?
    /// The largest number of acknowledged writes that a read lagged behind.
    public private(set) var behindMax = 0

    public init() {}

    /// Notes one read.
    ///
    /// - Parameters:
    ///   - position: in `grid`.
    ///   - delay: nanoseconds between the acknowledgement and the moment at which the read was
    ///     really sent.
    ///   - behind: acknowledged writes that the read did not see; 0 when it was fresh.
    public mutating func record(at position: Int, delay: UInt64, behind: Int) {
        trials[position] += 1
        guard behind > 0 else { return }
        stale[position] += 1
        lastStaleDelay = max(lastStaleDelay ?? 0, delay)
        behindMax = max(behindMax, behind)
    }

    /// Adds another curve's reads.
    public mutating func add(_ other: StalenessCurve) {
        for position in trials.indices {
            trials[position] += other.trials[position]
            stale[position] += other.stale[position]
        }
        if let delay = other.lastStaleDelay { lastStaleDelay = max(lastStaleDelay ?? 0, delay) }
        behindMax = max(behindMax, other.behindMax)
    }

    /// All reads together.
    public var overall: ShareEstimate {
        ShareEstimate(events: stale.reduce(0, +), trials: trials.reduce(0, +))
    }

    /// The reads of one grid point.
    public func estimate(at position: Int) -> ShareEstimate {
        ShareEstimate(events: stale[position], trials: trials[position])
    }

    /// The earliest grid point, in microseconds, from which on so large a share of the reads was
    /// fresh; nil when not even the last one has it, or nothing was read.
    public func freshFrom(_ share: Double) -> UInt64? {
        guard overall.trials > 0 else { return nil }
        for position in trials.indices {
            let reads = trials[position...].reduce(0, +)
            let fresh = reads - stale[position...].reduce(0, +)
            if reads > 0, Double(fresh) >= share * Double(reads) {
                return StalenessCurve.grid[position]
            }
        }
        return nil
    }

    /// The curve as a machine reads it; times in milliseconds.
    public var json: JSON {
        [
            "stale": overall.json,
            "t999Ms": freshFrom(0.999).map { .rounded(Double($0) / 1000) } ?? .null,
            "lastStaleMs": lastStaleDelay.map { .rounded(Double($0) / 1e6) } ?? .null,
            "k": .integer(behindMax),
            "curve": .list(
                trials.indices.map { position in
                    [
                        "tMs": .rounded(Double(StalenessCurve.grid[position]) / 1000),
                        "stale": estimate(at: position).json,
                    ]
                }),
        ]
    }
}
