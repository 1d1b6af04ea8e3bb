import Base
import Causality

/// A counter that never falls below its bound, on both sides of a partition and without a quorum:
/// each identity decrements only within the rights it holds (`Escrow`).
///
/// **Deletes**: creating the counter is its one add. A delete that has seen the creation wins over
/// all that is concurrently done to the counter, because increments that came back without their
/// decrements would overdraw it. Of two concurrent creations the newer one counts, as for a
/// register.
///
/// Rights belong to identities: what a node held before it lost its memory or restarted has to be
/// moved by `retire`, or stays unusable.
extension CRDTState {
    /// The counter's value; nil when it does not exist.
    ///
    /// - Complexity: O(identities).
    public func boundedValue(now: UInt64) -> Int64? {
        escrow(now).map { Int64(clamping: $0.payload.value) }
    }

    /// How much an identity may take.
    ///
    /// - Complexity: O(identities · log identities).
    public func boundedRights(of identity: ReplicaIdentity, now: UInt64) -> Int64 {
        Int64(clamping: max(0, escrow(now)?.payload.rights(of: identity) ?? 0))
    }

    /// Who may have rights, or had some; ascending.
    public func boundedParties(now: UInt64) -> [ReplicaIdentity] {
        escrow(now)?.payload.parties ?? []
    }

    /// Creates the counter in place of one that may be there.
    ///
    /// - Parameters:
    ///   - value: at first; the rights to what is above `bound` belong to the dot's identity.
    ///   - bound: what the value never falls below.
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Throws: `overflow` when `value` is below `bound` or too far above.
    public mutating func boundedCreate(
        _ value: Int64, bound: Int64 = 0, dot: Dot, now: UInt64
    ) throws(CRDTRefusal) -> Delta {
        let (rights, overflow) = value.subtractingReportingOverflow(bound)
        guard !overflow, rights >= 0 else { throw .overflow }
        var delta = try begin(.boundedCounter, dot: dot, now: now)
        var escrow = Escrow(bound: bound)
        _ = escrow.change(dot.identity, dot.stamp) { $0.minted = rights }
        contents.bounded.put(
            .unit, DotEntry(dot: dot, payload: escrow), into: &delta.changes.bounded)
        close(delta)
        return delta
    }

    /// Adds to the counter, and to the rights of the dot's identity.
    ///
    /// - Parameters:
    ///   - amount: at least 0.
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Throws: `absent`, or `overflow` when the value or the identity's increments leave `Int64`.
    public mutating func boundedIncrement(
        by amount: Int64, dot: Dot, now: UInt64
    ) throws(CRDTRefusal) -> Delta {
        let value = try escrowToChange(now).payload.value
        guard amount >= 0, Int64(exactly: value + Int128(amount)) != nil else { throw .overflow }
        return try changeRow(dot, now) { row in
            let (sum, overflow) = row.minted.addingReportingOverflow(amount)
            if !overflow { row.minted = sum }
            return !overflow
        }
    }

    /// Takes from the counter within the rights of the dot's identity.
    ///
    /// - Parameters:
    ///   - amount: at least 0.
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Throws: `absent`, or `insufficientRights`: another identity may have them and grant some.
    public mutating func boundedDecrement(
        by amount: Int64, dot: Dot, now: UInt64
    ) throws(CRDTRefusal) -> Delta {
        try checkRights(amount, dot, now)
        return try changeRow(dot, now) { row in
            let (sum, overflow) = row.used.addingReportingOverflow(amount)
            if !overflow { row.used = sum }
            return !overflow
        }
    }

    /// Hands rights of the dot's identity to another.
    ///
    /// - Parameters:
    ///   - amount: at least 0.
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Throws: `absent` or `insufficientRights`.
    public mutating func boundedTransfer(
        _ amount: Int64, to receiver: ReplicaIdentity, dot: Dot, now: UInt64
    ) throws(CRDTRefusal) -> Delta {
        try checkRights(amount, dot, now)
        return try changeRow(dot, now) { row in
            let (sum, overflow) = (row.granted[receiver] ?? 0).addingReportingOverflow(amount)
            if !overflow { row.granted[receiver] = sum }
            return !overflow
        }
    }

    private func escrow(_ now: UInt64) -> DotEntry<Escrow>? {
        type(now: now) == .boundedCounter ? contents.bounded[.unit]?.last : nil
    }

    private func escrowToChange(_ now: UInt64) throws(CRDTRefusal) -> DotEntry<Escrow> {
        try check(.boundedCounter, now: now)
        guard let entry = escrow(now) else { throw .absent }
        return entry
    }

    private func checkRights(
        _ amount: Int64, _ dot: Dot, _ now: UInt64
    ) throws(CRDTRefusal) {
        let rights = try escrowToChange(now).payload.rights(of: dot.identity)
        guard amount >= 0, Int128(amount) <= rights else { throw .insufficientRights }
    }

    private mutating func changeRow(
        _ dot: Dot, _ now: UInt64, _ body: (inout Escrow.Row) -> Bool
    ) throws(CRDTRefusal) -> Delta {
        var entry = try escrowToChange(now)
        var isDone = false
        let part = entry.payload.change(dot.identity, dot.stamp) { isDone = body(&$0) }
        guard isDone else { throw .overflow }
        var delta = try begin(.boundedCounter, dot: dot, now: now)
        if entry.payload.isGranted(to: dot.identity) { delta.grounds = context }
        let changed = DotEntry(dot: entry.dot, payload: part)
        let isPresent = contents.bounded.joinPresent(.unit, changed)
        precondition(isPresent, "what is visible is present")
        delta.changes.bounded.added.insert(.unit, changed)
        close(delta)
        return delta
    }
}
