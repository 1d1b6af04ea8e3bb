/// How old the answers of one keyspace's sampled reads were, told from what all replicas held.
public struct StalenessFigures: Equatable, Sendable {
    /// What a comparison came to.
    public enum Outcome: Int, CaseIterable, Sendable {
        /// All replicas held one state.
        case agreed
        /// Replicas differed, and the client was told the newest.
        case fresh
        /// A replica held a newer write than the client was told.
        case stale
        /// Not every replica answered in time, so nothing is known.
        case incomplete
    }

    /// Versions behind from which on they are counted together.
    public static let versionsMax = 8

    private var outcomes = Array(repeating: 0, count: Outcome.allCases.count)
    /// Of stale reads: for how long there had been a newer write when the read began.
    public private(set) var age = LatencyHistogram()
    /// Of stale reads that told a value: how much later than its write the newest one was.
    public private(set) var behind = LatencyHistogram()
    /// Stale reads by how many newer writes were found, from 1 on.
    public private(set) var versions = Array(repeating: 0, count: versionsMax)
    /// All those newer writes together.
    public private(set) var versionsSum = 0

    public init() {}

    public func count(_ outcome: Outcome) -> Int { outcomes[outcome.rawValue] }

    /// Comparisons from which something is known.
    public var compared: Int { count(.agreed) + count(.fresh) + count(.stale) }

    /// Of so many comparisons, how many found a stale answer.
    public var stalePerMillion: Int {
        compared == 0 ? 0 : count(.stale) * 1_000_000 / compared
    }

    /// Takes what another keyspace's reads came to.
    public mutating func add(_ other: StalenessFigures) {
        for index in outcomes.indices { outcomes[index] += other.outcomes[index] }
        age.add(other.age)
        behind.add(other.behind)
        for index in versions.indices { versions[index] += other.versions[index] }
        versionsSum += other.versionsSum
    }

    mutating func record(_ outcome: Outcome) { outcomes[outcome.rawValue] += 1 }

    /// - Parameters:
    ///   - ageMilliseconds: of the oldest newer write.
    ///   - behindMilliseconds: between the write that was told and the newest; nil for nothing.
    ///   - newer: writes found, at least 1.
    mutating func recordStale(
        ageMilliseconds: UInt64, behindMilliseconds: UInt64?, newer: Int
    ) {
        record(.stale)
        age.record(.nanoseconds(milliseconds: ageMilliseconds))
        if let behindMilliseconds {
            behind.record(.nanoseconds(milliseconds: behindMilliseconds))
        }
        versions[min(newer, StalenessFigures.versionsMax) - 1] += 1
        versionsSum += newer
    }
}
