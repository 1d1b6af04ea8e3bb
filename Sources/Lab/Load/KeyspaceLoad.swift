import Base

/// One keyspace under load: its ledger, its probes, and what was measured.
public struct KeyspaceLoad: Sendable {
    /// What the load does to a keyspace.
    public struct Plan: Sendable {
        public let name: String
        /// What it is defined with; reports repeat it.
        public let settings: KeyspaceOverrides
        /// Operations a second, half of them reads.
        public let rate: Int
        /// Probes at a time.
        public let probers: Int

        public init(name: String, settings: KeyspaceOverrides, rate: Int, probers: Int) {
            self.name = name
            self.settings = settings
            self.rate = rate
            self.probers = probers
        }
    }

    /// Latencies of one kind of operation.
    public struct Latencies: Equatable, Sendable {
        /// From the moment at which the operation should have been sent: what a user waits.
        public var corrected = Histogram()
        /// From the moment at which it was sent.
        public var service = Histogram()

        mutating func record(_ completion: LoadCompletion) {
            corrected.record(completion.at - completion.request.intended)
            service.record(completion.at - completion.request.sent)
        }
    }

    public let plan: Plan
    public internal(set) var ledger = WriteLedger()
    public internal(set) var reads = Latencies()
    public internal(set) var writes = Latencies()
    /// Operations of the load that did not succeed.
    public internal(set) var failed = 0
    /// Of these, writes that may have happened nevertheless.
    public internal(set) var unknown = 0
    /// Reads of the load that did not see a write acknowledged before they were sent.
    public internal(set) var staleReads = 0
    /// What probes saw, by phase of the run.
    public internal(set) var curves: [StalenessCurve]
    /// Keys whose last acknowledged write was not there at the end.
    public internal(set) var lost = 0
    /// Keys that were read back.
    public internal(set) var verified = 0
    /// Errors by their code, for the report.
    public internal(set) var errors = SortedMap<String, Int>()

    var random: PRNG
    var probers: [Prober]
    var issued = 0
    /// Keys that are still to be read back, the last first.
    var unverified: [Int] = []
    /// After a refused read back the next one waits until this moment.
    var verifyFrom: UInt64 = 0

    init(_ plan: Plan, phases: Int, random: inout PRNG) {
        self.plan = plan
        curves = [StalenessCurve](repeating: StalenessCurve(), count: phases)
        self.random = random.split()
        probers = []
        for _ in 0..<plan.probers { probers.append(Prober(seed: random.next())) }
    }

    /// Nanoseconds after the start at which the next operation should be sent.
    var nextOffset: UInt64 { UInt64(issued) * 1_000_000_000 / UInt64(plan.rate) }

    /// Operations of the load that succeeded.
    public var succeeded: Int { reads.service.count + writes.service.count }

    /// What probes saw in all phases.
    public var staleness: StalenessCurve {
        var sum = StalenessCurve()
        for curve in curves { sum.add(curve) }
        return sum
    }

    mutating func beginWrite() -> (key: Int, number: Int) { ledger.beginWrite(&random) }

    mutating func anyAcknowledged() -> (key: Int, number: Int)? { ledger.anyAcknowledged(&random) }

    mutating func note(_ problem: String) {
        let code = String(problem.prefix { $0 != " " && $0 != ":" })
        errors[code] = (errors[code] ?? 0) + 1
    }
}
