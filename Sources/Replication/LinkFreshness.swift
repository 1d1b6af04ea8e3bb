import Base
import Causality
import Ring

/// Up to when this node has everything that another one coordinated, range by range.
///
/// The other node sends each write that it coordinates to every replica at once, and says from time
/// to time: "all that I sent over this link since it came up adds up to this sum; what I coordinate
/// from now on is stamped later than this, and I say so after I read your clock at that". When what
/// was received here adds up to the same, nothing is missing of what was sent so far. What was sent
/// and did not arrive, or arrived and was refused, or arrived twice, leaves a difference for good.
///
/// The sums begin with the link. What was coordinated before, or is in the difference, is known to
/// be here only when the two nodes' trees of the range were found equal; from then on a report with
/// the same difference closes the range. So a range is closed by a report exactly if the difference
/// of the report is the one that the trees were last found equal under (`base`).
///
/// No wall clock takes part: how old a report is at most is told by this node's own monotonic
/// clock, which the other one sends back. Nothing depends on the order of messages either.
///
/// Invariant: what `closed` says of a range was true of this node's state ever since.
struct LinkFreshness {
    /// What is known here of another node's writes.
    struct Closed: Equatable {
        /// Everything is here that the other node stamped earlier than this.
        var stamp = Stamp(rawValue: 0)
        /// Everything is here that it coordinated before this node's monotonic clock showed this;
        /// 0 for nothing known.
        var at: Deadline = 0
    }

    /// The other node's last report.
    struct Report: Equatable {
        /// Of its sum and what was received here.
        var difference: UInt64
        var closed: Closed
    }

    struct Range {
        /// Under which difference the trees were last found equal on this link; nil for not yet.
        var base: UInt64?
        /// What earlier reports said.
        var earlier = Closed()
    }

    /// The sum of the numbers of all writes that were sent since the link came up.
    var sent: UInt64 = 0
    /// The sum of the numbers of all writes that were received and stored since then.
    var received: UInt64 = 0
    /// What the other node's monotonic clock showed when it last reported; sent back to it.
    var reading: UInt64 = 0
    /// When a report was last asked for.
    var askedAt: Deadline = 0
    /// The last process at the other end.
    var process = ReplicaIdentity(rawValue: 0)
    /// What its disk has of what former lives of it wrote (`OwnLives.written`).
    var written = VersionVector()
    private var report: Report?
    /// By n, then by key range; empty where nothing was compared.
    private var ranges: [[Range]] = Array(repeating: [], count: 65)

    private static let noRanges = Array(repeating: Range(), count: KeyRange.count)

    /// What is known of a range whose keys have n replicas.
    func closed(_ n: Int, _ range: KeyRange) -> Closed {
        guard !ranges[n].isEmpty else { return Closed() }
        let known = ranges[n][Int(range.rawValue)]
        guard let report, known.base == report.difference else { return known.earlier }
        return report.closed
    }

    /// The link came up: sums begin anew, and no trees were compared on it.
    ///
    /// - Parameter forgetting: what was known to be equal no longer is.
    mutating func begin(forgetting: Bool) {
        if forgetting { forgetEqual() }
        (sent, received, reading, report) = (0, 0, 0, nil)
    }

    /// What is known stays known, and nothing is added before trees are found equal again.
    mutating func forgetEqual() {
        fold()
        for n in ranges.indices {
            for index in ranges[n].indices { ranges[n][index].base = nil }
        }
    }

    /// The other node reported.
    ///
    /// - Parameter sum: of what it had sent.
    /// - Returns: whether something that it sent since the report before did not arrive, or was
    ///   refused.
    mutating func heard(_ sum: UInt64, _ closed: Closed) -> Bool {
        let difference = sum &- received
        guard let last = report, last.difference == difference else {
            defer { report = Report(difference: difference, closed: closed) }
            fold()
            return difference != report?.difference ?? 0
        }
        if last.closed.at < closed.at { report?.closed = closed }
        return false
    }

    /// The trees of a range were found equal.
    ///
    /// - Parameter sum: of what the other node had sent when it had that tree.
    mutating func foundEqual(_ n: Int, _ range: KeyRange, _ sum: UInt64) {
        if ranges[n].isEmpty { ranges[n] = LinkFreshness.noRanges }
        let known = closed(n, range)
        ranges[n][Int(range.rawValue)] = Range(base: sum &- received, earlier: known)
    }

    /// Keeps what the last report said where the next one may not be comparable.
    private mutating func fold() {
        guard let report else { return }
        for n in ranges.indices {
            for index in ranges[n].indices where ranges[n][index].base == report.difference {
                ranges[n][index].earlier = report.closed
            }
        }
    }
}
