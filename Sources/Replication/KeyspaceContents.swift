import Causality

/// What one keyspace's records on this node amount to.
public struct KeyspaceContents: Equatable, Sendable {
    /// Records, tombstones and what has expired or was emptied away included.
    public private(set) var records = 0
    /// Records that hold no value any more.
    public private(set) var tombstones = 0
    /// Values beyond the first of their key: concurrent writes that nobody has merged.
    public private(set) var siblings = 0
    /// Of records: headers, keys and values.
    public private(set) var bytes = 0
    /// By how many values a key has, from two on: how many such keys there are; the last is not 0.
    private var keysByWidth: [Int] = []

    /// Most concurrent values of one key; 0 while no key has more than one.
    public var siblingsMax: Int { keysByWidth.isEmpty ? 0 : keysByWidth.count + 1 }

    /// How many keys have so many concurrent values or more.
    ///
    /// - Parameter count: two or more.
    /// - Complexity: O(`siblingsMax`).
    public func keys(withSiblings count: Int) -> Int {
        keysByWidth.dropFirst(count - 2).reduce(0, +)
    }

    /// A record's share in the sums; zero for no record.
    struct Share: Equatable {
        var records = 0
        var tombstones = 0
        var siblings = 0
        var bytes = 0
        /// 1 where a value expires; 0 for one that a part of does not.
        var expiring = 0

        static var none: Share { Share() }

        /// A record that holds one value or none.
        @inline(__always)
        static func plain(length: Int, isTombstone: Bool, expires: Bool) -> Share {
            Share(
                records: 1, tombstones: isTombstone ? 1 : 0, siblings: 0, bytes: length,
                expiring: expires && !isTombstone ? 1 : 0)
        }

        @inline(__always)
        init(
            records: Int = 0, tombstones: Int = 0, siblings: Int = 0, bytes: Int = 0,
            expiring: Int = 0
        ) {
            self.records = records
            self.tombstones = tombstones
            self.siblings = siblings
            self.bytes = bytes
            self.expiring = expiring
        }

        @inline(__always)
        init(_ record: Record) {
            self = .plain(
                length: record.length, isTombstone: record.isTombstone, expires: record.expiry > 0)
            if record.isExpanded { bytes = record.length + record.expandedBytes }
            if record.isSiblingSet { siblings = max(0, record.siblingCount - 1) }
        }
    }

    @inline(__always)
    mutating func replace(_ before: Share, by after: Share) {
        records &+= after.records &- before.records
        tombstones &+= after.tombstones &- before.tombstones
        siblings &+= after.siblings &- before.siblings
        bytes &+= after.bytes &- before.bytes
        if before.siblings != after.siblings { countWidths(before.siblings, after.siblings) }
    }

    @inline(never)
    private mutating func countWidths(_ before: Int, _ after: Int) {
        if before > 0 { keysByWidth[before - 1] -= 1 }
        while keysByWidth.count < after { keysByWidth.append(0) }
        if after > 0 { keysByWidth[after - 1] += 1 }
        while keysByWidth.last == 0 { keysByWidth.removeLast() }
    }
}
