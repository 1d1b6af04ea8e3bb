/// Counts of durations in buckets whose width grows with the value: any percentile, to within 1/128
/// of its value.
///
/// Source: Gil Tene, HdrHistogram: 128 equal buckets for each power of two.
public struct Histogram: Equatable, Sendable {
    /// Longer durations are counted as this one: 2⁴¹−1 ns, about 36 minutes.
    public static let largest: UInt64 = 1 << 41 - 1

    private var counts = [UInt32](repeating: 0, count: index(of: largest) + 1)
    /// How many durations were recorded.
    public private(set) var count = 0
    /// The longest, in nanoseconds, exactly.
    public private(set) var maximum: UInt64 = 0

    public init() {}

    /// Counts one duration in nanoseconds.
    public mutating func record(_ nanoseconds: UInt64) {
        counts[Histogram.index(of: min(nanoseconds, Histogram.largest))] += 1
        count += 1
        maximum = max(maximum, nanoseconds)
    }

    /// The duration, in nanoseconds, that so large a share of what was recorded did not exceed; nil
    /// when nothing was.
    ///
    /// - Parameter share: above 0, at most 1; 0.99 is the 99th percentile.
    /// - Complexity: O(buckets).
    public func quantile(_ share: Double) -> UInt64? {
        precondition(share > 0 && share <= 1, "a quantile is a share of what was recorded")
        guard count > 0 else { return nil }
        let rank = max(1, Int((share * Double(count)).rounded(.up)))
        var seen = 0
        for (index, bucket) in counts.enumerated() {
            seen += Int(bucket)
            if seen >= rank { return min(Histogram.highest(in: index), maximum) }
        }
        return maximum
    }

    static func index(of value: UInt64) -> Int {
        let shift = max(0, 56 - value.leadingZeroBitCount)
        return shift * 128 + Int(value >> UInt64(shift))
    }

    /// The largest value that is counted in a bucket.
    static func highest(in index: Int) -> UInt64 {
        guard index >= 256 else { return UInt64(index) }
        let shift = index / 128 - 1
        return UInt64(index - shift * 128 + 1) << UInt64(shift) - 1
    }
}
