import Coding

/// Every command this server knows. What is known of each, such as its arity, stands in
/// `CommandTable`.
public enum CommandName: UInt8, CaseIterable, Sendable {
    // Connection
    case ping, echo, quit, select, auth, hello, client, reset, readonly, readwrite
    // Server
    case info, command, config, time, dbsize, flushall, flushdb, debug, wait, cluster
    // Transactions
    case multi, exec, discard, watch, unwatch
    // Strings
    case get, set, setnx, setex, psetex, getset, getex, getdel, mget, mset, append, strlen
    case incr, decr, incrby, decrby, incrbyfloat
    // Sets
    case sadd, srem, sismember, smismember, smembers, scard, spop, srandmember
    case sunion, sinter, sdiff, sintercard, smove, sscan
    // Hashes
    case hset, hsetnx, hmset, hget, hmget, hgetall, hdel, hexists, hlen, hkeys, hvals, hstrlen
    case hincrby, hincrbyfloat, hscan, hrandfield
    // Sorted sets
    case zadd, zrem, zscore, zmscore, zrange, zrevrange, zrangebyscore, zrevrangebyscore
    case zrank, zrevrank, zincrby, zcard, zcount, zpopmin, zpopmax, zscan
    // Lists
    case lpush, rpush, lpushx, rpushx, lpop, rpop, lrange, lindex, lset, linsert, lrem, ltrim
    case llen, lpos
    // Keys
    case del, unlink, exists, touch, type, scan, keys
    case ttl, pttl, expire, pexpire, expireat, pexpireat, expiretime, pexpiretime, persist
    // Quorate's own
    case qget, qset, qdel, qflag, qbound, keyspace, consistency, receipt, session
    case idempotency

    /// The command's name in lower case.
    public var text: StaticString { CommandTable.description(of: self).text }

    /// Finds the command that a request asks for and checks how many arguments it has.
    ///
    /// - Parameter arguments: a complete request.
    /// - Throws: `unknownCommand` or `wrongArgumentCount`.
    public init(_ arguments: borrowing Arguments) throws(CommandError) {
        guard let slot = CommandTable.find(arguments[0]) else { throw .unknownCommand }
        let arity = Int(slot.arity)
        guard arity < 0 ? arguments.count >= -arity : arguments.count == arity else {
            throw .wrongArgumentCount(slot.name)
        }
        self = slot.name
    }

    /// A name on its own, in whatever case; nil for none of ours.
    public init?(_ name: UnsafeRawBufferPointer) {
        guard let slot = CommandTable.find(name) else { return nil }
        self = slot.name
    }
}
