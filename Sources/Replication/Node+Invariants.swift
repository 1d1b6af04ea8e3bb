import CRDT
import Causality

// Whole-structure checks for tests and the simulator.
extension Node {
    /// Equal on two nodes exactly when they know the same keyspace definitions, up to hash
    /// collision.
    public var definitionsDigest: UInt64 { catalog.digest }

    /// Traps unless what the node says of itself in several places agrees.
    ///
    /// - Parameter recounting: also counts all live keys anew and adds up the hash trees, which is
    ///   O(records).
    public func checkInvariants(recounting: Bool = false) {
        precondition(
            openSessions == sessions.count { $0.isOpen }, "open sessions are counted")
        precondition(
            holdings.keyspaces.count == catalog.active.count, "every keyspace has its sums")
        let due = min(nextHeartbeat, deadlines.first?.at ?? .max, membership.nextDeadline ?? .max)
        precondition(
            nextHeartbeat == 0 || due > now.monotonic,
            "after its first step a node has done what was due, or the loop never sleeps")
        checkSlabs()
        checkOwedReplies()
        guard recounting else { return }
        checkHoldings()
        for queue in hints { queue.checkInvariants() }
        checkExpandedStates()
    }

    /// A key of which a typed value is stored although its keyspace keeps none; nil where there is
    /// none, as always once definitions that changed are in force everywhere.
    ///
    /// - Complexity: O(records).
    public var keyOfAnotherKind: [UInt8]? {
        guard background.reshaping.isIdle else { return nil }
        var key: [UInt8]?
        store.visitAll { record in
            if record.isMergeable, !isTyped(catalog.index(of: record.key)) {
                key = Array(record.key)
            }
        }
        return key
    }

    /// Every state that is kept as a value has one record that points to it, and that says of it
    /// what is so.
    private func checkExpandedStates() {
        var stubs = 0
        store.visitAll { record in
            guard record.isExpanded else { return }
            stubs += 1
            let state = store.expanded[record.expandedPlace]
            precondition(state.context.newest == record.dot, "a stub has its state's dot")
            precondition(
                Record.contextDigest(record.key, state.context) == record.expandedDigest,
                "a stub has its state's digest")
            precondition(
                state.encodedBytes <= store.expanded.bytes(of: record.expandedPlace),
                "an expanded state is no larger than it is taken for")
            precondition(state.effectiveExpiry == record.expiry, "a stub expires with its state")
        }
        precondition(stubs == store.expanded.count, "every expanded state belongs to a record")
    }

    private func checkSlabs() {
        writes.checkInvariants()
        reads.checkInvariants()
        precondition(hedges.count <= 2 * reads.capacity + 65, "hedges are bounded")
        precondition(deadlines.count <= 11 * reads.capacity + 4_096, "deadlines are bounded")
        checkAnswerWindows()
        precondition(busyLinks == links.count { $0.isBusy }, "links that are behind are counted")
        gathers.checkInvariants()
        forwards.checkInvariants()
        administrations.checkInvariants()
        requestIDs.claims.checkInvariants()
        requestIDs.ledger.checkInvariants()
        for slot in 0..<writes.indexEnd {
            guard let id = writes.id(at: slot), let write = writes[id] else { continue }
            precondition(write.tally.outstanding.count > 0, "a write that waits for nobody is over")
        }
        for slot in 0..<reads.indexEnd {
            guard let id = reads.id(at: slot), let read = reads[id] else { continue }
            precondition(
                read.tally.decision == nil || read.asked != 0 || read.isHeldBack,
                "a read that waits for nobody ends")
        }
    }

    /// Every reply that is owed belongs to exactly one operation.
    private func checkOwedReplies() {
        let owed = sessions.reduce(0) { $0 + $1.outstanding.unfinished }
        let targets = openTargets
        let direct = targets.count { target in
            guard case .outstanding(let connection, let serial, _) = target else { return false }
            return sessions[Int(connection.rawValue)].serial == serial
        }
        precondition(owed == direct, "every owed reply belongs to one operation")
        let owedToNodes = links.reduce(0) { $0 + $1.owed.reduce(0) { $0 + $1.replyBytes } }
        let held = sessions.reduce(owedToNodes) { $0 + $1.outstanding.heldBytes }
        precondition(memory.replies == held, "replies that have not left are counted")
        let queued = sessions.reduce(0) { $0 + $1.transaction.heldBytes }
        precondition(memory.transactions == queued, "what is queued and watched is counted")
        for session in sessions { session.outstanding.checkInvariants() }
        for slot in 0..<gathers.indexEnd {
            guard let id = gathers.id(at: slot), let whole = gathers[id] else { continue }
            let parts = targets.count { target in
                guard case .gather(let owner, _) = target else { return false }
                return owner == id
            }
            precondition(parts == whole.begun, "every part under way belongs to one operation")
            checkReserved(id, whole)
        }
    }

    /// Where the answers of undecided operations go.
    private var openTargets: [ReplyTarget] {
        var targets: [ReplyTarget] = []
        for slot in 0..<writes.indexEnd {
            guard let id = writes.id(at: slot), let write = writes[id] else { continue }
            if write.tally.decision == nil { targets.append(write.head.target) }
        }
        for slot in 0..<reads.indexEnd {
            guard let id = reads.id(at: slot), let read = reads[id] else { continue }
            if read.tally.decision == nil || read.isHeldBack {
                targets.append(read.head.target)
            }
        }
        for slot in 0..<gathers.indexEnd {
            if let id = gathers.id(at: slot), let whole = gathers[id] {
                targets.append(whole.head.target)
            }
        }
        for slot in 0..<forwards.indexEnd {
            if let id = forwards.id(at: slot), let one = forwards[id] {
                targets.append(one.head.target)
            }
        }
        for slot in 0..<administrations.indexEnd {
            guard let id = administrations.id(at: slot), let one = administrations[id] else {
                continue
            }
            targets.append(one.head.target)
        }
        for slot in 0..<requestIDs.claims.indexEnd {
            guard let id = requestIDs.claims.id(at: slot), let one = requestIDs.claims[id] else {
                continue
            }
            targets.append(one.head.target)
        }
        return targets
    }
}
