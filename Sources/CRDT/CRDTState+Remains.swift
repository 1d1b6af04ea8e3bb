// Freeing a large value some entries at a time: a value of 100,000 elements takes as many blocks of
// memory, and to give them all back at once stops a thread for milliseconds.
extension CRDTState {
    /// Removes entries from a state that is not needed any more; what is left of it means nothing.
    ///
    /// - Parameter count: about how many.
    /// - Returns: whether none are left.
    /// - Complexity: O(count).
    public mutating func removeLastEntries(_ count: Int) -> Bool {
        contents.removeLastEntries(count)
    }
}

extension Contents {
    fileprivate mutating func removeLastEntries(_ count: Int) -> Bool {
        var rest = count
        set.removeLastEntries(&rest)
        hash.removeLastEntries(&rest)
        list.removeLastEntries(&rest)
        sortedSet.removeLastEntries(&rest)
        registers.removeLastEntries(&rest)
        return rest > 0
    }
}
