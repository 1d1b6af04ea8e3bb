import Base

// What is remembered of identities of which nothing is left
extension SiblingSet {
    /// Drops the context's entries of identities that name no sibling, but for the newest, which is
    /// the record's dot.
    ///
    /// Only for a set that every replica of the key includes, and nobody else will bring anything
    /// older: whoever still held a sibling that such an entry removed could bring it back.
    ///
    /// - Returns: whether there was anything to drop.
    public mutating func compact() -> Bool {
        guard context.entries.count + expiries.entries.count > 1,
            let written = context.newest, let newest
        else { return false }
        let kept = context.entries.filter { entry in
            entry == written || siblings.contains { $0.dot.identity == entry.identity }
        }
        let keptExpiries = expiries.entries.filter { $0 == newest }
        guard kept.count + keptExpiries.count < context.entries.count + expiries.entries.count
        else { return false }
        context.entries = kept
        expiries.entries = keptExpiries
        return true
    }
}
