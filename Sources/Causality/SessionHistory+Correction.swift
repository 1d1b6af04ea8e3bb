extension SessionHistory {
    /// Takes what a wrong clock stamped as it is called from now on (`ClockCorrection`): otherwise
    /// nothing would ever cover it, and no write could follow it before its time has come.
    ///
    /// - Complexity: O(dots).
    public mutating func correct(_ correction: ClockCorrection) {
        func corrected(_ stamp: Stamp) -> Stamp {
            stamp.milliseconds > correction.bound ? correction.limit : stamp
        }
        func corrected(all seen: VersionVector) -> VersionVector {
            var vector = VersionVector()
            for dot in seen.entries {
                let isConcerned = dot.stamp.milliseconds > correction.bound
                vector.insert(
                    isConcerned
                        ? Dot(identity: correction.successor, stamp: correction.limit) : dot)
            }
            return vector
        }
        guard corrected(newest) < newest else { return }
        (floor, order) = (corrected(floor), corrected(order))
        for (key, old) in entries where corrected(old.newest) < old.newest {
            var entry = old
            entry.seen = corrected(all: old.seen)
            entry.replaceable = corrected(all: old.replaceable)
            entry.changes = corrected(all: old.changes)
            (entry.floor, entry.expiry) = (corrected(old.floor), corrected(old.expiry))
            put(key, entry, evicting: false)
        }
    }
}
