import Base
import CRDT
import Causality
import Coding
import RESP

// Counters, which are strings, flags and bounded counters.
extension TypedExecution {
    mutating func increment(
        _ name: CommandName, _ request: borrowing Arguments
    ) throws(TypedRefusal) {
        let isInteger = name != .incrbyfloat
        // Redis looks at the amount before or behind the value.
        if !isInteger { try check(.string) }
        if !isInteger, let value = held.state.string(now: now),
            Quantity(decimal: value.text) == nil
        {
            throw .command(.value(.notAFloat))
        }
        let amount = try amount(request, name)
        try check(.string)
        if isInteger, let value = held.state.string(now: now), value.integer == nil {
            throw .command(.notAnInteger)
        }
        do throws(CRDTRefusal) {
            guard let amount else { throw .overflow }
            delta = try held.state.increment(by: amount, dot: dot, now: now)
        } catch {
            guard error == .notANumber else { throw TypedRefusal(error) }
            throw .command(isInteger ? .notAnInteger : .value(.notAFloat))
        }
        writeNumber(held.state.string(now: now), isInteger: isInteger)
    }

    mutating func flag(_ request: borrowing Arguments) throws(TypedRefusal) {
        let options = try parsed { () throws(CommandError) in try FlagOptions(request) }
        try check(.flag)
        delta = try change { (execution) throws(CRDTRefusal) in
            switch options.change {
            case .enable:
                try execution.held.state.enable(dot: execution.dot, now: execution.now)
            case .disable:
                try execution.held.state.disable(dot: execution.dot, now: execution.now)
            case nil: nil
            }
        }
        reply.writeInteger(held.state.isEnabled(now: now) ? 1 : 0)
    }
}

/// What a command on a bounded counter knows of nodes.
struct BoundedCounterContext {
    /// Every living node that this one can reach, and itself.
    let identities: [ReplicaIdentity]
    /// Ascending.
    let members: [NodeID]
    /// A dot behind the command's own.
    let spareDot: Dot
    /// What this node acknowledged in earlier lives from this epoch on is here for certain, so that
    /// it may take the rights of those lives over.
    let provenEpoch: UInt64
}

// Bounded counters: each node takes away what it has the rights to.
extension TypedExecution {
    mutating func bound(
        _ request: borrowing Arguments, _ context: BoundedCounterContext
    ) throws(TypedRefusal) {
        let options = try parsed { () throws(CommandError) in try BoundedCounterOptions(request) }
        try check(.boundedCounter)
        switch options.action {
        case .read: return writeBounded()
        case .rights: return writeRights(context)
        case .create(let value, let bound):
            // What nodes have the rights to would be lost without a word.
            guard held.state.boundedValue(now: now) == nil else {
                throw .text("ERR the key holds a bounded counter already; DEL removes it")
            }
            delta = try change { (execution) throws(CRDTRefusal) in
                try execution.held.state.boundedCreate(
                    value, bound: bound, dot: execution.dot, now: execution.now)
            }
            return reply.writeOK()
        case .increment(let amount):
            delta = try change { (execution) throws(CRDTRefusal) in
                try execution.held.state.boundedIncrement(
                    by: amount, dot: execution.dot, now: execution.now)
            }
        case .decrement(let amount):
            try take(amount, context) { (state, dot, now) throws(CRDTRefusal) in
                try state.boundedDecrement(by: amount, dot: dot, now: now)
            }
        case .grant(let amount, let node):
            let receiver = context.identities.first { $0.node.rawValue == node }
            guard let receiver else { throw refusal(toGrantTo: node, context) }
            try take(amount, context) { (state, dot, now) throws(CRDTRefusal) in
                try state.boundedTransfer(amount, to: receiver, dot: dot, now: now)
            }
        }
        writeBounded()
    }

    private func refusal(
        toGrantTo node: UInt16, _ context: BoundedCounterContext
    ) -> TypedRefusal {
        guard !context.members.contains(NodeID(node)) else {
            return .sentence("UNAVAILABLE \(NodeID(node)) is not reachable")
        }
        let members = context.members.map { "\($0.rawValue)" }.joined(separator: ", ")
        return .sentence("ERR there is no node \(node); the members are \(members)")
    }

    /// Runs what takes rights of this node, after those of its earlier lives where its own do not
    /// suffice.
    private mutating func take(
        _ amount: Int64, _ context: BoundedCounterContext,
        _ body: (inout CRDTState, Dot, UInt64) throws(CRDTRefusal) -> Delta
    ) throws(TypedRefusal) {
        let departed = earlierLives(from: context.provenEpoch, toCover: amount)
        guard !departed.isEmpty else {
            delta = try change { (execution) throws(CRDTRefusal) in
                try body(&execution.held.state, execution.dot, execution.now)
            }
            return
        }
        // Nothing is inherited unless the command is done: a refused one leaves no delta.
        let before = held.state
        delta = held.state.retire(departed, dot: dot)
        do throws(CRDTRefusal) {
            let taken = try body(&held.state, context.spareDot, now)
            let isOne = delta?.append(taken) ?? false
            precondition(isOne, "one identity's deltas follow each other")
        } catch {
            held.state = before
            delta = nil
            throw TypedRefusal(error)
        }
    }

    /// The earlier lives of this node whose rights, with its own, cover an amount; none where its
    /// own do, or where all together do not.
    private func earlierLives(
        from epoch: UInt64, toCover amount: Int64
    ) -> [ReplicaIdentity] {
        var missing = amount - held.state.boundedRights(of: dot.identity, now: now)
        var lives: [ReplicaIdentity] = []
        for identity in held.state.boundedParties(now: now).reversed()
        where missing > 0 && identity.node == dot.identity.node && identity != dot.identity
            && identity.epoch >= epoch
        {
            let rights = held.state.boundedRights(of: identity, now: now)
            if rights > 0 { lives.append(identity) }
            missing -= rights
        }
        return missing > 0 ? [] : lives
    }

    private mutating func writeBounded() {
        guard let value = held.state.boundedValue(now: now) else { return reply.writeNull(dialect) }
        reply.writeInteger(Int(value))
    }

    private mutating func writeRights(_ context: BoundedCounterContext) {
        reply.writeMapHeader(pairs: context.identities.count, dialect)
        for identity in context.identities {
            reply.writeInteger(Int(identity.node.rawValue))
            reply.writeInteger(Int(held.state.boundedRights(of: identity, now: now)))
        }
    }
}
