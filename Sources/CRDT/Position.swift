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
/// into it: an element gets a place beside that neighbour which was inserted later, so with what
/// its side inserted rather than with what was there before. Nor does a run that was continued to
/// one side go on to the other: its first elements may be gone, and others may have inserted
/// something beside them. A subtree is never split by what is inserted elsewhere.
///
/// **Depth**: replicas that push in turn make paths longer by one step each time. Paths are shared
/// in memory and written as what they do not share with the one before, so that a list pays for
/// each step once. A queue would grow for ever all the same; from `pushDepthMax` on a push starts a
/// new tree, whose `rank` puts it behind or before all that its author has seen, provided that
/// every other replica has heard the author, and was heard to have, after the neighbour was
/// inserted: then nobody goes on from there without knowing it, and no run is split. While a
/// replica is away, or hears nothing, paths grow instead, up to `depthMax`.
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
    /// The insertion that made it: of two that know of each other the later one is greater.
    private var inserted: Dot {
        guard index.major != 0 else { return path.step.run }
        return Dot(identity: owner, stamp: Stamp(rawValue: index.major.magnitude))
    }
}

extension Position: Comparable {
    static func < (a: Position, b: Position) -> Bool {
        guard a.rank == b.rank else { return a.rank < b.rank }
        if a.path === b.path { return a.index < b.index }
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
}

extension Position {
    /// Positions between two neighbours, for elements that are inserted side by side.
    ///
    /// - Parameters:
    ///   - left: the element before; nil at the beginning.
    ///   - right: the element behind; nil at the end.
    ///   - count: at least 1.
    ///   - dot: of the insertion.
    ///   - mayBeginTree: every other replica has heard this one after the neighbour of a push was
    ///     inserted.
    /// - Returns: ascending; nil when the path would be deeper than `depthMax`.
    static func between(
        _ left: Position?, _ right: Position?, count: Int, dot: Dot, mayBeginTree: Bool
    ) -> [Position]? {
        guard let spread = UInt32(exactly: count),
            let first = first(left, right, Insertion(dot, spread), mayBeginTree)
        else { return nil }
        return (0..<spread).map { offset in
            var position = first
            position.index.offset = offset
            return position
        }
    }

    /// What is inserted side by side.
    private struct Insertion {
        let dot: Dot
        let count: UInt32

        init(_ dot: Dot, _ count: UInt32) { (self.dot, self.count) = (dot, count) }

        /// As the place in a run that it continues; nil where that has no room for it.
        var major: Int64? { Int64(exactly: dot.stamp.rawValue) }
    }

    /// The first of several places: on the side of the neighbour that was inserted later, where no
    /// place is left on the side of the other.
    private static func first(
        _ left: Position?, _ right: Position?, _ insertion: Insertion, _ mayBeginTree: Bool
    ) -> Position? {
        guard let left else {
            guard let right else { return Position(rank: 0, run: insertion.dot) }
            return right.continuedLeft(insertion)
                ?? pushed(right, .left, insertion.dot, mayBeginTree)
        }
        guard let right else {
            return left.continuedRight(insertion)
                ?? pushed(left, .right, insertion.dot, mayBeginTree)
        }
        func behind() -> Position? {
            if let place = left.continuedRight(insertion), place < right { return place }
            let place = Position(left, .right, run: insertion.dot)
            return place < right && place.path.depth <= depthMax ? place : nil
        }
        func before() -> Position? {
            if let place = right.continuedLeft(insertion), left < place { return place }
            let place = Position(right, .left, run: insertion.dot)
            return left < place && place.path.depth <= depthMax ? place : nil
        }
        return left.inserted < right.inserted ? before() ?? behind() : behind() ?? before()
    }

    /// Behind this one in its run, if that is the identity's own. A run that was continued to the
    /// left may have had elements of an earlier time there.
    private func continuedRight(_ insertion: Insertion) -> Position? {
        guard owner == insertion.dot.identity, index.major >= 0, let major = insertion.major else {
            return nil
        }
        var last = self
        last.index = Index(major: major, offset: 0)
        return last
    }

    /// Before this one in its run, likewise.
    private func continuedLeft(_ insertion: Insertion) -> Position? {
        guard owner == insertion.dot.identity, index.major <= 0, let major = insertion.major else {
            return nil
        }
        var first = self
        first.index = Index(major: -major, offset: 0)
        return first
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
