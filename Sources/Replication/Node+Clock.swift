import Base
import Causality
import Coding

// Clocks that are wrong: what `ClusterClock` decides, and what becomes of what was stamped by one.
//
// `now` is the cluster's time in every step. Where this node's reach fell, because a majority
// proved it wrong, the node goes on under a new identity, and everything it holds that was stamped
// by the wrong clock is stamped anew, where it belongs (`ClockCorrection`): before a key is looked
// at, and all others in a pass that goes on in the steps that follow.
extension Node {
    /// Records that one step of the pass looks at.
    private static let correctedAtOnceMax = 4_096

    func isAhead(_ stamp: Stamp) -> Bool { !clock.permits(stamp) }

    /// Compares clocks with a node that says what its own read.
    mutating func heardClock(
        _ reading: ClockReading, from node: NodeID, _ effects: inout Effects
    ) {
        guard let index = linkIndex(of: node) else { return }
        clock.mayRetreat = identity.epoch < lastEpoch
        let hasRetreated = clock.receive(reading, link: index)
        now = Instant(monotonic: now.monotonic, wallMilliseconds: clock.time)
        if hasRetreated { retreat(&effects) }
        if reading.echo == 0 { sendHeartbeat(to: index, &effects) }
    }

    /// Goes on where the others are, under a name of its own: stamps may repeat now, dots must not.
    ///
    /// An epoch claimed at the start reserves the 1,023 behind it for this (see `IdentityFile`).
    private mutating func retreat(_ effects: inout Effects) {
        let limit = max(clock.correctionLimit, Stamp(rawValue: collection.latestPromise).next)
        let correction = ClockCorrection(
            retired: identity, limit: limit,
            bound: clock.reach + configuration.clockDriftMax)
        identity = ReplicaIdentity(node: identity.node, epoch: identity.epoch + 1)
        _ = clock.observe(limit)
        self.correction = correction
        equalities.forgetAll()
        counters.identitiesRenewed += 1
        effects.persist {
            $0.append(JournalKind.correction.rawValue)
            correction.encode(into: &$0)
        }
        correct(&effects)
    }

    /// Whether a stored state or a hint was stamped by a clock that was proved wrong.
    @inline(__always)
    func isDoubted(_ dot: Dot) -> Bool {
        guard let correction, !isCorrectionLate else { return false }
        return correction.concerns(dot) || isAhead(dot.stamp)
    }

    /// The pass over everything that is held goes on.
    var isCorrecting: Bool { correction != nil && !isCorrectionLate }

    private var isCorrectionLate: Bool {
        configuration.plantedBug == .restampedWins
            && clock.wallAheadMilliseconds.magnitude > configuration.clockDriftMax
    }

    /// The stored state of a key after whatever is doubted in it was stamped anew.
    @inline(__always)
    mutating func believableState(
        _ address: RecordStore.Address, _ key: UnsafeRawBufferPointer, _ keyspace: Int,
        _ effects: inout Effects
    ) -> Record? {
        guard let stored = liveState(address, key, keyspace) else { return nil }
        guard correction != nil, isDoubted(stored.dot) else { return stored }
        restampDoubted(stored, address, keyspace, &effects)
        return liveState(address, key, keyspace)
    }

    /// Stamps anew what is doubted in the states of these keys.
    mutating func restampDoubted(_ keys: [[UInt8]], _ effects: inout Effects) {
        for key in keys {
            key.withUnsafeBytes {
                _ = believableState(store.address(of: $0), $0, catalog.index(of: $0), &effects)
            }
        }
    }

    private mutating func restampDoubted(
        _ stored: Record, _ address: RecordStore.Address, _ keyspace: Int,
        _ effects: inout Effects
    ) {
        let key = Array(stored.key)
        if isTyped(keyspace) {
            let location = KeyLocation(keyspace: keyspace, address: address)
            return restampState(stored, key, location, &effects)
        }
        let range = stampAnew(stored, keyspace)
        replaceStored(merged[range], keyspace, address)
        key.withUnsafeBytes { forget($0, keyspace, &effects) }
        keepRestamped(range, keyspace, &effects)
    }

    /// Writes what is doubted in a record under new stamps.
    ///
    /// - Parameter isHint: the record is kept for another node.
    /// - Returns: where the new record stands in `merged`.
    mutating func stampAnew(
        _ stored: Record, _ keyspace: Int, inHint isHint: Bool = false
    ) -> Range<Int> {
        counters.overruledAhead += 1
        merged.removeAll()
        var names = CorrectedNames(after: correctedStamp, of: identity, inHint: isHint)
        if catalog.active[keyspace].settings.conflict == .lww, !stored.isSiblingSet {
            var bytes = Array(stored.bytes)
            let dot = names.next()
            bytes.withUnsafeMutableBytes { Record.stamp($0, dot) }
            merged.append(bytes)
            return 0..<bytes.count
        }
        var set = SiblingSet(valid: stored)
        for entry in set.context.entries where isDoubted(entry) {
            set.restamp(retired: entry.identity, after: correctionBound) { names.next() }
        }
        _ = clock.observe(names.last)
        return set.encodeRecord(key: stored.key, into: &merged)
    }

    private var correctedStamp: Stamp {
        if configuration.plantedBug == .restampedWins { return clock.latest }
        return correction?.limit ?? clock.latest
    }

    private var correctionBound: Stamp {
        Stamp(milliseconds: correction?.bound ?? clock.reach, logical: .max)
    }

    private mutating func restampState(
        _ stored: Record, _ key: [UInt8], _ location: KeyLocation, _ effects: inout Effects
    ) {
        counters.overruledAhead += 1
        var names = CorrectedNames(after: correctedStamp, of: identity, inHint: false)
        key.withUnsafeBytes { key in
            var held = restoredState(location, key)
            for entry in held.state.context.entries where isDoubted(entry) {
                held.state.restamp(retired: entry.identity, after: correctionBound) {
                    names.next()
                }
            }
            _ = clock.observe(names.last)
            putState(held, grownBy: 0, location, key)
            forget(key, location.keyspace, &effects)
            guard let stored = store.find(location.address, key) else { return }
            let durability = catalog.active[location.keyspace].settings.durability
            keep(whole(stored), durability, synced: false, token: nil, &effects)
        }
    }

    private func keepRestamped(_ range: Range<Int>, _ keyspace: Int, _ effects: inout Effects) {
        guard catalog.active[keyspace].settings.durability != .memory else { return }
        effects.append {
            $0.append(JournalKind.record.rawValue)
            $0.append(merged[range])
        }
    }
}

/// Names for what is brought to an earlier moment: the first is that moment's, each is later than
/// the one before. They need only differ within a key.
private struct CorrectedNames {
    private(set) var last: Stamp
    private let identity: ReplicaIdentity
    private let isHint: Bool
    private var count = 0

    init(after stamp: Stamp, of identity: ReplicaIdentity, inHint isHint: Bool) {
        (last, self.identity, self.isHint) = (stamp, identity, isHint)
    }

    mutating func next() -> Dot {
        if count > 0 { last = last.next }
        count += 1
        guard isHint else { return Dot(identity: identity, stamp: last) }
        let name = StandInChain(life: identity, stamp: last.rawValue).identity
        return Dot(identity: name, stamp: last)
    }
}

// The pass over everything that is held.
extension Node {
    /// Looks at what comes next.
    mutating func correct(_ effects: inout Effects) {
        guard let correction, isCorrecting else { return }
        var (doubted, seen): ([[UInt8]], Int) = ([], 0)
        var next: UInt64? = correction.cursor
        while let place = next, seen < Node.correctedAtOnceMax {
            next = store.visit(from: place) { record in
                seen += 1
                if isDoubted(record.dot) { doubted.append(Array(record.key)) }
            }
        }
        restampDoubted(doubted, &effects)
        self.correction?.cursor = next ?? 0
        guard next == nil else { return }
        _ = latestHintStamp(&effects)
        self.correction = nil
        effects.append { $0.append(JournalKind.correctionOver.rawValue) }
    }

    /// What the journal says: whatever it has said of such stamps so far is not how far this node
    /// had come.
    mutating func restoreCorrection(_ reader: inout ByteReader) throws(DecodeError) {
        let correction = try ClockCorrection(decoding: &reader)
        try reader.end()
        self.correction = correction
        clock.disown(beyond: correction.bound)
    }

    /// Takes what was stored for how far this node had come.
    func isOfWrongClock(_ dot: Dot) -> Bool { correction?.concerns(dot) ?? false }

    /// Appends what a checkpoint says, as `exportState` writes it.
    func exportCorrection(into buffer: inout ByteBuffer) {
        guard let correction else { return }
        buffer.appendSized {
            $0.append(JournalKind.correction.rawValue)
            correction.encode(into: &$0)
        }
    }
}
