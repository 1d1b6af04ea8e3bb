import Base
import Causality

// What was promised.
//
// 1. A value that is read was written, and not by a write that was answered with "nothing was
//    written".
// 2. A read of r replicas that began after a write was acknowledged by w replicas returns it, or a
//    state that comes later in last-writer-wins order, if r + w > n and neither replica forgot: so
//    in `fsync` keyspaces always; in `interval` ones unless a replica stops before the interval and
//    a sync are over; in `memory` ones until the first process stops. Rot takes the promise
//    back for the rest of the run: replicas that acknowledged are no longer replicas that have it,
//    and recovery has said so. What a clock far ahead wrote alone counts from the moment at which
//    its node met the others: the stamp that it was given then is its place.
//    Disks that are all put back take back what was acknowledged since the first of them was
//    copied, and nothing else, whatever any of them knows of the others' promises.
//    An emptied disk takes back what one replica alone acknowledged (w = 1), and nothing else:
//    no other disk is emptied before the node is whole again.
// 3. Of two acknowledged writes whose times are further apart than two clocks, the later one has
//    the later stamp. Clocks that jump by an hour take that back: the write of a slow clock loses
//    to the past, which is last-writer-wins' known price. Where all clocks step while a node is cut
//    off, it cannot know, and goes on by its old time; so there the promise is that of writes whose
//    quorums overlap.
// 4. In a keyspace of siblings an acknowledged value is in every such read until a write that may
//    have happened replaces it, or there were too many values and their keyspace's rule took it:
//    with `overflow=lww` a full set of later ones, with `max` a larger number.
//
// 5. One dot names one value, for ever.
// 6. A read with a bound on staleness returns every write, or what comes later, that was
//    acknowledged at the keyspace's w, on whatever replicas, longer before it than the bound.
// 7. A write with an id whose last answer is OK has a later stamp than all that was acknowledged
//    before it was sent first, if a majority and w overlap.
// 8. Where fallbacks stand in, 2 and 4 hold from when all hints have been handed off.
//
// With one replica there is no tombstone, and stamps restart with a clock that goes back: there the
// order is the order of real time, and a value is stale if its write ended before another
// acknowledged write began.
extension History {
    /// Whether a read must see a write.
    func binds(_ write: Operation, _ read: Operation) -> Bool {
        let keyspace = plan.keyspaces[write.keyspace]
        guard write.outcome == .acknowledged, write.completed < read.invoked, !isAnythingLost,
            isInReach(write, read), isKept(write, read),
            leastLevel(of: write) > 1 || wipes.allSatisfy({ $0 < write.invoked })
        else { return false }
        guard !keyspace.isSloppy || read.invoked >= handedOffAt else { return false }
        guard keyspace.life != .shifted else { return survives(write, until: read) }
        switch keyspace.durability {
        case .fsync: return true
        case .interval: return write.kind == .emptying || isSynced(write)
        case .memory: return write.kind == .emptying || stops.allSatisfy(\.isEmpty)
        }
    }

    /// Whether a write was not undone by putting all disks back.
    private func isKept(_ write: Operation, _ read: Operation) -> Bool {
        rollBacks.allSatisfy {
            write.completed < $0.from || write.invoked > $0.at || read.completed < $0.at
        }
    }

    /// Whether the replicas of a read and a write overlap, or the write is so old that a read with
    /// a bound reflects it.
    private func isInReach(_ write: Operation, _ read: Operation) -> Bool {
        guard let bound = read.staleness else {
            return leastLevel(of: write) + leastLevel(of: read) > mostReplicas(write, read)
        }
        return write.completed + bound < read.invoked
            && leastLevel(of: write) >= plan.keyspaces[write.keyspace].w
    }

    /// Whether every replica of a key has run on for as long as it takes to sync a write.
    private func isSynced(_ write: Operation) -> Bool {
        guard let window = plan.intervalWindow else { return stops.allSatisfy(\.isEmpty) }
        // Where lists of members change a key may have been elsewhere when it was written.
        let isSloppy = plan.keyspaces[write.keyspace].isSloppy
        let mayMove = isSloppy || plan.mean(of: .memberChange) != nil
        let holders = mayMove ? Array(stops.indices) : replicas(of: write.key)
        return holders.allSatisfy { replica in
            stops[replica].allSatisfy { $0 < write.invoked || $0 > write.completed + window }
        }
    }

    /// Whether a write of a keyspace that is kept in memory for a while is there when it is read:
    /// no process ended while that may have been so, nor so soon that it was not synced, nor before
    /// it heard that the keyspace is on disk. What was written before is forgotten too by a process
    /// that was down then, when it starts.
    private func survives(_ write: Operation, until read: Operation) -> Bool {
        guard write.kind != .emptying else { return true }
        guard !endedUnaware(of: write, until: read) else { return false }
        return shapes[write.keyspace].allSatisfy { shape in
            guard shape.from <= read.completed, write.invoked <= shape.until else { return true }
            switch shape.durability {
            case .fsync: return true
            case .interval: return isSynced(write)
            case .memory:
                let end = min(shape.until, read.completed)
                let ends = write.invoked < shape.from ? stops + starts : stops
                let begin = max(shape.from, write.invoked)
                return ends.allSatisfy { !$0.contains { begin <= $0 && $0 <= end } }
            }
        }
    }

    /// Whether a process ended that kept a write in memory, as far as it knew.
    private func endedUnaware(of write: Operation, until read: Operation) -> Bool {
        let name = plan.keyspaces[write.keyspace].name
        return stops.indices.contains { machine in
            zip(stops[machine], keptInMemory[machine]).contains { stop, names in
                write.invoked <= stop && stop <= read.completed && names.contains(name)
            }
        }
    }

    /// Whether the only replica of a key surely forgot a write before it was read: its process
    /// ended while the keyspace was kept in memory, as it knew.
    func isForgotten(_ write: Int, at read: Operation) -> Bool {
        let (operation, keyspace) = (operations[write], plan.keyspaces[read.keyspace])
        guard keyspace.life == .shifted, keyspace.n == 1, !plan.mayLoseDisks, !isAnythingLost
        else { return false }
        let replica = replicas(of: read.key)[0]
        let all = shapes[read.keyspace]
        return all.indices.contains { index in
            guard all[index].durability == .memory,
                let begin = index == 0 ? 0 : all[index].isAcknowledgedAt
            else { return false }
            let end = all.dropFirst(index + 1).map(\.from).min() ?? .max
            return zip(stops[replica], keptInMemory[replica]).contains { stop, inMemory in
                begin < stop && stop < min(end, read.invoked) && operation.completed < stop
                    && inMemory.contains(keyspace.name)
            }
        }
    }

    /// - Parameters:
    ///   - value: the operation whose value was read; nil for nothing.
    ///   - wallMax: the latest reading of any clock, for expiry.
    /// - Returns: what is wrong; nil when nothing is.
    mutating func check(
        _ read: Int, returned value: Int?, wallMax: UInt64, _ counters: inout WorldCounters
    ) -> String? {
        counters.readsChecked += 1
        if operations[read].staleness != nil { counters.boundedReads += 1 }
        let operation = operations[read]
        if let value, let problem = checkOrigin(value, of: operation) { return problem }
        if isOrderedByTime(operation.keyspace) {
            return checkByTime(operation, value)
        }
        guard let floor = floor(of: operation) else { return nil }
        counters.binding += 1
        let isLegal = keys[operation.key].states.contains { state in
            guard floor.dot <= state.dot else { return false }
            if state.value == value { return true }
            return value == nil && state.expiry != 0 && state.expiry <= wallMax
        }
        if isLegal || value.map({ isUnplaced($0) }) == true { return nil }
        return "\(describe(operation)) returned \(describe(value)), older than "
            + "\(describe(floor.write)), which was acknowledged before"
    }

    /// The latest write, in last-writer-wins order, that a read must see.
    private func floor(of read: Operation) -> (dot: Dot, write: Int)? {
        var floor: (dot: Dot, write: Int)?
        for index in keys[read.key].writes {
            guard let dot = operations[index].dot, binds(operations[index], read) else { continue }
            if floor.map({ $0.dot < dot }) ?? true { floor = (dot, index) }
        }
        return floor
    }

    /// Whether nobody saw where a write stands: in memory only, at a coordinator that was cut off.
    func isUnplaced(_ write: Int) -> Bool {
        let key = keys[operations[write].key]
        return plan.keyspaces[key.keyspace].mayBeInMemory
            && !key.states.contains { $0.value == write }
    }

    private mutating func checkOrigin(_ value: Int, of read: Operation) -> String? {
        let write = operations[value]
        operations[value].isSeen = true
        guard write.kind == .write, write.key == read.key else {
            return "\(describe(read)) returned a value of another key"
        }
        guard write.outcome != .failed else {
            return "\(describe(read)) returned \(describe(value)), of which the client was told "
                + "that nothing was written"
        }
        guard !isForgotten(value, at: read) else {
            return "\(describe(read)) returned \(describe(value)), which was in memory only when "
                + "the replica's process ended"
        }
        return nil
    }

    private func checkByTime(_ read: Operation, _ value: Int?) -> String? {
        for index in keys[read.key].writes where index != value {
            let write = operations[index]
            guard binds(write, read) else { continue }
            if let value {
                let shown = operations[value]
                if shown.outcome == .acknowledged, shown.completed < write.invoked {
                    return "\(describe(read)) returned \(describe(value)), older than "
                        + describe(index)
                }
            } else if write.kind == .write, !mayBeGone(index) {
                return "\(describe(read)) returned nothing although \(describe(index)) was "
                    + "acknowledged"
            }
        }
        return nil
    }

    /// Whether a delete or an expiry explains that a value is not there.
    private func mayBeGone(_ write: Int) -> Bool {
        let key = keys[operations[write].key]
        return key.mayExpire || isEmptiedAway(operations[write])
            || key.writes.contains { index in
                let delete = operations[index]
                guard delete.kind == .delete, delete.outcome != .failed else { return false }
                return delete.outcome != .acknowledged
                    || operations[write].invoked < delete.completed
            }
    }

    /// - Parameter values: the operations whose values were read.
    /// - Returns: what is wrong; nil when nothing is.
    mutating func checkSiblings(
        _ read: Int, returned values: [Int], _ counters: inout WorldCounters
    ) -> String? {
        counters.readsChecked += 1
        if values.count > 1 { counters.siblingReads += 1 }
        let operation = operations[read]
        if Set(values).count < values.count {
            return "\(describe(operation)) returned one value twice: \(values.map { describe($0) })"
        }
        for value in values {
            if let problem = checkOrigin(value, of: operation) { return problem }
            if let problem = checkIsNotEmptied(value, operation) { return problem }
        }
        let writes = keys[operation.key].writes
        for index in writes where operations[index].kind == .write {
            guard binds(operations[index], operation) else { continue }
            counters.binding += 1
            if values.contains(index) || isEmptiedAway(operations[index]) { continue }
            if !isReplaced(index, in: keys[operation.key]), !isOverflowed(index, shown: values) {
                return "\(describe(operation)) returned \(values.map { describe($0) }) without "
                    + "\(describe(index)), which was acknowledged and which nobody replaced"
            }
        }
        return nil
    }

    /// Called when a write has its answer.
    ///
    /// - Parameter gap: nanoseconds that two clocks may differ.
    /// - Returns: what is wrong; nil when nothing is.
    func checkOutcome(of write: Int, gap: UInt64) -> String? {
        let operation = operations[write]
        if operation.outcome == .failed, operation.isSeen {
            return "\(describe(write)) was answered with \"nothing was written\", and was read "
                + "before"
        }
        guard operation.outcome == .acknowledged else { return nil }
        if let problem = checkAgainstEmptyings(write) { return problem }
        guard !plan.mayJumpClocks, let dot = operation.dot,
            plan.keyspaces[operation.keyspace].n > 1
        else { return nil }
        for index in keys[operation.key].writes where index != write {
            let other = operations[index]
            guard other.outcome == .acknowledged, let otherDot = other.dot,
                other.completed < operation.invoked, operation.invoked - other.completed > gap,
                survives(other, until: operation)
            else { continue }
            if dot < otherDot, !mayCross(other, operation) {
                return "\(describe(write)) was acknowledged and has an earlier stamp than "
                    + "\(describe(index)), which ended before it began"
            }
        }
        return nil
    }

    /// Called when a write with an id has its answer: whoever claimed the id has heard of all that
    /// was acknowledged before, so clocks that differ are no reason to lose to it.
    ///
    /// - Returns: what is wrong; nil when nothing is.
    func checkOrder(ofOnce write: Int) -> String? {
        let operation = operations[write]
        let keyspace = plan.keyspaces[operation.keyspace]
        guard operation.outcome == .acknowledged, let dot = operation.dot, !plan.mayJumpClocks,
            !keyspace.isTyped, !keyspace.isSiblings, keyspace.n > 1, keyspace.life == .fixed
        else { return nil }
        let claim = Operation(
            kind: .read, keyspace: operation.keyspace, key: operation.key,
            level: keyspace.n / 2 + 1, invoked: operation.invoked)
        for index in keys[operation.key].writes where index != write {
            let other = operations[index]
            guard other.kind == .write, let otherDot = other.dot, binds(other, claim),
                dot < otherDot
            else { continue }
            return "\(describe(write)) has an id and an earlier stamp than \(describe(index)), "
                + "which was acknowledged before it began"
        }
        return nil
    }

    /// Whether two writes may be on both sides of a cut during which all clocks stepped.
    func mayCross(_ former: Operation, _ later: Operation) -> Bool {
        plan.mayStepClocks
            && leastLevel(of: former) + leastLevel(of: later) <= mostReplicas(former, later)
    }

    // MARK: Words

    func describe(_ value: Int?) -> String {
        guard let value else { return "nothing" }
        let operation = operations[value]
        let end = operation.completed == .max ? "…" : "\(operation.completed / 1_000)"
        let what =
            switch operation.kind {
            case .delete: "the delete d\(value)"
            case .emptying: "the emptying e\(value)"
            case .write, .read: "v\(value)"
            }
        return "\(what) (\(operation.invoked / 1_000)..\(end) µs, \(operation.outcome))"
    }

    func describe(_ read: Operation) -> String {
        let keyspace = plan.keyspaces[read.keyspace]
        return "a read of \(String(decoding: keys[read.key].name, as: UTF8.self)) "
            + "(n=\(keyspace.n), r=\(read.level)) that began at \(read.invoked / 1_000) µs"
    }
}
