import Base
import Causality
import Coding

/// The way from a tree's root into a run, as a chain of steps that paths share: replicas that push
/// in turn make each path one step longer than the last.
final class PositionPath: Sendable {
    let step: Position.Step
    /// Nil for a tree's first run. Changed only by `deinit`, which nobody else can see.
    nonisolated(unsafe) private(set) var parent: PositionPath?
    /// How many steps; at least 1.
    let depth: Int

    init(_ step: Position.Step, in parent: PositionPath?) {
        self.step = step
        self.parent = parent
        depth = (parent?.depth ?? 0) + 1
    }

    /// One after the other: a chain that frees itself step within step would need a deep stack.
    deinit {
        var next = parent
        parent = nil
        while isKnownUniquelyReferenced(&next) {
            let above = next?.parent
            next?.parent = nil
            next = above
        }
    }

    /// Where two paths part.
    struct Parting {
        /// How many steps they share.
        var depth: Int
        /// The first step that is not shared; nil where a path has ended.
        var mine: Position.Step?
        var other: Position.Step?
    }

    /// Where two paths part.
    ///
    /// - Complexity: O(steps up to where they are one in memory).
    func parting(from path: PositionPath) -> Parting {
        var mine: PositionPath? = self
        var other: PositionPath? = path
        var parting = Parting(depth: min(depth, path.depth), mine: nil, other: nil)
        while let a = mine, a.depth > parting.depth { (parting.mine, mine) = (a.step, a.parent) }
        while let b = other, b.depth > parting.depth { (parting.other, other) = (b.step, b.parent) }
        while let a = mine, let b = other, a !== b {
            if a.step != b.step {
                parting = Parting(depth: a.depth - 1, mine: a.step, other: b.step)
            }
            (mine, other) = (a.parent, b.parent)
        }
        return parting
    }

    /// The first so many steps.
    func prefix(_ count: Int) -> PositionPath? {
        var path: PositionPath? = self
        while let longer = path, longer.depth > count { path = longer.parent }
        return path
    }
}

extension PositionPath: Equatable {
    static func == (a: PositionPath, b: PositionPath) -> Bool {
        if a === b { return true }
        let parting = a.parting(from: b)
        return parting.mine == nil && parting.other == nil
    }
}

// Layout: rank (signed); how many steps are those of the position before (varint), how many follow
// (varint), and these; the place in the run. A step: a byte (the side, and whether it begins
// elsewhere than at its run's first place); that place, if so; the run's identity, as its number
// among those met before or 0 and itself; the run's stamp, as what it is later than the one above.
extension Position: DotKey {
    func encode(into encoder: inout DotEncoder) {
        encoder.append(signed: Int128(rank))
        let isLast = encoder.paths.last === path
        let shared = isLast ? path.depth : encoder.paths.last?.parting(from: path).depth ?? 0
        encoder.append(count: shared)
        encoder.append(count: path.depth - shared)
        var steps: [Step] = []
        var longer: PositionPath? = path
        while let step = longer, step.depth > shared {
            steps.append(step.step)
            longer = step.parent
        }
        var above = longer?.step.run.stamp ?? Stamp(rawValue: 0)
        for step in steps.reversed() {
            step.encode(below: above, into: &encoder)
            above = step.run.stamp
        }
        encoder.paths.last = path
        index.encode(into: &encoder)
    }

    init(decoding decoder: inout DotDecoder) throws(DecodeError) {
        let rank = try decoder.int64()
        let shared: UInt64 = try decoder.varint()
        let last = decoder.paths.last
        guard shared <= UInt64(last?.depth ?? 0) else { throw .invalid("there is no such path") }
        let count = try decoder.count(bytesMin: 3)
        guard Int(shared) + count <= Position.depthMax else {
            throw .invalid("position is too deep")
        }
        if count == 0, let last, Int(shared) == last.depth {
            // Most stand in the run of the one before.
            self.init(rank: rank, path: last, index: try Index(decoding: &decoder))
            return
        }
        var path = last?.prefix(Int(shared))
        for _ in 0..<count {
            let above = path?.step.run.stamp ?? Stamp(rawValue: 0)
            path = PositionPath(
                try Step(below: above, isFirst: path == nil, decoding: &decoder), in: path)
        }
        guard let path else { throw .invalid("a position has a path") }
        if let last, last.parting(from: path).depth != Int(shared) {
            throw .invalid("a path is repeated")
        }
        decoder.paths.last = path
        self.init(rank: rank, path: path, index: try Index(decoding: &decoder))
    }
}

/// What positions refer to that stand before them in one encoding.
struct PositionTable {
    var last: PositionPath?
    fileprivate var identities: [ReplicaIdentity] = []
    /// Of those that are too many to be looked through.
    private var places = Table<ReplicaIdentity, Int>()
    private static let scannedMax = 8

    /// The number of an identity from 1 on; 0 for one that is new, which gets the next.
    fileprivate mutating func number(of identity: ReplicaIdentity) -> Int {
        let known =
            identities.prefix(PositionTable.scannedMax).firstIndex(of: identity)
            ?? places[identity]
        if let known { return known + 1 }
        if identities.count >= PositionTable.scannedMax { places[identity] = identities.count }
        identities.append(identity)
        return 0
    }
}

extension Position.Step {
    fileprivate func encode(below above: Stamp, into encoder: inout DotEncoder) {
        let isAway = from != Position.Index()
        encoder.buffer.append(side.rawValue | (isAway ? 2 : 0))
        if isAway { from.encode(into: &encoder) }
        let number = encoder.paths.number(of: run.identity)
        encoder.append(count: number)
        if number == 0 { encoder.append(run.identity) }
        encoder.append(signed: Int128(run.stamp.rawValue) - Int128(above.rawValue))
    }

    fileprivate init(
        below above: Stamp, isFirst: Bool, decoding decoder: inout DotDecoder
    ) throws(DecodeError) {
        let flags = try decoder.reader.integer(UInt8.self)
        guard flags < 4, let side = Position.Side(rawValue: flags & 1), !isFirst || flags == 1
        else {
            throw .invalid("a step leads left or right, the first one from nowhere")
        }
        let from = flags & 2 == 0 ? Position.Index() : try Position.Index(decoding: &decoder)
        guard flags & 2 == 0 || from != Position.Index() else {
            throw .invalid("a run's first place is not written out")
        }
        let number: UInt64 = try decoder.varint()
        let identity = try decoder.runIdentity(number)
        let stamp = try decoder.signed() + Int128(above.rawValue)
        guard let stamp = UInt64(exactly: stamp) else { throw .invalid("a stamp has 64 bits") }
        self.init(
            from: from, side: side, run: Dot(identity: identity, stamp: Stamp(rawValue: stamp)))
    }
}

extension DotDecoder {
    fileprivate mutating func runIdentity(_ number: UInt64) throws(DecodeError) -> ReplicaIdentity {
        if number == 0 {
            let identity = try identity()
            guard paths.number(of: identity) == 0 else {
                throw .invalid("an identity is written out once")
            }
            return identity
        }
        guard number <= UInt64(paths.identities.count) else {
            throw .invalid("identity was not met before")
        }
        return paths.identities[Int(number - 1)]
    }
}

extension Position.Index {
    fileprivate func encode(into encoder: inout DotEncoder) {
        encoder.append(signed: Int128(major))
        encoder.append(varint: offset)
    }

    fileprivate init(decoding decoder: inout DotDecoder) throws(DecodeError) {
        major = try decoder.int64()
        offset = try decoder.varint()
    }
}
