import Base

/// What `INFO` counts from: `CONFIG RESETSTAT` sets it to now. The metrics count from the start.
struct InfoStatistics {
    let startedAt: Deadline
    private var base = NodeCounters()

    init(startedAt: Deadline) { self.startedAt = startedAt }

    func uptimeSeconds(_ now: Instant) -> UInt64 { (now.monotonic - startedAt) / 1_000_000_000 }

    mutating func reset(_ counters: NodeCounters) { base = counters }

    /// Redis's names for two of them, then every counter under its own.
    func fields(_ total: NodeCounters) -> [(String, String)] {
        let counted = zip(total.named, base.named).map { ($0.name, "\($0.value - $1.value)") }
        return [
            ("total_connections_received", "\(total.connections - base.connections)"),
            ("total_commands_processed", "\(total.commands - base.commands)"),
        ] + counted
    }
}
