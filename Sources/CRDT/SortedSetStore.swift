import Causality
import Coding

/// A part of a member's score.
enum ScorePart: DotPayload {
    /// What ZADD gave; the newest is the base.
    case base(Double)
    /// What an identity's ZINCRBYs have added since it last saw the member's score set or the
    /// member removed.
    case total(Double)

    mutating func join(_ other: ScorePart) {
        switch (self, other) {
        case (.base(let a), .base(let b)): self = .base(max(a, b))
        case (.total(let a), .total(let b)): self = .total(max(a, b))
        case (.total, .base): self = other
        case (.base, .total): break
        }
    }

    var total: Double? {
        guard case .total(let value) = self else { return nil }
        return value
    }

    func encode(into encoder: inout DotEncoder) {
        switch self {
        case .base(let value):
            encoder.buffer.append(0)
            encoder.buffer.append(integer: value.bitPattern)
        case .total(let value):
            encoder.buffer.append(1)
            encoder.buffer.append(integer: value.bitPattern)
        }
    }

    init(decoding decoder: inout DotDecoder) throws(DecodeError) {
        let kind = try decoder.reader.integer(UInt8.self)
        let value = Double(bitPattern: try decoder.reader.integer())
        guard !value.isNaN, value != 0 || value.sign == .plus else {
            throw .invalid("a score is a number, and not minus zero")
        }
        switch kind {
        case 0: self = .base(value)
        case 1 where value.isFinite: self = .total(value)
        default: throw .invalid("unknown part of a score")
        }
    }
}

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

    typealias Members = DotMap<Bytes, ScorePart>

    private(set) var members = Members()
    private(set) var order = ChunkedMap<Place, Presence>()

    init() {}

    init(_ members: Members) {
        self.members = members
        sort()
    }

    func score(_ member: Bytes) -> Double? { members[member].map(SortedSetStore.score) }

    /// The newest base, or 0 without one, plus the totals in the order of their dots. Addition in
    /// one fixed order gives one result everywhere. No total is infinite; should their sum be,
    /// against an infinite base, the base counts.
    static func score(_ parts: [DotEntry<ScorePart>]) -> Double {
        var base = 0.0
        var sum = 0.0
        for part in parts {
            switch part.payload {
            case .base(let value): base = value
            case .total(let value): sum += value
            }
        }
        let score = base + sum
        if score.isNaN { return base.isNaN ? 0 : base }
        return score == 0 ? 0 : score
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

    mutating func join(_ other: SortedSetStore, seen: VersionVector, otherSeen: VersionVector) {
        if members.isEmpty && other.members.isEmpty { return }
        members.join(other.members, seen: seen, otherSeen: otherSeen)
        sort()
    }

    mutating func apply(_ changes: Members.Changes, seen: VersionVector) {
        let touched = changes.removed.map.map(\.key) + changes.added.map.map(\.key)
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
        let places = members.map.map { Place(score: Self.score($0.value), member: $0.key) }
        for place in places.sorted() { order.append(place, Presence()) }
    }
}
