import Base
import Causality

/// Expiry: a part of the key that is merged apart from everything else, and names what it was given
/// to (`Lifetime`).
///
/// A command that gives a time gives it to all that it sees. What is added to a key that ends as a
/// whole inherits the time (`cover`), as in Redis. What nobody knew who gave the time has none:
///
///     everywhere      {a}
///     on A            EXPIRE in a second
///     on B, unaware   SADD b
///     together        {a, b}, later {b}
///
/// A SET, or whatever else replaces the whole key, removes the lifetimes that it has seen, and may
/// bring one along. To give no time any more is to give 0, so that of two times the one counts that
/// was given later.
///
/// What has elapsed reads as absent. Nothing is written because a clock says so but by
/// `removeElapsed`: a removal, under a dot, of what ended, and of nothing that was added or given
/// another time by who was not heard. A mutation does that first.
extension CRDTState {
    private var lifetimes: Lifetimes { Lifetimes(contents.expiry[.unit] ?? []) }

    /// When the key will read as absent: wall-clock milliseconds since 1970; 0 for never, also
    /// where something in it has no expiry.
    ///
    /// - Complexity: O(lifetimes · identities); O(entries · lifetimes) where parts of the key were
    ///   given different times, or none.
    public var effectiveExpiry: UInt64 {
        guard !contents.expiry.isEmpty, !isTombstone else { return 0 }
        let lifetimes = lifetimes
        if let time = lifetimes.commonTime(context) { return time }
        var latest: UInt64 = 0
        func ends(_ time: UInt64) -> Bool {
            latest = max(latest, time)
            return time > 0
        }
        for (identity, account) in contents.counter.accounts where account.isLive {
            let dots = lifetimes.balances(identity, account)
                .map { Dot(identity: identity, stamp: $0.stamp) }
            if !ends(lifetimes.deadline(ofAll: dots)) { return 0 }
        }
        let isAll =
            contents.everyPlainWrite { ends(lifetimes.deadline(of: $0)) }
            && contents.hash.everyPart { key, part, ended in
                let balances = lifetimes.balances(part, after: ended) { $0.fields[key] }
                return ends(lifetimes.deadline(ofAll: balances.map(\.dot)))
            }
            && contents.sortedSet.members.everyPart { key, part, ended in
                let balances = lifetimes.balances(part, after: ended) { $0.members[key] }
                return ends(lifetimes.deadline(ofAll: balances.map(\.dot)))
            }
        return isAll ? latest : 0
    }

    /// Whether anything of the key expires.
    ///
    /// - Complexity: as that of `effectiveExpiry`.
    public var expiresInPart: Bool {
        guard nextExpiry > 0 else { return false }
        let lifetimes = lifetimes
        let isLasting =
            contents.everyPlainWrite { lifetimes.deadline(of: $0) == 0 }
            && contents.counter.balances.allSatisfy {
                lifetimes.deadline(of: Dot(identity: $0.0, stamp: $0.1.stamp)) == 0
            }
            && contents.hash.everyPart { _, part, _ in lifetimes.deadline(of: part.dot) == 0 }
            && contents.sortedSet.members.everyPart { _, part, _ in
                lifetimes.deadline(of: part.dot) == 0
            }
        return !isLasting
    }

    /// The next time at which something of the key may end: wall-clock milliseconds since 1970, 0
    /// for never.
    public var nextExpiry: UInt64 {
        if isTombstone { return 0 }
        return (contents.expiry[.unit] ?? []).map(\.payload.milliseconds).filter { $0 > 0 }.min()
            ?? 0
    }

    /// Whether something may have ended and is still here.
    ///
    /// - Parameter now: wall-clock milliseconds since 1970.
    public func hasElapsed(now: UInt64) -> Bool {
        guard !contents.expiry.isEmpty else { return false }
        let next = nextExpiry
        return 0 < next && next <= now
    }

    /// Sets when everything that is here expires.
    ///
    /// - Parameters:
    ///   - milliseconds: wall-clock milliseconds since 1970; 0 for never.
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Returns: nil when there is no key, or when nothing of it expires anyway.
    public mutating func expire(at milliseconds: UInt64, dot: Dot, now: UInt64) -> Delta? {
        guard let type = type(now: now), milliseconds > 0 || expiresInPart else { return nil }
        var delta = open(dot)
        clearHidden(except: type, into: &delta)
        give(milliseconds, dot, into: &delta)
        close(delta)
        return delta
    }

    /// Gives everything that is here a time, in the place of those that it had.
    mutating func give(_ milliseconds: UInt64, _ dot: Dot, into delta: inout Delta) {
        var covered = context
        covered.insert(dot)
        var lifetime = Lifetime(
            order: dot, milliseconds: milliseconds, covered: covered,
            balances: contents.counter.balances)
        // This identity itself knows, and says so when it goes on.
        lifetime.fields = contents.hash.totals(except: dot.identity)
        lifetime.members = contents.sortedSet.members.totals(except: dot.identity)
        contents.expiry.put(
            .unit, DotEntry(dot: dot, payload: lifetime), into: &delta.changes.expiry)
        // Who has not seen what ends could bring it back once the lifetime is gone.
        delta.grounds.join(context)
    }

    // MARK: What is added

    /// What additions inherit; nil while the key does not end as a whole.
    ///
    /// - Parameter now: wall-clock milliseconds since 1970.
    public func inheritance(now: UInt64) -> Inheritance? {
        guard !contents.expiry.isEmpty else { return nil }
        let expiry = effectiveExpiry
        guard expiry > now, let last = lifetimes.last(at: expiry) else { return nil }
        return Inheritance(order: last.order, milliseconds: expiry)
    }

    /// Has what a mutation just did end with what was here before.
    ///
    /// - Parameter delta: the mutation's, which was done here and nowhere else.
    public mutating func cover(_ delta: inout Delta, by inherited: Inheritance) {
        // What replaces everything, or gives a time, has seen to that.
        guard delta.changes.expiry.isEmpty, !delta.clears.contains(.expiry) else { return }
        let (own, after) = (delta.identity, delta.after)
        let former = contents.expiry[.unit]?.first {
            $0.payload.goes(on: inherited, by: own, at: after)
        }
        let start = former.map { $0.payload.before.stamp(of: own) } ?? after
        var lifetime = Lifetime(inherited, to: delta.dot, after: start)
        if let account = contents.counter.accounts[own], account.isLive,
            start < account.current.stamp
        {
            lifetime.note(account.current, of: own)
        }
        let entry = DotEntry(dot: delta.dot, payload: lifetime)
        contents.expiry.put(.unit, entry, into: &delta.changes.expiry) { $0.dot == former?.dot }
    }

    /// The key does not end as a whole, and a mutation has just added to a running total that does:
    /// notes what it was.
    ///
    /// - Parameters:
    ///   - delta: the mutation's.
    ///   - before: the state before it.
    public mutating func keepApart(_ delta: inout Delta, from before: CRDTState) {
        guard delta.changes.expiry.isEmpty, !delta.clears.contains(.expiry) else { return }
        let lifetimes = lifetimes
        let field = before.contents.hash.continued(by: delta.changes.hash)
        let member = before.contents.sortedSet.members.continued(by: delta.changes.sortedSet)
        let last = [field?.total.dot, member?.total.dot].compactMap { $0 }.first
        guard let last, let lifetime = lifetimes.lifetime(of: last), lifetime.milliseconds > 0
        else { return }
        var apart = Lifetime(
            order: lifetime.order, milliseconds: lifetime.milliseconds, covered: VersionVector())
        if let field { apart.fields[field.key] = EndedTotals([field.total]) }
        if let member { apart.members[member.key] = EndedTotals([member.total]) }
        let entry = DotEntry(dot: delta.dot, payload: apart)
        contents.expiry.put(.unit, entry, into: &delta.changes.expiry) { _ in false }
    }

    // MARK: What has ended

    /// The state as a reader sees it: without what has ended.
    ///
    /// - Parameter now: wall-clock milliseconds since 1970.
    public func withoutElapsed(now: UInt64) -> CRDTState {
        guard hasElapsed(now: now), let newest = context.newest, newest.stamp.rawValue < .max else {
            return self
        }
        var left = self
        _ = left.removeElapsed(
            dot: Dot(identity: newest.identity, stamp: newest.stamp.next), now: now)
        left.context = context
        return left
    }

    /// Removes what has ended, as a deletion would that has seen no more.
    ///
    /// - Parameters:
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Returns: nil when nothing has.
    /// - Complexity: O(entries · lifetimes).
    public mutating func removeElapsed(dot: Dot, now: UInt64) -> Delta? {
        guard hasElapsed(now: now) else { return nil }
        let expiry = effectiveExpiry
        if 0 < expiry, expiry <= now { return delete(dot: dot) }
        var delta = open(dot)
        var postponed: Lifetime?
        let lifetimes = lifetimes
        contents.takePlain(into: &delta.changes) { lifetimes.isOver($0, now) }
        for (identity, account) in contents.counter.accounts {
            let balances = lifetimes.balances(identity, account)
            let dots = balances.map { Dot(identity: identity, stamp: $0.stamp) }
            let over = lifetimes.over(dots, now, postponed: &postponed)
            guard over > 0 else { continue }
            contents.counter.reset(identity, to: balances[over - 1], into: &delta.changes.counter)
        }
        takeTotals(lifetimes, now, &postponed, &delta)
        contents.expiry.take(.unit, into: &delta.changes.expiry) { $0.payload.isOver(now) }
        if let postponed {
            contents.expiry.put(
                .unit, DotEntry(dot: dot, payload: postponed), into: &delta.changes.expiry
            ) { _ in false }
        }
        close(delta)
        return delta
    }

    /// The same for fields and members, which have increments.
    private mutating func takeTotals(
        _ lifetimes: Lifetimes, _ now: UInt64, _ postponed: inout Lifetime?, _ delta: inout Delta
    ) {
        let fields = contents.hash.endings { key, part, ended in
            let balances = lifetimes.balances(part, after: ended) { $0.fields[key] }
            let over = lifetimes.over(balances.map(\.dot), now, postponed: &postponed)
            return over == 0 ? nil : balances[over - 1]
        }
        for ending in fields {
            contents.hash.end(ending, dot: delta.dot, into: &delta.changes.hash)
        }
        let members = contents.sortedSet.members.endings { key, part, ended in
            let balances = lifetimes.balances(part, after: ended) { $0.members[key] }
            let over = lifetimes.over(balances.map(\.dot), now, postponed: &postponed)
            return over == 0 ? nil : balances[over - 1]
        }
        for ending in members {
            contents.sortedSet.change(ending.key) {
                $0.end(ending, dot: delta.dot, into: &delta.changes.sortedSet)
            }
        }
    }
}

extension Contents {
    /// Whether every write satisfies `holds`, but for those that are counted.
    fileprivate func everyPlainWrite(_ holds: (Dot) -> Bool) -> Bool {
        registers.everyEntry(holds) && flag.everyEntry(holds) && set.everyEntry(holds)
            && list.everyEntry(holds) && bounded.everyEntry(holds)
    }

    fileprivate mutating func takePlain(into changes: inout Changes, where isOver: (Dot) -> Bool) {
        registers.takeAll(into: &changes.registers, where: isOver)
        flag.takeAll(into: &changes.flag, where: isOver)
        set.takeAll(into: &changes.set, where: isOver)
        list.takeAll(into: &changes.list, where: isOver)
        bounded.takeAll(into: &changes.bounded, where: isOver)
    }
}

extension DotMap {
    fileprivate func everyEntry(_ holds: (Dot) -> Bool) -> Bool {
        isEmpty || map.allSatisfy { $0.value.allSatisfy { holds($0.dot) } }
    }

    fileprivate mutating func takeAll(into changes: inout Changes, where isTaken: (Dot) -> Bool) {
        if isEmpty { return }
        let keys = map.filter { $0.value.contains { isTaken($0.dot) } }.map(\.key)
        for key in keys { take(key, into: &changes) { isTaken($0.dot) } }
    }
}
