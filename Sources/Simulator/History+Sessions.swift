import Base
import Causality

// What sessions were promised.
//
// 1. Read your writes, monotonic reads: of a key that the session read, or wrote with an
//    acknowledgement, a read shows that or what comes later, whatever happened to the nodes.
// 2. Monotonic writes, writes follow reads: an acknowledged write is stamped later than all that.
//
// What a node's table has no room for is promised as far as disks and clocks keep theirs.
extension History {
    /// Holds an answer against a session, and takes it in.
    ///
    /// - Parameters:
    ///   - session: before the request.
    ///   - seen: the same after it.
    /// - Returns: what is wrong; nil when nothing is.
    func hold(
        _ index: Int, _ reply: RedisReply, against session: ClientSession,
        _ seen: inout ClientSession, _ counters: inout WorldCounters
    ) -> String? {
        let operation = operations[index]
        let keyspace = plan.keyspaces[operation.keyspace]
        guard operation.outcome == .acknowledged, keyspace.n > 1, keyspace.life == .fixed,
            !keyspace.isTyped
        else { return nil }
        if keyspace.isSiblings {
            return holdSiblings(index, reply, against: session, &seen, &counters)
        }
        return operation.kind == .read
            ? holdRead(index, reply, against: session, &seen, &counters)
            : holdWrite(index, against: session, &seen)
    }

    /// Whether what the session saw of a key may be asked of the node now.
    private func isKept(_ keyspace: Int) -> Bool {
        guard plan.sessionKeysMax < keys.count else { return true }
        let isDurable =
            plan.keyspaces[keyspace].durability == .fsync
            && plan.keyspaces[keyspace].life != .shifted
            || stops.allSatisfy(\.isEmpty)
        return isDurable && wipes.isEmpty && !mayLack && !plan.mayJumpClocks
    }

    private func holdRead(
        _ index: Int, _ reply: RedisReply, against session: ClientSession,
        _ seen: inout ClientSession, _ counters: inout WorldCounters
    ) -> String? {
        let read = operations[index]
        var value: Int?
        if case .bulk(let bytes) = reply { value = operation(of: bytes) }
        let states = keys[read.key].states
        defer {
            if let value, let least = states.filter({ $0.value == value }).map(\.dot).min() {
                seen.saw(read.key, least)
            }
        }
        guard let seenFloor = session.floors[read.key], isKept(read.keyspace) else { return nil }
        let floor = place(of: seenFloor, read.key)
        counters.sessionReads += 1
        let isLegal = states.contains { state in
            guard floor <= state.dot else { return false }
            return state.value == value || value == nil && state.expiry != 0
        }
        // A tombstone in memory only, at a coordinator that was cut off, is seen by nobody else.
        let isHidden =
            value.map { isUnplaced($0) }
            ?? plan.keyspaces[read.keyspace].mayBeInMemory
        if isLegal || isHidden { return nil }
        let name = String(decoding: keys[read.key].name, as: UTF8.self)
        return "a session's read of \(name) at \(read.invoked / 1_000) µs returned "
            + "\(describe(value)), older than \(floor), which the session had seen"
    }

    private func holdWrite(
        _ index: Int, against session: ClientSession, _ seen: inout ClientSession
    ) -> String? {
        let write = operations[index]
        guard let dot = write.dot, write.kind == .write || write.kind == .delete,
            !keys[write.key].hasLostDelete
        else { return nil }
        seen.saw(write.key, dot)
        guard write.kind == .write, dot.stamp <= session.order, !plan.mayJumpClocks else {
            return nil
        }
        return "a session's \(describe(index)) is stamped \(dot.stamp.rawValue), not later than "
            + "\(session.order.rawValue), which the session had seen"
    }

    private func holdSiblings(
        _ index: Int, _ reply: RedisReply, against session: ClientSession,
        _ seen: inout ClientSession, _ counters: inout WorldCounters
    ) -> String? {
        let own = operations[index]
        guard own.kind == .read else {
            seen.saw(
                own.key, values: own.kind == .write ? [index] : [], replacing: own.replaces)
            return nil
        }
        guard case .array(let elements) = reply else { return nil }
        var shown: [Int] = []
        for element in elements.dropFirst() {
            if case .bulk(let bytes) = element {
                shown += self.operations(of: bytes, in: own.keyspace) ?? []
            }
        }
        let problem = isKept(own.keyspace) ? compare(shown, with: session, own, &counters) : nil
        seen.saw(own.key, values: shown)
        return problem
    }

    private func compare(
        _ shown: [Int], with session: ClientSession, _ read: Operation,
        _ counters: inout WorldCounters
    ) -> String? {
        for value in session.values[read.key] ?? [] {
            counters.sessionReads += 1
            if shown.contains(value) || isEmptiedAway(operations[value]) { continue }
            guard !isReplaced(value, in: keys[read.key]), !isEverEmptied(read.keyspace),
                !isOverflowed(value, shown: shown)
            else { continue }
            return "a session's read at \(read.invoked / 1_000) µs returned "
                + "\(shown.map { describe($0) }) without \(describe(value)), which the session "
                + "had seen and nobody replaced"
        }
        for value in session.replaced[read.key] ?? []
        where shown.contains(value) && !plan.mayJumpClocks && !mayCarry(read.keyspace) {
            return "a session's read at \(read.invoked / 1_000) µs returned \(describe(value)), "
                + "which the session itself had replaced"
        }
        return nil
    }

    private func isEverEmptied(_ keyspace: Int) -> Bool { emptiedAt[keyspace].rawValue > 0 }
}
