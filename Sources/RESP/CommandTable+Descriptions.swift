// Arity and keys follow Redis.
extension CommandTable {
    static let descriptions: [CommandDescription] =
        connection + server + cluster + transaction + string + counter + set + hash + sortedSet
        + list + generic + quorate

    private static let connection: [CommandDescription] = [
        .init(
            name: .ping, text: "ping", arity: -1,
            flags: [.fast, .noAuth, .loading], keys: .none, group: .connection,
            summary: "Answers PONG, or its argument."),
        .init(
            name: .echo, text: "echo", arity: 2,
            flags: [.fast, .loading], keys: .none, group: .connection,
            summary: "Answers its argument."),
        .init(
            name: .quit, text: "quit", arity: -1,
            flags: [.fast, .noAuth, .loading], keys: .none, group: .connection,
            summary: "Closes the connection."),
        .init(
            name: .select, text: "select", arity: 2,
            flags: [.fast, .loading], keys: .none, group: .connection,
            summary: "Accepts database 0, the only one."),
        .init(
            name: .auth, text: "auth", arity: -2,
            flags: [.fast, .noAuth, .loading], keys: .none, group: .connection,
            summary: "Authenticates the connection."),
        .init(
            name: .hello, text: "hello", arity: -1,
            flags: [.fast, .noAuth, .loading], keys: .none, group: .connection,
            summary: "Greets the server and chooses RESP2 or RESP3."),
        .init(
            name: .client, text: "client", arity: -2,
            flags: [.loading], keys: .none, group: .connection,
            summary: "Names, lists and sets up client connections."),
        .init(
            name: .reset, text: "reset", arity: 1,
            flags: [.fast, .noAuth, .loading], keys: .none, group: .connection,
            summary: "Sets the connection back to how it was opened."),
        .init(
            name: .readonly, text: "readonly", arity: 1,
            flags: [.fast, .loading], keys: .none, group: .connection,
            summary: "Lets a cluster client read from replicas."),
        .init(
            name: .readwrite, text: "readwrite", arity: 1,
            flags: [.fast, .loading], keys: .none, group: .connection,
            summary: "Takes READONLY back."),
    ]

    private static let server: [CommandDescription] = [
        .init(
            name: .info, text: "info", arity: -1,
            flags: [.loading], keys: .none, group: .server,
            summary: "Facts and counters of this node."),
        .init(
            name: .command, text: "command", arity: -1,
            flags: [.loading], keys: .none, group: .server,
            summary: "Describes commands."),
        .init(
            name: .config, text: "config", arity: -2,
            flags: [.admin, .loading], keys: .none, group: .server,
            summary: "Shows settings."),
        .init(
            name: .time, text: "time", arity: 1,
            flags: [.fast, .loading], keys: .none, group: .server,
            summary: "The node's wall clock: seconds and microseconds since 1970."),
        .init(
            name: .dbsize, text: "dbsize", arity: 1,
            flags: [.readonly, .fast], keys: .none, group: .server,
            summary: "Counts the keys that this node holds."),
        .init(
            name: .flushall, text: "flushall", arity: -1,
            flags: [.write], keys: .none, group: .server,
            summary: "Deletes all keys."),
        .init(
            name: .flushdb, text: "flushdb", arity: -1,
            flags: [.write], keys: .none, group: .server,
            summary: "Deletes all keys."),
        .init(
            name: .debug, text: "debug", arity: -2,
            flags: [.admin, .loading], keys: .none, group: .server,
            summary: "For tests of the server."),
        .init(
            name: .wait, text: "wait", arity: 3,
            flags: [.blocking, .refused], keys: .none, group: .server,
            summary: "Waits until earlier writes are on so many replicas."),
    ]

    private static let cluster: [CommandDescription] = [
        .init(
            name: .cluster, text: "cluster", arity: -2,
            flags: [.loading], keys: .none, group: .cluster,
            summary: "Shows nodes, slots and shards.")
    ]

    private static let transaction: [CommandDescription] = [
        .init(
            name: .multi, text: "multi", arity: 1,
            flags: [.fast, .loading], keys: .none, group: .transactions,
            summary: "Begins to queue commands that run as one."),
        .init(
            name: .exec, text: "exec", arity: 1,
            flags: [.loading], keys: .none, group: .transactions,
            summary: "Runs what was queued since MULTI as one."),
        .init(
            name: .discard, text: "discard", arity: 1,
            flags: [.fast, .loading], keys: .none, group: .transactions,
            summary: "Drops what was queued since MULTI."),
        .init(
            name: .watch, text: "watch", arity: -2,
            flags: [.fast, .loading], keys: .all, group: .transactions,
            summary: "Lets EXEC run nothing if one of the keys changes until then."),
        .init(
            name: .unwatch, text: "unwatch", arity: 1,
            flags: [.fast, .loading], keys: .none, group: .transactions,
            summary: "Forgets the watched keys."),
    ]

    private static let string: [CommandDescription] = [
        .init(
            name: .get, text: "get", arity: 2,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .string,
            summary: "Reads a value."),
        .init(
            name: .set, text: "set", arity: -3,
            flags: [.write, .denyOOM], keys: .one, consistency: .write, group: .string,
            summary: "Writes a value."),
        .init(
            name: .setnx, text: "setnx", arity: 3,
            flags: [.write, .denyOOM, .fast], keys: .one, group: .string,
            summary: "Writes a value if the key is absent."),
        .init(
            name: .setex, text: "setex", arity: 4,
            flags: [.write, .denyOOM], keys: .one, group: .string,
            summary: "Writes a value that lives for so many seconds."),
        .init(
            name: .psetex, text: "psetex", arity: 4,
            flags: [.write, .denyOOM], keys: .one, group: .string,
            summary: "Writes a value that lives for so many milliseconds."),
        .init(
            name: .getset, text: "getset", arity: 3,
            flags: [.write, .denyOOM, .fast], keys: .one, group: .string,
            summary: "Writes a value and answers the one before."),
        .init(
            name: .getex, text: "getex", arity: -2,
            flags: [.write, .fast], keys: .one, group: .string,
            summary: "Reads a value and changes when it expires."),
        .init(
            name: .getdel, text: "getdel", arity: 2,
            flags: [.write, .fast], keys: .one, group: .string,
            summary: "Reads a value and deletes it."),
        .init(
            name: .mget, text: "mget", arity: -2,
            flags: [.readonly, .fast], keys: .all, group: .string,
            summary: "Reads several values."),
        .init(
            name: .mset, text: "mset", arity: -3,
            flags: [.write, .denyOOM], keys: .pairs, group: .string,
            summary: "Writes several values, each on its own."),
        .init(
            name: .append, text: "append", arity: 3,
            flags: [.write, .denyOOM, .fast], keys: .one, group: .string,
            summary: "Appends to a value."),
        .init(
            name: .strlen, text: "strlen", arity: 2,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .string,
            summary: "A value's length in bytes."),
    ]

    private static let generic: [CommandDescription] = [
        .init(
            name: .del, text: "del", arity: -2,
            flags: [.write], keys: .all, group: .generic,
            summary: "Deletes keys and counts those that were there."),
        .init(
            name: .unlink, text: "unlink", arity: -2,
            flags: [.write, .fast], keys: .all, group: .generic,
            summary: "Deletes keys and counts those that were there."),
        .init(
            name: .exists, text: "exists", arity: -2,
            flags: [.readonly, .fast], keys: .all, group: .generic,
            summary: "Counts which of the keys are there."),
        .init(
            name: .touch, text: "touch", arity: -2,
            flags: [.readonly, .fast], keys: .all, group: .generic,
            summary: "Counts which of the keys are there."),
        .init(
            name: .type, text: "type", arity: 2,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .generic,
            summary: "What kind of value a key holds."),
        .init(
            name: .scan, text: "scan", arity: -2,
            flags: [.readonly], keys: .none, group: .generic,
            summary: "Walks the keys that this node holds, step by step."),
        .init(
            name: .keys, text: "keys", arity: 2,
            flags: [.readonly, .refused], keys: .none, group: .generic,
            summary: "All keys that match a pattern."),
        .init(
            name: .ttl, text: "ttl", arity: 2,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .generic,
            summary: "Seconds until a key expires."),
        .init(
            name: .pttl, text: "pttl", arity: 2,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .generic,
            summary: "Milliseconds until a key expires."),
        .init(
            name: .expire, text: "expire", arity: -3,
            flags: [.write, .fast], keys: .one, group: .generic,
            summary: "Lets a key expire after so many seconds."),
        .init(
            name: .pexpire, text: "pexpire", arity: -3,
            flags: [.write, .fast], keys: .one, group: .generic,
            summary: "Lets a key expire after so many milliseconds."),
        .init(
            name: .expireat, text: "expireat", arity: -3,
            flags: [.write, .fast], keys: .one, group: .generic,
            summary: "Lets a key expire at a time in seconds since 1970."),
        .init(
            name: .pexpireat, text: "pexpireat", arity: -3,
            flags: [.write, .fast], keys: .one, group: .generic,
            summary: "Lets a key expire at a time in milliseconds since 1970."),
        .init(
            name: .expiretime, text: "expiretime", arity: 2,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .generic,
            summary: "When a key expires, in seconds since 1970."),
        .init(
            name: .pexpiretime, text: "pexpiretime", arity: 2,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .generic,
            summary: "When a key expires, in milliseconds since 1970."),
        .init(
            name: .persist, text: "persist", arity: 2,
            flags: [.write, .fast], keys: .one, group: .generic,
            summary: "Lets a key live for ever."),
    ]

    private static let quorate: [CommandDescription] = [
        .init(
            name: .qget, text: "qget", arity: 2,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .quorate,
            summary: "Reads all concurrent values and their causal context."),
        .init(
            name: .qset, text: "qset", arity: -3,
            flags: [.write, .denyOOM], keys: .one, consistency: .write, group: .quorate,
            summary: "Writes a value that replaces what its causal context has seen."),
        .init(
            name: .qdel, text: "qdel", arity: -2,
            flags: [.write], keys: .one, consistency: .write, group: .quorate,
            summary: "Deletes what its causal context has seen."),
        .init(
            name: .qflag, text: "qflag", arity: -2,
            flags: [.write, .denyOOM, .fast], keys: .one, consistency: .write, group: .quorate,
            summary: "A flag, of which ENABLE beats a concurrent DISABLE: key [ENABLE|DISABLE]"),
        .init(
            name: .qbound, text: "qbound", arity: -2,
            flags: [.write, .denyOOM], keys: .second, consistency: .write, group: .quorate,
            summary: "A counter that never falls below its bound."),
        .init(
            name: .idempotency, text: "idempotency", arity: -4,
            flags: [.write, .denyOOM], keys: .none, group: .quorate,
            summary: "Executes a command of one key once, however often it is sent: id command …"),
        .init(
            name: .keyspace, text: "keyspace", arity: -2,
            flags: [.admin], keys: .none, group: .quorate,
            summary: "Creates, lists, alters and drops keyspaces."),
        .init(
            name: .consistency, text: "consistency", arity: -1,
            flags: [.fast], keys: .none, group: .quorate,
            summary: "Shows or sets the connection's consistency levels."),
        .init(
            name: .receipt, text: "receipt", arity: 2,
            flags: [.fast], keys: .none, group: .quorate,
            summary: "How the last answer came about; ON sends it with each answer."),
        .init(
            name: .session, text: "session", arity: -1,
            flags: [.fast], keys: .none, group: .quorate,
            summary: "Holds reads and writes to what the session has seen; tells and takes it."),
    ]
}
