import Base

/// Names one operation under way; never the same for two operations of one process.
struct OperationID: Equatable {
    /// `generation (32) | kind (4) | index (28)`; what goes over the wire and comes back.
    let rawValue: UInt64

    init(rawValue: UInt64) { self.rawValue = rawValue }

    init(kind: OperationKind, index: Int, generation: UInt32) {
        rawValue = UInt64(generation) << 32 | UInt64(kind.rawValue) << 28 | UInt64(index)
    }

    var kind: OperationKind? { OperationKind(rawValue: UInt8(rawValue >> 28 & 0xF)) }
    var index: Int { Int(rawValue & 0xFFF_FFFF) }
    var generation: UInt32 { UInt32(rawValue >> 32) }
}

/// What an operation is, so that its number alone finds it.
enum OperationKind: UInt8 {
    case write = 1
    case read = 2
    case gather = 3
    case forward = 4
    case administration = 5
    /// Not in a slab: at most one marker of a refill is on its way to the disk.
    case refill = 6
    /// A hint on its way to its node; kept in `HintQueue`, not in a slab.
    case hint = 7
    /// A request with an id.
    case claim = 8
    /// A record that this node no longer replicates; kept in `SurplusHandOver`, not in a slab.
    case surplus = 9
    /// Not in a slab: a change of definitions on its way to the disk, by its number.
    case definitions = 10
    /// Not in a slab: at most one `ForgettingMarker` is on its way to the disk.
    case forgetting = 11
}

/// What a slab keeps, and how much memory that takes.
protocol SlabElement {
    /// Bytes that the element holds beside its place in the slab, as far as they can be many; O(1).
    var heldBytes: Int { get }
    /// The keyspace that it is for, by the catalog's index.
    var keyspace: Int { get }
    var head: OperationHead { get }
}

/// Operations under way, found by number in O(1) and walked in index order, which is the same in
/// every replay.
///
/// Invariants: an index is either in `free` or its slot is occupied, never both; `heldBytes` is the
/// sum of its elements'.
struct Slab<Element: SlabElement> {
    private var elements: [Element?] = []
    private var generations: [UInt32] = []
    private var free: [Int] = []
    private var heldBytes = 0
    /// How many elements each keyspace has, as far as any had one.
    private var shares: [Int] = []
    let kind: OperationKind
    let capacity: Int

    init(kind: OperationKind, capacity: Int) {
        self.kind = kind
        self.capacity = capacity
    }

    var count: Int { elements.count - free.count }
    var isFull: Bool { count >= capacity }
    /// What all elements take in memory.
    var byteCount: Int { heldBytes + count * MemoryLayout<Element>.stride }
    /// How many more elements a keyspace may have, roughly twice over: it gets no more than are
    /// left for all others, so that one keyspace whose operations take for ever leaves half of the
    /// places free, and each further one half of what the ones before left.
    ///
    /// Source: Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet
    /// switches" (1998).
    func room(for keyspace: Int) -> Int {
        capacity - count - (keyspace < shares.count ? shares[keyspace] : 0)
    }

    /// Whether so many more elements of a keyspace find room, each as `room` asks it, beside others
    /// of the same request.
    func admits(_ count: Int, of keyspace: Int) -> Bool { room(for: keyspace) >= 2 * count - 1 }

    /// Every index in use is below this.
    var indexEnd: Int { elements.count }

    /// - Precondition: not full.
    mutating func insert(_ element: Element) -> OperationID {
        precondition(!isFull, "the slab's limit is checked before an operation starts")
        heldBytes += element.heldBytes
        while shares.count <= element.keyspace { shares.append(0) }
        shares[element.keyspace] += 1
        let index: Int
        if let reused = free.popLast() {
            index = reused
            elements[index] = element
        } else {
            index = elements.count
            elements.append(element)
            generations.append(1)
        }
        return OperationID(kind: kind, index: index, generation: generations[index])
    }

    func contains(_ id: OperationID) -> Bool {
        id.kind == kind && id.index < elements.count
            && generations[id.index] == id.generation && elements[id.index] != nil
    }

    func id(at index: Int) -> OperationID? {
        guard elements[index] != nil else { return nil }
        return OperationID(kind: kind, index: index, generation: generations[index])
    }

    subscript(id: OperationID) -> Element? {
        get { contains(id) ? elements[id.index] : nil }
        _modify {
            precondition(contains(id), "only an operation under way is changed")
            let before = elements[id.index]?.heldBytes ?? 0
            yield &elements[id.index]
            heldBytes += (elements[id.index]?.heldBytes ?? 0) - before
        }
    }

    /// When the first of the elements began; the end of time if there is none.
    ///
    /// - Complexity: O(elements that there ever were at a time).
    var earliestBegin: Deadline {
        elements.reduce(.max) { min($0, $1?.head.begunAt ?? .max) }
    }

    /// Traps unless the type's invariant holds.
    func checkInvariants() {
        precondition(
            free.allSatisfy { elements[$0] == nil }
                && elements.count { $0 == nil } == free.count, "an index is free or in use")
        precondition(
            elements.reduce(0) { $0 + ($1?.heldBytes ?? 0) } == heldBytes,
            "a slab's bytes are those of its elements")
        precondition(shares.reduce(0, +) == count, "every element has its keyspace's share")
    }

    @discardableResult
    mutating func remove(_ id: OperationID) -> Element? {
        guard contains(id) else { return nil }
        let element = elements[id.index]
        if let element {
            heldBytes -= element.heldBytes
            shares[element.keyspace] -= 1
        }
        elements[id.index] = nil
        generations[id.index] &+= 1
        free.append(id.index)
        return element
    }
}
