import Coding

/// What a replica that cannot vouch for its memory asks another one of a key range, top down, and
/// what it is told. None of it is remembered by the one that answers, and a message that gets lost
/// is asked for again at the next heartbeat.
///
///     a → b  inquiry    roots of all trees that both keep and that are not whole here
///     b → a  same       which of these are the same there, and which are whole there
///     a → b  sums       the children of a root that differs, then of a branch that does
///     b → a  differing  which of these children differ
///     a → b  states     of a leaf that differs, without values
///     b → a  lacked     the records of that leaf that a has in no state as late
///
/// A replica that may hold what was deleted meanwhile says that it is in doubt of what it has. One
/// that is whole then names what it does not hold so (`Lacked.refuted`), and sends what it holds
/// instead.
///
/// `same` answers the roots of any exchange too (`EqualityLedger`).
public enum RefillMessage: Equatable, Sendable {
    /// Roots as they were at a moment, a stamp of the sender's clock.
    case inquiry(moment: UInt64, [ExchangeMessage.RangeRoot])
    /// The moment is the inquiry's.
    case same(moment: UInt64, equal: RangeSet, whole: RangeSet)
    /// - Parameter node: 0 for the root, 1…32 for a branch.
    case sums(KeyRangeNumber, node: UInt8, [UInt64])
    /// A bit for each child; `isWhole`: so is the sender's range.
    case differing(KeyRangeNumber, node: UInt8, isWhole: Bool, UInt32)
    /// `isInDoubt`: the sender is of what it has.
    case states(KeyRangeNumber, leaf: UInt16, isInDoubt: Bool, [KeyState])
    case lacked(KeyRangeNumber, leaf: UInt16, Lacked)

    /// What a replica has, of one leaf, that another one lacks.
    public struct Lacked: Equatable, Sendable {
        /// The sender's range is whole.
        public var isWhole: Bool
        /// No further record is lacked.
        public var isAll: Bool
        /// Of what the receiver is in doubt of: hashes of what the sender does not hold like that,
        /// ascending. What it holds instead is among the records.
        public var refuted: [UInt64]
        /// Each behind its length (4).
        public var records: [UInt8]

        public init(isWhole: Bool, isAll: Bool, refuted: [UInt64] = [], records: [UInt8]) {
            (self.isWhole, self.isAll) = (isWhole, isAll)
            (self.refuted, self.records) = (refuted, records)
        }
    }

    /// 0…255.
    public typealias KeyRangeNumber = UInt8

    /// - Throws: `truncated` or `invalid` for anything that `encode` does not write.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(bytes)
        let kind: UInt8 = try reader.integer()
        switch kind {
        case 0:
            let moment: UInt64 = try reader.integer()
            self = .inquiry(moment: moment, try ExchangeMessage.roots(&reader))
        case 1:
            let moment: UInt64 = try reader.integer()
            let equal = try RangeSet(&reader)
            self = .same(moment: moment, equal: equal, whole: try RangeSet(&reader))
            try reader.end()
        case 2:
            let (range, node) = try RefillMessage.node(&reader)
            self = .sums(range, node: node, try ExchangeMessage.sums(&reader))
        case 3:
            let (range, node) = try RefillMessage.node(&reader)
            let isWhole = try RefillMessage.flag(&reader)
            self = .differing(range, node: node, isWhole: isWhole, try reader.integer())
            try reader.end()
        case 4:
            let range: UInt8 = try reader.integer()
            let leaf = try ExchangeMessage.leaf(&reader)
            let isInDoubt = try RefillMessage.flag(&reader)
            let states = try ExchangeMessage.keys(&reader, leaf)
            self = .states(range, leaf: leaf, isInDoubt: isInDoubt, states)
        case 5:
            let range: UInt8 = try reader.integer()
            let leaf = try ExchangeMessage.leaf(&reader)
            self = .lacked(range, leaf: leaf, try RefillMessage.lacked(&reader))
        default: throw .invalid("a refill's message has an unknown kind")
        }
    }

    private static func node(
        _ reader: inout ByteReader
    ) throws(DecodeError) -> (UInt8, UInt8) {
        let range: UInt8 = try reader.integer()
        let node: UInt8 = try reader.integer()
        guard node <= HashTree.fanOut else { throw .invalid("a tree has 32 branches") }
        return (range, node)
    }

    private static func lacked(
        _ reader: inout ByteReader
    ) throws(DecodeError) -> Lacked {
        let isWhole = try flag(&reader)
        let isAll = try flag(&reader)
        let count = Int(try reader.integer(UInt32.self))
        guard count <= reader.remaining / 8 else { throw .truncated }
        var hashes = ByteReader(try reader.slice(count * 8))
        let refuted = try ExchangeMessage.hashes(&hashes)
        return Lacked(
            isWhole: isWhole, isAll: isAll, refuted: refuted, records: Array(reader.rest()))
    }

    private static func flag(_ reader: inout ByteReader) throws(DecodeError) -> Bool {
        let flag: UInt8 = try reader.integer()
        guard flag < 2 else { throw .invalid("a refill's message has an unknown flag") }
        return flag == 1
    }

    /// Appends the message: `kind (1)`, then its fields as they are declared, little-endian.
    public func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .inquiry(let moment, let roots):
            buffer.append(UInt8(0))
            buffer.append(integer: moment)
            for root in roots {
                buffer.append(root.range)
                buffer.append(integer: root.root)
            }
        case .same(let moment, let equal, let whole):
            buffer.append(UInt8(1))
            buffer.append(integer: moment)
            equal.encode(into: &buffer)
            whole.encode(into: &buffer)
        case .sums(let range, let node, let sums):
            buffer.append([2, range, node])
            for sum in sums { buffer.append(integer: sum) }
        case .differing(let range, let node, let isWhole, let children):
            buffer.append([3, range, node, isWhole ? 1 : 0])
            buffer.append(integer: children)
        case .states(let range, let leaf, let isInDoubt, let states):
            buffer.append([4, range])
            buffer.append(integer: leaf)
            buffer.append(isInDoubt ? 1 : 0)
            for state in states { state.encode(into: &buffer) }
        case .lacked(let range, let leaf, let lacked):
            buffer.append([5, range])
            buffer.append(integer: leaf)
            buffer.append([lacked.isWhole ? 1 : 0, lacked.isAll ? 1 : 0])
            buffer.append(integer: UInt32(lacked.refuted.count))
            for hash in lacked.refuted { buffer.append(integer: hash) }
            buffer.append(lacked.records)
        }
    }
}
