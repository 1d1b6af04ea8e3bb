import Base
import Causality
import Coding

/// When a part of a key ends: what was there when somebody said so, or what somebody added to a key
/// that ends.
///
/// It names what it was given to and holds no value. It is filed under the dot of the command that
/// made it and never changed: who gives the key another time puts a new one in the place of those
/// that it has seen. For each write in the key the lifetime counts that was given last (`order`)
/// among those that cover it, so that nothing ends by a command that did not know of it.
struct Lifetime: DotPayload {
    /// The command that gave the time; what was added later inherits it along with the time.
    private(set) var order: Dot
    /// Wall-clock milliseconds since 1970; 0 for never.
    private(set) var milliseconds: UInt64
    /// The writes that end then: these, without `before`.
    private(set) var covered: VersionVector
    private(set) var before = VersionVector()
    /// What of a counter ends then: the running totals of identities, as they were.
    private(set) var balances = SortedMap<ReplicaIdentity, Account.Balance>()
    /// What of increments in fields and members ends then. Their identities may go on with their
    /// totals and not know of this.
    var fields = SortedMap<Bytes, EndedTotals<FieldPart>>()
    var members = SortedMap<Bytes, EndedTotals<ScorePart>>()

    /// What a command gives to everything that it sees.
    init(
        order: Dot, milliseconds: UInt64, covered: VersionVector,
        balances: SortedMap<ReplicaIdentity, Account.Balance> = SortedMap()
    ) {
        self.order = order
        self.milliseconds = milliseconds
        self.covered = covered
        self.balances = balances
    }

    /// What is added inherits.
    ///
    /// - Parameters:
    ///   - writes: the latest of them; all of its identity's after `stamp`.
    init(_ inherited: Inheritance, to writes: Dot, after stamp: Stamp) {
        order = inherited.order
        milliseconds = inherited.milliseconds
        covered = VersionVector(writes)
        guard stamp.rawValue > 0 else { return }
        before = VersionVector(Dot(identity: writes.identity, stamp: stamp))
    }

    func covers(_ dot: Dot) -> Bool { covered.contains(dot) && !before.contains(dot) }

    func isOver(_ now: UInt64) -> Bool { 0 < milliseconds && milliseconds <= now }

    /// Whether it is what an identity's writes have inherited up to a stamp, and nothing else.
    func goes(on inherited: Inheritance, by identity: ReplicaIdentity, at stamp: Stamp) -> Bool {
        order == inherited.order && milliseconds == inherited.milliseconds
            && covered.entries == [Dot(identity: identity, stamp: stamp)] && fields.isEmpty
            && members.isEmpty
    }

    mutating func note(_ balance: Account.Balance, of identity: ReplicaIdentity) {
        balances[identity] = balance
    }

    /// The same with another time.
    func postponed(to time: UInt64) -> Lifetime {
        var later = self
        later.milliseconds = time
        return later
    }

    /// All that either covers, at the later of two orders.
    mutating func join(_ other: Lifetime) {
        if (order, milliseconds) < (other.order, other.milliseconds) {
            (order, milliseconds) = (other.order, other.milliseconds)
        }
        before = common(with: other)
        covered.join(other.covered)
        for (identity, balance) in other.balances {
            var joined = balances[identity] ?? Account.Balance()
            joined.join(balance)
            balances[identity] = joined
        }
        for (key, totals) in other.fields where fields.update(key, { $0.join(totals) }) == nil {
            fields[key] = totals
        }
        for (key, totals) in other.members where members.update(key, { $0.join(totals) }) == nil {
            members[key] = totals
        }
    }

    /// What neither covers of the identities that they cover.
    private func common(with other: Lifetime) -> VersionVector {
        var common = VersionVector()
        for (one, another) in [(self, other), (other, self)] {
            for dot in one.before.entries {
                let isOnly = another.covered.stamp(of: dot.identity).rawValue == 0
                let stamp = another.before.stamp(of: dot.identity)
                let least = isOnly ? dot.stamp : min(dot.stamp, stamp)
                if least.rawValue > 0 { common.insert(Dot(identity: dot.identity, stamp: least)) }
            }
        }
        return common
    }

    /// Whether it can be written down and read back: what two make together may name too many.
    var isWithinLimits: Bool {
        max(covered.entries.count, before.entries.count) <= CRDTState.identitiesMax
    }

    func allDots(_ isKnown: (Dot) -> Bool) -> Bool {
        isKnown(order) && fields.values.allSatisfy { $0.allDots(isKnown) }
            && members.values.allSatisfy { $0.allDots(isKnown) }
    }

    mutating func rename(_ name: (Dot) -> Dot) { order = name(order) }

    /// Names anew what an identity has done after a dot of its own.
    ///
    /// - Parameter names: by stamp.
    mutating func lower(to bound: Dot, _ names: SortedMap<Stamp, Dot>) {
        covered = covered.lowered(to: bound, names)
        before = before.lowered(to: bound, names)
        for key in fields.keys { fields.update(key) { $0.lower(to: bound) } }
        for key in members.keys { members.update(key) { $0.lower(to: bound) } }
        guard var balance = balances[bound.identity] else { return }
        balance.stamp = min(balance.stamp, bound.stamp)
        balances[bound.identity] = balance
    }

    mutating func forgetTotals() {
        fields.removeAll()
        members.removeAll()
    }

    /// Leaves out what only identities have written of which nothing is left.
    mutating func forget(allBut kept: VersionVector) {
        func isLeft(_ identity: ReplicaIdentity) -> Bool { kept.stamp(of: identity).rawValue > 0 }
        for dot in covered.entries where !isLeft(dot.identity) {
            covered = covered.removing(dot.identity)
            before = before.removing(dot.identity)
            balances[dot.identity] = nil
        }
    }
}

extension VersionVector {
    fileprivate func lowered(to bound: Dot, _ names: SortedMap<Stamp, Dot>) -> VersionVector {
        let seen = stamp(of: bound.identity)
        guard bound.stamp < seen else { return self }
        var lowered = removing(bound.identity)
        lowered.insert(bound)
        for (stamp, dot) in names where stamp <= seen { lowered.insert(dot) }
        return lowered
    }
}

// In bytes
extension Lifetime {
    func encode(into encoder: inout DotEncoder) {
        encoder.append(order)
        encoder.append(varint: milliseconds)
        encoder.append(covered)
        encoder.append(before)
        encoder.append(count: balances.count)
        for (identity, balance) in balances {
            encoder.append(identity)
            encoder.append(balance.stamp)
            balance.total.encode(into: &encoder)
        }
        encoder.append(totals: fields)
        encoder.append(totals: members)
    }

    init(decoding decoder: inout DotDecoder) throws(DecodeError) {
        let order = try decoder.dot()
        try self.init(behind: order, &decoder)
    }

    /// - Parameter order: has been read.
    init(behind order: Dot, _ decoder: inout DotDecoder) throws(DecodeError) {
        self.order = order
        milliseconds = try decoder.varint()
        guard milliseconds <= Record.expiryMax else { throw .invalid("a key expires too late") }
        covered = try decoder.vector()
        before = try decoder.vector()
        for _ in 0..<(try decoder.count(bytesMin: 17)) {
            let identity = try decoder.identity()
            if let last = balances.keys.last, identity <= last {
                throw .invalid("balances are out of order")
            }
            let stamp = try decoder.stamp()
            balances[identity] = Account.Balance(
                stamp: stamp, total: try Quantity(decoding: &decoder))
        }
        fields = try decoder.totals()
        members = try decoder.totals()
    }
}

extension DotEncoder {
    fileprivate mutating func append<Part>(totals: SortedMap<Bytes, EndedTotals<Part>>) {
        append(count: totals.count)
        for (key, totals) in totals {
            append(key)
            totals.encode(into: &self)
        }
    }
}

extension DotDecoder {
    fileprivate mutating func totals<Part>() throws(DecodeError)
        -> SortedMap<Bytes, EndedTotals<Part>>
    {
        var totals = SortedMap<Bytes, EndedTotals<Part>>()
        for _ in 0..<(try count(bytesMin: 3)) {
            let key = try bytes()
            if let last = totals.keys.last, key <= last { throw .invalid("keys are out of order") }
            totals[key] = try EndedTotals(decoding: &self)
        }
        return totals
    }
}

private func < (a: (Dot, UInt64), b: (Dot, UInt64)) -> Bool {
    a.0 == b.0 ? a.1 < b.1 : a.0 < b.0
}
