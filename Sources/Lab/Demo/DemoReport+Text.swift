extension DemoReport {
    /// The report for people, at most 40 lines of at most 120 characters.
    public var lines: [String] {
        var lines = timeline.map { moment in
            "\(DemoReport.decimals(Double(moment.nanoseconds) / 1e9, 1)) s  \(moment.event)"
        }
        lines += [""] + table.lines
        lines += [
            "",
            "Latencies in ms: p50 / p99 / p99.9 from when it was due; [p99 from when it was sent].",
            "t: ms after an acknowledgement from which 99.9 % of probes were fresh.",
            "k: most versions that a probe was behind.",
            "Load generator lag: p99 \(lag.quantile(0.99).map(DemoReport.milliseconds) ?? "-") ms.",
        ]
        lines += problems.map { "Problem: \($0)." }
        return lines + ["", finding, "Verdict: \(verdict.rawValue)."]
    }

    private var table: TextTable {
        var table = TextTable([
            "keyspace", "ops/s", "read", "write", "stale", "t", "k", "failed (unknown)", "lost",
        ])
        for keyspace in keyspaces {
            let curve = keyspace.staleness
            table.add([
                keyspace.title,
                String(keyspace.succeeded / seconds),
                DemoReport.latencies(keyspace.reads),
                DemoReport.latencies(keyspace.writes),
                DemoReport.percent(curve.overall),
                curve.freshFrom(0.999).map { DemoReport.decimals(Double($0) / 1000, 1) } ?? ">500",
                String(curve.behindMax),
                "\(keyspace.failed) (\(keyspace.unknown))",
                "\(keyspace.lost) of \(keyspace.verified)",
            ])
        }
        return table
    }

    private static func latencies(_ latencies: KeyspaceLoad.Latencies) -> String {
        let points = [0.5, 0.99, 0.999].map {
            latencies.corrected.quantile($0).map(milliseconds) ?? "-"
        }
        let service = latencies.service.quantile(0.99).map(milliseconds) ?? "-"
        return points.joined(separator: " / ") + " [\(service)]"
    }

    /// Nanoseconds as milliseconds with two decimals.
    static func milliseconds(_ nanoseconds: UInt64) -> String {
        decimals(Double(nanoseconds) / 1e6, nanoseconds < 100_000_000 ? 2 : 0)
    }

    /// A share in percent, with enough decimals for a small one.
    static func percent(_ estimate: ShareEstimate) -> String {
        guard let share = estimate.share else { return "-" }
        return decimals(share * 100, share == 0 ? 0 : share < 0.01 ? 3 : 1) + " %"
    }

    /// A number with so many decimals.
    static func decimals(_ value: Double, _ places: Int) -> String {
        var scale = 1.0
        for _ in 0..<places { scale *= 10 }
        let scaled = Int((value * scale).rounded())
        guard places > 0 else { return String(scaled) }
        let digits = String(scaled.magnitude)
        let padded = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
        return (scaled < 0 ? "-" : "") + padded.dropLast(places) + "." + padded.suffix(places)
    }
}

extension KeyspaceLoad {
    /// The name with what it was defined with.
    fileprivate var title: String {
        let settings = plan.settings
        let read = settings.readQuorum.map { "r=\($0)" }
        let write = settings.writeQuorum.map { "w=\($0)" }
        return [plan.name, read, write, settings.durability?.description].compactMap(\.self)
            .joined(separator: " ")
    }
}
