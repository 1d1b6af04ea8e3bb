// What `INFO` says of latencies and of each keyspace.
extension Node {
    /// Of all keyspaces together, then of each that has had operations: how many did what was
    /// asked, and the microseconds within which half and 99 of a hundred did; then after how many a
    /// read hedges.
    var latencyFields: [(String, String)] {
        let keyspaces = keyspaceFigures
        var fields: [(String, String)] = []
        for operation in OperationClass.allCases {
            var whole = LatencyHistogram()
            for keyspace in keyspaces { whole.add(keyspace[operation].latency) }
            guard whole.count > 0 else { continue }
            fields += quantiles(whole).map { ("\(operation)_\($0.0)", "\($0.1)") }
        }
        for keyspace in keyspaces {
            let words = OperationClass.allCases.flatMap { operation in
                quantiles(keyspace[operation].latency).map { "\(operation)_\($0.0)=\($0.1)" }
            }
            guard !words.isEmpty else { continue }
            fields.append(("latency_\(keyspace.name)", words.joined(separator: ",")))
        }
        for keyspace in keyspaces {
            guard let delay = keyspace.hedgeDelay else { continue }
            fields.append(("hedge_us_\(keyspace.name)", "\(delay / 1_000)"))
        }
        return fields
    }

    private func quantiles(_ latency: LatencyHistogram) -> [(String, UInt64)] {
        guard let median = latency.quantile(perMille: 500),
            let tail = latency.quantile(perMille: 990)
        else { return [] }
        return [
            ("count", UInt64(latency.count)), ("p50_us", median / 1_000), ("p99_us", tail / 1_000),
        ]
    }

    /// How the operations of each keyspace ended.
    var outcomeFields: [(String, String)] {
        keyspaceFigures.flatMap { keyspace in
            OperationClass.allCases.filter { keyspace[$0].count > 0 }.map { operation in
                let words = OperationOutcome.allCases.map {
                    "\($0)=\(keyspace[operation].count($0))"
                }
                return ("\(operation)s_\(keyspace.name)", words.joined(separator: ","))
            }
        }
    }

    /// How stale sampled reads were, of all keyspaces together and of each with any.
    var stalenessFields: [(String, String)] {
        let keyspaces = keyspaceFigures
        var whole = StalenessFigures()
        for keyspace in keyspaces { whole.add(keyspace.staleness) }
        let fields = [
            ("reads_compared", "\(whole.compared)"),
            ("reads_stale", "\(whole.count(.stale))"),
        ]
        let sampled = keyspaces.filter { $0.staleness.compared > 0 }
        return fields + sampled.map { ("staleness_\($0.name)", words($0.staleness)) }
    }

    private func words(_ figures: StalenessFigures) -> String {
        let outcomes = StalenessFigures.Outcome.allCases.map { "\($0)=\(figures.count($0))" }
        let quantiles = [("age", figures.age), ("behind", figures.behind)].flatMap { name, times in
            [("p50", 500), ("p99", 990)].compactMap { share, perMille in
                times.quantile(perMille: perMille).map { "\(name)_\(share)_ms=\($0 / 1_000_000)" }
            }
        }
        let words = outcomes + ["stale_per_million=\(figures.stalePerMillion)"] + quantiles
        return words.joined(separator: ",")
    }

    /// What this node keeps for others: of all together, then of each with any.
    var hintFields: [(String, String)] {
        let figures = linkFigures
        let fields = [
            ("hints", "\(figures.reduce(0) { $0 + $1.hints })"),
            ("hint_bytes", "\(figures.reduce(0) { $0 + $1.hintBytes })"),
            ("hint_oldest_ms", "\(figures.map(\.oldestHintMilliseconds).max() ?? 0)"),
        ]
        return fields
            + figures.filter { $0.hints > 0 }.map { link in
                (
                    "hints_node_\(link.node.rawValue)",
                    "hints=\(link.hints),bytes=\(link.hintBytes),"
                        + "oldest_ms=\(link.oldestHintMilliseconds)"
                )
            }
    }

    /// What each keyspace holds here.
    var contentsFields: [(String, String)] {
        keyspaceFigures.map { keyspace in
            let contents = keyspace.contents
            return (
                "keyspace_\(keyspace.name)",
                "keys=\(keyspace.keys),records=\(contents.records),"
                    + "tombstones=\(contents.tombstones),siblings=\(contents.siblings),"
                    + "siblings_max=\(contents.siblingsMax),"
                    + "crowded_keys=\(keyspace.crowdedKeys),bytes=\(contents.bytes)"
            )
        }
    }
}
