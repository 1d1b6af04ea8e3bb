import Base

/// How long one member stays a suspect: the more nodes accuse it independently, the shorter.
///
/// With c accusations besides the first: max − (max − min) · log(c + 1) / log(K + 1).
///
/// Source: Lifeguard (2017), §IV-B.
struct Suspicion {
    private let begin: Deadline
    private let shortest: UInt64
    private let longest: UInt64
    private let confirmationsMax: Int
    private var accusers: [ReplicaIdentity] = []
    /// Somebody's time for this suspicion has run out.
    private var isConcluded = false
    /// How long this node stood still meanwhile, in nanoseconds: no time to refute in.
    private var standstill: UInt64 = 0

    /// - Parameters:
    ///   - membersCount: those in reach, the suspect and this node included.
    ///   - accuser: nil when the accusation is hearsay.
    init(
        of membersCount: Int, by accuser: ReplicaIdentity?,
        _ configuration: MembershipConfiguration, now: Deadline
    ) {
        begin = now
        let scale = max(1_000, 301 * UInt64(Suspicion.bits(membersCount)))
        shortest = .nanoseconds(
            milliseconds: configuration.suspicionFactor * configuration.probeIntervalMilliseconds
                * scale / 1_000)
        longest = shortest * configuration.suspicionStretch
        confirmationsMax = min(configuration.confirmationsMax, max(0, membersCount - 2))
        if let accuser { accusers = [accuser] }
    }

    /// When the member is declared dead.
    var deadline: Deadline {
        guard !isConcluded else { return begin + standstill + shortest }
        let saved = (longest - shortest) / 1_000 * Suspicion.shares[confirmationsMax][confirmations]
        return begin + standstill + longest - saved
    }

    var confirmations: Int { max(0, accusers.count - 1) }

    /// Counts an accusation.
    ///
    /// - Returns: whether it was a new one that still mattered.
    mutating func confirm(by accuser: ReplicaIdentity) -> Bool {
        guard confirmations < confirmationsMax, !accusers.contains(accuser) else { return false }
        accusers.append(accuser)
        return true
    }

    /// Hears that others' suspicion is over. Without an accuser that proves nothing.
    mutating func conclude() {
        if !accusers.isEmpty { isConcluded = true }
    }

    mutating func putOff(by nanoseconds: UInt64) { standstill += nanoseconds }

    /// 1,000 · log(c + 1) / log(K + 1) by K and c; with nobody to confirm, the shortest at once.
    private static let shares: [[UInt64]] = [
        [1_000], [0, 1_000], [0, 631, 1_000], [0, 500, 792, 1_000],
    ]

    private static func bits(_ count: Int) -> Int { Int.bitWidth - count.leadingZeroBitCount }
}
