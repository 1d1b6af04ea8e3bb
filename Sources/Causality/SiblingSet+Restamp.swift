import Base

extension SiblingSet {
    /// Names anew what this node wrote by a clock that was proved wrong (`ClockCorrection`).
    ///
    /// Live values stay, deletes stay deletes. The old identity mints nothing any more, so its
    /// context entry may stand at `limit`, and still covers all that it wrote in time.
    ///
    /// - Parameters:
    ///   - retired: the identity that wrote by the wrong clock.
    ///   - limit: the latest stamp of it that other nodes can have accepted.
    ///   - mint: dots of another identity, each later than the one before.
    public mutating func restamp(
        retired: ReplicaIdentity, after limit: Stamp, mint: () -> Dot
    ) {
        let bound = Dot(identity: retired, stamp: limit)
        func isLate(_ dot: Dot) -> Bool { dot.identity == retired && limit < dot.stamp }
        let isWritten = context.entries.contains(where: isLate)
        guard isWritten || expiries.entries.contains(where: isLate) else { return }
        context.entries = context.entries.map { isLate($0) ? bound : $0 }
        expiries.entries = expiries.entries.map { isLate($0) ? bound : $0 }
        var isRenamed = false
        for index in siblings.indices {
            let old = siblings[index]
            let isGiven = old.hasOwnExpiryDot && isLate(old.expiryDot)
            guard isLate(old.dot) || isGiven else { continue }
            let dot = isLate(old.dot) ? mint() : old.dot
            let expiryDot = isGiven ? mint() : max(dot, old.expiryDot)
            siblings[index] = Sibling(
                dot: dot, expiry: old.expiry,
                expiryDot: old.hasOwnExpiryDot ? expiryDot : dot, isSpent: old.isSpent,
                value: old.value)
            if isLate(old.dot) { context.insert(dot) }
            if isGiven { expiries.insert(expiryDot) }
            isRenamed = true
        }
        if !isRenamed { isWritten ? context.insert(mint()) : expiries.insert(mint()) }
        siblings.sort { $0.dot < $1.dot }
        dropCoveredExpiries()
    }

    /// The same where only the newest write counts (`keepNewest`): nothing has to cover what the
    /// old identity wrote before.
    ///
    /// - Parameter isDoubted: whether a dot is to be replaced.
    public mutating func restampNewest(where isDoubted: (Dot) -> Bool, mint: () -> Dot) {
        func name(_ dot: Dot) -> Dot { isDoubted(dot) ? mint() : dot }
        guard let old = context.newest else { return }
        let written = name(old)
        let given = expiries.newest.map(name)
        siblings = siblings.filter { $0.dot == old }.map { sibling in
            Sibling(
                dot: written, expiry: sibling.expiry,
                expiryDot: sibling.hasOwnExpiryDot ? max(written, given ?? written) : written,
                isSpent: sibling.isSpent, value: sibling.value)
        }
        context = CausalContext(written)
        expiries = VersionVector()
        if let given { expiries.insert(given) }
        dropCoveredExpiries()
    }
}
