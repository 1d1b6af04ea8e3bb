import Base
import Causality
import Coding

/// What one identity has added to a counter in its life, and up to where that was reset.
struct Account: Equatable, Sendable {
    /// A running total as of a stamp.
    struct Balance: Equatable, Sendable {
        var stamp = Stamp(rawValue: 0)
        var total = Quantity.zero

        /// The later of two balances of one identity; the larger one should a stamp have two.
        mutating func join(_ other: Balance) {
            if (stamp, total) < (other.stamp, other.total) { self = other }
        }
    }

    var current = Balance()
    /// Everything up to here was deleted; no later than `current`. Where both have one stamp,
    /// nothing is live, whatever the totals are: only a broken node makes two of one stamp.
    var reset = Balance()

    init() {}

    /// An account without a history. Where its identity had one before, that was deleted, and is
    /// forgotten where nobody needs it any more: whoever still has it has to let go of it.
    init(openedBefore stamp: Stamp) { reset.stamp = Stamp(rawValue: stamp.rawValue - 1) }

    var isLive: Bool { reset.stamp < current.stamp }
    var live: Quantity { isLive ? current.total - reset.total : .zero }

    mutating func join(_ other: Account) {
        current.join(other.current)
        reset.join(other.reset)
    }
}

/// A counter: per identity a running total and the part of it that was deleted.
///
/// A delete removes exactly the increments that it has seen. Were the totals plain entries under a
/// dot, an increment that did not know of the delete would bring back its identity's whole total;
/// the deleted part, remembered by identity as the context is, makes the difference exact. One
/// signed total an identity is enough, because its stamp says which of two is later.
///
/// Source: Weidner & Almeida, "An Oblivious Observed-Reset Embeddable Replicated Counter" (2022).
struct Accounts: Equatable, Sendable {
    private(set) var accounts = SortedMap<ReplicaIdentity, Account>()

    var isEmpty: Bool { accounts.isEmpty }
    /// Whether any increment is live.
    var isLive: Bool { accounts.values.contains { $0.isLive } }

    /// The latest live dot.
    var newest: Dot? {
        accounts.filter { $0.1.isLive }.map { Dot(identity: $0.0, stamp: $0.1.current.stamp) }.max()
    }

    var sum: Quantity.Sum {
        var sum = Quantity.Sum()
        for account in accounts.values { sum.add(account.live) }
        return sum
    }

    mutating func join(_ other: Accounts) {
        for (identity, account) in other.accounts {
            var joined = accounts[identity] ?? Account()
            joined.join(account)
            accounts[identity] = joined
        }
    }

    /// Adds under a dot of the identity that is later than its account.
    mutating func add(_ delta: Quantity, dot: Dot, into changes: inout Accounts) {
        var account = accounts[dot.identity] ?? Account(openedBefore: dot.stamp)
        account.current = Account.Balance(stamp: dot.stamp, total: account.current.total + delta)
        accounts[dot.identity] = account
        changes.accounts[dot.identity] = account
    }

    /// Deletes every increment, or those of one identity.
    mutating func reset(only identity: ReplicaIdentity? = nil, into changes: inout Accounts) {
        for (owner, account) in accounts where account.isLive && owner == identity ?? owner {
            var emptied = account
            emptied.reset = account.current
            accounts[owner] = emptied
            changes.accounts[owner] = emptied
        }
    }

    /// Deletes what an identity had added up to a balance, at the latest its present one.
    mutating func reset(
        _ owner: ReplicaIdentity, to balance: Account.Balance, into changes: inout Accounts
    ) {
        guard var account = accounts[owner] else { return }
        account.reset = balance
        accounts[owner] = account
        changes.accounts[owner] = account
    }

    /// What each identity has added, where that is live.
    var balances: SortedMap<ReplicaIdentity, Account.Balance> {
        var balances = SortedMap<ReplicaIdentity, Account.Balance>()
        for (identity, account) in accounts where account.isLive {
            balances[identity] = account.current
        }
        return balances
    }

    /// Sets an account to a stamp, above zero, that its identity has passed.
    mutating func lower(to bound: Dot) {
        guard var account = accounts[bound.identity] else { return }
        let resetMax = account.isLive ? Stamp(rawValue: bound.stamp.rawValue - 1) : bound.stamp
        account.current.stamp = min(account.current.stamp, bound.stamp)
        account.reset.stamp = min(account.reset.stamp, resetMax)
        accounts[bound.identity] = account
    }

    /// Forgets the accounts of identities that added nothing after a stamp. What others had added
    /// before, without having heard of this, stays in their totals; what was deleted of it does not
    /// come back.
    mutating func truncate(through stamp: Stamp) {
        var kept = SortedMap<ReplicaIdentity, Account>()
        for (identity, account) in accounts where stamp < account.current.stamp {
            kept[identity] = account
        }
        accounts = kept
    }

    /// Drops the live accounts that nothing was added to after a stamp and that others do not have.
    mutating func removeRefuted(_ stamp: Stamp, _ known: Accounts) -> Bool {
        let refuted = accounts.filter {
            $0.1.isLive && $0.1.current.stamp <= stamp && known.accounts[$0.0] == nil
        }
        for (identity, _) in refuted { accounts[identity] = nil }
        return !refuted.isEmpty
    }

    /// Drops the account of an identity of which nothing is live.
    mutating func forget(_ identity: ReplicaIdentity) {
        if accounts[identity]?.isLive == false { accounts[identity] = nil }
    }

    /// Whether every stamp that the accounts stand upon satisfies `isKnown`.
    func allDots(_ isKnown: (Dot) -> Bool) -> Bool {
        accounts.allSatisfy { isKnown(Dot(identity: $0.0, stamp: $0.1.current.stamp)) }
    }

    func encode(into encoder: inout DotEncoder) {
        encoder.append(count: accounts.count)
        for (identity, account) in accounts {
            encoder.append(Dot(identity: identity, stamp: account.current.stamp))
            account.current.total.encode(into: &encoder)
            encoder.append(varint: account.current.stamp.rawValue - account.reset.stamp.rawValue)
            account.reset.total.encode(into: &encoder)
        }
    }

    init() {}

    init(decoding decoder: inout DotDecoder) throws(DecodeError) {
        for _ in 0..<(try decoder.count()) {
            let dot = try decoder.dot()
            if let last = accounts.keys.last, dot.identity <= last {
                throw .invalid("accounts are out of order")
            }
            var account = Account()
            account.current = Account.Balance(
                stamp: dot.stamp, total: try Quantity(decoding: &decoder))
            let age: UInt64 = try decoder.varint()
            guard age <= dot.stamp.rawValue else { throw .invalid("account was never reset") }
            account.reset = Account.Balance(
                stamp: Stamp(rawValue: dot.stamp.rawValue - age),
                total: try Quantity(decoding: &decoder))
            guard account.reset.stamp.rawValue > 0 || account.reset.total == .zero else {
                throw .invalid("account was reset before it was opened")
            }
            accounts[dot.identity] = account
        }
    }
}

private func < (a: (Stamp, Quantity), b: (Stamp, Quantity)) -> Bool {
    a.0 == b.0 ? a.1 < b.1 : a.0 < b.0
}
