/// Elements of a value as they were at one moment, handed out some at a time.
///
/// They share the value's memory: to take them costs the same for a million as for one, and what is
/// written to the value meanwhile does not show in them.
public struct Elements: Sendable {
    /// What one call of `next` hands out: at least one element, and at most a few hundred.
    public enum Piece {
        /// Members of a set, elements of a list.
        case elements([Bytes])
        /// Fields of a hash.
        case fields([(field: Bytes, value: StringValue)])
        /// Members of a sorted set.
        case scores([(member: Bytes, score: Double)])

        public var count: Int {
            switch self {
            case .elements(let elements): elements.count
            case .fields(let fields): fields.count
            case .scores(let scores): scores.count
            }
        }
    }

    fileprivate enum Source: Sendable {
        case array([Bytes])
        case set(ChunkedMap<Bytes, DotMap<Bytes, Presence>.Entries>)
        case hash(CountedMap<FieldPart>)
        case sortedSet(ChunkedMap<SortedSetStore.Place, Presence>)
        case list(ChunkedMap<Position, DotMap<Position, ListElement>.Entries>)
    }

    private let source: Source
    private var walk: ChunkWalk

    /// Some elements of no value.
    public init(_ elements: [Bytes]) {
        source = .array(elements)
        walk = ChunkWalk(0..<elements.count)
    }

    fileprivate init(_ source: Source, _ range: Range<Int>, isReversed: Bool = false) {
        self.source = source
        walk = ChunkWalk(range, isReversed: isReversed)
    }

    /// How many are still to be handed out.
    public var count: Int { walk.count }

    /// - Returns: nil behind the last.
    /// - Complexity: O(elements handed out), and at first O(chunks before them).
    public mutating func next() -> Piece? {
        guard walk.count > 0 else { return nil }
        switch source {
        case .array(let elements):
            return .elements(walk.next(in: elements))
        case .set(let map):
            return .elements(walk.next(in: map.chunks, whole: { $0.keys }) { $0.keys[$1] })
        case .list(let map):
            return .elements(
                walk.next(in: map.chunks) { $0.values[$1].last?.payload.value ?? .unit })
        case .hash(let map):
            return .fields(
                walk.next(in: map.map.chunks) {
                    let field = $0.keys[$1]
                    return (field, CRDTState.value(map.counting($0.values[$1], of: field)))
                })
        case .sortedSet(let order):
            return .scores(
                walk.next(in: order.chunks) { ($0.keys[$1].member, $0.keys[$1].score) })
        }
    }

    /// Hands out all that are left, where they are members of a set or elements of a list.
    ///
    /// - Complexity: O(elements).
    public mutating func all() -> [Bytes] {
        var all: [Bytes] = []
        all.reserveCapacity(count)
        while case .elements(let elements) = next() { all += elements }
        return all
    }

    /// Those at some places among all of the value, in the order of the places.
    public func choosing(_ places: [Int]) -> Elements {
        var chosen = self
        chosen.walk = ChunkWalk(at: places)
        return chosen
    }

    /// Bytes of the elements that are still to be handed out, and so many more for each of them.
    ///
    /// - Parameter values: whether what a field holds counts as well; a number counts as one of 40
    ///   digits.
    /// - Complexity: O(elements of the value + elements to be handed out).
    public func byteCount(each more: Int, values: Bool = false) -> Int {
        var all = self
        all.walk = ChunkWalk(0..<wholeCount)
        var sizes: [Int] = []
        sizes.reserveCapacity(all.count)
        while let piece = all.next() {
            switch piece {
            case .elements(let elements): for element in elements { sizes.append(element.count) }
            case .scores(let scores): for (member, _) in scores { sizes.append(member.count) }
            case .fields(let fields):
                for (field, value) in fields {
                    sizes.append(field.count + (values ? value.byteCountMax : 0))
                }
            }
        }
        return walk.places.reduce(walk.count * more) { $0 + sizes[$1] }
    }

    private var wholeCount: Int {
        switch source {
        case .array(let elements): elements.count
        case .set(let map): map.count
        case .list(let map): map.count
        case .hash(let map): map.count
        case .sortedSet(let order): order.count
        }
    }
}

extension StringValue {
    fileprivate var byteCountMax: Int {
        switch self {
        case .bytes(let bytes): bytes.count
        case .number: 40
        }
    }
}

extension CRDTState {
    /// The members of a set in ascending order.
    public func setMembers(now: UInt64) -> Elements {
        guard type(now: now) == .set else { return Elements([]) }
        return Elements(.set(contents.set.map), 0..<contents.set.count)
    }

    /// The fields of a hash in ascending order, with what they hold.
    public func hashElements(now: UInt64) -> Elements {
        guard type(now: now) == .hash else { return Elements([]) }
        return Elements(.hash(contents.hash), 0..<contents.hash.count)
    }

    /// Elements of a list in their order.
    ///
    /// - Parameter range: clamped to the list.
    public func listRange(_ range: Range<Int>, isReversed: Bool = false, now: UInt64) -> Elements {
        guard type(now: now) == .list else { return Elements([]) }
        let range = range.clamped(to: 0..<contents.list.count)
        return Elements(.list(contents.list.map), range, isReversed: isReversed)
    }

    /// Members of a sorted set in the order of their scores, then of their bytes.
    ///
    /// - Parameter range: clamped to the set.
    public func sortedSetRange(
        _ range: Range<Int>, isReversed: Bool = false, now: UInt64
    ) -> Elements {
        guard type(now: now) == .sortedSet else { return Elements([]) }
        let order = contents.sortedSet.order
        let range = range.clamped(to: 0..<order.count)
        return Elements(.sortedSet(order), range, isReversed: isReversed)
    }
}

/// Which entries of a `ChunkedMap` are handed out next.
private struct ChunkWalk: Sendable {
    /// Entries that one call hands out at most, where they are no whole chunk.
    private static let pieceMax = 256

    private enum Order: Sendable {
        case ascending, descending
        case chosen([Int])
    }

    private let order: Order
    /// What is left: of the map's entries, or of the chosen places.
    private var range: Range<Int>
    /// The number of the first entry of each chunk, as far as they are known.
    private var starts: [Int] = []
    /// The chunk that was handed out from last.
    private var chunk = 0

    init(_ range: Range<Int>, isReversed: Bool = false) {
        self.range = range
        order = isReversed ? .descending : .ascending
    }

    init(at places: [Int]) {
        range = 0..<places.count
        order = .chosen(places)
    }

    var count: Int { range.count }

    /// The places that are left, in their order.
    var places: [Int] {
        switch order {
        case .ascending: Array(range)
        case .descending: range.reversed()
        case .chosen(let places): Array(places[range])
        }
    }

    mutating func next(in elements: [Bytes]) -> [Bytes] {
        if case .ascending = order, range == 0..<elements.count {
            range = range.upperBound..<range.upperBound
            return elements
        }
        let numbers = take()
        return numbers.map { elements[$0] }
    }

    /// - Parameters:
    ///   - whole: all elements of a chunk, where they stand in an array of their own.
    ///   - element: one of a chunk's elements.
    mutating func next<Key, Value, Element>(
        in chunks: [ChunkedMap<Key, Value>.Chunk],
        whole: ((ChunkedMap<Key, Value>.Chunk) -> [Element])? = nil,
        _ element: (ChunkedMap<Key, Value>.Chunk, Int) -> Element
    ) -> [Element] {
        number(chunks, through: numberMax)
        if let whole, case .ascending = order {
            seek(range.lowerBound)
            let end = starts[chunk + 1]
            if range.lowerBound == starts[chunk], end <= range.upperBound {
                range = end..<range.upperBound
                return whole(chunks[chunk])
            }
        }
        return take().map { number in
            seek(number)
            return element(chunks[chunk], number - starts[chunk])
        }
    }

    /// The numbers of the next entries.
    private mutating func take() -> [Int] {
        let count = min(ChunkWalk.pieceMax, range.count)
        switch order {
        case .ascending:
            defer { range = range.lowerBound + count..<range.upperBound }
            return Array(range.prefix(count))
        case .descending:
            defer { range = range.lowerBound..<range.upperBound - count }
            return range.suffix(count).reversed()
        case .chosen(let places):
            defer { range = range.lowerBound + count..<range.upperBound }
            return Array(places[range.prefix(count)])
        }
    }

    /// The greatest number of an entry that is left.
    private var numberMax: Int {
        guard case .chosen(let places) = order else { return range.upperBound - 1 }
        return places[range].max() ?? 0
    }

    /// Numbers the chunks up to that of an entry.
    private mutating func number<Key, Value>(
        _ chunks: [ChunkedMap<Key, Value>.Chunk], through last: Int
    ) {
        var start = starts.last ?? 0
        if starts.isEmpty { starts.append(0) }
        // By index: a loop over the chunks would take each with a reference to it.
        while start <= last, starts.count <= chunks.count {
            start += chunks[starts.count - 1].keys.count
            starts.append(start)
        }
    }

    /// Finds the chunk of an entry: mostly that of the one before it.
    private mutating func seek(_ number: Int) {
        if starts[chunk] <= number, number < starts[chunk + 1] { return }
        var (low, high) = (0, starts.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if starts[middle + 1] <= number { low = middle + 1 } else { high = middle }
        }
        chunk = low
    }
}
