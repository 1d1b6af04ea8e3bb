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

    /// Sets the scores of several members.
    ///
    /// - Parameters:
    ///   - keys: strictly ascending.
    ///   - scores: theirs.
    mutating func put(
        ascending keys: [Bytes], _ scores: [Double], dot: Dot, into changes: inout Members.Changes
    ) {
        var (gone, new) = ([Item](), [Item]())
        members.put(ascending: keys, dot: dot, into: &changes) { index, parts in
            let before = parts.map { SortedSetStore.score($0) }
            if before != scores[index] {
                if let before { gone.append(Item(score: before, index: index)) }
                new.append(Item(score: scores[index], index: index))
            }
            return .base(scores[index])
        }
        move(keys, gone, new)
    }

    /// Removes several members.
    ///
    /// - Parameter keys: strictly ascending.
    mutating func take(
        ascending keys: [Bytes], dot: Dot, into changes: inout Members.Changes
    ) {
        var gone: [Item] = []
        members.take(ascending: keys, dot: dot, into: &changes) { index, parts in
            gone.append(Item(score: SortedSetStore.score(parts), index: index))
        }
        move(keys, gone, [])
    }

    /// One of several members, with a score that it had or gets.
    private struct Item {
        let score: Double
        /// Among the members, which ascend.
        let index: Int

        static func ascending(_ a: Item, _ b: Item) -> Bool {
            a.score == b.score ? a.index < b.index : a.score < b.score
        }
    }

    private mutating func move(_ keys: [Bytes], _ gone: [Item], _ new: [Item]) {
        func places(_ items: [Item]) -> [Place] {
            items.sorted(by: Item.ascending).map { Place(score: $0.score, member: keys[$0.index]) }
        }
        if !gone.isEmpty { order.change(ascending: places(gone)) { $1 = nil } }
        if !new.isEmpty { order.change(ascending: places(new)) { $1 = Presence() } }
    }

    /// Removes every member; what has ended is remembered.
    mutating func removeAll() {
        members.removeAll()
        order = ChunkedMap()
    }

    mutating func clear(_ seen: VersionVector) {
        members.clear(seen)
        sort()
    }

    mutating func truncate(_ seen: VersionVector) {
        members.truncate(seen)
        sort()
    }

    mutating func removeRefuted(_ stamp: Stamp, _ known: SortedSetStore) -> Bool {
        guard members.removeRefuted(stamp, known.members) else { return false }
        sort()
        return true
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
            changes.live.removed.map.chunks.flatMap { $0.keys },
            changes.live.added.map.chunks.flatMap { $0.keys },
            changes.ended.removed.map.chunks.flatMap { $0.keys },
            changes.ended.added.map.chunks.flatMap { $0.keys },
        ].filter { !$0.isEmpty }
        let keys = touched.count == 1 ? touched[0] : AscendingKeys(touched.flatMap { $0 }).keys
        let before = scores(of: keys)
        members.apply(changes, seen: seen)
        let after = scores(of: keys)
        var (gone, new) = ([Item](), [Item]())
        for index in keys.indices where before[index] != after[index] {
            if let score = before[index] { gone.append(Item(score: score, index: index)) }
            if let score = after[index] { new.append(Item(score: score, index: index)) }
        }
        move(keys, gone, new)
    }

    /// - Parameter keys: strictly ascending.
    func scores(of keys: [Bytes]) -> [Double?] {
        members.map.values(ascending: keys).enumerated().map { index, parts in
            parts.map { Self.score(members.counting($0, of: keys[index])) }
        }
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
        var keys: [Bytes] = []
        var items: [Item] = []
        for (member, parts) in members.map {
            let score = Self.score(members.counting(parts, of: member))
            items.append(Item(score: score, index: keys.count))
            keys.append(member)
        }
        move(keys, [], items)
    }
}
