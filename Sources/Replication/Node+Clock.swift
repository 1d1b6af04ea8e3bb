import Base
import Causality
import Coding
import Storage

// Clocks that are wrong: what `ClusterClock` decides, and what becomes of what was stamped by one.
//
// `now` is the cluster's time in every step. Where this node's reach fell, because a majority
// proved it wrong, the node goes on under a new identity, and everything it holds that was stamped
// by the wrong clock is stamped anew, where it belongs (`ClockCorrection`): before a key is looked
// at, and all others by and by (`StampAudit`).
extension Node {
    func isAhead(_ stamp: Stamp) -> Bool { !clock.permits(stamp) }

    /// Learns a dot that a client has seen.
    mutating func follow(_ dot: Dot) -> Bool {
        dot.identity.node == configuration.node
            ? clock.follow(dot.stamp) : clock.observe(dot.stamp)
    }

    /// Compares clocks with a node that says what its own read.
    mutating func heardClock(
        _ reading: ClockReading, from node: NodeID, _ effects: inout Effects
    ) {
        guard let index = linkIndex(of: node) else { return }
        // What the last life has left of its correction has a place of its own.
        clock.retreat =
            identity.epoch >= lastEpoch ? .impossible : correction == nil ? .possible : .later
        let hasRetreated = clock.receive(reading, link: index)
        now = Instant(monotonic: now.monotonic, wallMilliseconds: clock.time)
        if hasRetreated { retreat(&effects) }
        if reading.timing.echo == 0 { sendHeartbeat(to: index, &effects) }
    }

    /// The last epoch that this life may take: one that is claimed at the start reserves those
    /// behind it (see `IdentityFile`).
    private var lastEpoch: UInt64 { firstIdentity.epoch + IdentityFile.epochsPerStart - 1 }

    /// Goes on where the others are, under a name of its own: stamps may repeat now, dots must not.
    private mutating func retreat(_ effects: inout Effects) {
        let bound = clock.reach + configuration.clockDriftMax
        collection.withdraw(beyond: Stamp(milliseconds: bound, logical: .max).rawValue)
        let limit = max(clock.correctionLimit, Stamp(rawValue: collection.latestPromise).next)
        let correction = ClockCorrection(retired: identity, limit: limit, bound: bound)
        // This process has all that it wrote under that name.
        ownLives.noteWritten(Dot(identity: identity, stamp: Stamp(rawValue: .max)))
        identity = correction.successor
        _ = clock.follow(limit)
        self.correction = correction
        equalities.forgetAll()
        background.reshaping.bringBack(to: limit)
        refill.bringBack(to: limit)
        for index in sessions.indices where sessions[index].isOpen {
            sessions[index].history.correct(correction)
        }
        counters.identitiesRenewed += 1
        effects.persist {
            $0.append(JournalKind.correction.rawValue)
            correction.encode(into: &$0)
        }
        tendCorrection(&effects)
        tellAllPromises(&effects)
        catchUp(&effects)
        // What the others write from now on is to be later than what was brought back.
        for index in links.indices where links[index].isUp { sendHeartbeat(to: index, &effects) }
    }

    /// What is left to be corrected is looked for, unless it is already.
    mutating func tendCorrection(_ effects: inout Effects) {
        guard correction != nil, !isCorrectionLate, background.audit.isIdle else { return }
        background.audit.begin()
        holdings.forgetLatest()
        for index in hints.indices { hints[index].forgetLatest() }
        workInBackground(&effects)
    }

    /// All that was to be corrected is.
    mutating func endCorrection(_ effects: inout Effects) {
        correction = nil
        effects.append { $0.append(JournalKind.correctionOver.rawValue) }
    }

    /// Whether a stored state or a hint was stamped by a clock that was proved wrong.
    @inline(__always)
    func isDoubted(_ dot: Dot) -> Bool {
        guard let correction, !isCorrectionLate else { return false }
        return correction.concerns(dot) || isAhead(dot.stamp)
    }

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
        if isTyped(keyspace) {
            let location = KeyLocation(keyspace: keyspace, address: address)
            return restampState(stored, location, &effects)
        }
        let range = stampAnew(stored, keyspace)
        replaceStored(merged[range], keyspace, address)
        if let base = merged[range].baseAddress {
            keepCorrected(Record(at: base), keyspace, &effects)
        }
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
        var names = CorrectedNames(after: correctedStamp, of: correctedIdentity, inHint: isHint)
        defer { _ = clock.follow(names.last) }
        let isOrdered = catalog.active[keyspace].settings.conflict == .lww
        if isOrdered, !stored.isSiblingSet, !stored.isLayered {
            var bytes = Array(stored.bytes)
            let dot = names.next(after: Stamp(rawValue: 0))
            bytes.withUnsafeMutableBytes { Record.stamp($0, dot) }
            merged.append(bytes)
            return 0..<bytes.count
        }
        var set = SiblingSet(valid: stored)
        if isOrdered {
            set.keepNewest()
            set.restampNewest(where: { isDoubted($0) }, mint: { names.next(after: $0) })
            return set.encodeRecord(key: stored.key, into: &merged)
        }
        let retired = set.seen.entries.filter { isDoubted($0) }.map(\.identity)
        set.restamp(retired: retired, after: correctionBound) { names.next(after: $0) }
        return set.encodeRecord(key: stored.key, into: &merged)
    }

    private var correctedStamp: Stamp {
        if configuration.plantedBug == .restampedWins { return clock.latest }
        return correction?.limit ?? clock.latest
    }

    /// The same in the next life, should the crash of this one undo it: one value is never two.
    private var correctedIdentity: ReplicaIdentity { correction?.successor ?? identity }

    private var correctionBound: Stamp {
        Stamp(milliseconds: correction?.bound ?? clock.reach, logical: .max)
    }

    private mutating func restampState(
        _ stored: Record, _ location: KeyLocation, _ effects: inout Effects
    ) {
        counters.overruledAhead += 1
        let key = Array(stored.key)
        var names = CorrectedNames(after: correctedStamp, of: correctedIdentity, inHint: false)
        key.withUnsafeBytes { key in
            var held = takeState(stored)
            let retired = held.state.context.entries.filter { isDoubted($0) }.map(\.identity)
            held.state.restamp(retired: retired, after: correctionBound) { names.next(after: $0) }
            _ = clock.follow(names.last)
            // Its names may be of an identity that it did not name before.
            putState(held, .unknown, location, key)
            guard let stored = store.find(location.address, key) else { return }
            keepCorrected(whole(stored), location.keyspace, &effects)
        }
    }

    private func keepCorrected(_ record: Record, _ keyspace: Int, _ effects: inout Effects) {
        guard catalog.active[keyspace].durability != .memory else { return }
        effects.append {
            $0.append(JournalKind.corrected.rawValue)
            $0.append(record.bytes)
        }
    }
}

/// Names for what is brought to an earlier moment: the first is that moment's, each is later than
/// the one before, and than what of the key stays as it is. They need only differ within a key.
private struct CorrectedNames {
    private(set) var last: Stamp
    private let identity: ReplicaIdentity
    private let isHint: Bool
    private var count = 0

    init(after stamp: Stamp, of identity: ReplicaIdentity, inHint isHint: Bool) {
        (last, self.identity, self.isHint) = (stamp, identity, isHint)
    }

    mutating func next(after stamp: Stamp) -> Dot {
        last = max(count > 0 ? last.next : last, stamp.next)
        count += 1
        guard isHint else { return Dot(identity: identity, stamp: last) }
        let name = StandInChain(life: identity, stamp: last.rawValue).identity
        return Dot(identity: name, stamp: last)
    }
}

// The journal.
extension Node {
    /// What the journal says of a key after it was corrected, in place of what it has said so far.
    mutating func restoreCorrected(_ payload: UnsafeRawBufferPointer) throws(DecodeError) {
        let record = try Node.validRecord(payload)
        removeStored(record.key)
        restore(record)
    }

    /// What the journal says: whatever it has said of such stamps so far is not how far this node
    /// had come.
    mutating func restoreCorrection(_ payload: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(payload)
        let correction = try ClockCorrection(decoding: &reader)
        try reader.end()
        self.correction = correction
        collection.withdraw(beyond: correctionBound.rawValue)
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

extension ClusterClock {
    init(_ configuration: NodeConfiguration, now: Instant) {
        let nodes = configuration.members.map(\.member.node)
        self.init(
            nodes: nodes.count, own: nodes.firstIndex(of: configuration.node) ?? 0, now: now,
            forwardDriftMax: configuration.clockDriftMax)
    }
}
