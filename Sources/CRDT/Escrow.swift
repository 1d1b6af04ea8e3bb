import Base
import Causality
import Coding

/// The rights of a bounded counter: who may take how much from it without asking anybody.
///
/// Each identity owns one row and alone changes it, or a later life of the same node once it is
/// gone; every amount in a row only grows, so that rows are joined amount by amount: whoever
/// changed one without knowing all of it undoes nothing. An increment mints rights for its
/// identity, a decrement uses them up, a transfer grants some to another. An identity that
/// decrements only within its own rights can have them spent by nobody else, so all replicas
/// together never go below the bound.
///
/// Source: Balegas et al., "Extending Eventually Consistent Cloud Databases for Enforcing Numeric
/// Invariants" (2015), §4.
struct Escrow: DotPayload {
    /// What one identity did.
    struct Row: Equatable, Sendable {
        var stamp = Stamp(rawValue: 0)
        var minted: Int64 = 0
        var used: Int64 = 0
        /// By receiver.
        var granted = SortedMap<ReplicaIdentity, Int64>()
    }

    /// The value never falls below this.
    var bound: Int64
    private(set) var rows = SortedMap<ReplicaIdentity, Row>()

    init(bound: Int64) { self.bound = bound }

    var value: Int128 {
        rows.values.reduce(Int128(bound)) { $0 + Int128($1.minted) - Int128($1.used) }
    }

    /// How much the identity may take.
    func rights(of identity: ReplicaIdentity) -> Int128 {
        var rights: Int128 = 0
        for (owner, row) in rows {
            if owner == identity {
                rights += Int128(row.minted) - Int128(row.used)
                for amount in row.granted.values { rights -= Int128(amount) }
            }
            rights += Int128(row.granted[identity] ?? 0)
        }
        return rights
    }

    /// Who has a row, or was granted something; ascending.
    var parties: [ReplicaIdentity] {
        var parties = SortedMap<ReplicaIdentity, Bool>()
        for (owner, row) in rows {
            parties[owner] = true
            for receiver in row.granted.keys { parties[receiver] = true }
        }
        return Array(parties.keys)
    }

    /// Whether others have handed rights to the identity.
    func isGranted(to identity: ReplicaIdentity) -> Bool {
        rows.values.contains { $0.granted[identity] != nil }
    }

    /// Changes a row.
    ///
    /// - Returns: what other replicas have to join: the row alone.
    mutating func change(
        _ owner: ReplicaIdentity, _ stamp: Stamp, _ body: (inout Row) -> Void
    ) -> Escrow {
        var row = rows[owner] ?? Row()
        body(&row)
        row.stamp = stamp
        rows[owner] = row
        var part = Escrow(bound: bound)
        part.rows[owner] = row
        return part
    }

    /// Sets a row to a stamp that its identity has passed.
    mutating func lower(to bound: Dot) {
        guard var row = rows[bound.identity] else { return }
        row.stamp = min(row.stamp, bound.stamp)
        rows[bound.identity] = row
    }

    mutating func join(_ other: Escrow) {
        bound = max(bound, other.bound)
        for (owner, row) in other.rows {
            var joined = rows[owner] ?? Row()
            joined.join(row)
            rows[owner] = joined
        }
    }

    func encode(into encoder: inout DotEncoder) {
        encoder.append(signed: Int128(bound))
        encoder.append(count: rows.count)
        for (owner, row) in rows {
            encoder.append(owner)
            encoder.append(row.stamp)
            encoder.append(varint: UInt64(row.minted))
            encoder.append(varint: UInt64(row.used))
            encoder.append(count: row.granted.count)
            for (receiver, amount) in row.granted {
                encoder.append(receiver)
                encoder.append(varint: UInt64(amount))
            }
        }
    }

    init(decoding decoder: inout DotDecoder) throws(DecodeError) {
        bound = try decoder.int64()
        for _ in 0..<(try decoder.count(bytesMin: 19)) {
            let owner = try decoder.identity()
            if let last = rows.keys.last, owner <= last { throw .invalid("rows are out of order") }
            rows[owner] = try Row(decoding: &decoder)
        }
    }
}

extension Escrow.Row {
    fileprivate mutating func join(_ other: Escrow.Row) {
        stamp = max(stamp, other.stamp)
        minted = max(minted, other.minted)
        used = max(used, other.used)
        for (receiver, amount) in other.granted {
            granted[receiver] = max(granted[receiver] ?? 0, amount)
        }
    }

    fileprivate init(decoding decoder: inout DotDecoder) throws(DecodeError) {
        stamp = try decoder.stamp()
        guard stamp.rawValue > 0 else { throw .invalid("a row has a stamp") }
        minted = try decoder.amount()
        used = try decoder.amount()
        for _ in 0..<(try decoder.count(bytesMin: 9)) {
            let receiver = try decoder.identity()
            if let last = granted.keys.last, receiver <= last {
                throw .invalid("grants are out of order")
            }
            granted[receiver] = try decoder.amount()
        }
    }
}

extension DotDecoder {
    fileprivate mutating func amount() throws(DecodeError) -> Int64 {
        guard let amount = Int64(exactly: try varint(UInt64.self)) else {
            throw .invalid("amount is too large")
        }
        return amount
    }
}
