import Base
import Causality

// A state that may hold what was deleted and forgotten elsewhere
extension CRDTState {
    /// Takes out what was written up to a stamp and is not live in the state of somebody who has
    /// seen everything up to there: it was removed, and nobody remembers that. What was written
    /// later stays. With what is taken out the context forgets the identities that nothing names
    /// any more: another state with the same old writes would else seem to be equal.
    ///
    /// A running total that its identity went on with after the stamp stays in full.
    ///
    /// - Returns: whether there was anything to take out.
    /// - Complexity: O(entries of both).
    public mutating func removeRefuted(through stamp: Stamp, by truth: CRDTState) -> Bool {
        let known = truth.contents
        let areChanged = [
            contents.registers.removeRefuted(stamp, known.registers),
            contents.counter.removeRefuted(stamp, known.counter),
            contents.flag.removeRefuted(stamp, known.flag),
            contents.set.removeRefuted(stamp, known.set),
            contents.hash.removeRefuted(stamp, known.hash),
            contents.sortedSet.removeRefuted(stamp, known.sortedSet),
            contents.list.removeRefuted(stamp, known.list),
            contents.bounded.removeRefuted(stamp, known.bounded),
            contents.expiry.removeRefuted(stamp, known.expiry),
        ]
        guard areChanged.contains(true) else { return false }
        forgetNames(through: stamp, knownTo: truth.context)
        return true
    }

    /// Forgets the identities of which nothing was written after a stamp, nothing is live and
    /// others know nothing.
    private mutating func forgetNames(through stamp: Stamp, knownTo others: VersionVector) {
        let before = context
        func isForgotten(_ dot: Dot) -> Bool {
            let last = Dot(identity: dot.identity, stamp: before.stamp(of: dot.identity))
            return last.stamp <= stamp && !others.contains(last)
        }
        contents.hash.forgetUnneeded(where: isForgotten)
        contents.sortedSet.tidy { $0.forgetUnneeded(where: isForgotten) }
        var kept = VersionVector()
        for dot in context.entries where !isForgotten(dot) { kept.insert(dot) }
        _ = forgetIdentities(allBut: kept)
    }
}

extension DotMap {
    mutating func removeRefuted(_ stamp: Stamp, _ known: DotMap) -> Bool {
        if isEmpty { return false }
        var refuted: [(key: Key, dots: [Dot])] = []
        var others = known.map.makeIterator()
        var other = others.next()
        for (key, entries) in map where entries.contains(where: { $0.dot.stamp <= stamp }) {
            while let behind = other, behind.key < key { other = others.next() }
            let there = other.flatMap { $0.key == key ? $0.value : nil } ?? []
            let gone = entries.filter { $0.dot.stamp <= stamp && there.index(of: $0.dot) == nil }
            if !gone.isEmpty { refuted.append((key, gone.map(\.dot))) }
        }
        for (key, dots) in refuted { remove(key) { dots.contains($0.dot) } }
        return !refuted.isEmpty
    }
}

extension CountedMap {
    /// What has ended is remembered: a live total may count from there.
    mutating func removeRefuted(_ stamp: Stamp, _ known: CountedMap) -> Bool {
        live.removeRefuted(stamp, known.live)
    }
}
