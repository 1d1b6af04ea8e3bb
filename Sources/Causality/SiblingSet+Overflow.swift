import Base
import Coding

/// Bounds on the values of one key.
public struct SiblingLimits: Sendable {
    /// Concurrent values.
    public var siblingsMax: Int
    /// Bytes of one value that takes the place of several.
    public let valueBytesMax: Int
    /// Bytes that `SiblingSet.encode` may append.
    public let bodyBytesMax: Int
    /// What of them one node may fill.
    public let share: Share

    /// Which node writes, and how many encoded bytes the live values may take that are its own.
    ///
    /// Every node keeps to its share whenever it writes. The live values of a node in any state are
    /// some of those that were live at that node at one moment, because each write has seen what
    /// the node wrote before. So the union of states from all nodes that may write the key fits as
    /// soon as the shares together do. Example: N=3, 9 MB. A, B and C, cut off from each other,
    /// write 3 MB each; what they merge to has 9 MB.
    public struct Share: Equatable, Sendable {
        public let node: NodeID
        public let bytesMax: Int

        public init(node: NodeID, bytesMax: Int) {
            self.node = node
            self.bytesMax = bytesMax
        }
    }

    public init(siblingsMax: Int, valueBytesMax: Int, bodyBytesMax: Int, share: Share) {
        self.siblingsMax = siblingsMax
        self.valueBytesMax = valueBytesMax
        self.bodyBytesMax = bodyBytesMax
        self.share = share
    }
}

/// What became of a key's values so that they keep its limits.
public struct SiblingOverflow: Equatable, Sendable {
    /// Concurrent values that are gone.
    public var dropped = 0
    /// Concurrent values, the written one included, that became one.
    public var merged = 0

    public init(dropped: Int = 0, merged: Int = 0) {
        self.dropped = dropped
        self.merged = merged
    }

    public static let none = SiblingOverflow()
}

extension SiblingSet {
    /// Whether the set is within limits and can be encoded.
    public func keeps(_ limits: SiblingLimits) -> Bool {
        siblings.count <= limits.siblingsMax && isWithinLimits
            && encodedBytes <= limits.bodyBytesMax
            && bytes(of: limits.share.node) <= limits.share.bytesMax
    }

    /// What the live values that a node wrote take in the encoding, at most: whoever gives them
    /// another expiry makes them larger.
    private func bytes(of node: NodeID) -> Int {
        siblings.reduce(0) {
            $0 + ($1.dot.identity.node == node ? SiblingSet.bytesMax(of: $1) : 0)
        }
    }

    private static func bytesMax(of sibling: Sibling) -> Int {
        siblingHeadBytes + sibling.value.count
    }

    /// Removes values that no reader sees any more, such as those that have expired.
    public mutating func removeSiblings(where isGone: (Sibling) -> Bool) {
        siblings.removeAll(where: isGone)
    }

    /// Brings a set to which a value was just written within limits, as the policy says.
    ///
    /// What is dropped or merged stays in the context: for every replica the write has seen and
    /// replaced it. A merged value stands under the write's own dot, and lives as long as the
    /// longest-lived of those that it stands for.
    ///
    /// - Returns: what became of the values; nil when the write has to be refused.
    public mutating func bringWithin(
        _ limits: SiblingLimits, _ policy: OverflowPolicy
    ) -> SiblingOverflow? {
        precondition(siblings.last?.dot == newest, "the newest value was just written")
        if keeps(limits) { return SiblingOverflow.none }
        switch policy {
        case .refuse: return nil
        case .lww: return dropOldest(limits)
        case .union: return merge(limits, SiblingSet.union)
        case .max: return merge(limits, SiblingSet.largest)
        }
    }

    private mutating func dropOldest(_ limits: SiblingLimits) -> SiblingOverflow? {
        var bytes = encodedBytes
        var own = self.bytes(of: limits.share.node)
        var dropped = 0
        while siblings.count - dropped > 1,
            siblings.count - dropped > limits.siblingsMax || bytes > limits.bodyBytesMax
                || own > limits.share.bytesMax
        {
            let gone = SiblingSet.encodedBytes(of: siblings[dropped])
            bytes -= gone
            if siblings[dropped].dot.identity.node == limits.share.node {
                own -= SiblingSet.bytesMax(of: siblings[dropped])
            }
            dropped += 1
        }
        siblings.removeFirst(dropped)
        return keeps(limits) ? SiblingOverflow(dropped: dropped) : nil
    }

    /// Bytes of all values that are merged in one step.
    static let mergedBytesMax = 1 << 20

    private mutating func merge(
        _ limits: SiblingLimits, _ merge: ([Sibling]) -> [UInt8]?
    ) -> SiblingOverflow? {
        guard siblings.reduce(0, { $0 + $1.value.count }) <= SiblingSet.mergedBytesMax,
            let newest = siblings.last, let value = merge(siblings),
            value.count <= limits.valueBytesMax
        else { return nil }
        let merged = siblings.count
        siblings = [Sibling(dot: newest.dot, expiry: expiry, value: value)]
        return keeps(limits) ? SiblingOverflow(merged: merged) : nil
    }

    /// The sorted union of lists of strings.
    static func union(_ siblings: [Sibling]) -> [UInt8]? {
        var elements: [[UInt8]] = []
        for sibling in siblings {
            guard let list = StringList(sibling.value) else { return nil }
            elements += list.elements
        }
        return StringList(elements).encoded()
    }

    /// The largest of whole numbers within 64 bits, written as `Int64.init(decimal:)` reads them.
    static func largest(_ siblings: [Sibling]) -> [UInt8]? {
        var largest: Int64?
        for sibling in siblings {
            let number = sibling.value.withUnsafeBytes { Int64(decimal: $0) }
            guard let number else { return nil }
            largest = Swift.max(largest ?? number, number)
        }
        return largest.map { Array("\($0)".utf8) }
    }
}
