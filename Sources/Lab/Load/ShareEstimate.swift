/// How often something happened, with the band in which the true share lies in 95 of 100 such
/// experiments.
///
/// Source: Wilson (1927), the score interval; unlike the normal one it is right near 0 and 1, where
/// stale shares live.
public struct ShareEstimate: Equatable, Sendable {
    /// How often it happened.
    public let events: Int
    /// How often it could have happened.
    public let trials: Int

    /// - Parameter events: 0…trials.
    public init(events: Int, trials: Int) {
        precondition(events >= 0 && events <= trials, "an event is one of the trials")
        self.events = events
        self.trials = trials
    }

    /// Nil without trials.
    public var share: Double? { trials == 0 ? nil : Double(events) / Double(trials) }

    /// The band's ends; everything is possible without trials.
    public var band: (low: Double, high: Double) {
        guard trials > 0 else { return (0, 1) }
        let z = 1.959964
        let n = Double(trials)
        let p = Double(events) / n
        let centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        let reach = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)).squareRoot()
        return (events == 0 ? 0 : centre - reach, events == trials ? 1 : centre + reach)
    }

    /// Share and band as a machine reads them, in shares of one.
    public var json: JSON {
        [
            "events": .integer(events), "trials": .integer(trials),
            "share": share.map { .number($0) } ?? .null,
            "low": .number(band.low), "high": .number(band.high),
        ]
    }
}
