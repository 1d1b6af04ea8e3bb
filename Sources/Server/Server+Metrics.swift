import Coding
import Reactor
import Replication
import Storage

extension Server {
    /// Which release this is.
    public static let release = Node.release
}

// What `/metrics` says. Labels take values from the configuration and the keyspaces only, so the
// number of series is bounded by them; a keyspace's operations appear with the first of them.
extension Server {
    func writeMetrics(into body: inout ByteBuffer) {
        var text = MetricsText()
        let keyspaces = node.keyspaceFigures
        writeProcess(&text)
        writeOperations(keyspaces, &text)
        writeStaleness(keyspaces, &text)
        writeContents(keyspaces, &text)
        writeLinks(&text)
        writeRefill(&text)
        writeCollection(&text)
        writeLoop(&text)
        writeJournal(&text)
        writeRecovery(&text)
        writeNodeCounters(&text)
        body.append(text.buffer.bytes)
    }

    private func writeProcess(_ text: inout MetricsText) {
        text.family("quorate_build_info", .gauge, "The release; the value says nothing.")
        text.sample(1, [("release", Server.release)])
        text.family("quorate_node_info", .gauge, "Who the node is in this life; value 1.")
        text.sample(
            1, [("node", "\(node.identity.node.rawValue)"), ("identity", "\(node.identity)")])
        text.family("process_cpu_seconds_total", .counter, "User and system processor time.")
        text.sample(nanoseconds: ProcessUsage.processorNanoseconds)
        if let bytes = ProcessUsage.residentBytes {
            text.single("process_resident_memory_bytes", .gauge, bytes, "Resident memory.")
        }
        if let count = ProcessUsage.openDescriptors {
            text.single("process_open_fds", .gauge, count, "Open file descriptors.")
        }
        text.family("process_start_time_seconds", .gauge, "Start of the node since 1970.")
        text.sample(milliseconds: Int64(startedAt))
    }

    private func writeOperations(_ keyspaces: [KeyspaceFigures], _ text: inout MetricsText) {
        text.family(
            "quorate_operation_duration_seconds", .histogram,
            "Operations that did what was asked, from the turn that read the request to the end of "
                + "the turn that wrote the reply.")
        for keyspace in keyspaces {
            for operation in OperationClass.allCases where keyspace[operation].latency.count > 0 {
                text.histogram(keyspace[operation].latency, labels(keyspace, operation))
            }
        }
        text.family(
            "quorate_operations_total", .counter,
            "Operations by outcome of their quorum; a forwarded write is a write at the node that "
                + "coordinates it too.")
        for keyspace in keyspaces {
            for operation in OperationClass.allCases where keyspace[operation].count > 0 {
                for outcome in OperationOutcome.allCases {
                    text.sample(
                        keyspace[operation].count(outcome),
                        labels(keyspace, operation) + [("outcome", "\(outcome)")])
                }
            }
        }
        text.family(
            "quorate_hedge_delay_seconds", .gauge,
            "How long a read waits before it asks one more replica; absent where it never does.")
        for keyspace in keyspaces {
            guard let delay = keyspace.hedgeDelay else { continue }
            text.sample(nanoseconds: delay, [("keyspace", keyspace.name)])
        }
        text.single(
            "quorate_operations_under_way", .gauge, node.operationsUnderWay,
            "Reads, writes and forwarded commands that have not ended.")
    }

    private func labels(
        _ keyspace: KeyspaceFigures, _ operation: OperationClass
    ) -> [MetricsText.Label] {
        [("keyspace", keyspace.name), ("operation", "\(operation)")]
    }

    private func writeStaleness(_ keyspaces: [KeyspaceFigures], _ text: inout MetricsText) {
        let sampled = keyspaces.filter { $0.staleness != StalenessFigures() }
        text.family(
            "quorate_reads_compared_total", .counter,
            "Sampled reads by what all replicas held when they were asked after the answer.")
        for keyspace in sampled {
            for outcome in StalenessFigures.Outcome.allCases {
                text.sample(
                    keyspace.staleness.count(outcome),
                    [("keyspace", keyspace.name), ("result", "\(outcome)")])
            }
        }
        text.family(
            "quorate_stale_read_age_seconds", .histogram,
            "Of stale sampled reads: how long there had been a newer write when the read began.")
        for keyspace in sampled {
            text.histogram(keyspace.staleness.age, [("keyspace", keyspace.name)])
        }
        text.family(
            "quorate_stale_read_behind_seconds", .histogram,
            "Of stale sampled reads that told a value: between its write and the newest.")
        for keyspace in sampled {
            text.histogram(keyspace.staleness.behind, [("keyspace", keyspace.name)])
        }
        text.family(
            "quorate_stale_read_newer_writes", .histogram,
            "Of stale sampled reads: newer writes that some replica held; there may be more.")
        for keyspace in sampled {
            text.histogram(
                counts: keyspace.staleness.versions, sum: keyspace.staleness.versionsSum,
                [("keyspace", keyspace.name)])
        }
    }

    private func writeContents(_ keyspaces: [KeyspaceFigures], _ text: inout MetricsText) {
        let families: [(name: String, help: String, value: (KeyspaceFigures) -> Int)] = [
            ("keys", "Live keys on this node, expired ones included.", { $0.keys }),
            ("records", "Records on this node.", { $0.contents.records }),
            ("tombstones", "Records that hold no value any more.", { $0.contents.tombstones }),
            ("siblings", "Values beyond the first of their key.", { $0.contents.siblings }),
            (
                "siblings_max", "Most values of one key, if more than one.",
                { $0.contents.siblingsMax }
            ),
            (
                "crowded_keys", "Keys with at least half as many values as they may have, and two.",
                { $0.crowdedKeys }
            ),
            ("record_bytes", "Headers, keys and values of records.", { $0.contents.bytes }),
        ]
        for family in families {
            text.family("quorate_keyspace_\(family.name)", .gauge, family.help)
            for keyspace in keyspaces {
                text.sample(family.value(keyspace), [("keyspace", keyspace.name)])
            }
        }
        text.family(
            "quorate_keyspace_conflicted", .gauge,
            "Whether several nodes gave a keyspace different settings at once.")
        let conflicted = node.conflictedKeyspaces
        for keyspace in keyspaces {
            text.sample(conflicted.contains(keyspace.name) ? 1 : 0, [("keyspace", keyspace.name)])
        }
        writeDifferences(&text)
        text.family(
            "quorate_memory_bytes", .gauge, "What the node takes in memory, by what it is for.")
        for (name, bytes) in node.memoryAccount.named { text.sample(bytes, [("part", name)]) }
        text.single(
            "quorate_memory_limit_bytes", .gauge, node.memoryBytesMax,
            "What all parts may take together before writes are refused.")
    }

    private func writeDifferences(_ text: inout MetricsText) {
        text.family(
            "quorate_keyspace_configuration_differs", .gauge,
            "Settings that this node's configuration gives a keyspace and that do not count.")
        let differences = node.configurationDifferences
        var names = configuration.node.keyspaces.map { String(decoding: $0.name, as: UTF8.self) }
        if !names.contains("default") { names.append("default") }
        for name in names {
            text.sample(differences.count { $0.keyspace == name }, [("keyspace", name)])
        }
    }

    private func writeLinks(_ text: inout MetricsText) {
        let figures = node.linkFigures
        text.family("quorate_link_up", .gauge, "Whether the link to a node is up.")
        for link in figures { text.sample(link.isUp ? 1 : 0, label(link)) }
        text.family(
            "quorate_link_silent", .gauge,
            "Whether nothing came over a link in the last 0.8 s although it is up.")
        for link in figures { text.sample(link.isUp && !link.isHeard ? 1 : 0, label(link)) }
        text.family(
            "quorate_member_alive", .gauge,
            "Whether the members believe a node to be alive or suspect: not dead, left or removed.")
        for link in figures { text.sample(link.isBelievedAlive ? 1 : 0, label(link)) }
        text.family(
            "quorate_link_clock_ahead_seconds", .gauge,
            "How far a node's wall clock is ahead of this one's.")
        for link in figures {
            guard let ahead = link.clockAheadMilliseconds else { continue }
            text.sample(milliseconds: ahead, label(link))
        }
        text.family("quorate_link_backlog_bytes", .gauge, "Messages that wait for a node.")
        for link in figures { text.sample(backlogBytes(of: link), label(link)) }
        writeHints(figures, &text)
        writeClock(&text)
    }

    private func writeClock(_ text: inout MetricsText) {
        let figures = node.clockFigures
        text.single(
            "quorate_clock_undecided", .gauge, figures.isUndecided ? 1 : 0,
            "Whether no majority agrees with this node's clock, so that nothing is written here.")
        text.family(
            "quorate_clock_wall_ahead_seconds", .gauge,
            "How far this node's wall clock is ahead of the majority's time, which it goes by.")
        text.sample(milliseconds: figures.wallAheadMilliseconds)
        text.family(
            "quorate_clock_stamps_ahead_seconds", .gauge,
            "How far stamps are ahead of the time, because a majority's clocks once were.")
        text.sample(milliseconds: Int64(clamping: figures.stampsAheadMilliseconds))
    }

    private func writeRefill(_ text: inout MetricsText) {
        let figures = node.refillFigures
        text.single(
            "quorate_refilling", .gauge, node.mayBeRefilling ? 1 : 0,
            "Whether some key ranges are not whole here, so that their reads go elsewhere.")
        text.single(
            "quorate_refill_ranges", .gauge, figures.ranges,
            "Key ranges that this node keeps, for each n, while it is being refilled.")
        text.single(
            "quorate_refill_ranges_whole", .gauge, figures.wholeRanges,
            "Of these, how many are whole.")
        text.family(
            "quorate_refill_waits", .gauge,
            "Whether a node has not said yet that it has nothing that is lacked here.")
        for link in node.linkFigures {
            text.sample(figures.waitingFor.contains(link.node) ? 1 : 0, label(link))
        }
        let members = node.memberListFigures
        text.single(
            "quorate_members_list_number", .gauge, members.number,
            "How many lists of members there were, as far as this node has heard.")
        text.single(
            "quorate_members_list_open", .gauge, members.isOpen ? 1 : 0,
            "Whether some member of the list has not handed over yet what it held by another one.")
    }

    private func writeCollection(_ text: inout MetricsText) {
        let figures = node.collectionFigures
        text.family(
            "quorate_tombstone_oldest_age_seconds", .gauge,
            "How old the oldest tombstone is that not all replicas are known to have.")
        text.sample(milliseconds: Int64(clamping: figures.oldestMilliseconds))
        text.family(
            "quorate_tombstones_wait", .gauge,
            "Whether tombstones stay here for longer than they have to, for want of a node.")
        for link in node.linkFigures {
            text.sample(figures.waitsFor.contains(link.node) ? 1 : 0, label(link))
        }
    }

    private func writeHints(_ figures: [LinkFigures], _ text: inout MetricsText) {
        text.family("quorate_hints", .gauge, "Records kept here for a node that was away.")
        for link in figures { text.sample(link.hints, label(link)) }
        text.family("quorate_hint_bytes", .gauge, "What they take in memory.")
        for link in figures { text.sample(link.hintBytes, label(link)) }
        text.family("quorate_hint_oldest_age_seconds", .gauge, "How old the oldest of them is.")
        for link in figures {
            text.sample(milliseconds: Int64(clamping: link.oldestHintMilliseconds), label(link))
        }
        text.single(
            "quorate_hint_limit_bytes", .gauge, node.hintBytesMax,
            "What hints may take before more are refused.")
    }

    private func label(_ link: LinkFigures) -> [MetricsText.Label] {
        [("node", "\(link.node.rawValue)")]
    }

    private func backlogBytes(of link: LinkFigures) -> Int {
        let index = neighbours.first { $0.node == link.node }?.link
        return index.map { links.contains($0) ? links[$0].output.count : 0 } ?? 0
    }

    private func writeLoop(_ text: inout MetricsText) {
        text.single("quorate_clients", .gauge, clients.count, "Client connections.")
        text.single(
            "quorate_sessions", .gauge, node.sessionCount,
            "Client connections that the node knows.")
        text.single(
            "quorate_held_bytes", .gauge, holds.byteCount,
            "Replies and messages that wait for a sync.")
        for (name, value, help) in counters.named {
            text.single("quorate_\(name)_total", .counter, Int(value), help)
        }
    }

    private func writeNodeCounters(_ text: inout MetricsText) {
        for (name, value) in node.counters.named {
            let words = name.split(separator: "_").joined(separator: " ")
            text.single(
                "quorate_\(name)_total", .counter, value,
                MetricsHelp.nodeCounters[name] ?? "Counted by the node: \(words).")
        }
        for (name, value, help) in node.memberCounters.named {
            text.single("quorate_membership_\(name)_total", .counter, value, help)
        }
    }
}
