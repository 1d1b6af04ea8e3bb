// What elements take in the encoding of a state.
extension CRDTState {
    /// Of each of several elements of a set, a hash or a sorted set the bytes of the values that it
    /// has, where these differ from one element to another; nil for one that is not there.
    ///
    /// - Parameters:
    ///   - names: strictly ascending.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Complexity: O(names · log n).
    public func valueBytes(ascending names: [Bytes], now: UInt64) -> [Int?] {
        switch type(now: now) {
        case .set: contents.set.map.values(ascending: names).map { $0.map { _ in 0 } }
        case .sortedSet:
            contents.sortedSet.members.live.map.values(ascending: names).map { $0.map { _ in 0 } }
        case .hash:
            contents.hash.live.map.values(ascending: names).map { entries in
                entries.map { $0.reduce(0) { $0 + $1.payload.valueBytes } }
            }
        default: names.map { _ in nil }
        }
    }

    /// Bytes that the encoding gains by a new element at least.
    ///
    /// - Parameters:
    ///   - name: bytes of a member or a field; of a list's element all of it.
    ///   - value: bytes of a field's value.
    public static func bytes(ofNew type: CRDTType, name: Int, value: Int) -> Int {
        // Its length, how many dots it has, and one of them: an index and a stamp.
        let beside = 1 + 1 + 1 + 8
        return switch type {
        case .hash: name + value + beside + 2
        case .sortedSet: name + beside + 9
        case .list: name + beside + 5
        default: name + beside
        }
    }

    /// What each element of a push takes more that goes on from an earlier one: a time.
    public static let bytesOfLaterPush = 9
}

extension FieldPart {
    fileprivate var valueBytes: Int {
        guard case .value(let bytes) = self else { return 0 }
        return bytes.count
    }
}
