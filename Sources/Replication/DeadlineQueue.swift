import Base

/// Operations by when something becomes due for them: a binary heap.
///
/// An operation that ends stays until it comes to the front, where whoever looks takes it out, or
/// until `keep` is called because most entries are of operations that are over.
struct DeadlineQueue {
    struct Entry {
        let at: Deadline
        let id: OperationID
    }

    private var entries: [Entry] = []

    var count: Int { entries.count }
    var first: Entry? { entries.first }

    /// - Complexity: O(log count), O(1) when nothing in there is due later.
    mutating func insert(_ entry: Entry) {
        entries.append(entry)
        var child = entries.count - 1
        while child > 0, entries[child].at < entries[(child - 1) / 2].at {
            entries.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// - Complexity: O(log count).
    mutating func removeFirst() {
        entries.swapAt(0, entries.count - 1)
        entries.removeLast()
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < entries.count else { return }
            if child + 1 < entries.count, entries[child + 1].at < entries[child].at { child += 1 }
            guard entries[child].at < entries[parent].at else { return }
            entries.swapAt(parent, child)
            parent = child
        }
    }

    /// Takes everything out that does not count any more.
    ///
    /// - Complexity: O(count · log count).
    mutating func keep(where counts: (OperationID) -> Bool) {
        entries.removeAll { !counts($0.id) }
        entries.sort { $0.at < $1.at }
    }
}
