import Base
import CRDT
import Causality
import Coding
import RESP
import Ring

// Sessions on crdt keyspaces. What a state has seen is its context, so an answer covers a session
// when the context does that the command ran on; commands that change something run on such a state
// as well. What is seen is remembered when the client is told, with the context after the command.
//
// A bound on staleness would have to hold for the state that the coordinator merges into; it is
// refused by name.
extension Node {
    /// Whether a command may run on this node's own state at once, as far as its session goes.
    mutating func coversHere(
        _ key: UnsafeRawBufferPointer, _ location: KeyLocation, _ target: ReplyTarget,
        _ effects: inout Effects
    ) -> Bool {
        guard !client.guarantees.isEmpty else { return true }
        let (keyspace, address) = (location.keyspace, location.address)
        let own = believableState(address, key, keyspace, &effects)
        let proof = CoverageProof(
            keyspace: keyspace, range: address.range,
            includesOwn: isWhole(address.range, keyspace),
            isComplete: catalog.active[keyspace].n == 1)
        return covers(requirement(of: key, target), own, proof)
    }

    /// The levels of a command's reading part.
    ///
    /// - Returns: nil, and an error reply, when the request asks for what is not served.
    mutating func typedReadLevels(
        _ options: ConsistencyOptions, _ keyspace: Int, isWrite: Bool, _ target: ReplyTarget,
        _ effects: inout Effects
    ) -> ReadLevels? {
        guard var levels = readLevels(options, keyspace, target, &effects) else { return nil }
        if isWrite { levels.stalenessMilliseconds = nil }
        guard levels.stalenessMilliseconds == nil else {
            fail(target, "MODE STALENESS is not for conflict=crdt", &effects)
            return nil
        }
        return levels
    }

    /// Whether this node's state of the key, with what did not fit beside it, covers a read that
    /// enough replicas have answered.
    func isTypedCovered(_ read: ReadOperation, _ proof: CoverageProof) -> Bool {
        read.key.withUnsafeBytes { key in
            var proof = proof
            proof.unkept = read.typed?.unkept?.state.context ?? VersionVector()
            let own = liveState(store.address(of: key), key, read.keyspace)
            return covers(read.required, own, proof)
        }
    }

    /// What a session that is answered from a state has seen then; empty without a session.
    func seenBySession(_ state: CRDTState) -> VersionVector {
        client.guarantees.isEmpty ? VersionVector() : state.context
    }

    /// The same, where a receipt names it as well.
    func notedContext(_ state: CRDTState) -> VersionVector {
        client.wantsReceipt ? state.context : seenBySession(state)
    }

    /// A session is being told what a command made of a state that has seen this.
    mutating func noteSeen(_ hash: UInt64, _ context: VersionVector, _ target: ReplyTarget) {
        guard let newest = context.newest else { return }
        if isForNode(target) {
            learned = SessionNews(written: learned?.written, seen: context)
            return
        }
        guard let index = sessionIndex(of: target) else { return }
        let guarantees = sessions[index].guarantees
        if guarantees.contains(.writesFollowReads) {
            sessions[index].history.follow(newest.stamp)
        }
        guard guarantees.contains(.monotonicReads) else { return }
        // Two parts of one request may have seen the key differently.
        var seen = context
        seen.join(sessions[index].history.requirement(of: hash).seen)
        sessions[index].history.read(hash, seen)
    }

    /// A write that nobody else has to acknowledge belongs to a session.
    mutating func noteLocalWrite(
        _ dot: Dot, _ context: VersionVector, _ location: KeyLocation, _ target: ReplyTarget
    ) {
        guard !client.guarantees.isEmpty else { return }
        noteSeen(location.address.hash, context, target)
        noteWritten(
            SessionWrite(
                hash: location.address.hash, keyspace: location.keyspace, dot: dot,
                replaces: true), target)
    }
}
