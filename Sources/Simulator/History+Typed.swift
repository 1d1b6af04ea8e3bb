import Base

// What was promised to keys of typed keyspaces, in terms of elements (`TypedChange`).
//
// 1. An element that is read was put there, and not by a write that was answered with "nothing was
//    written". No element is there twice.
// 2. An acknowledged element that a read must see (`binds`) is in its answer, unless something that
//    took elements away may have come after it.
// 3. An element is gone once a removal was acknowledged that must have seen each of its adds: an
//    add that the removal may not have seen wins. What a keyspace held before it was emptied is
//    gone too, but for counters: an increment by a node that does not know of it yet brings back
//    what the node had added before.
//    An element is gone, too, once the time is over that an acknowledged EXPIRE gave to each of its
//    adds; one that the EXPIRE may not have seen, or that was added after its time, stays.
// 4. Of two writes of a register that are further apart than two clocks the later one counts.
// 5. Pushes to one end of a list over one connection to a replica stay in their order.
// 6. A bounded counter stays above its bound, and no more is acknowledged to be taken from it than
//    there was.
extension History {
    mutating func note(_ change: TypedChange, of index: Int) {
        let key = operations[index].key
        if let element = change.element { keys[key].adds[element, default: []].append(index) }
        if change.isRemoval { keys[key].removals.append(index) }
        if change.expires != nil { keys[key].expiries.append(index) }
    }

    /// - Parameters:
    ///   - elements: the whole value.
    ///   - isWhole: false for a union of sets, which may hold other keys' elements as well.
    /// - Returns: what is wrong; nil when nothing is.
    mutating func checkTyped(
        _ read: Int, _ role: TypedRole, returned elements: [[UInt8]],
        _ counters: inout WorldCounters
    ) -> String? {
        counters.typedReadsChecked += 1
        let found = Set(elements)
        if found.count < elements.count { return "\(describe(operations[read])) has doubles" }
        for element in elements {
            if let problem = checkOrigin(element, of: read) { return problem }
            if let problem = checkIsNotGone(element, of: read, &counters) { return problem }
        }
        if role == .list, let problem = checkOrder(elements, of: read) { return problem }
        if role == .register { return checkRegister(elements.first, of: read, &counters) }
        return checkMissing(found, of: read, &counters)
    }

    private func name(_ element: [UInt8]) -> String {
        String(decoding: element.prefix(24), as: UTF8.self)
    }

    private mutating func checkOrigin(_ element: [UInt8], of read: Int) -> String? {
        let adds = keys[operations[read].key].adds[element] ?? []
        guard adds.contains(where: { operations[$0].outcome != .failed }) else {
            let what = adds.isEmpty ? "nobody put there" : "is said not to have been written"
            return "\(describe(operations[read])) returned \(name(element)), which \(what)"
        }
        let isGone = adds.allSatisfy {
            operations[$0].outcome == .failed || isForgotten($0, at: operations[read])
        }
        guard !isGone else {
            return "\(describe(operations[read])) returned \(name(element)), which was in memory "
                + "only when the replica's process ended"
        }
        if adds.count == 1 { operations[adds[0]].isSeen = true }
        return nil
    }

    /// Whether every write that may have put an element there was certainly seen by a later one.
    private func areSeen(_ adds: [Int], by later: Operation, asRead: Bool) -> Bool {
        adds.allSatisfy { index in
            let add = operations[index]
            if add.outcome == .failed { return true }
            guard add.outcome == .acknowledged, add.completed < later.invoked else { return false }
            guard asRead else { return true }
            var catchUp = later
            catchUp.level = plan.keyspaces[later.keyspace].r
            return binds(add, catchUp)
        }
    }

    private func checkIsNotGone(
        _ element: [UInt8], of read: Int, _ counters: inout WorldCounters
    ) -> String? {
        let key = keys[operations[read].key]
        let adds = key.adds[element] ?? []
        let isNumber = TypedChange.isNumber(element)
        for index in key.removals {
            let removal = operations[index]
            guard removal.change.takes(element),
                binds(removal, operations[read]), areSeen(adds, by: removal, asRead: true)
            else { continue }
            counters.typedBinding += 1
            return "\(describe(operations[read])) returned \(name(element)), which "
                + "\(describe(index)) had removed"
        }
        for index in key.writes where operations[index].kind == .emptying && !isNumber {
            guard operations[index].outcome == .acknowledged, !mayLack,
                operations[index].completed < operations[read].invoked,
                areSeen(adds, by: operations[index], asRead: false)
            else { continue }
            return "\(describe(operations[read])) returned \(name(element)), which "
                + "\(describe(index)) had emptied away"
        }
        return checkIsNotOver(element, adds, of: read, &counters)
    }

    /// When what an EXPIRE has given a time is over by every clock.
    private func end(of expiry: Operation) -> UInt64 {
        guard let milliseconds = expiry.change.expires, expiry.completed < .max,
            !plan.mayJumpClocks, !plan.mayStepClocks
        else { return .max }
        return expiry.completed
            + .nanoseconds(milliseconds: UInt64(milliseconds + plan.skewMax + 50))
    }

    private func checkIsNotOver(
        _ element: [UInt8], _ adds: [Int], of read: Int, _ counters: inout WorldCounters
    ) -> String? {
        let key = keys[operations[read].key]
        for index in key.expiries {
            let expiry = operations[index]
            // Another one may have given it a longer life.
            let isLast = key.expiries.allSatisfy {
                $0 == index || operations[$0].outcome == .failed
                    || operations[$0].completed < expiry.invoked
            }
            guard isLast, end(of: expiry) < operations[read].invoked,
                binds(expiry, operations[read]), areSeen(adds, by: expiry, asRead: true)
            else { continue }
            counters.typedBinding += 1
            return "\(describe(operations[read])) returned \(name(element)), to which "
                + "\(describe(index)) had given a time that is over"
        }
        return nil
    }

    /// Whether something that takes elements away may have come after a write.
    private func mayBeRemoved(_ element: [UInt8], _ add: Operation, _ key: Key) -> Bool {
        func mayFollow(_ other: Operation) -> Bool {
            other.outcome != .failed && other.completed > add.invoked
        }
        let isRemoved = key.removals.contains { index in
            let removal = operations[index]
            return removal.change.takes(element) && mayFollow(removal)
        }
        let isOver = key.expiries.contains { index in
            operations[index].outcome != .failed && end(of: operations[index]) > add.invoked
        }
        return isRemoved || isOver
            || key.writes.contains { index in
                operations[index].kind == .emptying && mayFollow(operations[index])
            }
    }

    private func checkMissing(
        _ found: Set<[UInt8]>, of read: Int, _ counters: inout WorldCounters
    ) -> String? {
        let key = keys[operations[read].key]
        // What was popped is known only from the answer.
        var pops = key.removals.count { index in
            let removal = operations[index]
            return removal.change.pops && removal.change.removes.isEmpty
                && (removal.outcome == .unknown || removal.outcome == .pending)
        }
        // One pop takes an element away that several had added.
        var excused: Set<[UInt8]> = []
        for index in key.writes {
            let add = operations[index]
            guard let element = add.change.element, binds(add, operations[read]) else { continue }
            counters.typedBinding += 1
            if found.contains(element) || mayBeRemoved(element, add, key) { continue }
            guard excused.insert(element).inserted else { continue }
            pops -= 1
            if pops < 0 {
                return "\(describe(operations[read])) lacks \(name(element)) of "
                    + "\(describe(index)), which was acknowledged and which nobody removed"
            }
        }
        return nil
    }

    /// - Parameter removal: found nothing to remove, and has been told so.
    /// - Returns: what is wrong; nil when nothing is.
    func checkSawNothing(_ removal: Int, _ counters: inout WorldCounters) -> String? {
        var read = operations[removal]
        read.level = plan.keyspaces[read.keyspace].r
        let key = keys[read.key]
        guard !key.removals.contains(where: { operations[$0].change.pops }) else { return nil }
        for index in key.writes {
            let add = operations[index]
            guard let element = add.change.element, binds(add, read),
                read.change.takes(element)
            else { continue }
            counters.typedBinding += 1
            if mayBeRemoved(element, add, key) { continue }
            return "\(describe(removal)) found nothing although \(describe(index)) was "
                + "acknowledged and nobody removed it"
        }
        return nil
    }

    private func checkRegister(
        _ element: [UInt8]?, of read: Int, _ counters: inout WorldCounters
    ) -> String? {
        let key = keys[operations[read].key]
        let shown = element.flatMap { key.adds[$0]?.first }
        let gap = UInt64.nanoseconds(milliseconds: UInt64(plan.skewMax) + 10)
        for index in key.writes where index != shown {
            let write = operations[index]
            guard let element = write.change.element, binds(write, operations[read]) else {
                continue
            }
            counters.typedBinding += 1
            guard let shown else {
                if mayBeRemoved(element, write, key) { continue }
                return "\(describe(operations[read])) returned nothing although "
                    + "\(describe(index)) was acknowledged and nobody removed it"
            }
            let before = operations[shown].completed
            // A delete that did not see an older value leaves that when it takes this one away.
            if mayBeRemoved(element, write, key) { continue }
            if !plan.mayJumpClocks, before < write.invoked, write.invoked - before > gap,
                operations[shown].outcome == .acknowledged, !mayCross(operations[shown], write)
            {
                return "\(describe(operations[read])) returned \(describe(shown)), older than "
                    + "\(describe(index)), which was acknowledged before"
            }
        }
        return nil
    }

    private func checkOrder(_ elements: [[UInt8]], of read: Int) -> String? {
        var last: [Int: Int] = [:]
        for element in elements {
            guard let index = keys[operations[read].key].adds[element]?.first,
                let push = operations[index].change.push
            else { continue }
            // Later pushes to the left stand before earlier ones.
            let place = push.isLeft ? -index : index
            let lane = push.connection * 2 + (push.isLeft ? 1 : 0)
            if let before = last[lane], place < before {
                return "\(describe(operations[read])) has \(name(element)) out of its order"
            }
            last[lane] = place
        }
        return nil
    }
}

// Bounded counters.
extension History {
    /// The creation of a bounded counter if there surely was only one, and it was never emptied.
    private func creation(of key: Int) -> Int? {
        let writes = keys[key].writes.filter { operations[$0].outcome != .failed }
        guard !writes.contains(where: { operations[$0].kind == .emptying }) else { return nil }
        let made = writes.compactMap { operations[$0].change.created }
        return made.count == 1 ? made[0] : nil
    }

    /// - Returns: what is wrong with what was taken from a bounded counter; nil when nothing is.
    func checkTaken(from key: Int) -> String? {
        guard let created = creation(of: key), !mayLack else { return nil }
        var room = created
        for index in keys[key].writes {
            let write = operations[index]
            let mayCount = write.change.amount > 0 && write.outcome != .failed
            if mayCount || write.outcome == .acknowledged { room += write.change.amount }
        }
        guard room < 0 else { return nil }
        return "the bounded counter \(String(decoding: keys[key].name, as: UTF8.self)) was "
            + "overdrawn by \(-room)"
    }

    /// - Parameter value: what was read; nil for no counter.
    func checkBounded(
        _ read: Int, returned value: Int?, _ counters: inout WorldCounters
    ) -> String? {
        counters.typedReadsChecked += 1
        if let value, value < 0 { return "\(describe(operations[read])) returned \(value)" }
        let key = operations[read].key
        guard let value, let created = creation(of: key) else { return nil }
        var (low, high) = (created, created)
        for index in keys[key].writes where operations[index].change.amount != 0 {
            let write = operations[index]
            guard write.outcome != .failed, write.invoked < operations[read].completed else {
                continue
            }
            let amount = write.change.amount
            let isCertain = binds(write, operations[read])
            if isCertain { counters.typedBinding += 1 }
            if amount < 0 || isCertain { low += amount }
            if amount > 0 || isCertain { high += amount }
        }
        guard value < low || high < value else { return nil }
        return "\(describe(operations[read])) returned \(value), which is not \(low) to \(high)"
    }
}
