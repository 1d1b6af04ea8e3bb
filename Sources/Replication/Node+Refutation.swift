import AntiEntropy
import Base
import CRDT
import Causality
import Coding
import Ring

// What one that vouches for a range says of a replica that is behind there, and what becomes of
// what that one has.
//
// The one that vouches holds everything that was written up to the limit and not removed. So what
// the other one has of up to there, and it has not, was removed: the record, or of a record with
// parts (siblings, a mergeable state) those values and elements. What was written later stays, also
// in a record of which the rest is refuted: writes go on while a node is behind, and may have begun
// before it heard that it was. What a record has seen stays as well, since it has.
//
// That holds of what is here now, whatever was here when the other one was asked: nothing as old as
// the limit comes here any more that it has not.
extension Node {
    /// What became of the records of one answer.
    struct Taken {
        var news = 0
        var isRefused = false
        /// Of the records.
        var hashes: [UInt64] = []
    }

    /// Takes the records of an answer, each in place of what it refutes, and drops what else is
    /// refuted.
    mutating func takeAll(
        _ lacked: RefillMessage.Lacked, _ place: LeafPlace, _ effects: inout Effects
    ) throws(DecodeError) -> Taken {
        let limit = Stamp(rawValue: doubtedUpTo(place.range, place.n))
        let refuted = limit.rawValue > 0 ? lacked.refuted : []
        let outcome: Result<Taken, DecodeError> = lacked.records.withUnsafeBytes { records in
            Result { () throws(DecodeError) in
                try takeAll(records, refuted, limit, &effects)
            }
        }
        let taken = try outcome.get()
        for hash in refuted where !taken.hashes.contains(hash) {
            drop(hash, place, limit, &effects)
        }
        return taken
    }

    private mutating func takeAll(
        _ records: UnsafeRawBufferPointer, _ refuted: [UInt64], _ limit: Stamp,
        _ effects: inout Effects
    ) throws(DecodeError) -> Taken {
        var taken = Taken()
        var reader = ByteReader(records)
        while reader.remaining > 0 {
            let length: UInt32 = try reader.integer()
            let record = try Message.record(try reader.slice(Int(length)))
            let hash = store.address(of: record.key).hash
            let upTo = refuted.holds(hash) ? limit : Stamp(rawValue: 0)
            take(record, refutingUpTo: upTo, &taken, &effects)
            taken.hashes.append(hash)
        }
        return taken
    }

    private mutating func take(
        _ record: Record, refutingUpTo limit: Stamp, _ taken: inout Taken,
        _ effects: inout Effects
    ) {
        turn.spend(bytesTaken: record.length)
        let keyspace = catalog.index(of: record.key)
        let (status, isCorrected) = mergeIn(record, refutingUpTo: limit, &effects)
        guard status == .acknowledged else {
            taken.isRefused = taken.isRefused || status != .superseded
            return
        }
        counters.refilledKeys += 1
        taken.news += 1
        guard !isCorrected else { return }
        let durability = catalog.active[keyspace].durability
        let stored = store.find(store.address(of: record.key), record.key)
        if let stored { keep(whole(stored), durability, synced: false, token: nil, &effects) }
    }

    /// Merges what one that vouches holds of a key into what is left here.
    ///
    /// - Parameter limit: 0 to leave everything.
    /// - Returns: whether something went, and the journal has what is here instead.
    mutating func mergeIn(
        _ record: Record, refutingUpTo limit: Stamp, _ effects: inout Effects
    ) -> (ReplicaStatus, isCorrected: Bool) {
        let keyspace = catalog.index(of: record.key)
        let old = refute(record.key, by: record, upTo: limit)
        let status = mergeIn(record, keyspace, &effects)
        guard let old else { return (status, false) }
        guard status == .acknowledged else {
            removeStored(record.key)
            old.withUnsafeBytes { if let base = $0.baseAddress { restore(Record(at: base)) } }
            return (status, false)
        }
        keepCorrected(record.key, keyspace, &effects)
        return (status, true)
    }

    /// One that vouches holds nothing of the keys with a hash.
    private mutating func drop(
        _ hash: UInt64, _ place: LeafPlace, _ limit: Stamp, _ effects: inout Effects
    ) {
        var keys: [[UInt8]] = []
        store.visit(place.range, hash...hash) { _, record in
            let isOfN = catalog.active[catalog.index(of: record.key)].n == place.n
            if isOfN { keys.append(Array(record.key)) }
        }
        for key in keys {
            key.withUnsafeBytes { key in
                guard refute(key, by: nil, upTo: limit) != nil else { return }
                keepCorrected(key, catalog.index(of: key), &effects)
            }
        }
    }

    /// Has the journal put what is left of a key in the place of what it has.
    private mutating func keepCorrected(
        _ key: UnsafeRawBufferPointer, _ keyspace: Int, _ effects: inout Effects
    ) {
        counters.droppedBehind += 1
        guard let stored = store.find(store.address(of: key), key) else {
            return forget(key, keyspace, &effects)
        }
        guard catalog.active[keyspace].durability != .memory else { return }
        effects.append {
            $0.append(JournalKind.corrected.rawValue)
            appendWhole(stored, into: &$0)
        }
    }

    /// Takes out of what is stored of a key what was written up to a limit and one that vouches
    /// does not hold.
    ///
    /// - Parameter truth: all that it holds of the key; nil for nothing.
    /// - Returns: the record that was here; nil if all of it stays.
    private mutating func refute(
        _ key: UnsafeRawBufferPointer, by truth: Record?, upTo limit: Stamp
    ) -> [UInt8]? {
        guard limit.rawValue > 0 else { return nil }
        let location = place(of: key)
        guard let stored = store.find(location.address, key) else { return nil }
        guard stored.dot.stamp <= limit else {
            guard configuration.plantedBug != .behindJudgesWhole else { return nil }
            if isTyped(location.keyspace) { return refuteElements(location, key, truth, limit) }
            guard !stored.isMergeable, truth?.isMergeable != true else { return nil }
            return refuteValues(location, key, truth, limit)
        }
        let old = Array(whole(stored).bytes)
        removeStored(key)
        return old
    }

    private mutating func refuteElements(
        _ location: KeyLocation, _ key: UnsafeRawBufferPointer, _ truth: Record?, _ limit: Stamp
    ) -> [UInt8]? {
        var held = restoredState(location, key)
        let before = held.state
        let there = truth.map { CRDTState(valid: $0) } ?? CRDTState()
        turn.spend(bytesCoded: held.bytes)
        guard held.state.removeRefuted(through: limit, by: there) else {
            putBack(held)
            return nil
        }
        var old = ByteBuffer(capacity: held.bytes)
        _ = before.encodeRecord(key: key, into: &old)
        putState(held, .unknown, location, key)
        return Array(old.bytes)
    }

    private mutating func refuteValues(
        _ location: KeyLocation, _ key: UnsafeRawBufferPointer, _ truth: Record?, _ limit: Stamp
    ) -> [UInt8]? {
        guard let stored = store.find(location.address, key) else { return nil }
        var left = SiblingSet(valid: stored)
        let there = truth.map { SiblingSet(valid: $0) } ?? SiblingSet()
        guard left.removeRefuted(through: limit, by: there) else { return nil }
        let old = Array(stored.bytes)
        if stored.written.stamp <= limit {
            // What is later in it only gave another expiry to what went.
            removeStored(key)
        } else {
            merged.removeAll()
            let range = left.encodeRecord(key: key, into: &merged)
            replaceStored(merged[range], location.keyspace, location.address)
        }
        return old
    }

    /// Up to which stamp what another node sends of a key refutes what is here; 0 where this node
    /// is not behind, or the other one does not vouch.
    func refutedUpTo(_ location: KeyLocation, by node: NodeID) -> Stamp {
        let (range, n) = (location.address.range, catalog.active[location.keyspace].n)
        guard isRefilling, refill.isBehind, let index = linkIndex(of: node),
            vouches(index, range, n)
        else { return Stamp(rawValue: 0) }
        return Stamp(rawValue: doubtedUpTo(range, n))
    }

    /// Whether what is here of a key is all in doubt, and the other node, which vouches, is to send
    /// what it has: after a delta the two would seem to be the same.
    func isAllInDoubt(_ key: UnsafeRawBufferPointer, by node: NodeID) -> Bool {
        guard isRefilling else { return false }
        let location = place(of: key)
        guard let stored = store.find(location.address, key) else { return false }
        return stored.dot.stamp <= refutedUpTo(location, by: node)
    }
}

// A replica that is whole does not have to know who is behind: what is settled and not here was
// removed, also where it comes as a part of something later, in a hint or from a node that handed
// its ranges over.
extension Node {
    /// What of a record with several values is news here; valid until the next record is exported.
    mutating func withoutRefuted(
        _ incoming: Record, _ stored: Record?, _ location: KeyLocation
    ) -> Record {
        let settled = settled(location.address.range, location.keyspace)
        guard settled.rawValue > 0, incoming.isSiblingSet || incoming.isLayered,
            configuration.plantedBug != .behindJudgesWhole
        else { return incoming }
        var left = SiblingSet(valid: incoming)
        let held = stored.map { SiblingSet(valid: $0) } ?? SiblingSet()
        guard left.removeRefuted(through: settled, by: held) else { return incoming }
        exported.removeAll()
        let range = left.encodeRecord(key: incoming.key, into: &exported)
        return exported[range].baseAddress.map { Record(at: $0) } ?? incoming
    }
}
