import Base
import Causality

/// What a string holds.
public enum StringValue: Equatable, Sendable {
    case bytes(Bytes)
    /// Increments were made; on top of the register's number where there is one.
    case number(Quantity)
}

/// A string: a register and a counter that adds to it, so that SET and INCR meet as users expect.
///
/// The newest register write counts (later stamp, then higher identity), and the increments that no
/// register write has seen are added to it if it is a number; while it is none, they are hidden.
/// Concurrent increments all count; a SET or DEL removes exactly the increments that it has seen.
/// The number is exact decimal (`Quantity`), so the order of addition does not matter; where
/// concurrent increments leave the range of `Int64`, reads stop at its end.
extension CRDTState {
    /// What the string holds; nil for an absent key and for another type.
    ///
    /// - Complexity: O(identities).
    public func string(now: UInt64) -> StringValue? {
        guard type(now: now) == .string else { return nil }
        let base = base
        guard contents.counter.isLive else { return base.map { .bytes($0) } }
        guard let base else { return .number(contents.counter.sum.total) }
        guard let number = Quantity(decimal: base.array) else { return .bytes(base) }
        var sum = contents.counter.sum
        sum.add(number)
        return .number(sum.total)
    }

    /// All register values that no later write has seen, the oldest first: the multi-value reading.
    public func siblings(now: UInt64) -> [Bytes] {
        guard type(now: now) == .string else { return [] }
        return (contents.registers[.unit] ?? []).map(\.payload)
    }

    /// Puts a value in place of the whole key, of whatever type it was.
    ///
    /// - Parameters:
    ///   - expiry: wall-clock milliseconds since 1970, 0 for never; nil to leave it to what the key
    ///     had (`cover`).
    ///   - dot: later than everything in `context`.
    public mutating func set(
        _ value: Bytes, expiry: UInt64? = 0, dot: Dot
    ) throws(CRDTRefusal) -> Delta {
        guard value.count <= CRDTState.elementBytesMax else { throw .tooLarge }
        var delta = open(dot)
        var others = contents.live
        others.bits &= ~TypeMask(.string).bits
        if expiry == nil { others.bits &= ~TypeMask.expiry.bits }
        clear(others, into: &delta)
        contents.counter.reset(into: &delta.changes.counter)
        contents.registers.put(
            .unit, DotEntry(dot: dot, payload: value), into: &delta.changes.registers)
        if let expiry, expiry > 0 {
            let lifetime = Lifetime(
                Inheritance(order: dot, milliseconds: expiry), to: dot, after: delta.after)
            contents.expiry.put(
                .unit, DotEntry(dot: dot, payload: lifetime), into: &delta.changes.expiry)
        }
        close(delta)
        return delta
    }

    /// Adds to the number.
    ///
    /// - Parameters:
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Throws: `notANumber` when the register holds none, `overflow` when the sum or this
    ///   identity's part of it would leave the range of `Int64`.
    public mutating func increment(
        by amount: Quantity, dot: Dot, now: UInt64
    ) throws(CRDTRefusal) -> Delta {
        try check(.string, now: now)
        let isAbsent = type(now: now) == nil
        var sum = isAbsent ? Quantity.Sum() : contents.counter.sum
        if !isAbsent, let base {
            guard let number = Quantity(decimal: base.array) else { throw .notANumber }
            sum.add(number)
        }
        let own = isAbsent ? .zero : contents.counter.accounts[dot.identity]?.live ?? .zero
        guard sum.total.adding(amount) != nil, own.mayAdd(amount) else { throw .overflow }
        var delta = try begin(.string, dot: dot, now: now)
        contents.counter.add(amount, dot: dot, into: &delta.changes.counter)
        close(delta)
        return delta
    }

    /// The newest register value.
    private var base: Bytes? { contents.registers[.unit]?.last?.payload }
}
