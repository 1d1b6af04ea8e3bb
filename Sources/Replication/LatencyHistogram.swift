/// How long things took, counted in fixed exponential buckets: what a Prometheus histogram is made
/// of, in integers.
///
/// The buckets double from 50 µs to 13 s, so a quantile is known to within a factor of two before
/// it is interpolated, and the histograms of several keyspaces or nodes may be added up.
public struct LatencyHistogram: Equatable, Sendable {
    /// Inclusive upper ends in nanoseconds; one more bucket takes what is longer.
    public static let bounds: [UInt64] = (0..<19).map { 50_000 << $0 }

    /// By bucket, each without those below it; one more than `bounds`.
    public private(set) var counts = Array(repeating: 0, count: bounds.count + 1)
    /// How many were recorded.
    public private(set) var count = 0
    /// Nanoseconds of all together.
    public private(set) var nanoseconds: UInt64 = 0

    public init() {}

    /// - Complexity: O(buckets).
    public mutating func record(_ nanoseconds: UInt64, times: Int = 1) {
        let bucket = LatencyHistogram.bounds.firstIndex { nanoseconds <= $0 }
        counts[bucket ?? LatencyHistogram.bounds.count] += times
        count += times
        self.nanoseconds &+= nanoseconds &* UInt64(times)
    }

    /// Takes what another histogram counted in.
    public mutating func add(_ other: LatencyHistogram) {
        for bucket in counts.indices { counts[bucket] += other.counts[bucket] }
        count += other.count
        nanoseconds &+= other.nanoseconds
    }

    /// Nanoseconds within which this share ended, interpolated in its bucket; the last bound stands
    /// for everything beyond it. Nil when nothing was recorded.
    ///
    /// - Parameter perMille: 1…1,000.
    public func quantile(perMille: Int) -> UInt64? {
        guard count > 0 else { return nil }
        let rank = max(1, (count * perMille + 999) / 1_000)
        var below = 0
        for (bucket, bound) in LatencyHistogram.bounds.enumerated() {
            guard below + counts[bucket] >= rank else {
                below += counts[bucket]
                continue
            }
            let start = bucket == 0 ? 0 : LatencyHistogram.bounds[bucket - 1]
            return start + (bound - start) * UInt64(rank - below) / UInt64(counts[bucket])
        }
        return LatencyHistogram.bounds.last
    }
}
