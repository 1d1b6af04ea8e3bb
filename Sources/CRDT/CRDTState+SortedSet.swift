import Causality

/// A sorted set: membership is add-wins, as that of a set.
///
/// **The score**: what the newest ZADD gave (later stamp, then higher identity), plus every ZINCRBY
/// that no ZADD or ZREM has seen. ZADD replaces the score and the increments that it has seen;
/// concurrent ZINCRBYs add up. Each identity keeps one running total a member (`CountedMap`). They
/// are added in the order of their dots, so that every replica reads the same floating point
/// number.
extension CRDTState {
    /// How many members the set has. O(1) beside the type.
    public func sortedSetCount(now: UInt64) -> Int {
        type(now: now) == .sortedSet ? contents.sortedSet.members.count : 0
    }

    /// - Complexity: O(log n).
    public func score(_ member: Bytes, now: UInt64) -> Double? {
        type(now: now) == .sortedSet ? contents.sortedSet.score(member) : nil
    }

    /// The scores of several members, in their order.
    public func scores(_ members: [Bytes], now: UInt64) -> [Double?] {
        guard type(now: now) == .sortedSet, members.count >= CRDTState.keysSortedMin else {
            return members.map { score($0, now: now) }
        }
        let sorted = AscendingKeys(members)
        let scores = contents.sortedSet.scores(of: sorted.keys)
        return sorted.ranks.map { scores[$0] }
    }

    /// One member by its place in the order of members' bytes.
    ///
    /// - Parameter index: in `0..<sortedSetCount(now:)`.
    public func sortedSetMember(at index: Int) -> Bytes {
        contents.sortedSet.members.map.entry(at: index).key
    }

    /// How many members stand before this one; nil when it is absent.
    ///
    /// - Complexity: O(n / 128).
    public func rank(_ member: Bytes, now: UInt64) -> Int? {
        score(member, now: now).map {
            contents.sortedSet.order.rank(of: SortedSetStore.Place(score: $0, member: member))
        }
    }

    /// How many members have a score below this one.
    ///
    /// - Complexity: O(n / 128).
    public func rank(ofScore score: Double, now: UInt64) -> Int {
        guard type(now: now) == .sortedSet else { return 0 }
        return contents.sortedSet.order.rank(
            of: SortedSetStore.Place(score: score, member: Bytes([])))
    }

    /// Members in the order of their scores, then of their bytes.
    ///
    /// - Parameter range: clamped to the set.
    /// - Complexity: O(n / 128 + range).
    public func members(
        _ range: Range<Int>, now: UInt64
    ) -> [(member: Bytes, score: Double)] {
        let range = range.clamped(to: 0..<sortedSetCount(now: now))
        var iterator = contents.sortedSet.order.iterator(from: range.lowerBound)
        var members: [(member: Bytes, score: Double)] = []
        while members.count < range.count, let (place, _) = iterator.next() {
            members.append((place.member, place.score))
        }
        return members
    }

    /// Sets scores.
    ///
    /// - Parameters:
    ///   - members: the last of several scores of one member counts; no score is NaN.
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Returns: nil for no members; how many were not there.
    /// - Throws: `notANumber` for NaN, and as `setAdd` does.
    public mutating func sortedSetAdd(
        _ members: [(member: Bytes, score: Double)], dot: Dot, now: UInt64
    ) throws(CRDTRefusal) -> (delta: Delta?, added: Int) {
        try check(.sortedSet, now: now)
        try checkSizes(members.map(\.member), in: sortedSetCount(now: now))
        guard members.allSatisfy({ !$0.score.isNaN }) else { throw .notANumber }
        if members.isEmpty { return (nil, 0) }
        var delta = try begin(.sortedSet, dot: dot, now: now)
        let before = contents.sortedSet.members.count
        let sorted = AscendingKeys(members.map(\.member))
        let scores = sorted.places.map { members[$0].score == 0 ? 0 : members[$0].score }
        contents.sortedSet.put(
            ascending: sorted.keys, scores, dot: dot, into: &delta.changes.sortedSet)
        close(delta)
        return (delta, contents.sortedSet.members.count - before)
    }

    /// Adds to a member's score; an absent member has 0.
    ///
    /// - Parameters:
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Throws: `notANumber` for an amount or a score that would be none.
    public mutating func sortedSetIncrement(
        _ member: Bytes, by amount: Double, dot: Dot, now: UInt64
    ) throws(CRDTRefusal) -> Delta {
        try check(.sortedSet, now: now)
        try checkSizes([member], in: sortedSetCount(now: now))
        let score = (score(member, now: now) ?? 0) + amount
        guard !score.isNaN else { throw .notANumber }
        var delta = try begin(.sortedSet, dot: dot, now: now)
        contents.sortedSet.change(member) {
            $0.add(member, dot: dot, into: &delta.changes.sortedSet) { before in
                CRDTState.grown(before, by: amount, dot)
            }
        }
        close(delta)
        return delta
    }

    /// - Parameters:
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Returns: how many were there; nil for none.
    public mutating func sortedSetRemove(
        _ members: [Bytes], dot: Dot, now: UInt64
    ) throws(CRDTRefusal) -> (delta: Delta, removed: Int)? {
        try check(.sortedSet, now: now)
        let keys = AscendingKeys(members).keys
        guard type(now: now) == .sortedSet,
            contents.sortedSet.members.map.hasAny(ascending: keys)
        else { return nil }
        var delta = try begin(.sortedSet, dot: dot, now: now)
        let before = contents.sortedSet.members.count
        contents.sortedSet.take(ascending: keys, dot: dot, into: &delta.changes.sortedSet)
        close(delta)
        return (delta, before - contents.sortedSet.members.count)
    }

    /// What an identity has added to a score, with a further amount; beyond all numbers it is
    /// infinite, and stands beside what was added before.
    private static func grown(_ before: ScorePart?, by amount: Double, _ dot: Dot) -> ScorePart {
        var sum = ScorePart.Sum()
        var since = dot.stamp
        if case .total(let total, let begun) = before { (sum, since) = (total, begun) }
        if amount.isInfinite { return .infinite(amount) }
        sum.add(amount)
        return sum.value.isFinite ? .total(sum, since: since) : .infinite(sum.value)
    }
}
