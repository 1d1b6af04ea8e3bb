import AntiEntropy
import Base
import Coding
import Membership
import Ring

@testable import Causality
@testable import Replication

/// Draws what a member that has gone bad could say, or a client hand in: well-formed, and at or
/// beyond every limit.
struct Hostility {
    var random: PRNG
    /// Wall-clock milliseconds since 1970 of the node under attack.
    var wall: UInt64
    /// Numbers of operations that are under way there.
    var numbers: [UInt64] = [0]
    /// Well-formed messages that other nodes sent.
    let recorded: [[UInt8]]
    /// Mergeable states are of keys in the crdt keyspace `t`, and no others are.
    var fitsKeyspaces = false
    /// Some dots that were drawn, to be drawn again.
    var drawn: [Dot] = []

    static let nodes: [UInt16] = [1, 2, 3, 4, 65_535]
    static let replies: [String] = [
        "+OK\r\n", "-ERR no\r\n", ":0\r\n", ":1\r\n", ":-9223372036854775808\r\n",
        ":9223372036854775807\r\n", "*-1\r\n", "*0\r\n", "*1\r\n*-1\r\n", "$-1\r\n", "$0\r\n\r\n",
        "$9223372036854775807\r\nx\r\n", "*9223372036854775807\r\n", "*2\r\n$1\r\nb\r\n$1\r\na\r\n",
        "*2\r\n$1\r\na\r\n$1\r\nb\r\n", "~1\r\n$1\r\na\r\n", "%1\r\n+a\r\n+b\r\n", "_\r\n",
        "#t\r\n",
        "%4611686018427387904\r\n", "*1\r\n:9223372036854775808\r\n", ",nan\r\n", "",
        "*3\r\n$1\r\na\r\n$-1\r\n:1\r\n", "-\r\n", "+\r\n",
    ]

    mutating func number() -> UInt64 {
        let edges: [UInt64] = [
            0, 1, 2, 255, 65_535, UInt64(UInt32.max), 1 << 32, UInt64(Int64.max),
            UInt64(Int64.max) + 1, .max - 1, .max,
        ]
        switch random.below(3) {
        case 0: return edges[random.below(edges.count)]
        case 1: return numbers[random.below(numbers.count)]
        default: return random.next()
        }
    }

    mutating func stamp() -> Stamp {
        let ahead: [UInt64] = [0, 1, 400, 499, 500, 501, 3_600_000]
        switch random.below(5) {
        case 0: return Stamp(rawValue: number())
        case 1: return Stamp(milliseconds: wall - min(wall, 1 << random.next() % 30))
        default:
            return Stamp(
                milliseconds: wall + ahead[random.below(ahead.count)],
                logical: random.below(2) == 0 ? .max : UInt16(random.below(9)))
        }
    }

    mutating func identity() -> ReplicaIdentity {
        let node = NodeID(Hostility.nodes[random.below(Hostility.nodes.count)])
        let epochs: [UInt64] = [
            0, 1, 2, 1_024, wall, ReplicaIdentity.epochMax, 1 << 48 - 1,
            UInt64(random.below(5_000)),
        ]
        return ReplicaIdentity(node: node, epoch: epochs[random.below(epochs.count)])
    }

    mutating func dot() -> Dot {
        if !drawn.isEmpty, random.below(3) == 0 { return one(of: drawn) }
        let dot = Dot(identity: identity(), stamp: stamp())
        if drawn.count < 64 { drawn.append(dot) } else { drawn[random.below(64)] = dot }
        return dot
    }

    mutating func context() -> VersionVector {
        var context = VersionVector()
        let counts = [0, 1, 2, 3, 9, VersionVector.entriesMax - 1, VersionVector.entriesMax]
        let count = counts[random.chance(perMille: 960) ? random.below(5) : random.below(7)]
        let stamp = stamp()
        for index in 0..<max(0, count - 3) {
            context.entries.append(
                Dot(
                    identity: ReplicaIdentity(rawValue: UInt64(index + 1) << 20), stamp: stamp))
        }
        for _ in 0..<min(3, count) { context.insert(dot()) }
        while context.entries.count > count { context.entries.removeLast() }
        return context
    }

    mutating func siblingSet() -> SiblingSet {
        var set = SiblingSet()
        set.context = context()
        if set.context.isEmpty { set.context.insert(dot()) }
        for dot in set.context.entries.shuffled(using: &random).prefix(random.below(5)) {
            set.siblings.append(
                Sibling(
                    dot: dot, expiry: expiry(), value: [UInt8](repeating: 7, count: random.below(3))
                ))
        }
        set.siblings.sort { $0.dot < $1.dot }
        return set
    }

    mutating func expiry() -> UInt64 {
        [0, 1, wall, wall + 1, Record.expiryMax][random.below(5)]
    }

    func key(_ number: Int) -> [UInt8] {
        let names = ["k", "s:1", "one:1", "t:1", "h:1", "k2", "s:2", "t:2"]
        return Array(names[number % names.count].utf8)
    }

    mutating func key() -> [UInt8] { key(random.below(8)) }

    /// Of any kind of keyspace, whatever its key.
    mutating func record() -> [UInt8] {
        var buffer = ByteBuffer()
        let key = key()
        let range: Range<Int>
        let isTyped = fitsKeyspaces ? key.starts(with: Array("t:".utf8)) : random.below(2) == 0
        if !isTyped {
            let set = siblingSet()
            range = key.withUnsafeBytes { set.encodeRecord(key: $0, into: &buffer) }
        } else {
            let state = state()
            range = key.withUnsafeBytes { state.encodeRecord(key: $0, into: &buffer) }
        }
        return Array(buffer.bytes[range.lowerBound..<range.upperBound])
    }

    /// One of some.
    mutating func one<Element>(of some: [Element]) -> Element { some[random.below(some.count)] }

    func little<Integer: FixedWidthInteger>(_ value: Integer) -> [UInt8] {
        HostileMessage.little(value)
    }

    /// What an encoder of the nodes' own writes.
    func encoded(_ body: (inout ByteBuffer) -> Void) -> [UInt8] {
        var buffer = ByteBuffer(capacity: 256)
        body(&buffer)
        return Array(buffer.bytes)
    }
}
