import Base
import Causality
import Coding

// Values of keys that may have few concurrent ones, and what their keyspace's rule allows: lists
// that are united, numbers of which the largest stays, or the oldest dropped.
extension History {
    private static let numberBase = 1_000_000

    /// The bytes that a write of siblings writes: with `union` a list of one, with `max` a number
    /// whose size says nothing about when it was written.
    func siblingValue(_ operation: Int, filling: Int) -> [UInt8] {
        let value = History.value(operation, filling: filling)
        switch plan.keyspaces[operations[operation].keyspace].overflow {
        case .refuse, .lww: return value
        case .union: return Array("[\"".utf8) + value + Array("\"]".utf8)
        case .max: return Array("\(size(of: operation))".utf8)
        }
    }

    private func size(of write: Int) -> Int {
        Int(finalMix(UInt64(write)) % 1_000) * History.numberBase + write
    }

    /// The operations whose values stand in a sibling; nil for bytes that nobody wrote.
    func operations(of value: some Collection<UInt8>, in keyspace: Int) -> [Int]? {
        switch plan.keyspaces[keyspace].overflow {
        case .refuse, .lww: return operation(of: value).map { [$0] }
        case .union:
            guard value.starts(with: "[\"".utf8) else { return nil }
            var found: [Int] = []
            for element in value.dropFirst().dropLast().split(separator: UInt8(ascii: ",")) {
                guard let operation = operation(of: element.dropFirst()) else { return nil }
                found.append(operation)
            }
            return found
        case .max:
            let number = Array(value).withUnsafeBytes { Int64(decimal: $0) }
            guard let number else { return nil }
            let operation = Int(number) % History.numberBase
            return operations.indices.contains(operation) ? [operation] : nil
        }
    }

    /// Takes note of what the oldest of too many values were: a full set of later ones has seen
    /// them and holds them no more.
    mutating func noteDropped(_ set: SiblingSet, of key: Int) {
        let keyspace = plan.keyspaces[keys[key].keyspace]
        guard keyspace.overflow == .lww, set.siblings.count >= keyspace.siblingsMax,
            let oldest = set.siblings.first?.dot
        else { return }
        for write in keys[key].writes where operations[write].kind == .write {
            let dots = siblingDots[write] ?? []
            guard dots.contains(where: { $0 < oldest && set.context.contains($0) }),
                !set.siblings.contains(where: { dots.contains($0.dot) })
            else { continue }
            droppedWrites.insert(write)
        }
    }

    /// Whether a key's rule allows that a value is missing although nobody replaced it.
    ///
    /// - Parameter shown: the values that were read.
    func isOverflowed(_ write: Int, shown: [Int]) -> Bool {
        let key = keys[operations[write].key]
        switch plan.keyspaces[key.keyspace].overflow {
        case .refuse, .union: return false
        case .lww:
            // In memory only, at a coordinator that was cut off, nobody saw its dot.
            return droppedWrites.contains(write)
                || siblingDots[write] == nil && plan.keyspaces[key.keyspace].mayBeInMemory
        case .max:
            return key.writes.contains { other in
                operations[other].kind == .write && operations[other].outcome != .failed
                    && size(of: write) < size(of: other)
                    && (shown.contains(other) || isReplaced(other, in: key))
            }
        }
    }

    /// Whether a write that may have happened replaced a value.
    func isReplaced(_ write: Int, in key: Key) -> Bool {
        // A plain write replaces what its node holds, whatever that was.
        let isPlain = plan.keyspaces[key.keyspace].isPlain
        return key.writes.contains { other in
            operations[other].outcome != .failed
                && (isPlain && other != write || operations[other].replaces.contains(write))
        }
    }

    /// Whether one write may bring back what another has replaced, or an operator emptied away: it
    /// united it with its own before it heard of that.
    func mayCarry(_ keyspace: Int) -> Bool {
        switch plan.keyspaces[keyspace].overflow {
        case .refuse, .lww: false
        case .union, .max: true
        }
    }
}
