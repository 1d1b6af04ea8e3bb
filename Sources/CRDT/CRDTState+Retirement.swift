import Base
import Causality

// Identities that will never write again: told, never guessed from age
extension CRDTState {
    /// Takes over the rights that departed identities have in bounded counters. Their increments
    /// stay their own: in another's name they would come back after a delete that has seen them.
    ///
    /// Nothing of the departed may be unseen here.
    ///
    /// - Parameters:
    ///   - departed: other identities than the dot's.
    ///   - dot: later than everything in `context`.
    /// - Returns: nil when they have none.
    public mutating func retire(_ departed: [ReplicaIdentity], dot: Dot) -> Delta? {
        precondition(!departed.contains(dot.identity), "an identity does not retire itself")
        var delta = open(dot)
        for entry in contents.bounded[.unit] ?? [] {
            var part = Escrow(bound: entry.payload.bound)
            for identity in departed { part.join(entry.payload.handedOver(by: identity, to: dot)) }
            let changed = DotEntry(dot: entry.dot, payload: part)
            guard !part.rows.isEmpty, contents.bounded.joinPresent(.unit, changed) else { continue }
            delta.changes.bounded.added.insert(.unit, changed)
        }
        guard !delta.isEmpty else { return nil }
        close(delta)
        return delta
    }
}

extension Escrow {
    /// The row of an identity that grants all its rights to that of a dot; empty when it has none.
    fileprivate func handedOver(by owner: ReplicaIdentity, to dot: Dot) -> Escrow {
        let rights = Int64(clamping: rights(of: owner))
        guard rights > 0 else { return Escrow(bound: bound) }
        var changed = self
        return changed.change(owner, dot.stamp) { row in
            let (sum, overflow) = (row.granted[dot.identity] ?? 0).addingReportingOverflow(rights)
            if !overflow { row.granted[dot.identity] = sum }
        }
    }
}
