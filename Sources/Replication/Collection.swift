import AntiEntropy
import Ring

/// What this node knows of which deletions everybody has heard of (`Node+Collection`).
struct Collection {
    /// The key ranges of one n, as stamps.
    struct Part {
        /// Whatever this node stamped or is going to stamp up to here, all replicas hold. On disk
        /// before anybody is told.
        var promised = RangeStamps()
        /// Tombstones up to here are forgotten, here or before long.
        var collected = RangeStamps()
        /// The latest that any node is known to have collected.
        var known = RangeStamps()
        /// Nothing up to here is settled any more, whatever was collected: replicas have brought
        /// back what they had (`Node+CatchUp`).
        var revoked = RangeStamps()
        /// Whatever is not known here yet has seen everything up to there.
        var stable = RangeStamps()
        /// What was collected at some moment, and that moment as a stamp: once everything up to the
        /// moment is collected as well, the former is stable.
        var ripening = (collected: RangeStamps(), until: RangeStamps())
        /// What others promised, by link index; 0 until they have on the link as it is now.
        var others: [RangeStamps]
        /// The latest that others know to be collected, by link index, as they said over their
        /// present links.
        var knownThere: [RangeStamps]
        /// In which ranges others vouch, by link index, as they said over their present links.
        var whole: [RangeSet]
        /// Hints that were taken until then may still be handed off: wall-clock milliseconds since
        /// 1970, although no keyspace takes any now.
        var hintedUntil: UInt64 = 0

        init(links: Int) {
            others = Array(repeating: RangeStamps(), count: links)
            knownThere = others
            whole = Array(repeating: RangeSet(), count: links)
        }

        /// The latest that was collected in a range if this node has not promised it; 0 otherwise.
        func missed(_ range: UInt8) -> UInt64 {
            promised[range] < known[range] ? known[range] : 0
        }

        /// Takes back what was said of a range by a clock that was proved wrong.
        mutating func withdraw(_ range: UInt8, beyond stamp: UInt64) {
            if promised[range] > stamp { promised[range] = 0 }
            guard max(known[range], revoked[range]) > stamp else { return }
            (known[range], collected[range], revoked[range], stable[range]) = (0, 0, 0, 0)
            (ripening.collected[range], ripening.until[range]) = (0, 0)
        }

        /// Up to where what was collected in a range is settled.
        func settled(_ range: UInt8) -> UInt64 {
            collected[range] > revoked[range] ? collected[range] : 0
        }
    }

    /// By n; nil where nothing is known.
    var parts: [Part?] = Array(repeating: nil, count: 65)
    /// Key ranges in which something can be collected one day.
    var candidates = RangeSet()
    /// Key ranges with states that can be compacted one day.
    var compactible = RangeSet()
    /// By n, up to which stamp the states of a range were compacted (`Node+Compaction`).
    var compacted: [RangeStamps?] = Array(repeating: nil, count: 65)
    /// By n, what every node that was linked then was told to be collected.
    var told: [RangeStamps?] = Array(repeating: nil, count: 65)
    /// The oldest tombstone that the last sweep of a range left there; 0 for none.
    var waiting = RangeStamps()
    /// The latest that this node promised: it stamps nothing up to here any more.
    private(set) var latestPromise: UInt64 = 0
    /// Somebody has collected something.
    private(set) var isBegun = false
    /// Which interval of wall-clock time promises were last made in.
    var promisedIn: UInt64 = 0
    /// Which 256th of an interval comes next.
    var nextSlot: UInt64 = 0

    mutating func prepare(_ n: Int, links: Int) {
        guard parts[n] == nil else { return }
        parts[n] = Part(links: links)
    }

    /// Every n with a part.
    var replicationFactors: [Int] { parts.indices.filter { parts[$0] != nil } }

    mutating func promise(_ stamp: UInt64, _ n: Int, _ range: UInt8) {
        parts[n]?.promised.raise(range, to: stamp)
        latestPromise = max(latestPromise, stamp)
    }

    mutating func collect(_ stamp: UInt64, _ n: Int, _ range: UInt8) {
        parts[n]?.collected.raise(range, to: stamp)
        learn(stamp, n, range)
    }

    /// What is collected every replica holds. But some of them may have written something before
    /// they heard of all of it, with a later stamp, that is still on its way; it was written before
    /// this moment.
    ///
    /// - Parameter moment: a stamp that no node has passed yet.
    mutating func ripen(_ n: Int, _ range: UInt8, moment: UInt64) {
        guard let part = parts[n] else { return }
        let collected = part.collected[range]
        let until = part.ripening.until[range]
        guard until == 0 || until <= collected else { return }
        if until > 0 { parts[n]?.stable.raise(range, to: part.ripening.collected[range]) }
        parts[n]?.ripening.collected[range] = collected
        parts[n]?.ripening.until[range] = moment
    }

    /// Definitions changed: what can go has to be found out again.
    mutating func reconsider() {
        candidates = .all
        compactible = .all
        compacted = Array(repeating: nil, count: compacted.count)
    }

    mutating func noteCompacted(_ stamp: UInt64, _ n: Int, _ range: UInt8) {
        var stamps = compacted[n] ?? RangeStamps()
        stamps[range] = stamp
        compacted[n] = stamps
    }

    /// Somebody has collected up to a stamp.
    mutating func learn(_ stamp: UInt64, _ n: Int, _ range: UInt8) {
        parts[n]?.known.raise(range, to: stamp)
        isBegun = isBegun || stamp > 0
    }

    /// Replicas have brought back what they had up to a stamp.
    mutating func revoke(_ stamp: UInt64, _ n: Int, _ range: UInt8) {
        guard let part = parts[n], stamp > part.revoked[range] else { return }
        parts[n]?.revoked[range] = stamp
        parts[n]?.stable[range] = 0
        parts[n]?.ripening.until[range] = 0
    }

    /// What this node once held may be gone, deletions among it: it is behind whatever anybody has
    /// collected. What it stamps stays later than what it promised.
    mutating func distrust() {
        for n in parts.indices { parts[n]?.promised = RangeStamps() }
    }

    /// The clock by which this was promised was proved wrong: this node stamps what it said that it
    /// never would. What was collected by such promises would hide what the others write for as
    /// long as that clock was ahead.
    mutating func withdraw(beyond stamp: UInt64) {
        latestPromise = min(latestPromise, stamp)
        for n in replicationFactors {
            for range in KeyRange.all.map(\.rawValue) { parts[n]?.withdraw(range, beyond: stamp) }
        }
    }

    /// A link came up, or went down: what was promised over it has to be said again.
    mutating func forgetPromises(of link: Int) {
        for n in parts.indices {
            parts[n]?.others[link] = RangeStamps()
            parts[n]?.knownThere[link] = RangeStamps()
            parts[n]?.whole[link] = RangeSet()
        }
    }
}
