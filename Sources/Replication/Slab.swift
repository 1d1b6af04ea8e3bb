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
}

/// Operations under way, found by number in O(1) and walked in index order, which is the same in
/// every replay.
///
/// Invariant: an index is either in `free` or its slot is occupied, never both.
struct Slab<Element> {
    private var elements: [Element?] = []
    private var generations: [UInt32] = []
    private var free: [Int] = []
    let kind: OperationKind
    let capacity: Int

    init(kind: OperationKind, capacity: Int) {
        self.kind = kind
        self.capacity = capacity
    }

    var count: Int { elements.count - free.count }
    var isFull: Bool { count >= capacity }
    /// Every index in use is below this.
    var indexEnd: Int { elements.count }

    /// - Precondition: not full.
    mutating func insert(_ element: Element) -> OperationID {
        precondition(!isFull, "the slab's limit is checked before an operation starts")
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
            yield &elements[id.index]
        }
    }

    /// Traps unless the type's invariant holds.
    func checkInvariants() {
        precondition(
            free.allSatisfy { elements[$0] == nil }
                && elements.count { $0 == nil } == free.count, "an index is free or in use")
    }

    @discardableResult
    mutating func remove(_ id: OperationID) -> Element? {
        guard contains(id) else { return nil }
        let element = elements[id.index]
        elements[id.index] = nil
        generations[id.index] &+= 1
        free.append(id.index)
        return element
    }
}
