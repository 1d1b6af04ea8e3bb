import Testing

@testable import RESP

/// What Redis 7.0.15 answers to `COMMAND INFO`.
struct RedisCommand: Sendable {
    let name: String
    let arity: Int
    let flags: String
    let keys: [Int]

    init(_ name: String, _ arity: Int, _ flags: String, _ keys: [Int]) {
        self.name = name
        self.arity = arity
        self.flags = flags
        self.keys = keys
    }

    static let typed: [RedisCommand] = [
        RedisCommand("incr", 2, "write denyoom fast", [1, 1, 1]),
        RedisCommand("decr", 2, "write denyoom fast", [1, 1, 1]),
        RedisCommand("incrby", 3, "write denyoom fast", [1, 1, 1]),
        RedisCommand("decrby", 3, "write denyoom fast", [1, 1, 1]),
        RedisCommand("incrbyfloat", 3, "write denyoom fast", [1, 1, 1]),
        RedisCommand("sadd", -3, "write denyoom fast", [1, 1, 1]),
        RedisCommand("srem", -3, "write fast", [1, 1, 1]),
        RedisCommand("sismember", 3, "readonly fast", [1, 1, 1]),
        RedisCommand("smismember", -3, "readonly fast", [1, 1, 1]),
        RedisCommand("smembers", 2, "readonly", [1, 1, 1]),
        RedisCommand("scard", 2, "readonly fast", [1, 1, 1]),
        RedisCommand("spop", -2, "write fast", [1, 1, 1]),
        RedisCommand("srandmember", -2, "readonly", [1, 1, 1]),
        RedisCommand("sunion", -2, "readonly", [1, -1, 1]),
        RedisCommand("sinter", -2, "readonly", [1, -1, 1]),
        RedisCommand("sdiff", -2, "readonly", [1, -1, 1]),
        RedisCommand("sintercard", -3, "readonly movablekeys", [0, 0, 0]),
        RedisCommand("smove", 4, "write fast", [1, 2, 1]),
        RedisCommand("sscan", -3, "readonly", [1, 1, 1]),
        RedisCommand("hset", -4, "write denyoom fast", [1, 1, 1]),
        RedisCommand("hsetnx", 4, "write denyoom fast", [1, 1, 1]),
        RedisCommand("hmset", -4, "write denyoom fast", [1, 1, 1]),
        RedisCommand("hget", 3, "readonly fast", [1, 1, 1]),
        RedisCommand("hmget", -3, "readonly fast", [1, 1, 1]),
        RedisCommand("hgetall", 2, "readonly", [1, 1, 1]),
        RedisCommand("hdel", -3, "write fast", [1, 1, 1]),
        RedisCommand("hexists", 3, "readonly fast", [1, 1, 1]),
        RedisCommand("hlen", 2, "readonly fast", [1, 1, 1]),
        RedisCommand("hkeys", 2, "readonly", [1, 1, 1]),
        RedisCommand("hvals", 2, "readonly", [1, 1, 1]),
        RedisCommand("hstrlen", 3, "readonly fast", [1, 1, 1]),
        RedisCommand("hincrby", 4, "write denyoom fast", [1, 1, 1]),
        RedisCommand("hincrbyfloat", 4, "write denyoom fast", [1, 1, 1]),
        RedisCommand("hscan", -3, "readonly", [1, 1, 1]),
        RedisCommand("hrandfield", -2, "readonly", [1, 1, 1]),
        RedisCommand("zadd", -4, "write denyoom fast", [1, 1, 1]),
        RedisCommand("zrem", -3, "write fast", [1, 1, 1]),
        RedisCommand("zscore", 3, "readonly fast", [1, 1, 1]),
        RedisCommand("zmscore", -3, "readonly fast", [1, 1, 1]),
        RedisCommand("zrange", -4, "readonly", [1, 1, 1]),
        RedisCommand("zrevrange", -4, "readonly", [1, 1, 1]),
        RedisCommand("zrangebyscore", -4, "readonly", [1, 1, 1]),
        RedisCommand("zrevrangebyscore", -4, "readonly", [1, 1, 1]),
        RedisCommand("zrank", 3, "readonly fast", [1, 1, 1]),
        RedisCommand("zrevrank", 3, "readonly fast", [1, 1, 1]),
        RedisCommand("zincrby", 4, "write denyoom fast", [1, 1, 1]),
        RedisCommand("zcard", 2, "readonly fast", [1, 1, 1]),
        RedisCommand("zcount", 4, "readonly fast", [1, 1, 1]),
        RedisCommand("zpopmin", -2, "write fast", [1, 1, 1]),
        RedisCommand("zpopmax", -2, "write fast", [1, 1, 1]),
        RedisCommand("zscan", -3, "readonly", [1, 1, 1]),
        RedisCommand("lpush", -3, "write denyoom fast", [1, 1, 1]),
        RedisCommand("rpush", -3, "write denyoom fast", [1, 1, 1]),
        RedisCommand("lpushx", -3, "write denyoom fast", [1, 1, 1]),
        RedisCommand("rpushx", -3, "write denyoom fast", [1, 1, 1]),
        RedisCommand("lpop", -2, "write fast", [1, 1, 1]),
        RedisCommand("rpop", -2, "write fast", [1, 1, 1]),
        RedisCommand("lrange", 4, "readonly", [1, 1, 1]),
        RedisCommand("lindex", 3, "readonly", [1, 1, 1]),
        RedisCommand("lset", 4, "write denyoom", [1, 1, 1]),
        RedisCommand("linsert", 5, "write denyoom", [1, 1, 1]),
        RedisCommand("lrem", 4, "write", [1, 1, 1]),
        RedisCommand("ltrim", 4, "write", [1, 1, 1]),
        RedisCommand("llen", 2, "readonly fast", [1, 1, 1]),
        RedisCommand("lpos", -3, "readonly", [1, 1, 1]),
    ]
}

@Suite("Commands on typed values, as Redis describes them")
struct RedisCommandTests {
    @Test("COMMAND tells the arity, flags and keys that Redis tells", arguments: RedisCommand.typed)
    func same(_ redis: RedisCommand) throws {
        let name = try #require(Array(redis.name.utf8).withUnsafeBytes { CommandName($0) })
        let description = CommandTable.description(of: name)
        let flags = CommandFlags.names.filter { description.flags.contains($0.0) }
        let keys = description.keys
        #expect(description.arity == redis.arity)
        let expected = redis.flags.split(separator: " ").map { "\($0)" }
        #expect(flags.map { "\($0.1)" }.sorted() == expected.sorted())
        #expect([keys.first, keys.last, keys.step] == redis.keys)
        let text = written { buffer in
            withArguments("COMMAND", "INFO", redis.name) { arguments in
                try? buffer.writeCommandReply(arguments, .resp2)
            }
        }
        guard !description.flags.contains(.refused) else {
            #expect(text == "*1\r\n$-1\r\n")
            return
        }
        let length = redis.name.utf8.count
        #expect(text.hasPrefix("*1\r\n*10\r\n$\(length)\r\n\(redis.name)\r\n:\(redis.arity)\r\n"))
    }

    @Test(
        "Each group is named as Redis names it",
        arguments: [
            (CommandName.incr, "string"), (.sadd, "set"), (.hset, "hash"), (.zadd, "sorted-set"),
            (.lpush, "list"), (.qflag, "quorate"),
        ])
    func group(_ name: CommandName, _ group: String) {
        let text = written { buffer in
            withArguments("COMMAND", "DOCS", "\(name)") { arguments in
                try? buffer.writeCommandReply(arguments, .resp2)
            }
        }
        #expect(text.contains("$5\r\ngroup\r\n$\(group.utf8.count)\r\n\(group)\r\n"))
    }
}
