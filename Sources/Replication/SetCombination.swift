import CRDT

/// What several sets, each ascending, make together, put together some members at a time: first the
/// first two, then that and the third.
struct SetCombination {
    private enum Rule { case union, intersection, difference }

    private let rule: Rule
    /// Sets that have not been looked at, the last first.
    private var waiting: [[Bytes]]
    private var left: [Bytes]
    private var leftPlace = 0
    private var right: [Bytes] = []
    private var rightPlace = 0
    private var output: [Bytes] = []

    init(_ sets: [[Bytes]], _ combination: GatherOperation.Combination) {
        switch combination {
        case .union: rule = .union
        case .difference: rule = .difference
        case .array, .transaction, .sum, .allOK, .intersection, .intersectionCount:
            rule = .intersection
        }
        waiting = sets.reversed()
        left = waiting.popLast() ?? []
        takeNext()
    }

    private var isDone = false

    /// The members, ascending; complete when `advance` has said so.
    var result: [Bytes] { left }

    private mutating func takeNext() {
        guard let next = waiting.popLast() else { return isDone = true }
        right = next
        (leftPlace, rightPlace) = (0, 0)
        output = []
    }

    /// Looks at some more members.
    ///
    /// - Returns: whether the result is complete.
    /// - Complexity: O(budget).
    mutating func advance(_ budget: Int) -> Bool {
        var budget = budget
        while !isDone, budget > 0 {
            budget -= 1
            step()
        }
        return isDone
    }

    private mutating func step() {
        switch (leftPlace < left.count, rightPlace < right.count) {
        case (true, true): compare(left[leftPlace], right[rightPlace])
        case (true, false) where rule != .intersection:
            output.append(left[leftPlace])
            leftPlace += 1
        case (false, true) where rule == .union:
            output.append(right[rightPlace])
            rightPlace += 1
        default:
            left = output
            right = []
            takeNext()
        }
    }

    private mutating func compare(_ mine: Bytes, _ theirs: Bytes) {
        if mine == theirs {
            if rule != .difference { output.append(mine) }
            leftPlace += 1
            rightPlace += 1
        } else if mine < theirs {
            if rule != .intersection { output.append(mine) }
            leftPlace += 1
        } else {
            if rule == .union { output.append(theirs) }
            rightPlace += 1
        }
    }
}
