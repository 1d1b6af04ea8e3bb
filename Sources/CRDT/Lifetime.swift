import Base
import Causality
import Coding

/// When a part of a key expires: what was there when somebody said so, and what was added to it
/// since by who knew.
///
/// It is filed under the dot of the command that first gave the key an expiry. Later commands
/// change it in place: the last given time counts (`order`), and what is covered only grows. So a
/// time that is given again changes nothing, an add that comes along with the time that it knew
/// undoes no later one, and both sides of a partition may go on.
struct Lifetime: DotPayload {
    /// The command that gave the time.
    var order: Dot
    /// Wall-clock milliseconds since 1970; 0 for never, until a later command says otherwise.
    var milliseconds: UInt64
    /// The entries that end then.
    var covered: VersionVector
    /// What of a counter ends then: each identity's running total as far as it was seen.
    var balances: SortedMap<ReplicaIdentity, Account.Balance>

    mutating func join(_ other: Lifetime) {
        if (order, milliseconds) < (other.order, other.milliseconds) {
            (order, milliseconds) = (other.order, other.milliseconds)
        }
        covered.join(other.covered)
        for (identity, balance) in other.balances {
            var joined = balances[identity] ?? Account.Balance()
            joined.join(balance)
            balances[identity] = joined
        }
    }

    func encode(into encoder: inout DotEncoder) {
        encoder.append(order.identity)
        encoder.append(order.stamp)
        encoder.append(varint: milliseconds)
        encoder.append(covered)
        encoder.append(count: balances.count)
        for (identity, balance) in balances {
            encoder.append(identity)
            encoder.append(balance.stamp)
            balance.total.encode(into: &encoder)
        }
    }

    init(
        order: Dot, milliseconds: UInt64, covered: VersionVector,
        balances: SortedMap<ReplicaIdentity, Account.Balance>
    ) {
        self.order = order
        self.milliseconds = milliseconds
        self.covered = covered
        self.balances = balances
    }

    init(decoding decoder: inout DotDecoder) throws(DecodeError) {
        let identity = try decoder.identity()
        order = Dot(identity: identity, stamp: try decoder.stamp())
        milliseconds = try decoder.varint()
        guard milliseconds <= Record.expiryMax else { throw .invalid("a key expires too late") }
        covered = try decoder.vector()
        balances = SortedMap()
        for _ in 0..<(try decoder.count(bytesMin: 17)) {
            let identity = try decoder.identity()
            if let last = balances.keys.last, identity <= last {
                throw .invalid("balances are out of order")
            }
            let stamp = try decoder.stamp()
            balances[identity] = Account.Balance(
                stamp: stamp, total: try Quantity(decoding: &decoder))
        }
    }
}

private func < (a: (Dot, UInt64), b: (Dot, UInt64)) -> Bool {
    a.0 == b.0 ? a.1 < b.1 : a.0 < b.0
}

/// Expiry: a part of the key that is merged apart from everything else (`Lifetime`).
///
/// A key may have several, where both sides of a partition gave it its first one; they count as one
/// with what all of them cover, and the time that was given last. While everything live is covered
/// the key has an expiry, as in Redis, and what is added then is covered as well (`cover`). What
/// nobody knew who gave the time has none: once the time has come, it stays and the rest is gone.
/// Example: A holds `{a}` and gives it a second; B, cut off, adds `b`. Later both hold `{b}`.
///
/// A SET, or whatever else replaces the whole key, removes the lifetimes that it has seen, and may
/// bring one along. Nothing that gives a time carries a value.
///
/// What has elapsed reads as absent, and nothing is written because a clock says so but by
/// `removeElapsed`, which is a removal of what was covered, under a dot. A mutation does that first.
extension CRDTState {
    /// All lifetimes as one; nil for none.
    private var lifetime: Lifetime? {
        guard let entries = contents.expiry[.unit], var all = entries.first?.payload else {
            return nil
        }
        for entry in entries.dropFirst() { all.join(entry.payload) }
        return all
    }

    /// When the key will read as absent: wall-clock milliseconds since 1970; 0 for never, also
    /// where something in it has no expiry.
    ///
    /// - Complexity: O(identities); O(entries) where a part of the key has no expiry.
    public var effectiveExpiry: UInt64 {
        guard let lifetime, lifetime.milliseconds > 0, !isTombstone, isWhole(lifetime) else {
            return 0
        }
        return lifetime.milliseconds
    }

    /// The next time at which anything of the key ends: wall-clock milliseconds since 1970, 0 for
    /// never.
    public var nextExpiry: UInt64 { lifetime?.milliseconds ?? 0 }

    /// Whether everything live ends with a lifetime.
    private func isWhole(_ lifetime: Lifetime) -> Bool {
        if lifetime.covered.dominates(context) { return true }
        var rest = contents
        rest.counter = Accounts()
        rest.expiry = DotMap()
        return contents.counter.isCovered(by: lifetime.balances)
            && rest.allDots { lifetime.covered.contains($0) }
    }

    /// Whether a part of the key has expired and is still here.
    ///
    /// - Parameter now: wall-clock milliseconds since 1970.
    public func hasElapsed(now: UInt64) -> Bool {
        guard let lifetime else { return false }
        return lifetime.milliseconds > 0 && lifetime.milliseconds <= now
    }

    /// Removes what has expired, as a deletion would that has seen no more.
    ///
    /// - Parameters:
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Returns: nil when nothing has.
    public mutating func removeElapsed(dot: Dot, now: UInt64) -> Delta? {
        guard let lifetime, hasElapsed(now: now) else { return nil }
        if isWhole(lifetime) { return delete(dot: dot) }
        var delta = open(dot)
        let mask = contents.live
        delta.clears = mask
        delta.clearedContext = ended(lifetime)
        contents.clear(mask, seen: delta.clearedContext)
        contents.counter.reset(to: lifetime.balances, into: &delta.changes.counter)
        close(delta)
        return delta
    }

    /// The state as a reader sees it: without what has expired.
    public func withoutElapsed(now: UInt64) -> CRDTState {
        guard let lifetime, hasElapsed(now: now) else { return self }
        var left = self
        var changes = Accounts()
        left.contents.clear(contents.live, seen: ended(lifetime))
        left.contents.counter.reset(to: lifetime.balances, into: &changes)
        return left
    }

    /// What a lifetime covers, as far as it was seen, and the lifetimes themselves.
    private func ended(_ lifetime: Lifetime) -> VersionVector {
        var ended = VersionVector()
        for dot in lifetime.covered.entries {
            let seen = min(dot.stamp, context.stamp(of: dot.identity))
            if seen.rawValue > 0 { ended.insert(Dot(identity: dot.identity, stamp: seen)) }
        }
        for entry in contents.expiry[.unit] ?? [] { ended.insert(entry.dot) }
        return ended
    }

    /// Sets when everything that is here expires.
    ///
    /// - Parameters:
    ///   - milliseconds: wall-clock milliseconds since 1970; 0 for never.
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Returns: nil when there is no key, or when it does not expire anyway.
    public mutating func expire(at milliseconds: UInt64, dot: Dot, now: UInt64) -> Delta? {
        guard let type = type(now: now), milliseconds > 0 || nextExpiry > 0 else { return nil }
        var delta = open(dot)
        clearHidden(except: type, into: &delta)
        give(milliseconds, dot, into: &delta)
        close(delta)
        return delta
    }

    /// Gives everything that is here a time, in place of the ones it had.
    mutating func give(_ milliseconds: UInt64, _ dot: Dot, into delta: inout Delta) {
        var covered = context
        covered.insert(dot)
        let lifetime = Lifetime(
            order: dot, milliseconds: milliseconds, covered: covered,
            balances: contents.counter.balances)
        let present = (contents.expiry[.unit] ?? []).map(\.dot)
        for file in present.isEmpty ? [dot] : present {
            let entry = DotEntry(dot: file, payload: lifetime)
            if !contents.expiry.joinPresent(.unit, entry) { contents.expiry.insert(.unit, entry) }
            delta.changes.expiry.added.insert(.unit, entry)
        }
    }

    /// Whether what is added now ends with what is here.
    ///
    /// - Parameter now: wall-clock milliseconds since 1970.
    public func coversAdditions(now: UInt64) -> Bool {
        let expiry = effectiveExpiry
        return expiry > 0 && now < expiry
    }

    /// Has what a mutation just did end with what was here before.
    ///
    /// - Parameter delta: the mutation's, which was done here and nowhere else.
    public mutating func cover(_ delta: inout Delta) {
        guard let entries = contents.expiry[.unit] else { return }
        for entry in entries {
            var addition = entry.payload
            addition.covered = VersionVector(delta.dot)
            addition.balances = SortedMap()
            if let account = contents.counter.accounts[delta.identity], account.isLive {
                addition.balances[delta.identity] = account.current
            }
            let added = DotEntry(dot: entry.dot, payload: addition)
            _ = contents.expiry.joinPresent(.unit, added)
            if !delta.changes.expiry.added.joinPresent(.unit, added) {
                delta.changes.expiry.added.insert(.unit, added)
            }
        }
    }
}

extension Accounts {
    /// What each identity has added, where that is live.
    var balances: SortedMap<ReplicaIdentity, Account.Balance> {
        var balances = SortedMap<ReplicaIdentity, Account.Balance>()
        for (identity, account) in accounts where account.isLive {
            balances[identity] = account.current
        }
        return balances
    }

    /// Whether nothing live was added beyond these balances.
    func isCovered(by balances: SortedMap<ReplicaIdentity, Account.Balance>) -> Bool {
        accounts.allSatisfy { identity, account in
            !account.isLive
                || account.current.stamp <= balances[identity]?.stamp ?? Stamp(rawValue: 0)
        }
    }
}
