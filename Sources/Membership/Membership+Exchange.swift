import Base

/// The way into a cluster: page by page from a seed.
struct Joining {
    let seeds: [NodeID]
    /// Index of the seed that is asked next.
    var next = 0
    /// Where the next page begins.
    var after: UInt16 = 0
    var retryAt: Deadline
}

// Exchange: anti-entropy of the records, a page at a time. A page that is equal costs two small
// messages; one that differs is sent whole, and what the other side lacks comes back.
extension Membership {
    mutating func passExchange(_ effects: inout [MembershipEffect]) {
        if let retryAt = joining?.retryAt, retryAt <= now { askSeed(&effects) }
        guard nextExchange <= now else { return }
        nextExchange = now + .nanoseconds(milliseconds: configuration.exchangeIntervalMilliseconds)
        guard let partner = drawPartner() else { return }
        counters.exchanges += 1
        exchangeAfter = compare(with: partner, after: exchangeAfter, &effects)
        if exchangeAfter == MemberTable.last { exchangeAfter = 0 }
    }

    /// Anybody whose life is not over: the dead may be on the other side of a network partition.
    private mutating func drawPartner() -> NodeID? {
        let begin = random.below(table.count)
        for offset in 0..<table.count {
            let record = table.members[(begin + offset) % table.count].record
            if record.node != own.node, !record.state.isFinal { return record.node }
        }
        return nil
    }

    /// - Returns: where the page ends.
    private mutating func compare(
        with node: NodeID, after: UInt16, _ effects: inout [MembershipEffect]
    ) -> UInt16 {
        let page = table.page(after: after, countMax: configuration.pageRecordsMax)
        send(
            .compare(after: after, through: page.through, digest: table.digest(page.indices)),
            to: node, &effects)
        return page.through
    }

    mutating func answerCompare(
        _ after: UInt16, _ through: UInt16, _ digest: UInt64, from node: NodeID,
        _ effects: inout [MembershipEffect]
    ) {
        let page = table.page(
            after: after, through: through, countMax: configuration.pageRecordsMax)
        guard page.through != through || table.digest(page.indices) != digest else {
            return send(.agreed(after: after, through: through), to: node, &effects)
        }
        counters.pagesDiffering += 1
        send(
            .page(after: after, through: page.through, table.records(page.indices)), to: node,
            &effects)
    }

    mutating func learnPage(
        _ after: UInt16, _ through: UInt16, _ records: [MemberRecord], from node: NodeID,
        _ effects: inout [MembershipEffect]
    ) {
        learn(records, &effects)
        guard end == nil else { return }
        let page = table.page(
            after: after, through: through, countMax: configuration.pageRecordsMax)
        var theirs = SortedMap<NodeID, MemberRecord>()
        for record in records { theirs[record.node] = record }
        let lacking = table.records(page.indices).filter { record in
            theirs[record.node].map(record.supersedes) ?? true
        }
        if !lacking.isEmpty { send(.records(lacking), to: node, &effects) }
        joinOn(after, through, with: node, &effects)
    }
}

// Joining through a seed.
extension Membership {
    mutating func join(_ seeds: [NodeID], _ effects: inout [MembershipEffect]) {
        let others = seeds.filter { $0 != own.node }
        guard !others.isEmpty else { return effects.append(.joined) }
        joining = Joining(seeds: others, retryAt: now)
        askSeed(&effects)
    }

    private mutating func askSeed(_ effects: inout [MembershipEffect]) {
        guard var joining else { return }
        let seed = joining.seeds[joining.next]
        joining.next = (joining.next + 1) % joining.seeds.count
        joining.retryAt = now + probeInterval
        self.joining = joining
        _ = compare(with: seed, after: joining.after, &effects)
    }

    /// A page has been compared: on to the next one, at once.
    mutating func joinOn(
        _ after: UInt16, _ through: UInt16, with node: NodeID,
        _ effects: inout [MembershipEffect]
    ) {
        guard var joining, joining.after == after, through > after else { return }
        guard through < MemberTable.last else {
            self.joining = nil
            return effects.append(.joined)
        }
        joining.after = through
        joining.retryAt = now + probeInterval
        self.joining = joining
        _ = compare(with: node, after: through, &effects)
    }
}
