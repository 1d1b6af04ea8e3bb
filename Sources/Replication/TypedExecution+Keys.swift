import CRDT
import Coding
import RESP

// Keys of every type: deletion and expiry.
extension TypedExecution {
    mutating func runKey(
        _ name: CommandName, _ request: borrowing Arguments
    ) throws(TypedRefusal) {
        switch name {
        case .del, .unlink: delete()
        case .exists, .touch: reply.writeInteger(type == nil ? 0 : 1)
        case .type: reply.writeSimple(type?.text ?? "none")
        case .expire, .pexpire, .expireat, .pexpireat: try expire(name, request)
        case .persist: persist()
        default: timeToLive(name)
        }
    }

    mutating func delete() {
        reply.writeInteger(type == nil ? 0 : 1)
        delta = held.state.delete(dot: dot)
    }

    mutating func timeToLive(_ name: CommandName) {
        guard type != nil else { return reply.writeInteger(-2) }
        let expiry = held.state.effectiveExpiry
        guard expiry > 0 else { return reply.writeInteger(-1) }
        let left = Int(expiry) - Int(now)
        switch name {
        case .ttl: reply.writeInteger((left + 500) / 1_000)
        case .pttl: reply.writeInteger(left)
        case .expiretime: reply.writeInteger(Int((expiry + 500) / 1_000))
        default: reply.writeInteger(Int(expiry))
        }
    }

    mutating func expire(
        _ name: CommandName, _ request: borrowing Arguments
    ) throws(TypedRefusal) {
        let now = now
        let options = try parsed { () throws(CommandError) in
            try ExpireOptions(request, name, now: now)
        }
        if !options.conditions.isEmpty { try checkAlone() }
        guard type != nil,
            let wanted = options.expiry(present: held.state.effectiveExpiry)
        else { return reply.writeInteger(0) }
        setExpiry(wanted)
        reply.writeInteger(1)
    }

    mutating func persist() {
        guard type != nil, held.state.expiresInPart else { return reply.writeInteger(0) }
        setExpiry(0)
        reply.writeInteger(1)
    }

    /// - Parameter milliseconds: wall-clock milliseconds since 1970, 0 for never; what is past
    ///   deletes the key.
    mutating func setExpiry(_ milliseconds: UInt64) {
        guard milliseconds == 0 || now < milliseconds else {
            delta = held.state.delete(dot: dot)
            return
        }
        if carriesValue, let value = held.state.string(now: now) {
            delta = try? held.state.set(Bytes(value.text), expiry: milliseconds, dot: dot)
            return
        }
        let elements = held.state.setElements(now: now)
        delta =
            carriesValue && !elements.isEmpty
            ? try? held.state.setAdd(elements, dot: dot, now: now).delta
            : held.state.expire(at: milliseconds, dot: dot, now: now)
    }
}

extension CommandName {
    /// Whether a request of this command may change its key.
    func writes(_ request: borrowing Arguments) -> Bool {
        switch self {
        case .qflag: request.matches(2, "ENABLE") || request.matches(2, "DISABLE")
        case .qbound: !request.matches(1, "GET") && !request.matches(1, "RIGHTS")
        default: CommandTable.description(of: self).flags.contains(.write)
        }
    }

    /// Whether a command may leave nothing of what the key held.
    var takesWhole: Bool {
        switch self {
        case .del, .unlink, .getdel, .set, .setex, .psetex, .getset, .mset, .expire, .pexpire,
            .expireat, .pexpireat:
            true
        default: false
        }
    }

    /// Whether what a command tells of many elements is put together when it leaves.
    var isToldInPieces: Bool {
        switch self {
        case .smembers, .hgetall, .hkeys, .hvals, .lrange, .zrange, .zrevrange, .zrangebyscore,
            .zrevrangebyscore:
            true
        default: false
        }
    }

    /// Whether a query looks at a large value over several steps.
    var isWalked: Bool {
        switch self {
        case .sscan, .hscan, .zscan, .lpos: true
        default: false
        }
    }

    /// Whether a command may look at every element of its value.
    var walksWhole: Bool {
        switch self {
        case .smembers, .srandmember, .sscan, .hgetall, .hkeys, .hvals, .hrandfield, .hscan,
            .zrange, .zrevrange, .zrangebyscore, .zrevrangebyscore, .zscan, .lrange, .linsert,
            .lrem, .lpos:
            true
        default: takesWhole
        }
    }

    /// Whether a command gives what is there a time, which may be none.
    var givesTime: Bool {
        switch self {
        case .expire, .pexpire, .expireat, .pexpireat, .persist, .getex: true
        default: false
        }
    }

    /// Whether a command makes no value larger, but for what it notes of times and removals.
    var isRemoval: Bool {
        switch self {
        case .del, .unlink, .getdel, .exists, .expire, .pexpire, .expireat, .pexpireat, .persist,
            .srem, .spop, .hdel, .zrem, .zpopmin, .zpopmax, .lpop, .rpop, .lrem, .ltrim:
            true
        default: false
        }
    }
}

extension ConsistencyOptions {
    /// The options behind the other arguments of a command on one key.
    init(trailing name: CommandName, _ request: borrowing Arguments) throws(CommandError) {
        switch name {
        case .set, .setex, .psetex, .setnx, .getset, .qset:
            self = try SetOptions(request, name).consistency
        case .qdel: self = try DeleteOptions(request).consistency
        case .spop, .lpop, .rpop, .zpopmin, .zpopmax:
            self = try PopOptions(request, name).consistency
        case .srandmember, .hrandfield: self = try RandomOptions(request, name).consistency
        case .sscan, .hscan, .zscan: try self.init(ofScan: name, request)
        case .zrange, .zrevrange, .zrangebyscore, .zrevrangebyscore:
            self = try SortedSetRange(request, name).options.consistency
        case .lpos: self = try ListSearchOptions(request).consistency
        case .qflag: self = try FlagOptions(request).consistency
        case .qbound: self = try BoundedCounterOptions(request).consistency
        default:
            let isFixed = CommandTable.description(of: name).arity > 0
            self = isFixed ? try ConsistencyOptions(following: request, of: name) : .none
        }
    }

    /// Of a scan: what is wrong behind its cursor is told behind what the key holds, as in Redis.
    private init(
        ofScan name: CommandName, _ request: borrowing Arguments
    ) throws(CommandError) {
        do throws(CommandError) { self = try ScanOptions(request, name).consistency } catch {
            if error == .invalidCursor { throw error }
            self = .none
        }
    }
}
