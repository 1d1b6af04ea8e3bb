import Base
import Causality

// What is remembered of identities of which nothing is left
extension CRDTState {
    /// Forgets the identities that nothing live names: their entries in the context, and their
    /// accounts that were deleted. The newest entry stays, as the record's dot.
    ///
    /// Only for a state that every replica of the key includes, and nobody else will bring anything
    /// older: whoever still held what such an entry removed could bring it back. An identity that
    /// is forgotten may go on: it opens a new account (`Account.init(openedBefore:)`), and its next
    /// delta stands upon nothing.
    ///
    /// What stays of a departed identity: live elements, as they are; live increments, until they
    /// are deleted, for to add them to another account would hide them from a delete that has only
    /// seen the old one; rows of a bounded counter, as long as the counter.
    ///
    /// - Returns: whether there was anything to forget.
    /// - Complexity: O(entries) when the context has more than one entry.
    public mutating func compact() -> Bool {
        guard context.entries.count > 1, let newest = context.newest else { return false }
        let before = contents
        contents.hash.forgetUnneeded()
        contents.sortedSet.tidy { $0.forgetUnneeded() }
        guard forgetIdentities(allBut: VersionVector(newest)) else {
            contents = before
            return false
        }
        return true
    }

    /// Forgets the identities that nothing live names.
    ///
    /// - Parameter kept: a part of the context that stays all the same.
    /// - Returns: whether there was anything to forget.
    mutating func forgetIdentities(allBut kept: VersionVector) -> Bool {
        var kept = kept
        contents.visitIdentities { identity in
            // Who was granted rights may never have written.
            let stamp = context.stamp(of: identity)
            if stamp.rawValue > 0 { kept.insert(Dot(identity: identity, stamp: stamp)) }
        }
        guard kept.entries.count < context.entries.count else { return false }
        for entry in context.entries where !kept.contains(entry) {
            contents.counter.forget(entry.identity)
        }
        contents.expiry.changePayloads { $0.forget(allBut: kept) }
        context = kept
        return true
    }
}

extension CRDTState {
    /// Forgets which running totals have ended, or end one day, for want of room: an increment that
    /// does not know of it then brings back what its identity had added before.
    public mutating func forgetEnded() {
        contents.hash.forgetAll()
        contents.sortedSet.tidy { $0.forgetAll() }
        contents.expiry.changePayloads { $0.forgetTotals() }
    }
}

extension Delta {
    /// The same, for the others.
    public mutating func forgetEnded() {
        changes.hash.ended = DotMapChanges()
        changes.sortedSet.ended = DotMapChanges()
    }
}

extension Contents {
    /// Calls `body` with every identity that something live names, some of them repeatedly.
    fileprivate func visitIdentities(_ body: (ReplicaIdentity) -> Void) {
        var rest = self
        rest.counter = Accounts()
        var last: ReplicaIdentity?
        _ = rest.allDots { dot in
            if dot.identity != last { body(dot.identity) }
            last = dot.identity
            return true
        }
        for (identity, account) in counter.accounts where account.isLive { body(identity) }
        for entry in bounded[.unit] ?? [] {
            for (owner, row) in entry.payload.rows {
                body(owner)
                for receiver in row.granted.keys { body(receiver) }
            }
        }
    }
}
