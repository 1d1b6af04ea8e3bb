/// How long one replica's latest answers took, in log-linear buckets: four to each doubling, from
/// 16 µs to 2 s.
///
/// Two windows of so many answers each, the full one and the one that fills up; when that is full,
/// it takes the other's place. So a percentile is of the last 1,024 to 2,048 answers, all weigh the
/// same, and none leaves a trace once it is older.
struct AnswerTimes {
    /// Answers before which nothing is known.
    static let least = 64
    private static let window = 1_024
    private static let buckets = 64

    private var full: [UInt16]
    private var filling: [UInt16]
    private var fullCount = 0
    private(set) var fillingCount = 0

    init() {
        full = Array(repeating: 0, count: AnswerTimes.buckets)
        filling = full
    }

    mutating func record(_ nanoseconds: UInt64) {
        if fillingCount == AnswerTimes.window {
            swap(&full, &filling)
            fullCount = fillingCount
            fillingCount = 0
            for bucket in filling.indices { filling[bucket] = 0 }
        }
        filling[AnswerTimes.bucket(of: nanoseconds)] += 1
        fillingCount += 1
    }

    /// Nanoseconds within which at least this share of answers came, the upper end of a bucket: at
    /// most a quarter more than the slowest of them took. Nil before `least` answers.
    ///
    /// - Parameter perMille: 1…999.
    /// - Complexity: O(buckets).
    func percentile(perMille: Int) -> UInt64? {
        let count = fullCount + fillingCount
        guard count >= AnswerTimes.least else { return nil }
        let rank = (count * perMille + 999) / 1_000
        var below = 0
        for bucket in 0..<AnswerTimes.buckets {
            below += Int(full[bucket]) + Int(filling[bucket])
            if below >= rank { return AnswerTimes.end(of: bucket) }
        }
        return nil
    }

    /// Units of 16,384 ns: the first four buckets have one each.
    private static func bucket(of nanoseconds: UInt64) -> Int {
        let units = nanoseconds >> 14
        guard units >= 4 else { return Int(units) }
        let octave = 63 - units.leadingZeroBitCount
        let quarter = Int(units >> UInt64(octave - 2) & 3)
        return min((octave - 1) * 4 + quarter, buckets - 1)
    }

    private static func end(of bucket: Int) -> UInt64 {
        guard bucket >= 4 else { return UInt64(bucket + 1) << 14 }
        return UInt64(bucket & 3 + 5) << UInt64(bucket / 4 + 13)
    }
}
