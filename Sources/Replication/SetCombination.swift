import CRDT

/// The sets that the parts of a request have answered: what is not there takes no room, and only
/// which was the first matters of their order.
struct GatheredSets {
    private(set) var first = Elements([])
    /// Those that have members.
    private(set) var others: [Elements] = []
    private(set) var hasEmpty = false

    mutating func add(_ members: Elements, part: Int) {
        if part == 0 { first = members } else if members.count > 0 { others.append(members) }
        if members.count == 0 { hasEmpty = true }
    }
}

/// What several sets, each ascending, make together, put together some members at a time: first the
/// first two, then that and the third.
struct SetCombination {
    private enum Rule { case union, intersection, difference }

    /// Members of one set, in their order.
    private struct Members {
        private var elements: Elements
        private var piece: [Bytes] = []
        private var place = 0

        init(_ elements: Elements) {
            self.elements = elements
            fill()
        }

        /// The next one; nil behind the last.
        var first: Bytes? { place < piece.count ? piece[place] : nil }

        mutating func removeFirst() {
            place += 1
            if place == piece.count { fill() }
        }

        private mutating func fill() {
            place = 0
            if case .elements(let next) = elements.next() { piece = next } else { piece = [] }
        }
    }

    private let rule: Rule
    /// Sets that have not been looked at.
    private var waiting: [Elements]
    private var left: Members
    private var right = Members(Elements([]))
    private var output: [Bytes] = []
    private var isDone = false

    /// The members, ascending; complete when `advance` has said so.
    var result: [Bytes] { output }

    init(_ sets: GatheredSets, _ combination: GatherOperation.Combination) {
        switch combination {
        case .union: rule = .union
        case .difference: rule = .difference
        case .array, .transaction, .sum, .allOK, .pieces, .intersection, .intersectionCount:
            rule = .intersection
        }
        let isNone = rule == .intersection && sets.hasEmpty
        waiting = isNone ? [] : sets.others
        left = Members(isNone ? Elements([]) : sets.first)
        if let next = waiting.popLast() { right = Members(next) } else { isAlone = true }
    }

    /// There is one set, which is the result.
    private var isAlone = false

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
        switch (left.first, right.first) {
        case (let mine?, let theirs?): compare(mine, theirs)
        case (let mine?, nil) where isAlone || rule != .intersection:
            output.append(mine)
            left.removeFirst()
        case (nil, let theirs?) where rule == .union:
            output.append(theirs)
            right.removeFirst()
        default:
            guard let next = waiting.popLast() else {
                isDone = true
                return
            }
            left = Members(Elements(output))
            right = Members(next)
            output = []
        }
    }

    private mutating func compare(_ mine: Bytes, _ theirs: Bytes) {
        let order = mine.order(against: theirs)
        if order == 0 {
            if rule != .difference { output.append(mine) }
            left.removeFirst()
            right.removeFirst()
        } else if order < 0 {
            if rule != .intersection { output.append(mine) }
            left.removeFirst()
        } else {
            if rule == .union { output.append(theirs) }
            right.removeFirst()
        }
    }
}
