import Base
import Causality

// Identities that will never write again: told, never guessed from age
extension CRDTState {
    /// Takes over what a departed identity has in counters: its increments and its rights become
    /// the dot's identity's. Everything else keeps the dots it has.
    ///
    /// Only one identity may be told to do this for one departed identity: two that do it
    /// concurrently count its increments twice. Nothing of the departed one may be unseen here:
    /// what surfaces later still counts in a string, but not in a bounded counter's row.
    ///
    /// - Parameters:
    ///   - departed: another identity than the dot's.
    ///   - dot: later than everything in `context`.
    /// - Returns: nil when it has nothing in counters.
    public mutating func retire(_ departed: ReplicaIdentity, dot: Dot) -> Delta? {
        precondition(departed != dot.identity, "an identity does not retire itself")
        var delta = open(dot)
        retireAccount(departed, dot, &delta)
        retireFields(departed, dot, &delta)
        retireScores(departed, dot, &delta)
        retireRights(departed, dot, &delta)
        guard !delta.isEmpty else { return nil }
        close(delta)
        return delta
    }

    private mutating func retireAccount(
        _ departed: ReplicaIdentity, _ dot: Dot, _ delta: inout Delta
    ) {
        guard let account = contents.counter.accounts[departed], account.isLive else { return }
        contents.counter.add(account.live, dot: dot, into: &delta.changes.counter)
        contents.counter.reset(only: departed, into: &delta.changes.counter)
    }

    private mutating func retireFields(
        _ departed: ReplicaIdentity, _ dot: Dot, _ delta: inout Delta
    ) {
        for (field, parts) in contents.hash.map {
            let folded = parts.filter { part in
                part.payload.total != nil && [departed, dot.identity].contains(part.dot.identity)
            }
            guard folded.contains(where: { $0.dot.identity == departed }) else { continue }
            let sum = folded.compactMap(\.payload.total).reduce(.zero, +)
            let entry = DotEntry(dot: dot, payload: FieldPart.total(sum))
            contents.hash.put(field, entry, into: &delta.changes.hash) { folded.contains($0) }
        }
    }

    private mutating func retireScores(
        _ departed: ReplicaIdentity, _ dot: Dot, _ delta: inout Delta
    ) {
        for (member, parts) in contents.sortedSet.members.map {
            let folded = parts.filter { part in
                part.payload.total != nil && [departed, dot.identity].contains(part.dot.identity)
            }
            guard folded.contains(where: { $0.dot.identity == departed }) else { continue }
            let sum = folded.compactMap(\.payload.total).reduce(0, +)
            guard sum.isFinite else { continue }
            let entry = DotEntry(dot: dot, payload: ScorePart.total(sum == 0 ? 0 : sum))
            contents.sortedSet.change(member) {
                $0.put(member, entry, into: &delta.changes.sortedSet) { folded.contains($0) }
            }
        }
    }

    private mutating func retireRights(
        _ departed: ReplicaIdentity, _ dot: Dot, _ delta: inout Delta
    ) {
        for entry in contents.bounded[.unit] ?? [] {
            var escrow = entry.payload
            let rights = Int64(clamping: escrow.rights(of: departed))
            guard rights > 0 else { continue }
            let part = escrow.change(departed, dot.stamp) { row in
                let (sum, overflow) =
                    (row.granted[dot.identity] ?? 0).addingReportingOverflow(rights)
                if !overflow { row.granted[dot.identity] = sum }
            }
            let changed = DotEntry(dot: entry.dot, payload: part)
            guard contents.bounded.joinPresent(.unit, changed) else { continue }
            delta.changes.bounded.added.insert(.unit, changed)
        }
    }
}
