import Base
import Causality
import Coding

// Clocks that are wrong: this node's own, and what it wrote by it.
//
// A stamp further ahead of a clock than the bound was written by a wrong clock, or is read by one.
// Which of the two? One node alone cannot tell, and to guess is to lose a write: a node whose clock
// went back an hour would take everything it holds for the future's and put its own late stamps in
// their place. So a stored state is only doubted while the clock of another node agrees with this
// one's; until then the key takes no writes here. What is doubted was refused by every other node.
// It is not thrown away either, because this node has acknowledged earlier writes that the state
// covers: it is stamped anew, at the moment from which the clocks agree, later than all that it
// covers and earlier than what comes next.
extension Node {
    /// Notices that the wall clock went back, before anything else happens in a step.
    @inline(__always)
    mutating func keepTime() {
        if isAhead(clock.last) { renewIdentity() }
    }

    /// Goes on from where the wall clock stands, under a name of its own: stamps may repeat now,
    /// dots must not.
    ///
    /// An epoch claimed at the start reserves the 1,023 behind it for this (see `IdentityFile`). A
    /// machine that needs more has no clock; the process ends and its next start claims anew.
    mutating func renewIdentity() {
        precondition(
            counters.identitiesRenewed < 1_023, "the wall clock went back a thousand times")
        identity = ReplicaIdentity(node: identity.node, epoch: identity.epoch + 1)
        clock.restart(wallMilliseconds: now.wallMilliseconds)
        _ = clock.observe(newestTaken, wallMilliseconds: now.wallMilliseconds)
        rightSince = links.count == 1 ? clock.last : nil
        equalities.forgetAll()
        counters.identitiesRenewed += 1
    }

    func isAhead(_ stamp: Stamp) -> Bool {
        stamp.milliseconds > now.wallMilliseconds + configuration.clockDriftMax
    }

    /// Whether a stamp is ahead of this node's clock although another node's agrees with it. Twice
    /// the bound, because the two may differ by the bound.
    func isDoubted(_ stamp: Stamp) -> Bool {
        rightSince != nil
            && stamp.milliseconds > now.wallMilliseconds + 2 * configuration.clockDriftMax
    }

    /// Whether this node's clock and that of a linked node differ by less than the bound now.
    var agreesWithAnother: Bool {
        let bound = Int64(configuration.clockDriftMax)
        let own = Int64(now.wallMilliseconds) - Int64(now.monotonic / 1_000_000)
        return links.contains { link in
            guard link.isUp, let base = link.wallBase else { return false }
            return abs(base - own) <= bound
        }
    }

    /// What another node's wall clock shows now, as far as it was heard since it was linked.
    func clockReading(of index: Int) -> Stamp? {
        links[index].wallBase.map { base in
            Stamp(milliseconds: UInt64(max(0, base + Int64(now.monotonic / 1_000_000))))
        }
    }

    /// Whether no linked node's clock is anywhere near this node's. What is stamped now all others
    /// would refuse, and once the clock is right again nobody could tell where it belongs; so this
    /// node stamps nothing. Twice the bound, because a node's word may be ahead of its clock by it.
    var isContradicted: Bool {
        let bound = 2 * Int64(configuration.clockDriftMax)
        let own = Int64(now.wallMilliseconds) - Int64(now.monotonic / 1_000_000)
        var isHeard = false
        for link in links where link.isUp {
            guard let base = link.wallBase else { continue }
            if abs(base - own) <= bound { return false }
            isHeard = true
        }
        return isHeard
    }

    /// Compares clocks with a node that says what its own reads.
    mutating func noteClock(_ stamp: Stamp, of node: NodeID) {
        guard let index = linkIndex(of: node) else { return }
        let elapsed = Int64(now.monotonic / 1_000_000)
        links[index].wallBase = Int64(stamp.milliseconds) - elapsed
        let agrees = agreesWithAnother
        guard agrees != (rightSince != nil) else { return }
        for taken in [Stamp(milliseconds: now.wallMilliseconds), stamp, newestTaken] {
            _ = clock.observe(taken, wallMilliseconds: now.wallMilliseconds)
        }
        rightSince = agrees ? clock.last : nil
    }

    /// The stored state of a key after whatever is doubted in it was stamped anew.
    @inline(__always)
    mutating func believableState(
        _ address: RecordStore.Address, _ key: UnsafeRawBufferPointer, _ keyspace: Int,
        _ effects: inout Effects
    ) -> Record? {
        guard let stored = liveState(address, key, keyspace) else { return nil }
        guard isDoubted(stored.dot.stamp), let rightSince else { return stored }
        restampDoubted(stored, at: rightSince, address, keyspace, &effects)
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
        _ stored: Record, at rightSince: Stamp, _ address: RecordStore.Address, _ keyspace: Int,
        _ effects: inout Effects
    ) {
        let key = Array(stored.key)
        if isTyped(keyspace) {
            let location = KeyLocation(keyspace: keyspace, address: address)
            return restampState(stored, key, at: rightSince, location, &effects)
        }
        let range = stampAnew(stored, at: rightSince, keyspace)
        replaceStored(merged[range], keyspace, address)
        key.withUnsafeBytes { forget($0, keyspace, &effects) }
        keepRestamped(range, keyspace, &effects)
    }

    /// Writes what is doubted in a record under new stamps.
    ///
    /// - Parameter isHint: the record is kept for another node.
    /// - Returns: where the new record stands in `merged`.
    mutating func stampAnew(
        _ stored: Record, at rightSince: Stamp, _ keyspace: Int, inHint isHint: Bool = false
    ) -> Range<Int> {
        counters.overruledAhead += 1
        merged.removeAll()
        let rightSince = max(rightSince, Stamp(rawValue: collection.latestPromise).next)
        let isOrdered = catalog.active[keyspace].settings.conflict == .lww
        if isOrdered, !stored.isSiblingSet, !stored.isLayered {
            var bytes = Array(stored.bytes)
            bytes.withUnsafeMutableBytes {
                Record.stamp($0, Dot(identity: identity, stamp: rightSince))
            }
            merged.append(bytes)
            return 0..<bytes.count
        }
        var set = SiblingSet(valid: stored)
        for entry in set.seen.entries
        where entry.identity.node == identity.node && isAhead(entry.stamp) {
            set.restamp(retired: entry.identity, after: rightSince) {
                nextDot(inHint: isHint)
            }
        }
        if isOrdered { set.keepNewest() }
        return set.encodeRecord(key: stored.key, into: &merged)
    }

    private mutating func nextDot(inHint isHint: Bool) -> Dot {
        let stamp = tick()
        let name =
            isHint
            ? StandInChain(life: identity, stamp: stamp.rawValue).identity : identity
        return Dot(identity: name, stamp: stamp)
    }

    private mutating func restampState(
        _ stored: Record, _ key: [UInt8], at limit: Stamp, _ location: KeyLocation,
        _ effects: inout Effects
    ) {
        let limit = max(limit, Stamp(rawValue: collection.latestPromise).next)
        let held = restampedState(stored, after: limit)
        key.withUnsafeBytes { key in
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
