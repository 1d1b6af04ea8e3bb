import Base

extension SiblingSet {
    /// Brings back to the present what this node wrote while its clock was ahead.
    ///
    /// Other nodes refuse those writes, and here they would win over everything until their time
    /// has come. So once the clock went back (`Tick.wentBack`), each of them is named anew by the
    /// new identity: live values stay, deletes stay deletes. The old identity mints nothing any
    /// more, so its context entry may stand at the limit, and still covers all that it wrote in
    /// time.
    ///
    /// - Parameters:
    ///   - retired: the identity that this process had before its clock went back.
    ///   - limit: the latest stamp that other nodes can have accepted.
    ///   - mint: dots of the new identity, each later than the one before and than `limit`.
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
}
