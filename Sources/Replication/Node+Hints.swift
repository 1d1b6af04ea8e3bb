import Base
import Causality
import Coding
import Ring

// Hints: records that this node keeps for replicas that are away.
//
// A hint is addressed to a node by its number, which is what the ring gives key ranges to; it goes
// to whatever process speaks for that number when it is back, also from another address or with an
// empty disk, and to nobody else (`Node+HandOff`). It is no state of this node: readers see it only
// where a fallback is asked, and neither hash trees nor `SCAN` or `DBSIZE` know of it. It keeps its
// stamps. As with records, newer states of a key are merged into the hint that is there.
//
// Hints are as durable as their keyspace. They are limited by bytes, beyond which the write has to
// do without this fallback, and by age (`hintMillisecondsMax`): a hint that is too old is neither
// told nor handed off. It is thrown away only by a time that a majority has confirmed, so that a
// clock that is wrong costs nothing.
extension Node {
    /// Whether a hint may no longer be used.
    func isPast(_ hint: Hint) -> Bool { isPast(hint.since) }

    private func isPast(_ since: UInt64) -> Bool {
        now.wallMilliseconds > since
            && now.wallMilliseconds - since > configuration.hintMillisecondsMax
    }

    /// Whether a hint still means something: its keyspace was not emptied meanwhile.
    private func counts(_ hint: Hint) -> Bool {
        hint.withRecord { counts($0) }
    }

    private var hintBytes: Int { hints.reduce(0) { $0 + $1.byteCount } }

    /// Another node coordinates a write and asks this one to keep it for a third.
    mutating func hint(
        _ number: UInt64, _ hinted: Message.Hinted, from node: NodeID, _ effects: inout Effects
    ) {
        guard !isUnheard(catalog.index(of: hinted.record.key), by: node) else {
            return acknowledge(number, refuseDropped(), nil, to: node, &effects)
        }
        let taken = takeHints(hinted, &effects)
        switch taken.status {
        case .acknowledged:
            let status = needsSync(hinted) ? ReplicaStatus.durable : .acknowledged
            acknowledge(number, status, nil, to: node, &effects)
        case .superseded: acknowledge(number, .superseded, taken.stamp, to: node, &effects)
        default: acknowledge(number, taken.status, nil, to: node, &effects)
        }
    }

    /// Keeps a record for nodes that are away: for as many of them as there is room for, because
    /// what is kept for one reaches the others through it.
    mutating func takeHints(
        _ hinted: Message.Hinted, _ effects: inout Effects
    ) -> TakenHints {
        let key = hinted.record.key
        let durability = catalog.active[catalog.index(of: key)].durability
        var taken = TakenHints()
        for target in hinted.targets {
            let status = takeHint(hinted, for: target, &effects)
            let isTaken = status == .acknowledged || status == .superseded
            let stamp =
                isTaken
                ? keepHint(key, for: target, durability, synced: needsSync(hinted), &effects) : nil
            taken.note(status, stamp)
        }
        return taken
    }

    func needsSync(_ hinted: Message.Hinted) -> Bool {
        let keyspace = catalog.index(of: hinted.record.key)
        return catalog.active[keyspace].durability == .fsync
            || hinted.durability == .synced
    }

    /// Merges a record into the hint of its key for a node.
    private mutating func takeHint(
        _ hinted: Message.Hinted, for target: NodeID, _ effects: inout Effects
    ) -> ReplicaStatus {
        let record = hinted.record
        let keyspace = catalog.index(of: record.key)
        let active = catalog.active[keyspace]
        let range = store.address(of: record.key).range
        guard let index = linkIndex(of: target), target != configuration.node,
            !isReplica(of: range, keyspace), owns(target, range, keyspace)
        else {
            counters.hintsRefused += 1
            return .noReplica
        }
        let since = min(hinted.since, record.dot.stamp.milliseconds, now.wallMilliseconds)
        if let refusal = refusal(ofHint: record, since: since, keyspace, effects) {
            return refusal
        }
        guard record.written.stamp > active.drop.emptiedAt else { return .acknowledged }
        guard !active.drop.isDiscarding, !record.isMergeable else { return refuseDropped() }
        if let number = hints[index].number(of: Array(record.key)) {
            let former = believeHint(number, index, &effects)
            if let hint = hints[index][former], isPast(hint) {
                guard clock.isConfirmed else { return .overloaded }
                counters.hintsDropped += 1
                removeHint(former, index, &effects)
            }
        }
        let hint = Hint(record: Array(record.bytes), since: since, chain: hinted.chain)
        let status = putHint(hint, index, active.settings.conflict)
        if status == .acknowledged { counters.hintsTaken += 1 }
        return status
    }

    private mutating func refusal(
        ofHint record: Record, since: UInt64, _ keyspace: Int, _ effects: borrowing Effects
    ) -> ReplicaStatus? {
        if isFencedForReplicas(record.key) { return .overloaded }
        if disk.isLimited {
            let use = record.isTombstone ? DiskUse.deletion : .write
            let refusal = diskRefusal(keyspace, use, bytes: effects.bytes.count + record.length)
            if let refusal { return refusal }
        }
        guard clock.observe(record.dot.stamp) else {
            counters.refusedAhead += 1
            return .clockAhead
        }
        let byteCount = hintBytes + record.length + HintQueue.overheadBytes
        guard record.length <= configuration.recordBytesMax, !isPast(since),
            byteCount <= configuration.hintBytesMax
        else {
            counters.hintsRefused += 1
            return .overloaded
        }
        return nil
    }

    /// Whether the ring gives a range to a node.
    func owns(_ node: NodeID, _ range: KeyRange, _ keyspace: Int) -> Bool {
        if configuration.plantedBug == .hintForAnyone { return true }
        return ring.position(of: node, in: range).map { $0 < catalog.active[keyspace].n } ?? false
    }

    mutating func putHint(
        _ hint: Hint, _ index: Int, _ policy: ConflictPolicy
    ) -> ReplicaStatus {
        let (key, stamp) = hint.withRecord { (Array($0.key), $0.dot.stamp) }
        guard let number = hints[index].number(of: key), let former = hints[index][number] else {
            hints[index].put(hint, key: key)
            return .acknowledged
        }
        let stored = former.withRecord { $0.dot.stamp }
        if isAhead(stored) && !isAhead(stamp) { return .clockAhead }
        let isOvertaken =
            policy == .lww
            && hint.withRecord { new in former.withRecord { new.written < $0.written } }
        let chain = hint.chain ?? former.chain
        merged.removeAll()
        let merge = former.withRecord { stored in
            hint.withRecord {
                RecordMerge.merge(stored: stored, incoming: $0, policy: policy, into: &merged)
            }
        }
        switch merge.outcome {
        case .keepStored: return isOvertaken ? .superseded : .acknowledged
        case .takeIncoming:
            hints[index].put(
                Hint(record: hint.record, since: hint.since, chain: chain), key: key)
        case .merged(let range):
            guard range.count <= configuration.recordBytesMax else { return .tooManySiblings }
            let since = min(hint.since, former.since)
            hints[index].put(
                Hint(record: Array(merged[range]), since: since, chain: chain), key: key)
        case .refused: return .tooManySiblings
        }
        return .acknowledged
    }

    /// Of what this node holds for others of a key: under which name it may mint on top of it, and
    /// from when its age counts.
    func standing(of key: [UInt8]) -> (chain: StandInChain?, since: UInt64, targets: [NodeID]) {
        var standing: (chain: StandInChain?, since: UInt64, targets: [NodeID]) =
            (nil, now.wallMilliseconds, [])
        for index in hints.indices {
            guard let number = hints[index].number(of: key), let hint = hints[index][number],
                counts(hint), !isPast(hint)
            else { continue }
            standing.since = min(standing.since, hint.since)
            standing.targets.append(links[index].node)
            if let chain = hint.chain, chain.life == identity { standing.chain = chain }
        }
        return standing
    }

    /// Hands the hint of a key to the journal as its keyspace demands.
    ///
    /// - Returns: the hint's stamp; nil when there is none.
    @discardableResult
    mutating func keepHint(
        _ key: UnsafeRawBufferPointer, for target: NodeID, _ durability: Durability, synced: Bool,
        _ effects: inout Effects
    ) -> Stamp? {
        guard let index = linkIndex(of: target),
            let number = hints[index].number(of: Array(key)), let hint = hints[index][number]
        else { return nil }
        let stamp = hint.withRecord { $0.dot.stamp }
        guard durability != .memory else { return stamp }
        let start = effects.bytes.count
        Node.encode(hint, for: target, into: &effects.bytes)
        let range = start..<effects.bytes.count
        if durability == .fsync || synced {
            effects.add(.persist(range))
        } else {
            effects.add(.append(range))
            if case .interval(let milliseconds) = durability { effects.syncWithin(milliseconds) }
        }
        return stamp
    }

    static func encode(_ hint: Hint, for target: NodeID, into buffer: inout ByteBuffer) {
        buffer.append(JournalKind.hint.rawValue)
        buffer.append(integer: target.rawValue)
        buffer.append(integer: hint.since)
        buffer.append(hint.record)
    }

    /// Forgets a hint; the journal learns of it with whatever is synced next.
    mutating func removeHint(_ number: UInt64, _ index: Int, _ effects: inout Effects) {
        guard let hint = hints[index][number] else { return }
        hint.withRecord { record in
            hints[index].remove(number, key: Array(record.key))
            guard isKeptOnDisk(record) else { return }
            effects.append {
                $0.append(JournalKind.hintOver.rawValue)
                $0.append(integer: links[index].node.rawValue)
                $0.append(record.key)
            }
        }
    }
}

// What hints hold.
extension Node {
    /// What hints for any node say of a key; nil for nothing.
    mutating func hintedState(
        _ key: [UInt8], _ keyspace: Int, _ effects: inout Effects
    ) -> Hint? {
        var state: Hint?
        for index in hints.indices {
            guard let number = hints[index].number(of: key) else { continue }
            let current = believeHint(number, index, &effects)
            guard let hint = hints[index][current], counts(hint), !isPast(hint) else { continue }
            state = state.map { joined($0, hint, keyspace) } ?? hint
        }
        return state
    }

    private mutating func joined(_ a: Hint, _ b: Hint, _ keyspace: Int) -> Hint {
        let policy = catalog.active[keyspace].settings.conflict
        merged.removeAll()
        let merge = a.withRecord { stored in
            b.withRecord {
                RecordMerge.merge(stored: stored, incoming: $0, policy: policy, into: &merged)
            }
        }
        switch merge.outcome {
        case .keepStored, .refused: return a
        case .takeIncoming: return b
        case .merged(let range):
            return Hint(record: Array(merged[range]), since: min(a.since, b.since))
        }
    }

    /// Stamps a hint anew when its stamp is doubted, as a stored state would be.
    ///
    /// - Returns: the number that the hint has now.
    mutating func believeHint(
        _ number: UInt64, _ index: Int, _ effects: inout Effects
    ) -> UInt64 {
        guard correction != nil, let hint = hints[index][number] else { return number }
        return hint.withRecord { record in
            guard isDoubted(record.dot) else { return number }
            let keyspace = catalog.index(of: record.key)
            let key = Array(record.key)
            let range = stampAnew(record, keyspace, inHint: true)
            let since = min(hint.since, now.wallMilliseconds)
            let believed = Hint(record: Array(merged[range]), since: since)
            removeHint(number, index, &effects)
            hints[index].put(believed, key: key)
            key.withUnsafeBytes {
                _ = keepHint(
                    $0, for: links[index].node, catalog.active[keyspace].durability,
                    synced: false, &effects)
            }
            return hints[index].number(of: key) ?? number
        }
    }

    /// Notes the latest stamps of hints for a node, and brings what is doubted back to the present.
    ///
    /// - Returns: where to go on, or nil when all have been visited.
    mutating func auditHints(
        _ index: Int, from number: UInt64, _ budget: inout WorkBudget, _ effects: inout Effects
    ) -> UInt64? {
        var from = number
        while let (number, hint) = hints[index].first(from: from) {
            guard !budget.isSpent else { return number }
            budget.look(records: 1)
            from = number + 1
            if believeHint(number, index, &effects) == number { hints[index].noteLatest(hint) }
        }
        return nil
    }

    /// Counts the hints for a node of keys under a name that still count.
    ///
    /// - Returns: how many were found, and where to go on, nil when all have been visited.
    func hintsHeld(
        under name: [UInt8], _ index: Int, from number: UInt64, _ budget: inout WorkBudget
    ) -> (held: UInt64, next: UInt64?) {
        var (held, from) = (UInt64(0), number)
        while let (number, hint) = hints[index].first(from: from) {
            guard !budget.isSpent else { return (held, number) }
            budget.look(records: 1)
            from = number + 1
            if hint.withRecord({ counts($0) && isUnder(name, $0.key) }) { held += 1 }
        }
        return (held, nil)
    }

    /// What is minted next of a key stands for itself: of what was minted before something may be
    /// missing here.
    mutating func endChain(of key: [UInt8]) {
        for index in hints.indices {
            if let number = hints[index].number(of: key) { hints[index].endChain(number) }
        }
    }

    /// How old the oldest hint for a node is; 0 without any.
    func oldestHintMilliseconds(_ index: Int) -> UInt64 {
        guard let (_, oldest) = hints[index].first(from: 0) else { return 0 }
        return now.wallMilliseconds - min(oldest.since, now.wallMilliseconds)
    }

    /// Hints that one heartbeat looks at.
    private static let lookedAtMax = 1_024

    /// Gives up the oldest hints for a node as far as they are too old or mean nothing any more.
    mutating func dropHints(_ index: Int, _ effects: inout Effects) {
        for _ in 0..<Node.lookedAtMax {
            guard let (number, hint) = hints[index].first(from: 0),
                isPast(hint) && clock.isConfirmed || !counts(hint)
            else { return }
            counters.hintsDropped += 1
            removeHint(number, index, &effects)
        }
    }
}
