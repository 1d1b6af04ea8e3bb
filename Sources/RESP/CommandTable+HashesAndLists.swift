// Hashes, lists and counters; arity, flags and keys are Redis's.
extension CommandTable {
    static let counter: [CommandDescription] = [
        .init(
            name: .incr, text: "incr", arity: 2,
            flags: [.write, .denyOOM, .fast], keys: .one, consistency: .write, group: .string,
            summary: "Adds 1 to a counter."),
        .init(
            name: .decr, text: "decr", arity: 2,
            flags: [.write, .denyOOM, .fast], keys: .one, consistency: .write, group: .string,
            summary: "Takes 1 from a counter."),
        .init(
            name: .incrby, text: "incrby", arity: 3,
            flags: [.write, .denyOOM, .fast], keys: .one, consistency: .write, group: .string,
            summary: "Adds an integer to a counter."),
        .init(
            name: .decrby, text: "decrby", arity: 3,
            flags: [.write, .denyOOM, .fast], keys: .one, consistency: .write, group: .string,
            summary: "Takes an integer from a counter."),
        .init(
            name: .incrbyfloat, text: "incrbyfloat", arity: 3,
            flags: [.write, .denyOOM, .fast], keys: .one, consistency: .write, group: .string,
            summary: "Adds a decimal number to a counter."),
    ]

    static let hash: [CommandDescription] = [
        .init(
            name: .hset, text: "hset", arity: -4,
            flags: [.write, .denyOOM, .fast], keys: .one, group: .hash,
            summary: "Sets fields of a hash and counts the new ones."),
        .init(
            name: .hsetnx, text: "hsetnx", arity: 4,
            flags: [.write, .denyOOM, .fast], keys: .one, consistency: .write, group: .hash,
            summary: "Sets a field if it is absent."),
        .init(
            name: .hmset, text: "hmset", arity: -4,
            flags: [.write, .denyOOM, .fast], keys: .one, group: .hash,
            summary: "Sets fields of a hash."),
        .init(
            name: .hget, text: "hget", arity: 3,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .hash,
            summary: "Reads a field."),
        .init(
            name: .hmget, text: "hmget", arity: -3,
            flags: [.readonly, .fast], keys: .one, group: .hash,
            summary: "Reads several fields."),
        .init(
            name: .hgetall, text: "hgetall", arity: 2,
            flags: [.readonly], keys: .one, consistency: .read, group: .hash,
            summary: "All fields and their values."),
        .init(
            name: .hdel, text: "hdel", arity: -3,
            flags: [.write, .fast], keys: .one, group: .hash,
            summary: "Removes fields and counts those that were there."),
        .init(
            name: .hexists, text: "hexists", arity: 3,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .hash,
            summary: "Whether a hash has a field."),
        .init(
            name: .hlen, text: "hlen", arity: 2,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .hash,
            summary: "Counts the fields of a hash."),
        .init(
            name: .hkeys, text: "hkeys", arity: 2,
            flags: [.readonly], keys: .one, consistency: .read, group: .hash,
            summary: "All fields of a hash."),
        .init(
            name: .hvals, text: "hvals", arity: 2,
            flags: [.readonly], keys: .one, consistency: .read, group: .hash,
            summary: "The values of all fields of a hash."),
        .init(
            name: .hstrlen, text: "hstrlen", arity: 3,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .hash,
            summary: "The length of a field's value in bytes."),
        .init(
            name: .hincrby, text: "hincrby", arity: 4,
            flags: [.write, .denyOOM, .fast], keys: .one, consistency: .write, group: .hash,
            summary: "Adds an integer to a field."),
        .init(
            name: .hincrbyfloat, text: "hincrbyfloat", arity: 4,
            flags: [.write, .denyOOM, .fast], keys: .one, consistency: .write, group: .hash,
            summary: "Adds a decimal number to a field."),
        .init(
            name: .hscan, text: "hscan", arity: -3,
            flags: [.readonly], keys: .one, consistency: .read, group: .hash,
            summary: "Walks the fields of a hash, step by step."),
        .init(
            name: .hrandfield, text: "hrandfield", arity: -2,
            flags: [.readonly], keys: .one, consistency: .read, group: .hash,
            summary: "Random fields; a count below 0 may repeat them."),
    ]

    static let list: [CommandDescription] = [
        .init(
            name: .lpush, text: "lpush", arity: -3,
            flags: [.write, .denyOOM, .fast], keys: .one, group: .list,
            summary: "Puts elements in front of a list."),
        .init(
            name: .rpush, text: "rpush", arity: -3,
            flags: [.write, .denyOOM, .fast], keys: .one, group: .list,
            summary: "Puts elements behind a list."),
        .init(
            name: .lpushx, text: "lpushx", arity: -3,
            flags: [.write, .denyOOM, .fast], keys: .one, group: .list,
            summary: "Puts elements in front of a list that is there."),
        .init(
            name: .rpushx, text: "rpushx", arity: -3,
            flags: [.write, .denyOOM, .fast], keys: .one, group: .list,
            summary: "Puts elements behind a list that is there."),
        .init(
            name: .lpop, text: "lpop", arity: -2,
            flags: [.write, .fast], keys: .one, consistency: .write, group: .list,
            summary: "Removes the first elements and answers them."),
        .init(
            name: .rpop, text: "rpop", arity: -2,
            flags: [.write, .fast], keys: .one, consistency: .write, group: .list,
            summary: "Removes the last elements and answers them."),
        .init(
            name: .lrange, text: "lrange", arity: 4,
            flags: [.readonly], keys: .one, consistency: .read, group: .list,
            summary: "Elements in a range of indices."),
        .init(
            name: .lindex, text: "lindex", arity: 3,
            flags: [.readonly], keys: .one, consistency: .read, group: .list,
            summary: "The element at an index."),
        .init(
            name: .lset, text: "lset", arity: 4,
            flags: [.write, .denyOOM], keys: .one, consistency: .write, group: .list,
            summary: "Replaces the element at an index."),
        .init(
            name: .linsert, text: "linsert", arity: 5,
            flags: [.write, .denyOOM], keys: .one, consistency: .write, group: .list,
            summary: "Inserts an element before or after another."),
        .init(
            name: .lrem, text: "lrem", arity: 4,
            flags: [.write], keys: .one, consistency: .write, group: .list,
            summary: "Removes elements that equal the given one."),
        .init(
            name: .ltrim, text: "ltrim", arity: 4,
            flags: [.write], keys: .one, consistency: .write, group: .list,
            summary: "Keeps the elements in a range of indices."),
        .init(
            name: .llen, text: "llen", arity: 2,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .list,
            summary: "Counts the elements of a list."),
        .init(
            name: .lpos, text: "lpos", arity: -3,
            flags: [.readonly], keys: .one, consistency: .read, group: .list,
            summary: "Where elements stand that equal the given one."),
    ]
}
