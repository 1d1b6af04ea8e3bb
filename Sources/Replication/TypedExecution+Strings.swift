import CRDT
import Causality
import Coding
import RESP

// Strings: a register, with increments on top where it holds a number.
extension TypedExecution {
    mutating func runString(
        _ name: CommandName, _ request: borrowing Arguments
    ) throws(TypedRefusal) {
        switch name {
        case .get: try get()
        case .mset: try setPlain(request)
        case .append: try append(request)
        case .strlen: try length()
        case .getdel: try getDelete()
        case .getex: try getExpire(request)
        case .incr, .decr, .incrby, .decrby, .incrbyfloat: try increment(name, request)
        default: try set(name, request)
        }
    }

    mutating func get() throws(TypedRefusal) {
        try check(.string)
        write(held.state.string(now: now))
    }

    mutating func length() throws(TypedRefusal) {
        try check(.string)
        reply.writeInteger(held.state.string(now: now)?.text.count ?? 0)
    }

    /// `SET` and its kin. It takes the place of a key of any type, as in Redis.
    mutating func set(
        _ name: CommandName, _ request: borrowing Arguments
    ) throws(TypedRefusal) {
        let options = try parsed { () throws(CommandError) in try SetOptions(request, name) }
        let expiry = try absolute(options.expiry, name)
        if options.condition != .always { try checkAlone() }
        if options.returnsPrevious { try check(.string) }
        let previous = options.returnsPrevious ? held.state.string(now: now) : nil
        let isMet =
            switch options.condition {
            case .always: true
            case .ifAbsent: type == nil
            case .ifPresent: type != nil
            }
        if isMet, let expiry, expiry != 0, expiry <= now {
            delta = held.state.delete(dot: dot)
        } else if isMet {
            let value = Bytes(Array(request[options.value]))
            delta = try change { (execution) throws(CRDTRefusal) in
                try execution.held.state.set(value, expiry: expiry, dot: execution.dot)
            }
        }
        if options.returnsPrevious {
            write(previous)
        } else if name == .setnx {
            reply.writeInteger(isMet ? 1 : 0)
        } else if isMet {
            reply.writeOK()
        } else {
            reply.writeNull(dialect)
        }
    }

    /// When a value that is written now expires.
    private func absolute(_ expiry: Expiry, _ name: CommandName) throws(TypedRefusal) -> UInt64? {
        if expiry == .keep { return type == nil ? 0 : nil }
        let now = now
        return try parsed { () throws(CommandError) in try expiry.time(now: now, of: name) } ?? 0
    }

    /// Part of `MSET`.
    mutating func setPlain(_ request: borrowing Arguments) throws(TypedRefusal) {
        let value = Bytes(Array(request[keyIndex + 1]))
        delta = try change { (execution) throws(CRDTRefusal) in
            try execution.held.state.set(value, dot: execution.dot)
        }
        reply.writeOK()
    }

    /// Writes the whole value: of two at a time the newer one counts.
    mutating func append(_ request: borrowing Arguments) throws(TypedRefusal) {
        try check(.string)
        var value = held.state.string(now: now)?.text ?? []
        value.append(contentsOf: request[2])
        let expiry: UInt64? = type == nil ? 0 : nil
        let count = value.count
        delta = try change { (execution) throws(CRDTRefusal) in
            try execution.held.state.set(Bytes(value), expiry: expiry, dot: execution.dot)
        }
        reply.writeInteger(count)
    }

    mutating func getDelete() throws(TypedRefusal) {
        try check(.string)
        write(held.state.string(now: now))
        delta = held.state.delete(dot: dot)
    }

    mutating func getExpire(_ request: borrowing Arguments) throws(TypedRefusal) {
        let options: GetExpiryOptions
        do throws(CommandError) { options = try GetExpiryOptions(request) } catch {
            // As in Redis a time is looked at behind the key.
            if error != .syntax { try check(.string) }
            guard error == .syntax || type != nil else { return reply.writeNull(dialect) }
            throw .command(error)
        }
        try check(.string)
        guard type != nil else { return reply.writeNull(dialect) }
        let expiry = options.expiry == .keep ? 0 : try absolute(options.expiry, .getex) ?? 0
        write(held.state.string(now: now))
        guard options.expiry != .keep else { return }
        setExpiry(expiry)
    }

    /// The causal context, then every value that no later write has seen.
    mutating func siblings(
        of key: UnsafeRawBufferPointer
    ) throws(TypedRefusal) {
        try check(.string)
        guard let contexts else { preconditionFailure("QGET is given the seal of contexts") }
        let values = held.state.siblings(now: now)
        guard held.state.context.entries.count <= CausalContext.entriesMax else {
            throw .text("ERR too many lives of nodes have written the key to name them all")
        }
        reply.writeArrayHeader(count: 1 + values.count)
        var token = ByteBuffer(capacity: 64)
        held.state.context.encodeToken(of: key, sealedBy: contexts, into: &token)
        reply.writeBulk(token.bytes)
        for value in values { writeBulk(value) }
    }
}
