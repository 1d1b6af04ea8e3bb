import Coding

/// What two replicas of a key range tell each other in an exchange. None of it is remembered: a
/// message that gets lost costs time until the next exchange, nothing else.
///
///     a → b  roots      of all trees that both keep
///     b → a  held       when a root differs, to tell whether exchanges change anything
///     b → a  branches   of each tree whose root differs
///     a → b  leaves     of each branch that differs
///     b → a  keys       of each leaf that differs, without values
///     a → b  wanted     what a lacks; and the records that b lacks
///     b → a             the records
public enum ExchangeMessage: Equatable, Sendable {
    /// Root sums by key range, ascending.
    case roots([RangeRoot])
    case branches(KeyRangeNumber, [UInt64])
    case leaves(KeyRangeNumber, branch: UInt8, [UInt64])
    /// Everything in a leaf, ascending by hash.
    case keys(KeyRangeNumber, leaf: UInt16, [KeyState])
    /// Hashes of keys whose records are wanted, ascending.
    case wanted(KeyRangeNumber, leaf: UInt16, [UInt64])
    /// The sum of everything that the sender shares with the receiver, whatever its n.
    case held(UInt64)

    /// The first byte of `roots`.
    public static let rootsKind: UInt8 = 0

    /// 0…255.
    public typealias KeyRangeNumber = UInt8

    /// A key range and the sum of everything in it.
    public struct RangeRoot: Equatable, Sendable {
        /// Which of the 256 key ranges.
        public let range: KeyRangeNumber
        /// `HashTree.root`.
        public let root: UInt64

        /// A root as its tree says it.
        public init(range: KeyRangeNumber, root: UInt64) {
            self.range = range
            self.root = root
        }
    }

    /// - Throws: `truncated` or `invalid` for anything that `encode` does not write.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(bytes)
        let kind: UInt8 = try reader.integer()
        guard kind != ExchangeMessage.rootsKind else {
            self = .roots(try ExchangeMessage.roots(&reader))
            return
        }
        guard kind != 5 else {
            self = .held(try reader.integer())
            try reader.end()
            return
        }
        let range: UInt8 = try reader.integer()
        switch kind {
        case 1: self = .branches(range, try ExchangeMessage.sums(&reader))
        case 2:
            let branch: UInt8 = try reader.integer()
            guard branch < HashTree.fanOut else { throw .invalid("a tree has 32 branches") }
            self = .leaves(range, branch: branch, try ExchangeMessage.sums(&reader))
        case 3:
            let leaf = try ExchangeMessage.leaf(&reader)
            self = .keys(range, leaf: leaf, try ExchangeMessage.keys(&reader, leaf))
        case 4:
            let leaf = try ExchangeMessage.leaf(&reader)
            self = .wanted(range, leaf: leaf, try ExchangeMessage.hashes(&reader))
        default: throw .invalid("exchange has an unknown kind")
        }
    }

    static func roots(_ reader: inout ByteReader) throws(DecodeError) -> [RangeRoot] {
        var roots: [RangeRoot] = []
        while reader.remaining > 0 {
            let range: UInt8 = try reader.integer()
            if let last = roots.last, last.range >= range { throw .invalid("ranges ascend") }
            roots.append(RangeRoot(range: range, root: try reader.integer()))
        }
        return roots
    }

    static func leaf(_ reader: inout ByteReader) throws(DecodeError) -> UInt16 {
        let leaf: UInt16 = try reader.integer()
        guard leaf < HashTree.leafCount else { throw .invalid("a tree has 1,024 leaves") }
        return leaf
    }

    static func sums(_ reader: inout ByteReader) throws(DecodeError) -> [UInt64] {
        let sums = try words(&reader)
        guard sums.count == HashTree.fanOut else { throw .invalid("a node has 32 children") }
        return sums
    }

    static func hashes(_ reader: inout ByteReader) throws(DecodeError) -> [UInt64] {
        let hashes = try words(&reader)
        guard zip(hashes, hashes.dropFirst()).allSatisfy(<) else {
            throw .invalid("hashes ascend")
        }
        return hashes
    }

    private static func words(_ reader: inout ByteReader) throws(DecodeError) -> [UInt64] {
        var words: [UInt64] = []
        words.reserveCapacity(reader.remaining / 8)
        while reader.remaining > 0 { words.append(try reader.integer()) }
        return words
    }

    static func keys(
        _ reader: inout ByteReader, _ leaf: UInt16
    ) throws(DecodeError) -> [KeyState] {
        var keys: [KeyState] = []
        keys.reserveCapacity(reader.remaining / KeyState.encodedBytes)
        while reader.remaining > 0 {
            let key = try KeyState(&reader)
            guard HashTree.leaf(of: key.hash) == leaf else { throw .invalid("a key's leaf") }
            if let last = keys.last, last.hash >= key.hash { throw .invalid("keys ascend") }
            keys.append(key)
        }
        return keys
    }

    /// Appends the message: `kind (1)`, then its fields as they are declared, little-endian.
    public func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .roots(let roots):
            buffer.append(ExchangeMessage.rootsKind)
            for root in roots {
                buffer.append(root.range)
                buffer.append(integer: root.root)
            }
        case .branches(let range, let sums):
            buffer.append([1, range])
            for sum in sums { buffer.append(integer: sum) }
        case .leaves(let range, let branch, let sums):
            buffer.append([2, range, branch])
            for sum in sums { buffer.append(integer: sum) }
        case .keys(let range, let leaf, let keys):
            buffer.append([3, range])
            buffer.append(integer: leaf)
            for key in keys { key.encode(into: &buffer) }
        case .wanted(let range, let leaf, let hashes):
            buffer.append([4, range])
            buffer.append(integer: leaf)
            for hash in hashes { buffer.append(integer: hash) }
        case .held(let sum):
            buffer.append(UInt8(5))
            buffer.append(integer: sum)
        }
    }
}
