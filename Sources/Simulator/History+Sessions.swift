import Base
import Causality

// What sessions were promised.
//
// 1. Read your writes, monotonic reads: of a key that the session wrote (with an acknowledgement) or
//    read, a read shows that or what comes later, whatever happened to the nodes meanwhile.
// 2. Monotonic writes, writes follow reads: an acknowledged write is stamped later than all that.
//
// What a node's table has no room for is promised as far as disks and clocks keep theirs.
extension History {
    /// Takes an answer into a session.
    ///
    /// - Returns: what is wrong; nil when nothing is.
    func holdAgainst(
        _ session: inout ClientSession, _ index: Int, _ reply: RedisReply,
        _ counters: inout WorldCounters
    ) -> String? {
        let operation = operations[index]
        let keyspace = plan.keyspaces[operation.keyspace]
        guard operation.outcome == .acknowledged, keyspace.n > 1, keyspace.life == .fixed else {
            return nil
        }
        if keyspace.isSiblings {
            return holdSiblings(&session, index, reply, &counters)
        }
        return operation.kind == .read
            ? holdRead(&session, index, reply, &counters) : holdWrite(&session, index)
    }

    /// Whether what the session saw of a key may be asked of the node now.
    private func isKept(_ keyspace: Int) -> Bool {
        guard plan.sessionKeysMax < keys.count else { return true }
        let isDurable = plan.keyspaces[keyspace].durability == .fsync
            || stops.allSatisfy(\.isEmpty)
        return isDurable && !isAnythingLost && !plan.mayJumpClocks
    }

    private func holdRead(
        _ session: inout ClientSession, _ index: Int, _ reply: RedisReply,
        _ counters: inout WorldCounters
    ) -> String? {
        let read = operations[index]
        var value: Int?
        if case .bulk(let bytes) = reply { value = operation(of: bytes) }
        let states = keys[read.key].states
        defer {
            if let value, let least = states.filter({ $0.value == value }).map(\.dot).min() {
                session.saw(read.key, least)
            }
        }
        guard let floor = session.floors[read.key], isKept(read.keyspace) else { return nil }
        counters.sessionReads += 1
        let isLegal = states.contains { state in
            guard floor <= state.dot else { return false }
            return state.value == value || value == nil && state.expiry != 0
        }
        if isLegal || value.map({ isUnplaced($0) }) == true { return nil }
        return "a session's read \(index) of \(String(decoding: keys[read.key].name, as: UTF8.self)) "
            + "at \(read.invoked / 1_000) µs returned \(describe(value)), older than \(floor), "
            + "which the session had seen"
    }

    private func holdWrite(_ session: inout ClientSession, _ index: Int) -> String? {
        let write = operations[index]
        guard let dot = write.dot, write.kind == .write || write.kind == .delete,
            !keys[write.key].hasLostDelete
        else { return nil }
        let isLater = session.order < dot.stamp
        let before = session.order
        session.saw(write.key, dot)
        guard write.kind == .write, !isLater, !plan.mayJumpClocks else { return nil }
        return "a session's \(describe(index)) is stamped \(dot.stamp.rawValue), not later than "
            + "\(before.rawValue), which the session had seen"
    }

    private func holdSiblings(
        _ session: inout ClientSession, _ index: Int, _ reply: RedisReply,
        _ counters: inout WorldCounters
    ) -> String? {
        let own = operations[index]
        guard own.kind == .read else {
            session.saw(
                own.key, values: own.kind == .write ? [index] : [], replacing: own.replaces)
            return nil
        }
        guard case .array(let elements) = reply else { return nil }
        var shown: [Int] = []
        for element in elements.dropFirst() {
            if case .bulk(let bytes) = element, let value = operation(of: bytes) {
                shown.append(value)
            }
        }
        let problem = isKept(own.keyspace) ? compare(shown, with: session, own, &counters) : nil
        session.saw(own.key, values: shown)
        return problem
    }

    private func compare(
        _ shown: [Int], with session: ClientSession, _ read: Operation,
        _ counters: inout WorldCounters
    ) -> String? {
        for value in session.values[read.key] ?? [] {
            counters.sessionReads += 1
            if shown.contains(value) || isEmptiedAway(operations[value]) { continue }
            let isReplaced = keys[read.key].writes.contains { other in
                operations[other].outcome != .failed && operations[other].replaces.contains(value)
            }
            guard !isReplaced, !isEverEmptied(read.keyspace) else { continue }
            return "a session's read at \(read.invoked / 1_000) µs returned "
                + "\(shown.map { describe($0) }) without \(describe(value)), which the session "
                + "had seen and nobody replaced"
        }
        for value in session.replaced[read.key] ?? []
        where shown.contains(value) && !plan.mayJumpClocks {
            return "a session's read at \(read.invoked / 1_000) µs returned \(describe(value)), "
                + "which the session itself had replaced"
        }
        return nil
    }

    private func isEverEmptied(_ keyspace: Int) -> Bool { emptiedAt[keyspace].rawValue > 0 }
}
