import Base
import CRDT
import Coding
import RESP

// Sorted sets: membership as that of a set; the newest score, and the increments on top of it.
extension TypedExecution {
    mutating func runSortedSet(
        _ name: CommandName, _ request: borrowing Arguments
    ) throws(TypedRefusal) {
        switch name {
        case .zadd: return try addScores(request)
        case .zincrby: return try incrementScore(request)
        case .zpopmin, .zpopmax: return try popScores(name, request)
        case .zscan: return try scanScores(request)
        case .zrange, .zrevrange, .zrangebyscore, .zrevrangebyscore, .zcount:
            return try range(name, request)
        default: try check(.sortedSet)
        }
        switch name {
        case .zrem:
            reply.writeInteger(try remove(members: request.values(from: 2)))
        case .zscore: writeScore(score(request, 2))
        case .zmscore:
            reply.writeArrayHeader(count: request.count - 2)
            for score in held.state.scores(request.values(from: 2), now: now) {
                writeScore(score)
            }
        case .zrank, .zrevrank: writeRank(name, Bytes(Array(request[2])))
        default: reply.writeInteger(count)
        }
    }

    private var count: Int { held.state.sortedSetCount(now: now) }

    private func score(_ request: borrowing Arguments, _ index: Int) -> Double? {
        held.state.score(Bytes(Array(request[index])), now: now)
    }

    private mutating func writeScore(_ score: Double?) {
        guard let score else { return reply.writeNull(dialect) }
        reply.writeDouble(score, dialect)
    }

    private mutating func writeRank(_ name: CommandName, _ member: Bytes) {
        guard let rank = held.state.rank(member, now: now) else { return reply.writeNull(dialect) }
        reply.writeInteger(name == .zrank ? rank : count - 1 - rank)
    }

    private mutating func addScores(_ request: borrowing Arguments) throws(TypedRefusal) {
        let options: SortedSetAddOptions
        var wanted: [(member: Bytes, score: Double)] = []
        do throws(CommandError) {
            options = try SortedSetAddOptions(request)
            for pair in 0..<options.count {
                let score = try request.score(options.score(pair))
                wanted.append((Bytes(Array(request[options.member(pair)])), score))
            }
        } catch { throw .command(error) }
        try check(.sortedSet)
        if !options.conditions.isEmpty { try checkAlone() }
        if options.isIncrement {
            guard let (member, amount) = wanted.first,
                isAllowed(held.state.score(member, now: now), amount, options)
            else { return reply.writeNull(dialect) }
            return try increment(member, by: amount)
        }
        let (chosen, changed) = choose(wanted, options)
        let result = try change { (execution) throws(CRDTRefusal) in
            try execution.held.state.sortedSetAdd(chosen, dot: execution.dot, now: execution.now)
        }
        delta = result.delta
        reply.writeInteger(result.added + (options.countsChanged ? changed : 0))
    }

    /// The scores that the conditions allow, each in the light of those before it, and how many of
    /// them are changes.
    private func choose(
        _ wanted: [(member: Bytes, score: Double)], _ options: SortedSetAddOptions
    ) -> (chosen: [(member: Bytes, score: Double)], changed: Int) {
        if options.conditions.isEmpty && !options.countsChanged { return (wanted, 0) }
        var chosen: [(member: Bytes, score: Double)] = []
        var changed = 0
        var latest = Table<Bytes, Double>()
        for (member, score) in wanted {
            let before = latest[member] ?? held.state.score(member, now: now)
            guard isAllowed(before, score, options) else { continue }
            if let before, before != score { changed += 1 }
            latest[member] = score
            chosen.append((member, score))
        }
        return (chosen, changed)
    }

    /// Whether the conditions let a member get a score, or an increment.
    private func isAllowed(
        _ before: Double?, _ number: Double, _ options: SortedSetAddOptions
    ) -> Bool {
        guard let before else { return !options.conditions.contains(.present) }
        let after = options.isIncrement ? before + number : number
        if options.conditions.contains(.absent) { return false }
        if options.conditions.contains(.greater) && after <= before { return false }
        return !(options.conditions.contains(.less) && after >= before)
    }

    private mutating func incrementScore(_ request: borrowing Arguments) throws(TypedRefusal) {
        let amount = try parsed { () throws(CommandError) in try request.score(2) }
        try check(.sortedSet)
        let member = Bytes(Array(request[3]))
        try increment(member, by: amount)
    }

    private mutating func increment(_ member: Bytes, by amount: Double) throws(TypedRefusal) {
        let isNew = amount == 0 && held.state.score(member, now: now) == nil
        do throws(CRDTRefusal) {
            delta = try held.state.sortedSetIncrement(member, by: amount, dot: dot, now: now)
        } catch {
            guard error == .notANumber else { throw TypedRefusal(error) }
            throw .command(.value(.scoreNotANumber))
        }
        // As in Redis, of a new member the amount itself, be it -0.
        writeScore(isNew ? amount : held.state.score(member, now: now))
    }

    /// - Returns: how many were there.
    private mutating func remove(members: [Bytes]) throws(TypedRefusal) -> Int {
        let result = try change { (execution) throws(CRDTRefusal) in
            try execution.held.state.sortedSetRemove(
                members, dot: execution.dot, now: execution.now)
        }
        delta = result?.delta
        return result?.removed ?? 0
    }

    /// Removes the members that it has seen; the other side of a partition may pop them as well.
    private mutating func popScores(
        _ name: CommandName, _ request: borrowing Arguments
    ) throws(TypedRefusal) {
        let options = try parsed { () throws(CommandError) in try PopOptions(request, name) }
        try check(.sortedSet)
        let popped = min(options.count ?? 1, count)
        try take(popped, orElse: .counted(options.count ?? 1))
        var members = held.state.members(
            name == .zpopmin ? 0..<popped : count - popped..<count, now: now)
        if name == .zpopmax { members.reverse() }
        _ = try remove(members: members.map(\.member))
        if options.count == nil {
            reply.writeArrayHeader(count: members.count * 2)
        } else {
            reply.writePairsHeader(count: members.count, dialect)
        }
        for (member, score) in members {
            if options.count != nil { writePairHeader() }
            writeBulk(member)
            writeScoreElement(score)
        }
    }

    private mutating func scanScores(_ request: borrowing Arguments) throws(TypedRefusal) {
        guard let scan = try scan(request, .zscan, of: .sortedSet) else { return }
        let all = held.state.sortedSetRange(0..<count, now: now)
        begin(ElementWalk(scan, among: all, bytes: held.bytes))
    }
}

// Ranges
extension TypedExecution {
    /// `ZRANGE` and its kin, and `ZCOUNT`.
    private mutating func range(
        _ name: CommandName, _ request: borrowing Arguments
    ) throws(TypedRefusal) {
        let range = try parsed { () throws(CommandError) in try SortedSetRange(request, name) }
        try check(.sortedSet)
        let options = range.options
        let places = places(of: range, request)
        if name == .zcount { return reply.writeInteger(places.count) }
        let skipped = min(options.offset, places.count)
        let told = min(options.limit, places.count - skipped)
        let first =
            options.isReversed
            ? places.upperBound - skipped - told : places.lowerBound + skipped
        let members = held.state.sortedSetRange(
            first..<first + told, isReversed: options.isReversed, now: now)
        if options.hasScores {
            reply.writePairsHeader(count: members.count, dialect)
        } else {
            reply.writeArrayHeader(count: members.count)
        }
        write(members, as: .scores(areTold: options.hasScores), of: count)
    }

    /// The places of a range in the set's own order.
    private func places(
        of range: SortedSetRange, _ request: borrowing Arguments
    ) -> Range<Int> {
        switch range.selection {
        case .ranks(let ranks):
            let places = ranks.positions(of: count)
            guard range.options.isReversed else { return places }
            return count - places.upperBound..<count - places.lowerBound
        case .scores(let low, let high):
            let first = held.state.rank(
                ofScore: low.isExclusive ? low.score.nextUp : low.score, now: now)
            let end = high.isExclusive ? high.score : high.score.nextUp
            let isAll = high.score == .infinity && !high.isExclusive
            let isNone = low.score == .infinity && low.isExclusive
            let last = isAll ? count : held.state.rank(ofScore: end, now: now)
            return isNone || last < first ? 0..<0 : first..<last
        case .words(let low, let high):
            let first = rank(of: low, isLow: true, request)
            return first..<max(first, rank(of: high, isLow: false, request))
        }
    }

    /// How many members stand before a bound, where all have one score.
    private func rank(
        of bound: WordBound, isLow: Bool, _ request: borrowing Arguments
    ) -> Int {
        switch bound {
        case .lowest: return 0
        case .highest: return count
        case .word(let index, let isExclusive):
            let word = Bytes(Array(request[index].dropFirst()))
            var low = 0
            var high = count
            while low < high {
                let middle = (low + high) / 2
                let member = held.state.members(middle..<middle + 1, now: now)[0].member
                if member < word || member == word && isExclusive == isLow {
                    low = middle + 1
                } else {
                    high = middle
                }
            }
            return low
        }
    }
}
