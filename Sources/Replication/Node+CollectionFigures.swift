import Base
import Causality
import Ring

/// What an operator sees of deletions that cannot be forgotten yet.
public struct CollectionFigures: Equatable, Sendable {
    /// How long ago the oldest tombstone was written, milliseconds; 0 without any.
    public internal(set) var oldestMilliseconds: UInt64 = 0
    /// Replicas without which it cannot go, ascending: those that are not heard, and where
    /// something waits for longer than it has to, those that hold it up.
    public internal(set) var waitsFor: [NodeID] = []
}

extension Node {
    /// What waits to be forgotten, and for whom.
    ///
    /// - Complexity: O(key ranges · replicas).
    public var collectionFigures: CollectionFigures {
        var figures = CollectionFigures()
        var blocking: UInt64 = 0
        for range in KeyRange.all {
            let oldest = collection.waiting[range.rawValue]
            guard oldest > 0 else { continue }
            let age =
                now.wallMilliseconds
                - min(Stamp(rawValue: oldest).milliseconds, now.wallMilliseconds)
            figures.oldestMilliseconds = max(figures.oldestMilliseconds, age)
            for n in collection.replicationFactors
            where !holdings.forests[n].isEmpty {
                // Until hints are given up nobody promises anything, but who has to be equal first
                // is known.
                let isPromised =
                    age > patience + grace(n) - configuration.collectionGraceMilliseconds
                if let index = blocker(range, n, oldest, isPromised),
                    age > patience || !isHeard(index)
                {
                    blocking |= 1 << UInt64(index)
                }
            }
        }
        figures.waitsFor = links.indices.filter { blocking.isSet($0) }.map { links[$0].node }
        return figures
    }

    /// Milliseconds after which a tombstone is late, where there are no hints to wait for.
    private var patience: UInt64 {
        configuration.collectionGraceMilliseconds + 3 * configuration.collectionMilliseconds
            + Node.exchangePauseMax
    }

    /// The replica of a range, by link index, that is furthest from having promised up to a stamp;
    /// of several the first that is not heard. Nil when all have.
    ///
    /// - Parameter isPromised: whether it was to be promised by now; otherwise it is enough to have
    ///   been found equal since, and to be there.
    private func blocker(
        _ range: KeyRange, _ n: Int, _ stamp: UInt64, _ isPromised: Bool
    ) -> Int? {
        guard Int(ranks[Int(range.rawValue)]) < n, let part = collection.parts[n] else {
            return nil
        }
        var last: (index: Int, stamp: UInt64, isHeard: Int)?
        for node in ring.primaries(of: range, replicationFactor: n)
        where node != configuration.node && !isRemoved(node) {
            guard let index = linkIndex(of: node) else { continue }
            let told = isPromised ? part.others[index][range.rawValue] : .max
            let isHeard = isHeard(index) ? 1 : 0
            let promised = isHeard > 0 ? told : 0
            let equal = equalities.last(
                link: index, replicationFactor: n, range: range.rawValue)
            let least = min(promised, equal)
            guard least < stamp,
                last.map({ (least, isHeard) < ($0.stamp, $0.isHeard) }) ?? true
            else { continue }
            last = (index, least, isHeard)
        }
        return last?.index
    }

    var collectionFields: [(String, String)] {
        let figures = collectionFigures
        let nodes = figures.waitsFor.map { "\($0.rawValue)" }.joined(separator: ",")
        return [
            ("tombstone_oldest_ms", "\(figures.oldestMilliseconds)"),
            ("tombstones_wait_for", nodes),
        ]
    }
}
