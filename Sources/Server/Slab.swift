/// Values at small indices that are handed out again: connections, found without hashing and changed in
/// place without a class.
///
/// Invariant: `count` elements are alive, at indices below `limit`; every other index below `limit` is
/// free.
///
/// - Complexity: O(1); an insertion that grows moves all elements.
struct Slab<Element: ~Copyable>: ~Copyable {
    private var base: UnsafeMutablePointer<Element>
    private var capacity: Int
    private var alive: [Bool] = []
    private var free: [Int] = []

    init() {
        capacity = 16
        base = .allocate(capacity: capacity)
    }

    deinit {
        for index in alive.indices where alive[index] { (base + index).deinitialize(count: 1) }
        base.deallocate()
    }

    /// One more than the highest index ever used.
    var limit: Int { alive.count }
    var count: Int { alive.count - free.count }

    func contains(_ index: Int) -> Bool { index < alive.count && alive[index] }

    subscript(index: Int) -> Element {
        _read {
            precondition(contains(index), "an index of a slab is in use")
            yield base[index]
        }
        _modify {
            precondition(contains(index), "an index of a slab is in use")
            yield &base[index]
        }
    }

    /// - Returns: where the element lives until `remove`.
    mutating func insert(_ element: consuming Element) -> Int {
        let index: Int
        if let reused = free.popLast() {
            index = reused
        } else {
            index = alive.count
            if index == capacity { grow() }
            alive.append(false)
        }
        (base + index).initialize(to: element)
        alive[index] = true
        return index
    }

    /// Ends an element and frees its index.
    mutating func remove(_ index: Int) {
        precondition(contains(index), "an index of a slab is in use")
        (base + index).deinitialize(count: 1)
        alive[index] = false
        free.append(index)
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
        larger.moveInitialize(from: base, count: capacity)
        base.deallocate()
        base = larger
        capacity *= 2
    }
}
