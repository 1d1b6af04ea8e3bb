import Base
import Causality
import Coding
import Quorum
import RESP
import Ring

// Sloppy quorums: where a keyspace says `sloppy=on`, fallbacks stand in for primaries that are
// away.
//
// A primary is away when its link is down or nothing was heard over it for five heartbeats. For
// each one the next node of the preference list that is there takes the write as a hint
// (`Node+Hints`) and hands it off later (`Node+HandOff`); with fewer fallbacks than primaries away
// the last one takes the hints of the rest. Its acknowledgement counts for W and DW, never for PW.
// When no primary is there at all, whichever node was asked mints the write itself, from what its
// client has seen and what it holds hints of.
//
// A read asks fallbacks only when the primaries that are there do not make up R, and then all of
// these and as many fallbacks as are missing: what a fallback lacks hides nothing that a primary in
// reach has. What was written with a fallback's help is therefore not seen by every quorum read
// until it is handed off; nothing else is given up.
//
// Source: Dynamo (2007), §4.5 and §4.6.
extension Node {
    /// Nanoseconds of silence after which a node counts as away.
    private static let awayNanoseconds = UInt64.nanoseconds(milliseconds: 5 * heartbeatMilliseconds)

    /// Whether a node is this one, or was heard a moment ago.
    func isPresent(_ node: NodeID) -> Bool {
        guard node != configuration.node else { return true }
        guard let index = linkIndex(of: node), links[index].isUp else { return false }
        return now.monotonic - links[index].heardAt < Node.awayNanoseconds
    }

    /// How far down its range's preference list a write goes.
    func extent(of range: KeyRange, _ keyspace: Int) -> Int {
        let n = catalog.active[keyspace].n
        guard catalog.active[keyspace].settings.isSloppy else { return n }
        let away = ring.primaries(of: range, replicationFactor: n).count { !isPresent($0) }
        return extent(of: range, n, fallbacks: away)
    }

    /// How far down its range's preference list a read goes.
    mutating func extent(
        of range: KeyRange, _ keyspace: Int, of readQuorum: Int, for purpose: ReadPurpose
    ) -> Int {
        let n = catalog.active[keyspace].n
        guard catalog.active[keyspace].settings.isSloppy, !purpose.isComparison else { return n }
        let primaries = ring.primaries(of: range, replicationFactor: n)
        let missing = readQuorum - primaries.count { isPresent($0) }
        guard missing > 0 else { return n }
        // Who is up and away is asked last.
        for node in primaries where !isPresent(node) { noteSilence(of: node) }
        return extent(of: range, n, fallbacks: missing)
    }

    private func extent(of range: KeyRange, _ n: Int, fallbacks: Int) -> Int {
        var (found, length) = (0, n)
        for (place, node) in ring.preferenceList(of: range).enumerated().dropFirst(n)
        where found < fallbacks && isPresent(node) {
            (found, length) = (found + 1, place + 1)
        }
        return length
    }

    /// Nodes that a request of a keyspace could go to now, fallbacks included where they count.
    ///
    /// - Parameter primaryQuorum: how many must be primaries.
    func reachableHolders(of location: KeyLocation, _ primaryQuorum: Int) -> Int {
        let (keyspace, range) = (location.keyspace, location.address.range)
        let n = catalog.active[keyspace].n
        let reachable = reachableReplicas(of: range, n)
        guard catalog.active[keyspace].settings.isSloppy, reachable >= primaryQuorum else {
            return reachable
        }
        let list = ring.preferenceList(of: range)
        return max(reachable, min(n, list.count { isPresent($0) }))
    }

    /// Which fallback keeps hints for which primaries that are away.
    private func keepers(
        of range: KeyRange, _ n: Int, _ length: Int
    ) -> [(fallback: NodeID, targets: [NodeID])] {
        let list = ring.primaries(of: range, replicationFactor: length)
        let fallbacks = list.dropFirst(n).filter { isPresent($0) }
        guard let last = fallbacks.last else { return [] }
        let away = list.prefix(n).filter { !isPresent($0) }
        var keepers: [(fallback: NodeID, targets: [NodeID])] = []
        for (index, node) in away.enumerated() {
            let fallback = index < fallbacks.count ? fallbacks[index] : last
            let target = hintTarget(node, of: range, n, at: fallback)
            if keepers.last?.fallback == fallback {
                keepers[keepers.count - 1].targets.append(target)
            } else {
                keepers.append((fallback, [target]))
            }
        }
        return keepers
    }

    private func hintTarget(
        _ node: NodeID, of range: KeyRange, _ n: Int, at fallback: NodeID
    ) -> NodeID {
        guard configuration.plantedBug == .hintForAnyone else { return node }
        return ring.preferenceList(of: range).dropFirst(n).last { $0 != fallback } ?? node
    }

    /// Sends a write's record to every fallback that has to keep it.
    func sendHints(
        _ record: Record, _ id: OperationID, _ needsSync: Bool, _ effects: inout Effects
    ) {
        guard let write = writes[id], write.tally.replicaCount > write.primaries else { return }
        let keepers = keepers(of: write.range, write.primaries, write.tally.replicaCount)
        let isReplica = isReplica(of: write.range, write.keyspace)
        let since = isReplica ? UInt64.max : standing(of: Array(record.key)).since
        for (fallback, targets) in keepers where fallback != configuration.node {
            let frame = effects.bytes.appendMessage(
                kind: Message.hintKind, flag: needsSync ? 1 : 0, number: id.rawValue
            ) { buffer in
                buffer.append(UInt8(targets.count))
                for target in targets { buffer.append(integer: target.rawValue) }
                buffer.append(integer: since)
                buffer.append(record.bytes)
            }
            send(frame, to: fallback, &effects)
        }
    }

    /// Fallbacks that nothing was sent to.
    mutating func refuseIdleFallbacks(_ id: OperationID, _ effects: inout Effects) {
        guard let write = writes[id], write.tally.replicaCount > write.primaries else { return }
        let keepers = keepers(of: write.range, write.primaries, write.tally.replicaCount)
        let list = ring.primaries(of: write.range, replicationFactor: write.tally.replicaCount)
        for (place, node) in list.enumerated().dropFirst(write.primaries)
        where !keepers.contains(where: { $0.fallback == node }) {
            record(.refused(.unreachable), from: place, of: id, &effects)
        }
    }

    mutating func noteFallbacks(in tally: ReadTally) {
        if tally.answeredByPrimaries < tally.readQuorum { counters.degraded += 1 }
        if client.wantsReceipt {
            client.evidence.fallbacks = tally.answered - tally.answeredByPrimaries
        }
    }
}

// Writes that no primary can take.
extension Node {
    /// Whether this node mints a write although it is no replica of the key: no primary is there,
    /// and it is among those that keep hints for them.
    func standsIn(at location: KeyLocation) -> Bool {
        standIns(at: location).contains(configuration.node)
    }

    /// Who may mint a write because no primary is there; the first is asked by the others.
    func standIns(at location: KeyLocation) -> [NodeID] {
        let (range, n) = (location.address.range, catalog.active[location.keyspace].n)
        guard catalog.active[location.keyspace].settings.isSloppy else { return [] }
        let length = extent(of: range, location.keyspace)
        let list = ring.primaries(of: range, replicationFactor: length)
        guard !list.prefix(n).contains(where: { isPresent($0) }) else { return [] }
        return list.dropFirst(n).filter { isPresent($0) }
    }

    mutating func standIn(
        _ wanted: WriteIntent, at location: KeyLocation, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        let intent = wanted.executed(at: now.wallMilliseconds)
        let (keyspace, address) = (location.keyspace, location.address)
        counters.writes += 1
        guard mayWrite(intent, keyspace, address, target, &effects) else { return }
        guard !writes.isFull else { return overload(.write, keyspace, target, &effects) }
        guard let (dot, bytes) = standInRecord(intent, keyspace, target, &effects) else {
            return ledger.failed(keyspace, .write, .refused)
        }
        let n = catalog.active[keyspace].n
        let needsSync = intent.levels.durableWriteQuorum > 0
        let id = startWrite(intent, dot, location, n, target)
        bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            let record = Record(at: base)
            sendReplicas(record, id, address.range, n, needsSync, &effects)
            refuseUnreachable(id, address.range, n, &effects)
            keepOwnHints(record, id, &effects)
        }
    }

    /// The write, on top of what this node keeps for others of the key.
    private mutating func standInRecord(
        _ intent: WriteIntent, _ keyspace: Int, _ target: ReplyTarget, _ effects: inout Effects
    ) -> (Dot, [UInt8])? {
        let hinted = hintedState(Array(intent.key), keyspace, &effects)
        let minted =
            if let hinted {
                hinted.withRecord { mint(intent, keyspace, $0, target, &effects) }
            } else {
                mint(intent, keyspace, nil, target, &effects)
            }
        guard let dot = minted else { return nil }
        guard catalog.active[keyspace].settings.conflict == .siblings else {
            return (dot, plainRecord(intent, dot))
        }
        let name =
            standing(of: Array(intent.key)).chain
            ?? StandInChain(life: identity, stamp: dot.stamp.rawValue)
        let named = Dot(identity: name.identity, stamp: dot.stamp)
        var set = hinted?.withRecord { SiblingSet(valid: $0) } ?? SiblingSet()
        if configuration.plantedBug == .standInWithoutHistory { set = SiblingSet() }
        let before = set.siblings.count
        var context = intent.context ?? set.seen
        if intent.context == nil {
            context.join(seenBySession(store.address(of: intent.key).hash, target))
        }
        switch intent.change {
        case .value(let value):
            set.update(dot: named, value: Array(value), expiry: intent.expiry, context: context)
        case .delete: set.delete(dot: named, context: context)
        }
        guard keepLimits(&set, before: before, of: intent, target, &effects) else { return nil }
        merged.removeAll()
        return (named, Array(merged[set.encodeRecord(key: intent.key, into: &merged)]))
    }

    private func plainRecord(_ intent: WriteIntent, _ dot: Dot) -> [UInt8] {
        var body = UnsafeRawBufferPointer(start: nil, count: 0)
        var kind = RecordKind.tombstone
        if case .value(let value) = intent.change { (body, kind) = (value, .value) }
        let length = Record.length(keyBytes: intent.key.count, bodyBytes: body.count)
        return [UInt8](unsafeUninitializedCapacity: length) { target, count in
            guard let base = target.baseAddress else { return }
            Record.write(
                to: base, kind: kind, dot: dot, expiry: intent.expiry, key: intent.key, body: body)
            count = length
        }
    }

    /// Takes the hints that fall to this node itself. All that it keeps of the key is to have the
    /// write: what comes next is minted on top of any of it.
    private mutating func keepOwnHints(
        _ record: Record, _ id: OperationID, _ effects: inout Effects
    ) {
        guard let write = writes[id] else { return }
        let (_, since, others) = standing(of: Array(record.key))
        let chain =
            record.isSiblingSet
            ? StandInChain(named: write.dot.identity, life: identity) : nil
        let own =
            keepers(of: write.range, write.primaries, write.tally.replicaCount)
            .first { $0.fallback == configuration.node }?.targets ?? []
        let targets = own + others.filter { !own.contains($0) }
        let hinted = Message.Hinted(
            record, for: targets, since: since, chain: chain,
            write.tally.durableWriteQuorum > 0 ? .synced : .asKeyspace)
        let taken = takeHints(hinted, &effects)
        if taken.isPartial || taken.status != .acknowledged { endChain(of: Array(record.key)) }
        guard taken.status == .acknowledged else {
            return replicated(id, taken.status, from: configuration.node, &effects)
        }
        guard needsSync(hinted) else { return acknowledgeOwn(id, durable: false, &effects) }
        effects.add(.notify(id.rawValue))
    }
}

// What fallbacks say to reads.
extension Node {
    /// Whether what this node knows of a range's keys are hints.
    func keepsHints(_ range: KeyRange, _ keyspace: Int) -> Bool {
        catalog.active[keyspace].settings.isSloppy && !isReplica(of: range, keyspace)
    }

    mutating func answerFromHint(
        _ number: UInt64, _ key: UnsafeRawBufferPointer, from node: NodeID,
        _ effects: inout Effects
    ) {
        let keyspace = catalog.index(of: key)
        guard let state = hintedState(Array(key), keyspace, &effects) else {
            let emptiedAt = catalog.active[keyspace].drop.emptiedAt.rawValue
            return withUnsafeBytes(of: emptiedAt.littleEndian) {
                send(
                    to: node, kind: 4, flag: ReplicaStatus.absent.rawValue, number: number, $0,
                    &effects)
            }
        }
        state.withRecord {
            send(
                to: node, kind: 4, flag: ReplicaStatus.found.rawValue, number: number, $0.bytes,
                &effects)
        }
    }

    mutating func answerOwnHint(
        _ id: OperationID, _ rank: Int, _ read: ReadOperation, _ effects: inout Effects
    ) {
        guard let state = hintedState(read.key, read.keyspace, &effects) else {
            return record(nil, from: rank, of: id, &effects)
        }
        state.withRecord { record($0, from: rank, of: id, &effects) }
    }
}
