extension Array {
    /// How many elements stand in front of a place in an array that is sorted for it.
    ///
    /// - Parameter isBefore: true for the first so many elements, false for all others.
    /// - Complexity: O(log n).
    @inlinable public func partitionPoint(_ isBefore: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if isBefore(self[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
