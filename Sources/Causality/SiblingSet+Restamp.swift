import Base

extension SiblingSet {
    /// Names anew what this node wrote by a clock that was proved wrong (`ClockCorrection`).
    ///
    /// Live values stay, deletes stay deletes. The old identity mints nothing any more, so its
    /// context entry may stand at `limit`, and still covers all that it wrote in time.
    ///
    /// - Parameters:
    ///   - retired: the identities that wrote by the wrong clock.
    ///   - limit: the latest stamp of them that other nodes can have accepted.
    ///   - mint: dots of another identity, each later than the one before and than what it is
    ///     given: the latest stamp of the set that stays.
    public mutating func restamp(
        retired: [ReplicaIdentity], after limit: Stamp, mint: (Stamp) -> Dot
    ) {
        func isLate(_ dot: Dot) -> Bool { limit < dot.stamp && retired.contains(dot.identity) }
        func inTime(_ dot: Dot) -> Dot {
            isLate(dot) ? Dot(identity: dot.identity, stamp: limit) : dot
        }
        let isWritten = context.entries.contains(where: isLate)
        guard isWritten || expiries.entries.contains(where: isLate) else { return }
        let seen = context.entries + expiries.entries + siblings.flatMap { [$0.dot, $0.expiryDot] }
        let kept = seen.lazy.filter { !isLate($0) }.map(\.stamp).max() ?? Stamp(rawValue: 0)
        context.entries = context.entries.map(inTime)
        expiries.entries = expiries.entries.map(inTime)
        var isRenamed = false
        for index in siblings.indices {
            let old = siblings[index]
            let isGiven = old.hasOwnExpiryDot && isLate(old.expiryDot)
            guard isLate(old.dot) || isGiven else { continue }
            let dot = isLate(old.dot) ? mint(kept) : old.dot
            let expiryDot = isGiven ? mint(kept) : max(dot, old.expiryDot)
            siblings[index] = Sibling(
                dot: dot, expiry: old.expiry,
                expiryDot: old.hasOwnExpiryDot ? expiryDot : dot, isSpent: old.isSpent,
                value: old.value)
            if isLate(old.dot) { context.insert(dot) }
            if isGiven { expiries.insert(expiryDot) }
            isRenamed = true
        }
        if !isRenamed { isWritten ? context.insert(mint(kept)) : expiries.insert(mint(kept)) }
        siblings.sort { $0.dot < $1.dot }
        dropCoveredExpiries()
    }

    /// The same where only the newest write counts (`keepNewest`): nothing has to cover what the
    /// old identity wrote before.
    ///
    /// - Parameters:
    ///   - isDoubted: whether a dot is to be replaced.
    ///   - mint: as for `restamp`.
    public mutating func restampNewest(where isDoubted: (Dot) -> Bool, mint: (Stamp) -> Dot) {
        guard let old = context.newest else { return }
        let newest = expiries.newest
        var kept = Stamp(rawValue: 0)
        for dot in [old, newest ?? old] where !isDoubted(dot) { kept = max(kept, dot.stamp) }
        func name(_ dot: Dot) -> Dot { isDoubted(dot) ? mint(kept) : dot }
        let written = name(old)
        let given = newest.map(name)
        siblings = siblings.filter { $0.dot == old }.map { sibling in
            Sibling(
                dot: written, expiry: sibling.expiry,
                expiryDot: sibling.hasOwnExpiryDot ? max(written, given ?? written) : written,
                isSpent: sibling.isSpent, value: sibling.value)
        }
        context = CausalContext(written)
        expiries = VersionVector()
        if let given, written < given { expiries.insert(given) }
        dropCoveredExpiries()
    }
}
