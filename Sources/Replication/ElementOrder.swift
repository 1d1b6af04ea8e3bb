import Base

/// The elements that a command names in ascending order of their names, and those of one name in
/// the command's, so that each of its pieces is about neighbours in its value: in random order each
/// piece would look at almost all of that.
///
/// Some of them are sorted in one step; when all are, the sorted runs are merged, some in one step.
struct ElementOrder {
    private struct Item {
        /// What a name begins with, behind what all are expected to begin with.
        let number: UInt64
        let offset: UInt32
    }

    /// All elements.
    let elements: GatherRest
    /// Where in it they begin, in ascending order as far as they have been merged.
    private(set) var offsets: [UInt32] = []
    private let count: Int
    private var sorted = 0
    private var runs: [[Item]] = []
    /// The next of each run.
    private var heads: [Int] = []
    /// The runs that are not at their end, as a heap whose first has the least item.
    private var heap: [Int] = []
    /// What the names of the first run begin with.
    private var prefix: [UInt8] = []

    init(_ elements: GatherRest) {
        self.elements = elements
        count = elements.parts
        offsets.reserveCapacity(count)
    }

    var isSorted: Bool { sorted == count }
    var isMerged: Bool { offsets.count == count }
    /// The same from the beginning on.
    var heldBytes: Int { elements.byteCount + count * 20 }

    /// Sorts the elements that a request takes next.
    ///
    /// - Parameter some: begins with them.
    mutating func sort(_ some: GatherRest, parts: Int) {
        var some = some
        var starts: [UInt32] = []
        starts.reserveCapacity(parts)
        for _ in 0..<parts {
            starts.append(UInt32(some.offset))
            some.removeFirst()
        }
        if runs.isEmpty { prefix = sharedPrefix(starts) }
        var run = starts.map { Item(number: number(at: Int($0)), offset: $0) }
        run.sort { isBefore($0, $1) }
        runs.append(run)
        heads.append(0)
        sorted += parts
        guard isSorted else { return }
        heap = Array(runs.indices)
        for place in heap.indices.reversed() { sink(place) }
    }

    /// Merges some more.
    ///
    /// - Returns: where they begin.
    mutating func merge(_ partsMax: Int) -> ArraySlice<UInt32> {
        precondition(isSorted, "runs are merged when all are there")
        let start = offsets.count
        while offsets.count < count, offsets.count - start < partsMax, let run = heap.first {
            offsets.append(runs[run][heads[run]].offset)
            heads[run] += 1
            if heads[run] == runs[run].count {
                runs[run] = []
                heap.swapAt(0, heap.count - 1)
                heap.removeLast()
            }
            sink(0)
        }
        return offsets[start...]
    }

    private mutating func sink(_ start: Int) {
        var place = start
        while true {
            var least = place
            for child in [2 * place + 1, 2 * place + 2]
            where child < heap.count && isBefore(head(heap[child]), head(heap[least])) {
                least = child
            }
            guard least != place else { return }
            heap.swapAt(place, least)
            place = least
        }
    }

    private func head(_ run: Int) -> Item { runs[run][heads[run]] }

    private func isBefore(_ a: Item, _ b: Item) -> Bool {
        guard a.number == b.number else { return a.number < b.number }
        let order = elements.compareNames(Int(a.offset), Int(b.offset))
        return order == 0 ? a.offset < b.offset : order < 0
    }

    private func sharedPrefix(_ starts: [UInt32]) -> [UInt8] {
        guard let first = starts.first else { return [] }
        let name = elements.name(at: Int(first))
        var shared = name.count
        for start in starts.dropFirst() where shared > 0 {
            let other = elements.name(at: Int(start))
            let most = min(shared, other.count)
            shared = 0
            while shared < most, other[other.startIndex + shared] == name[name.startIndex + shared]
            {
                shared += 1
            }
        }
        return Array(name.prefix(shared))
    }

    /// Orders as the name does, except that different names may have the same.
    private func number(at offset: Int) -> UInt64 {
        let name = elements.name(at: offset)
        for (index, byte) in prefix.enumerated() {
            guard index < name.count else { return 0 }
            let own = name[name.startIndex + index]
            if own != byte { return own < byte ? 0 : .max }
        }
        var number: UInt64 = 0
        let start = name.startIndex + prefix.count
        for place in start..<start + 8 {
            number = number << 8 | (place < name.endIndex ? UInt64(name[place]) : 0)
        }
        return number
    }
}

/// What the pieces of a command that adds elements will need, as far as it can be known: each is
/// held to what the value has by then and what it may add at most (`Node.sizeCheck`).
struct GrowthForecast {
    /// Bytes that the pieces before gain at least.
    private var before = 0
    private var piece = (parts: 0, bytes: 0, least: 0, most: 0)
    /// The room that some piece needs beyond what the value has now, bytes.
    private(set) var need = 0
    /// Whether what is added next belongs to the first piece.
    private(set) var isInFirst = true

    /// - Parameters:
    ///   - bytes: of the element's arguments as bulk strings.
    ///   - least: bytes of the encoding that it gains at least; may be negative.
    ///   - most: bytes that it may add.
    mutating func add(bytes: Int, least: Int, most: Int) {
        piece = (piece.parts + 1, piece.bytes + bytes, piece.least + least, piece.most + most)
        need = max(need, before + piece.most)
        guard
            piece.parts == CommandPieces.elementsMax || piece.bytes >= CommandPieces.bytesMax
        else { return }
        before += piece.least
        piece = (0, 0, 0, 0)
        isInFirst = false
    }
}
