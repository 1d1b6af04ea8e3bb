import Causality

/// The members of a sorted set, and their order by score.
///
/// Invariant: `order` has exactly the members, each with its score.
struct SortedSetStore: Equatable, Sendable {
    /// Ascending by score, then by member.
    struct Place: Comparable, Sendable {
        let score: Double
        let member: Bytes

        static func < (a: Place, b: Place) -> Bool {
            a.score == b.score ? a.member < b.member : a.score < b.score
        }
    }

    typealias Members = CountedMap<ScorePart>

    private(set) var members = Members()
    private(set) var order = ChunkedMap<Place, Presence>()

    init() {}

    init(_ members: Members) {
        self.members = members
        sort()
    }

    func score(_ member: Bytes) -> Double? { members[member].map(SortedSetStore.score) }

    /// The newest base, or 0 without one, plus the increments in the order of their dots. Addition
    /// in one fixed order gives one result everywhere. Where infinities of both signs meet, which
    /// only concurrent writes bring about, the score is 0, as in the unions of Redis.
    static func score(_ parts: [DotEntry<ScorePart>]) -> Double {
        var base = 0.0
        var sum = 0.0
        for part in parts {
            switch part.payload {
            case .base(let value): base = value
            case .total(let total, _): sum += total.value
            case .infinite(let value): sum += value
            }
        }
        let score = base + sum
        return score.isNaN || score == 0 ? 0 : score
    }

    /// Changes one member and its place.
    mutating func change(_ member: Bytes, _ body: (inout Members) -> Void) {
        let before = score(member)
        body(&members)
        move(member, from: before)
    }

    mutating func clear(_ seen: VersionVector) {
        members.clear(seen)
        sort()
    }

    mutating func truncate(_ seen: VersionVector) {
        members.truncate(seen)
        sort()
    }

    /// Changes what no score depends on.
    mutating func tidy(_ body: (inout Members) -> Void) { body(&members) }

    mutating func join(_ other: SortedSetStore, seen: VersionVector, otherSeen: VersionVector) {
        if members.isUntouched && other.members.isUntouched { return }
        members.join(other.members, seen: seen, otherSeen: otherSeen)
        sort()
    }

    mutating func apply(_ changes: Members.Changes, seen: VersionVector) {
        let touched = [
            changes.live.removed.map.map(\.key), changes.live.added.map.map(\.key),
            changes.ended.removed.map.map(\.key), changes.ended.added.map.map(\.key),
        ].flatMap { $0 }
        let scores = touched.map { score($0) }
        members.apply(changes, seen: seen)
        for (member, before) in zip(touched, scores) { move(member, from: before) }
    }

    /// As those of the maps in here, which do not fit each other any more.
    mutating func removeLastEntries(_ budget: inout Int) {
        order.removeLastEntries(&budget)
        members.removeLastEntries(&budget)
    }

    private mutating func move(_ member: Bytes, from before: Double?) {
        let after = score(member)
        if before == after { return }
        if let before { order.change(Place(score: before, member: member)) { $0 = nil } }
        if let after { order.change(Place(score: after, member: member)) { $0 = Presence() } }
    }

    private mutating func sort() {
        order = ChunkedMap()
        let places = members.map.map { member, parts in
            Place(score: Self.score(members.counting(parts, of: member)), member: member)
        }
        for place in places.sorted() { order.append(place, Presence()) }
    }
}
