import Base
import Causality
import Coding
import Ring

/// How an answer came about, as far as it bears on what the answer proves.
struct CoverageProof {
    let keyspace: Int
    let range: KeyRange
    /// A replica had lost what was written up to then with its keyspace.
    var emptiedAt = Stamp(rawValue: 0)
    /// This replica's own state is part of it.
    var includesOwn = false
    /// Every replica's is.
    var isComplete = false
    /// What was seen besides the state, in a crdt keyspace.
    var unkept = VersionVector()
}

// What is enough for a session.
extension Node {
    mutating func isCovered(_ read: ReadOperation) -> Bool {
        let rank = Int(ranks[Int(read.range.rawValue)])
        let proof = CoverageProof(
            keyspace: read.keyspace, range: read.range, emptiedAt: read.emptiedAt,
            includesOwn: read.answers.contains { $0.replica == rank },
            isComplete: read.answers.count == read.tally.replicaCount)
        if read.typed != nil { return isTypedCovered(read, proof) }
        var isEnough = false
        let isWithinLimits = withSum(of: read) { node, sum, _, _ in
            isEnough = node.covers(read.required, sum, proof)
        }
        // A sum that no record holds is told as an error.
        return isEnough || !isWithinLimits
    }

    /// Whether a state of a key has seen what a session requires.
    func covers(
        _ requirement: SessionRequirement, _ record: Record?, _ proof: CoverageProof
    ) -> Bool {
        if requirement.isNone { return true }
        let active = catalog.active[proof.keyspace]
        let settled = settledAnywhere(proof.range, proof.keyspace)
        let required = requirement.after(max(active.drop.emptiedAt, proof.emptiedAt, settled))
        let unseen = unseen(record, required.seen, proof)
        if active.n == 1 {
            // A key's one record is never older than a change of its expiry, unless that was lost.
            let isOlder = record.map { $0.dot.stamp < required.expiry } ?? false
            return !isOlder && unseen.allSatisfy { wasHere($0, proof) }
        }
        guard unseen.isEmpty else { return false }
        var left = max(required.floor, required.expiry)
        if active.settings.conflict == .lww, let record {
            if required.floor < record.written.stamp { left = required.expiry }
            if left == required.expiry, left <= record.dot.stamp { return true }
        }
        if left.rawValue == 0 { return true }
        // What a fallback keeps, no replica has to have.
        guard !active.settings.isSloppy else { return false }
        return proof.isComplete
            || proof.includesOwn
                && closed(proof.range, active.n).stamp > left
    }

    /// What of all that was seen a state has not seen.
    private func unseen(
        _ record: Record?, _ seen: VersionVector, _ proof: CoverageProof
    ) -> [Dot] {
        guard let newest = seen.newest else { return [] }
        let conflict = catalog.active[proof.keyspace].settings.conflict
        if conflict == .lww {
            return record.map { newest <= $0.written } ?? false ? [] : [newest]
        }
        var context = proof.unkept
        if conflict == .crdt {
            if let record { context.join(self.context(of: record)) }
        } else if let record {
            context =
                record.isSiblingSet || record.isLayered
                ? SiblingSet(valid: record).seen : CausalContext(record.dot)
        }
        return seen.entries.filter { !context.contains($0) }
    }

    /// Whether a write is known to have been on the one replica of its key. With one replica what
    /// is not there any more was deleted, or its name compacted away, and leaves no trace; but what
    /// the replica has may also be less than it had, as its process ended, or its disk is an older
    /// one or another.
    private func wasHere(_ dot: Dot, _ proof: CoverageProof) -> Bool {
        let replica = ring.primaries(of: proof.range, replicationFactor: 1).first
        guard dot.identity.node == replica, let index = linkIndex(of: dot.identity.node) else {
            return false
        }
        let isOwn = dot.identity.node == configuration.node
        let process = isOwn ? firstIdentity : freshness[index].process
        if process <= dot.identity { return true }
        let standing = catalog.standings[proof.keyspace]
        guard catalog.active[proof.keyspace].settings.durability == .fsync,
            standing.syncedSince < dot.stamp
        else { return false }
        return (isOwn ? ownLives.written : freshness[index].written).contains(dot)
    }
}
