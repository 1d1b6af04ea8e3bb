import Base
import Causality

extension VersionVector {
    /// The highest stamp seen of an identity; zero when none was.
    ///
    /// - Complexity: O(log entries).
    func stamp(of identity: ReplicaIdentity) -> Stamp {
        let index = entries.firstIndex(ofAscending: identity) { $0.identity }
        return index.map { entries[$0].stamp } ?? Stamp(rawValue: 0)
    }

    /// The same without one identity.
    func removing(_ identity: ReplicaIdentity) -> VersionVector {
        var rest = VersionVector()
        for dot in entries where dot.identity != identity { rest.insert(dot) }
        return rest
    }
}

extension Array {
    /// The place of a key in an array that ascends by it.
    func firstIndex<Key: Comparable>(ofAscending key: Key, _ path: (Element) -> Key) -> Int? {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if path(self[middle]) < key { low = middle + 1 } else { high = middle }
        }
        return low < count && path(self[low]) == key ? low : nil
    }
}
