import Base
import Causality
import Coding

/// A place in a list: fixed when an element is inserted, dense, and ordered the same everywhere.
///
/// This is Fugue's tree with each node named by its path, so that a list is a map from positions to
/// live elements and needs no tombstones: a deleted node that has descendants lives on in their
/// paths. What one identity inserts side by side is a *run* that shares one path; a run grows to
/// the right with the stamps of its later insertions and to the left with their negatives, so that
/// no position is ever used twice. In order stand, at each node: its left subtrees, itself, its
/// right subtrees; subtrees on one side by their run's dot. A subtree is never split by what is
/// inserted concurrently elsewhere: runs do not interleave.
///
/// A push at an end by an identity that does not own the end's run would make the paths of a queue
/// grow for ever. From `pushDepthMax` on it starts a new tree instead, whose `rank` puts it behind
/// or before all that its author has seen.
///
/// Source: Weidner & Kleppmann, "The Art of the Fugue" (2023), §4; runs as in Weidner's
/// list-positions.
struct Position: Equatable, Sendable {
    static let pushDepthMax = 8
    static let depthMax = 256

    enum Side: UInt8, Comparable, Sendable {
        case left = 0
        case right = 1

        static func < (a: Side, b: Side) -> Bool { a.rawValue < b.rawValue }
    }

    /// A place within a run.
    struct Index: Comparable, Sendable {
        var major: Int64 = 0
        var offset: UInt32 = 0

        static func < (a: Index, b: Index) -> Bool {
            a.major == b.major ? a.offset < b.offset : a.major < b.major
        }
    }

    /// The way into a run: from which place of the run above, on which side, into which run.
    struct Step: Equatable, Sendable {
        let from: Index
        let side: Side
        let run: Dot
    }

    /// Trees stand in the order of their ranks.
    let rank: Int64
    /// At least one step; the first comes from nowhere.
    let path: [Step]
    var index: Index

    private init(rank: Int64, run: Dot) {
        self.rank = rank
        path = [Step(from: Index(), side: .right, run: run)]
        index = Index()
    }

    private init(_ origin: Position, _ side: Side, run: Dot) {
        rank = origin.rank
        path = origin.path + [Step(from: origin.index, side: side, run: run)]
        index = Index()
    }

    private var owner: ReplicaIdentity? { path.last?.run.identity }

    /// Whether `other` is in one of the subtrees of this node.
    private func isAncestor(of other: Position) -> Bool {
        other.path.count > path.count && other.rank == rank
            && other.path[path.count].from == index
            && other.path[..<path.count].elementsEqual(path)
    }
}

extension Position: Comparable {
    static func < (a: Position, b: Position) -> Bool {
        guard a.rank == b.rank else { return a.rank < b.rank }
        for depth in 0..<max(a.path.count, b.path.count) {
            let x = depth < a.path.count ? a.path[depth] : nil
            let y = depth < b.path.count ? b.path[depth] : nil
            let from = (x?.from ?? a.index, y?.from ?? b.index)
            if depth > 0, from.0 != from.1 { return from.0 < from.1 }
            switch (x, y) {
            case (.some(let x), .some(let y)):
                if x.side != y.side { return x.side < y.side }
                if x.run != y.run { return x.run < y.run }
            case (.some(let x), nil): return x.side == .left
            case (nil, .some(let y)): return y.side == .right
            case (nil, nil): return false
            }
        }
        return a.index < b.index
    }
}

extension Position {
    /// Positions between two neighbours, for elements that are inserted side by side.
    ///
    /// - Parameters:
    ///   - left: the element before; nil at the beginning.
    ///   - right: the element behind; nil at the end.
    ///   - count: at least 1.
    ///   - dot: of the insertion.
    /// - Returns: ascending; nil when the path would be deeper than `depthMax`.
    static func between(
        _ left: Position?, _ right: Position?, count: Int, dot: Dot
    ) -> [Position]? {
        guard let spread = UInt32(exactly: count),
            let first = extended(left, right, spread, dot) ?? branched(left, right, dot)
        else { return nil }
        return (0..<spread).map { offset in
            var position = first
            position.index.offset = offset
            return position
        }
    }

    /// The first of several places in a neighbour's run, if that is the identity's own.
    private static func extended(
        _ left: Position?, _ right: Position?, _ count: UInt32, _ dot: Dot
    ) -> Position? {
        guard let stamp = Int64(exactly: dot.stamp.rawValue) else { return nil }
        if var last = left, last.owner == dot.identity {
            last.index = Index(major: stamp, offset: count - 1)
            if right.map({ last < $0 }) ?? true {
                last.index.offset = 0
                return last
            }
        }
        if var first = right, first.owner == dot.identity {
            first.index = Index(major: -stamp)
            if left.map({ $0 < first }) ?? true { return first }
        }
        return nil
    }

    /// The beginning of a new run.
    private static func branched(_ left: Position?, _ right: Position?, _ dot: Dot) -> Position? {
        switch (left, right) {
        case (nil, nil): return Position(rank: 0, run: dot)
        case (.some(let left), nil):
            if left.path.count < pushDepthMax { return Position(left, .right, run: dot) }
            let (rank, overflow) = left.rank.addingReportingOverflow(1)
            return overflow ? nil : Position(rank: rank, run: dot)
        case (nil, .some(let right)):
            if right.path.count < pushDepthMax { return Position(right, .left, run: dot) }
            let (rank, overflow) = right.rank.subtractingReportingOverflow(1)
            return overflow ? nil : Position(rank: rank, run: dot)
        case (.some(let left), .some(let right)):
            let position = left.isAncestor(of: right)
                ? Position(right, .left, run: dot) : Position(left, .right, run: dot)
            return position.path.count <= depthMax ? position : nil
        }
    }
}

extension Position: DotKey {
    func encode(into encoder: inout DotEncoder) {
        encoder.append(signed: Int128(rank))
        if path == encoder.lastPath {
            encoder.append(count: 0)
        } else {
            encoder.append(count: path.count)
            for (depth, step) in path.enumerated() {
                if depth > 0 {
                    step.from.encode(into: &encoder)
                    encoder.buffer.append(step.side.rawValue)
                }
                encoder.append(step.run.identity)
                encoder.append(step.run.stamp)
            }
            encoder.lastPath = path
        }
        index.encode(into: &encoder)
    }

    init(decoding decoder: inout DotDecoder) throws(DecodeError) {
        rank = try decoder.int64()
        let count = try decoder.count(bytesMin: 16)
        guard count <= Position.depthMax else { throw .invalid("position is too deep") }
        if count == 0 {
            guard !decoder.lastPath.isEmpty else { throw .invalid("there is no path to repeat") }
            path = decoder.lastPath
        } else {
            var path: [Step] = []
            for depth in 0..<count {
                path.append(try Step(decoding: &decoder, isFirst: depth == 0))
            }
            guard path != decoder.lastPath else { throw .invalid("a path is repeated") }
            decoder.lastPath = path
            self.path = path
        }
        index = try Index(decoding: &decoder)
    }
}

extension Position.Step {
    fileprivate init(decoding decoder: inout DotDecoder, isFirst: Bool) throws(DecodeError) {
        if isFirst {
            from = Position.Index()
            side = .right
        } else {
            from = try Position.Index(decoding: &decoder)
            guard let side = Position.Side(rawValue: try decoder.reader.integer()) else {
                throw .invalid("a side is left or right")
            }
            self.side = side
        }
        run = Dot(identity: try decoder.identity(), stamp: try decoder.stamp())
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
