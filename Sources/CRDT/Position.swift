import Base
import Causality

/// A place in a list: fixed when an element is inserted, dense, and ordered the same everywhere.
///
/// This is Fugue's tree with each node named by its path, so that a list is a map from positions to
/// live elements and needs no tombstones: a deleted node that has descendants lives on in their
/// paths. What one identity inserts side by side is a *run* that shares one path; a run grows to
/// the right with the stamps of its later insertions and to the left with their negatives, so that
/// no position is ever used twice. In order stand, at each node: its left subtrees, itself, its
/// right subtrees; subtrees on one side by their run's dot.
///
/// **What one side of a partition inserts at one place stays together**, whichever of its replicas
/// inserted it and in whatever order:
///
///     everywhere   [x]
///     on A         RPUSH b, LINSERT BEFORE b a
///     on B         RPUSH y
///     together     x a b y, or x y a b
///
/// The first insertion of a side makes a subtree, and all others of that side at that place get
/// into it: what stands before an element that descends from its left neighbour descends from that
/// element (`isAncestor`), also where the left neighbour's run was continued. A subtree is never
/// split by what is inserted elsewhere.
///
/// **Depth**: replicas that push in turn make paths longer by one step each time. Paths are shared
/// in memory and written as what they do not share with the one before, so that a list pays for
/// each step once. A queue would grow for ever all the same; from `pushDepthMax` on a push starts a
/// new tree, whose `rank` puts it behind or before all that its author has seen, provided that
/// every other replica was heard after the neighbour was inserted: then nobody goes on from there
/// without knowing it, and no run is split. While a replica is away paths grow instead, up to
/// `depthMax`.
///
/// Source: Weidner & Kleppmann, "The Art of the Fugue" (2023), §4; runs as in Weidner's
/// list-positions.
struct Position: Equatable, Sendable {
    static let pushDepthMax = 8
    static let depthMax = 4_096

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
    let path: PositionPath
    var index: Index

    init(rank: Int64, path: PositionPath, index: Index = Index()) {
        self.rank = rank
        self.path = path
        self.index = index
    }

    private init(rank: Int64, run: Dot) {
        self.init(
            rank: rank, path: PositionPath(Step(from: Index(), side: .right, run: run), in: nil))
    }

    private init(_ origin: Position, _ side: Side, run: Dot) {
        let step = Step(from: origin.index, side: side, run: run)
        self.init(rank: origin.rank, path: PositionPath(step, in: origin.path))
    }

    private var owner: ReplicaIdentity { path.step.run.identity }
}

extension Position: Comparable {
    static func < (a: Position, b: Position) -> Bool {
        guard a.rank == b.rank else { return a.rank < b.rank }
        let parting = a.path.parting(from: b.path)
        let from = (parting.mine?.from ?? a.index, parting.other?.from ?? b.index)
        if parting.depth > 0, from.0 != from.1 { return from.0 < from.1 }
        switch (parting.mine, parting.other) {
        case (.some(let x), .some(let y)):
            return x.side == y.side ? x.run < y.run : x.side < y.side
        case (.some(let x), nil): return x.side == .left
        case (nil, .some(let y)): return y.side == .right
        case (nil, nil): return a.index < b.index
        }
    }

    /// Whether `other`, which stands behind this one, came to stand there on top of it: in one of
    /// its right subtrees, or where its run was continued.
    private func isAncestor(of other: Position) -> Bool {
        guard rank == other.rank else { return false }
        let parting = path.parting(from: other.path)
        guard parting.mine == nil else { return false }
        let from = parting.other?.from ?? other.index
        if from == index { return parting.other?.side == .right }
        // To the left of its first element a run grows leftwards: there the later one is above.
        return index < from && (from.major > 0 && index.major >= 0 || from.major == index.major)
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
    ///   - mayBeginTree: every other replica was heard after the neighbour of a push was inserted.
    /// - Returns: ascending; nil when the path would be deeper than `depthMax`.
    static func between(
        _ left: Position?, _ right: Position?, count: Int, dot: Dot, mayBeginTree: Bool
    ) -> [Position]? {
        guard let spread = UInt32(exactly: count),
            let first = extended(left, right, spread, dot)
                ?? branched(left, right, dot, mayBeginTree)
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
            // Elsewhere what is inserted descends from the left neighbour, to stay with it.
            let isAbove = left.map { $0.isAncestor(of: first) } ?? true
            first.index = Index(major: -stamp)
            if isAbove, left.map({ $0 < first }) ?? true { return first }
        }
        return nil
    }

    /// The beginning of a new run.
    private static func branched(
        _ left: Position?, _ right: Position?, _ dot: Dot, _ mayBeginTree: Bool
    ) -> Position? {
        guard let left else {
            return right.map { pushed($0, .left, dot, mayBeginTree) } ?? Position(rank: 0, run: dot)
        }
        guard let right else { return pushed(left, .right, dot, mayBeginTree) }
        let position =
            left.isAncestor(of: right)
            ? Position(right, .left, run: dot) : Position(left, .right, run: dot)
        return position.path.depth <= depthMax ? position : nil
    }

    /// Before or behind all others.
    private static func pushed(
        _ neighbour: Position, _ side: Side, _ dot: Dot, _ mayBeginTree: Bool
    ) -> Position? {
        let depth = neighbour.path.depth
        guard depth >= depthMax || mayBeginTree && depth >= pushDepthMax else {
            return Position(neighbour, side, run: dot)
        }
        let (rank, overflow) = neighbour.rank.addingReportingOverflow(side == .right ? 1 : -1)
        return overflow ? nil : Position(rank: rank, run: dot)
    }
}
