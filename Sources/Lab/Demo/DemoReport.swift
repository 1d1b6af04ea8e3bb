/// What a demo measured, and what follows from it.
public struct DemoReport: Sendable {
    /// Something that was done to the cluster, and when.
    public struct Moment: Equatable, Sendable {
        /// Since the start of the load.
        public let nanoseconds: UInt64
        public let event: String
    }

    /// Whether the promises held.
    public enum Verdict: String, Sendable {
        case holds
        case violated
        /// Something could not be measured, so nobody can say.
        case unknown
    }

    /// Beyond this the generator's own lateness, not the store, makes the latencies: 99 % of
    /// operations have to be sent within it.
    static let lagMax: UInt64 = 25_000_000

    public let seconds: Int
    public let keyspaces: [KeyspaceLoad]
    public let lag: Histogram
    public let timeline: [Moment]
    /// Why parts of the run are not what they should have been.
    public let problems: [String]

    /// - Parameter problems: what went wrong with the experiment itself.
    init(
        seconds: Int, keyspaces: [KeyspaceLoad], lag: Histogram, timeline: [Moment],
        problems: [String]
    ) {
        self.seconds = seconds
        self.keyspaces = keyspaces
        self.lag = lag
        self.timeline = timeline
        let late = lag.quantile(0.99) ?? 0
        self.problems =
            problems
            + (late <= DemoReport.lagMax
                ? []
                : [
                    "the load generator itself lagged by \(late / 1_000_000) ms (p99), "
                        + "so latencies are not the store's"
                ])
    }

    /// Broken when an acknowledged write is gone from a keyspace that syncs before it acknowledges.
    public var verdict: Verdict {
        if keyspaces.contains(where: { $0.promisesDurability && $0.lost > 0 }) { return .violated }
        return problems.isEmpty ? .holds : .unknown
    }

    /// One sentence: what the run showed.
    public var finding: String {
        if let loser = keyspaces.first(where: { $0.promisesDurability && $0.lost > 0 }) {
            return "\(loser.lost) acknowledged writes of \(loser.plan.name) were lost "
                + "although it syncs before it acknowledges."
        }
        guard problems.isEmpty, let cheapest = keyspaces.first else {
            return "No verdict: " + problems.joined(separator: "; ") + "."
        }
        let promised = keyspaces.filter(\.promisesDurability).reduce(0) { $0 + $1.verified }
        let prices = keyspaces.dropFirst().map { $0.price(beside: cheapest) }
        return "One kill -9 and one cut link lost none of the \(promised) writes acknowledged "
            + "after a sync; beside \(cheapest.plan.name), " + prices.joined(separator: ", and ")
            + "."
    }

    /// All of it as a machine reads it.
    public var json: JSON {
        [
            "verdict": .text(verdict.rawValue),
            "finding": .text(finding),
            "seconds": .integer(seconds),
            "keyspaces": .list(keyspaces.map { $0.json(seconds: seconds, phases: phases) }),
            "timeline": .list(
                timeline.map {
                    ["ms": .rounded(Double($0.nanoseconds) / 1e6), "event": .text($0.event)]
                }),
            "generatorLagMs": lag.json,
            "problems": .list(problems.map(JSON.text)),
        ]
    }

    private var phases: [String] { ["healthy"] + timeline.map(\.event) }
}

extension KeyspaceLoad {
    /// True when an acknowledged write must survive a crash.
    var promisesDurability: Bool { plan.settings.durability == .fsync }

    /// What the keyspace cost and gave beside a cheaper one, in a few words.
    fileprivate func price(beside cheaper: KeyspaceLoad) -> String {
        let medians = [self, cheaper].map { keyspace in
            keyspace.reads.corrected.quantile(0.5).map(DemoReport.milliseconds) ?? "-"
        }
        return
            "\(plan.name) took stale probes from \(DemoReport.percent(cheaper.staleness.overall))"
            + " to \(DemoReport.percent(staleness.overall)) for a median read of \(medians[0])"
            + " instead of \(medians[1]) ms and \(failed) failed operations instead of"
            + " \(cheaper.failed)"
    }

    fileprivate func json(seconds: Int, phases: [String]) -> JSON {
        [
            "name": .text(plan.name),
            "settings": plan.settings.json,
            "operationsPerSecond": .rounded(Double(succeeded) / Double(seconds)),
            "reads": reads.json,
            "writes": writes.json,
            "failed": .integer(failed),
            "unknown": .integer(unknown),
            "errors": .members(errors.map { JSON.Member($0.0, .integer($0.1)) }),
            "staleReadsOfTheLoad": .integer(staleReads),
            "probes": staleness.json,
            "phases": .list(
                zip(phases, curves).map { phase, curve in
                    ["phase": .text(phase), "probes": curve.json]
                }),
            "acknowledgedKeys": .integer(ledger.promised.count),
            "verified": .integer(verified),
            "lost": .integer(lost),
            "promisesDurability": .bool(promisesDurability),
        ]
    }
}

extension KeyspaceLoad.Latencies {
    fileprivate var json: JSON { ["correctedMs": corrected.json, "serviceMs": service.json] }
}

extension Histogram {
    /// Percentiles in milliseconds.
    fileprivate var json: JSON {
        let points = [("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)]
        return .members(
            [JSON.Member("count", .integer(count))]
                + points.map { name, share in
                    JSON.Member(name, quantile(share).map { .rounded(Double($0) / 1e6) } ?? .null)
                })
    }
}
