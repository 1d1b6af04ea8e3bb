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
        guard let index = context.entries.firstIndex(where: { $0.identity == retired }),
            limit < context.entries[index].stamp
        else { return }
        context.entries[index] = bound
        var isRenamed = false
        for index in siblings.indices {
            let old = siblings[index]
            guard old.dot.identity == retired, limit < old.dot.stamp else { continue }
            siblings[index] = Sibling(dot: mint(), expiry: old.expiry, value: old.value)
            context.insert(siblings[index].dot)
            isRenamed = true
        }
        if !isRenamed { context.insert(mint()) }
        siblings.sort { $0.dot < $1.dot }
    }
}
