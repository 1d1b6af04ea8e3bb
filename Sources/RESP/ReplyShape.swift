/// Kinds of values in RESP. The dialects spell some differently, and RESP2 spells some alike.
public struct ReplyKinds: OptionSet, Sendable {
    public let rawValue: UInt16

    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let error = ReplyKinds(rawValue: 1)
    /// `+OK` and its like.
    public static let simple = ReplyKinds(rawValue: 2)
    public static let integer = ReplyKinds(rawValue: 4)
    public static let bulk = ReplyKinds(rawValue: 8)
    /// The absent value where a string or a number was asked for.
    public static let null = ReplyKinds(rawValue: 16)
    /// The absent value where an array was asked for.
    public static let nullArray = ReplyKinds(rawValue: 32)
    /// A bulk string in RESP2.
    public static let double = ReplyKinds(rawValue: 64)
    public static let boolean = ReplyKinds(rawValue: 128)
    public static let array = ReplyKinds(rawValue: 256)
    /// An array in RESP2.
    public static let set = ReplyKinds(rawValue: 512)
    /// An array of an even number of elements in RESP2.
    public static let map = ReplyKinds(rawValue: 1_024)

    public static let all = ReplyKinds(rawValue: .max)
}

/// What a command answers: the kinds that its reply may have, an error always among them, and those
/// that what is in an array, a set or a map may have.
public struct ReplyShape: Equatable, Sendable {
    public let kinds: ReplyKinds
    public let elements: ReplyKinds

    init(_ kinds: ReplyKinds, of elements: ReplyKinds = []) {
        self.kinds = kinds.union(.error)
        self.elements = elements
    }

    /// Anything that is a reply.
    public static let any = ReplyShape(.all, of: .all)
    /// The replies of a transaction's commands.
    public static let transaction = ReplyShape(.array, of: .all)
}

// What a node may answer that executes a command for another one.
extension CommandTable {
    /// What each command on one key answers, whatever its options are and whatever the key holds;
    /// an error alone for a command that no node has another one execute.
    public static func answer(of name: CommandName) -> ReplyShape { answers[Int(name.rawValue)] }

    private static let answers: [ReplyShape] = {
        var answers = [ReplyShape](repeating: ReplyShape([]), count: CommandName.allCases.count)
        for (shape, names) in queries + changes {
            for name in names {
                precondition(
                    answers[Int(name.rawValue)] == ReplyShape([]), "a command has one answer")
                answers[Int(name.rawValue)] = shape
            }
        }
        return answers
    }()

    private static let queries: [(ReplyShape, [CommandName])] = [
        (ReplyShape([.bulk, .null]), [.get, .hget, .lindex]),
        (
            ReplyShape(.integer),
            [
                .strlen, .exists, .touch, .ttl, .pttl, .expiretime, .pexpiretime, .sismember,
                .scard, .hexists, .hlen, .hstrlen, .zcard, .zcount, .llen,
            ]
        ),
        (ReplyShape(.simple), [.type]),
        (ReplyShape([.double, .null]), [.zscore]),
        (ReplyShape([.integer, .null]), [.zrank, .zrevrank]),
        (ReplyShape([.integer, .null, .array], of: .integer), [.lpos]),
        (ReplyShape(.set, of: .bulk), [.smembers]),
        (ReplyShape(.map, of: .bulk), [.hgetall]),
        (ReplyShape(.array, of: .bulk), [.hkeys, .hvals, .lrange, .qget]),
        (ReplyShape(.array, of: .integer), [.smismember]),
        (ReplyShape(.array, of: [.bulk, .null]), [.mget, .hmget]),
        (ReplyShape(.array, of: [.double, .null]), [.zmscore]),
        // With scores there are pairs.
        (
            ReplyShape(.array, of: [.bulk, .double, .array]),
            [.zrange, .zrevrange, .zrangebyscore, .zrevrangebyscore]
        ),
        (ReplyShape([.bulk, .null, .array], of: .bulk), [.srandmember]),
        (ReplyShape([.bulk, .null, .array], of: [.bulk, .array]), [.hrandfield]),
        // A cursor, and an array behind it.
        (ReplyShape(.array, of: [.bulk, .array]), [.sscan, .hscan, .zscan]),
    ]

    private static let changes: [(ReplyShape, [CommandName])] = [
        (ReplyShape(.simple), [.setex, .psetex, .mset, .hmset, .lset, .ltrim, .qset]),
        (ReplyShape([.simple, .bulk, .null]), [.set]),
        (ReplyShape([.bulk, .null]), [.getset, .getex, .getdel, .incrbyfloat, .hincrbyfloat]),
        (
            ReplyShape(.integer),
            [
                .setnx, .append, .incr, .decr, .incrby, .decrby, .sadd, .srem, .hset, .hsetnx,
                .hdel, .hincrby, .zrem, .lpush, .rpush, .lpushx, .rpushx, .linsert, .lrem, .del,
                .unlink, .expire, .pexpire, .expireat, .pexpireat, .persist, .qdel, .qflag,
            ]
        ),
        (ReplyShape([.integer, .double, .null]), [.zadd]),
        (ReplyShape([.double, .null]), [.zincrby]),
        (ReplyShape([.bulk, .null, .set], of: .bulk), [.spop]),
        (ReplyShape([.bulk, .null, .nullArray, .array], of: .bulk), [.lpop, .rpop]),
        (ReplyShape(.array, of: [.bulk, .double, .array]), [.zpopmin, .zpopmax]),
        // What it holds, who has the rights to how much, or that it was made.
        (ReplyShape([.integer, .null, .map, .simple], of: .integer), [.qbound]),
    ]
}
